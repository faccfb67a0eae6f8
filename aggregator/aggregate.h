// The way from replies to one Answer: one Aggregation per query, fed while replies arrive.
//
//   single       the first reply that is ok; nothing is read, nothing is counted
//   plurality    by heads     \ over canonical answers; where no reply has a readable one, the most
//   weighted     by log-odds  / competent reply that is ok is the answer
//   fused        numbers: the reply at the weighted median; JSON: field by field
//   synthesised  an expert reads the others' answers and writes one: wants_reader() says when
//   best_of      likewise, and chooses one
//   corrected    the weighted vote's answer is held against Plan::passages by an expert that may
//                write it anew, once; without passages, or where they contradict nothing, it stands
//
// Seats are the experts in the order in which they would be asked; a seat may fail, be late or
// never be asked. A value of one query, used by one thread, no I/O.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "aggregator/answer.h"
#include "aggregator/ballot.h"
#include "aggregator/canonical.h"
#include "aggregator/fuse.h"
#include "aggregator/options.h"
#include "aggregator/synthesis.h"

namespace aggregator {

/// Which mode a skill and a type of answer get: part of a policy, filled by measurement. The
/// defaults are for a pool that nothing was measured on.
struct ModeTable {
  struct Exception {
    std::uint32_t skill = 0;
    AnswerType type = AnswerType::free_text;
    Mode mode = Mode::single;
  };

  std::array<Mode, kAnswerTypes> by_type = {
      Mode::weighted /* choice */, Mode::weighted /* number */,     Mode::weighted /* yes_no */,
      Mode::weighted /* date */,   Mode::weighted /* list */,       Mode::fused /* json */,
      Mode::weighted /* code */,   Mode::weighted /* short_text */, Mode::synthesised};
  std::vector<Exception> exceptions;  // the first that fits wins

  Mode mode_of(std::uint32_t skill, AnswerType type) const;
};

struct Plan {
  Mode mode = Mode::single;
  Question question;               // not looked at by Mode::single
  std::vector<double> competence;  // by seat: probability of being right on this query
  std::vector<double> weights;     // by seat: of its vote, learned; empty: log-odds of competence
  std::vector<Prior> priors;       // of answers, before anybody votes
  std::vector<std::string> passages;  // what Mode::corrected holds the answer against
  BallotRules ballot;
  FuseRules fuse;
  ReadLimits limits;
  std::uint32_t replies_min = 1;  // ok replies before a vote may end early
};

class Aggregation {
 public:
  explicit Aggregation(Plan plan);

  /// Takes the reply of a seat, whatever its outcome. Returns whether the answer is settled, so
  /// that nobody else need be asked or waited for. A seat's later replies (a retry on another
  /// expert) are kept in the answer and do not vote.
  bool add(std::uint32_t seat, experts::Reply reply);

  /// The seat is not asked, or not waited for any longer.
  bool withdraw(std::uint32_t seat);

  bool settled() const { return settled_; }

  /// How many of the seats that were not heard of should be asked next, at the same time: as few
  /// as could settle a vote, all of them where everybody's words are wanted.
  std::uint32_t wave() const;

  /// How likely those of wave() do not settle a vote: one of them is wrong, by their competence.
  double doubt() const;

  /// Whether the mode needs an expert that reads the answers, and there is something to read: two
  /// answers, or one and passages.
  bool wants_reader() const;

  /// What that expert is asked; keeps the order, so that add_reading() knows who was meant.
  const Synthesis& reading(std::string_view question, const std::vector<std::string>& names,
                           std::uint64_t seed, const SynthesisRules& rules = {});

  /// Its reply. One that failed, said nothing or chose nobody leaves the best of the others.
  void add_reading(experts::Reply reply);

  /// Call once, when settled or out of time: the best answer that the replies at hand allow.
  Answer close();

 private:
  struct Entry {
    std::uint32_t seat = 0;
    Canonical canonical;
    bool counted = false;  // first reply of its seat
  };

  bool votes() const {
    return plan_.mode == Mode::plurality || plan_.mode == Mode::weighted ||
           plan_.mode == Mode::corrected;
  }

  std::optional<std::uint32_t> most_competent(bool with_answer) const;
  double competence_of(std::uint32_t seat) const;
  bool leave(std::uint32_t seat);
  void decide_vote(Answer& answer) const;
  void decide_fused(Answer& answer) const;
  void decide_read(Answer& answer) const;
  void decide_corrected(Answer& answer) const;
  void decide_single(Answer& answer) const;

  Plan plan_;
  std::optional<Ballot> ballot_;
  std::vector<Entry> entries_;  // parallel to replies_
  std::vector<experts::Reply> replies_;
  std::vector<bool> gone_;  // by seat: replied, failed or withdrawn
  std::uint32_t ok_ = 0;
  Synthesis synthesis_;
  std::vector<std::uint32_t> shown_;     // index of the reply behind each answer of synthesis_
  std::optional<std::uint32_t> reader_;  // index of its reply
  bool settled_ = false;
};

}  // namespace aggregator
