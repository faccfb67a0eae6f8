// Votes on one answer, counted while they come in.
//
// Weighted counting: an expert that is right with probability theta on a question of C options
// speaks with log-odds w = ln(theta (C-1) / (1-theta)), clipped. Experts err together, so m
// supporters of an answer do not add up: its support is the largest over j of (w_1 + ... + w_j) /
// (1 + (j-1) rho), weights in falling order. For equal weights that is sum / (1 + (m-1) rho); the
// maximum keeps a weak supporter from lowering what a strong one says, so more votes for an answer
// never hurt it, which the early stop relies on. P(answer) is the softmax of support over the
// answers given and those that nobody gave (support 0). Where weights were learned together from
// past panels (router/learn/panels.h) they replace the log-odds, and rho is 0: how much two experts
// repeat each other is in the weights. An answer may also have support before anybody voted (its
// prior log-odds, from the wording of a question's options); it is added to that of its supporters.
//
// A ballot is a value, used by one thread. Nothing allocates per vote but the key of a new answer.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "aggregator/canonical.h"
#include "aggregator/options.h"

namespace aggregator {

enum class Counting : std::uint8_t { plurality, weighted };

inline constexpr std::uint32_t kNoSeat = std::numeric_limits<std::uint32_t>::max();

/// What speaks for an answer before anybody voted.
struct Prior {
  std::string key;
  double log_odds = 0;  // against an answer without a prior
};

/// Options of the question, as a ballot counts them: 0 when it is open.
std::uint32_t choices_of(const Question& question);

struct Verdict {
  std::string key;               // the winning answer; empty: no readable vote was cast
  std::uint32_t seat = kNoSeat;  // its most competent supporter
  double posterior = 0;          // probability that the winner is right
  double agreement = 0;          // share of the readable votes that it has
  std::uint32_t votes = 0;       // readable ones
  std::uint32_t unread = 0;      // replies without a readable answer, failures, withdrawn seats
};

class Ballot {
 public:
  /// One seat per expert that may be asked, with its probability of being right on this query.
  /// `choices`: options of the question, 0 when it is open. `weights`: by seat; empty: log-odds.
  /// `priors`: of weighted counting, at most one per answer.
  Ballot(Counting counting, std::uint32_t choices, std::vector<double> competence,
         const BallotRules& rules = {}, const std::vector<double>& weights = {},
         std::vector<Prior> priors = {});

  /// A seat's vote; an empty key where it gave no readable answer, failed or is not asked after
  /// all. Returns whether the ballot is decided: the rest cannot change the winner, or the
  /// posterior is high enough, or no seat is left. A seat's second vote and an unknown seat are
  /// ignored.
  bool add(std::uint32_t seat, std::string_view key);

  bool decided() const { return decided_; }

  /// How many of the waiting seats, in order, would decide it if they all said the same: fewer
  /// cannot, so that many are asked at once. 0 when it is decided.
  std::uint32_t votes_needed() const;

  Verdict verdict() const;

 private:
  struct Group {
    std::string key;
    std::vector<double> weights;  // of its supporters, falling
    double support = 0;
    std::uint32_t seat = kNoSeat;  // most competent supporter
    double prior = 0;
  };

  double take_prior(std::string_view key);
  double support_of(const std::vector<double>& weights) const;
  double log_odds_of(const std::vector<double>& weights) const;
  bool ahead(const Group& a, const Group& b) const;
  const Group* leader() const;
  bool unassailable(const Group& first);
  double posterior_of(const Group& group) const;

  Counting counting_;
  std::uint32_t choices_;
  BallotRules rules_;
  std::vector<double> competence_;
  std::vector<double> weight_;  // by seat
  std::vector<bool> voted_;
  std::vector<double> waiting_;  // weights of the seats that have not voted, falling
  std::vector<Group> groups_;
  std::vector<Prior> priors_;          // of answers that nobody has given yet
  std::vector<double> rest_, merged_;  // scratch
  std::uint32_t unread_ = 0;
  bool decided_ = false;
};

}  // namespace aggregator
