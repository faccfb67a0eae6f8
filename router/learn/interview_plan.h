// Which graded questions are put to which experts, known with its price before anybody is asked.
//
// Of each skill the questions are drawn by a hash of seed and id, the same ones for every expert,
// so that outcomes pair. Without a budget every expert answers `per_skill` questions of each skill.
// With `calls_max` the skills share the budget equally, and each is spent by sequential halving
// (Karnin, Koren and Somekh, ICML 2013): in ceil(log2 n) rounds those still in the race answer
// equally many new questions, then the better half by all its answers goes on. What a poor expert
// scores exactly does not matter to a router; who is best does.
//
// Pure: no clock, no threads, no I/O. The same questions, options and scores give the same plan.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "router/learn/questions.h"

namespace router {

struct InterviewOptions {
  std::vector<std::string> experts;
  std::vector<std::string> skills;  // only these; empty: all
  std::size_t per_skill = 20;       // questions of a skill for each expert, when calls_max is 0
  std::size_t calls_max = 0;        // in all, by sequential halving; 0: no budget
  std::uint64_t seed = 0;
};

/// Prices of one expert, micro-usd per 1,000,000 tokens.
struct InterviewPrice {
  std::int64_t in = 0, out = 0;
};

/// The most that one call may cost, micro-USD: 4 bytes are taken for a token of the prompt.
double call_microusd_max(const InterviewPrice& price, std::size_t prompt_bytes, int tokens_out);

class InterviewPlan {
 public:
  struct Ask {
    std::uint32_t expert = 0;    // index into InterviewOptions::experts
    std::uint32_t question = 0;  // index into the questions
  };

  /// Throws std::runtime_error without an expert, without a question of the wanted skills, or with
  /// a budget below one question for every expert and skill. `questions` outlives the plan.
  InterviewPlan(const std::vector<GradedQuestion>& questions, InterviewOptions options);

  /// Of all rounds together.
  std::size_t calls() const { return calls_; }

  std::size_t skills() const { return races_.size(); }

  /// The most that it may cost, replies of `tokens_out` tokens; prices by expert.
  double cost_usd_max(const std::vector<InterviewPrice>& prices, int tokens_out) const;

  /// The calls of the next round, one expert's after the other's; empty: there is none. The scores
  /// of the round before were added.
  std::vector<Ask> next_round();

  /// What came of one call; a call that failed adds nothing.
  void add(const Ask& ask, float score);

 private:
  struct Runner {
    std::uint32_t expert = 0;
    double sum = 0;
    std::size_t count = 0;
  };

  /// One skill: the questions in the order in which they are put, and who is still in the race.
  struct Race {
    std::vector<std::uint32_t> questions;
    std::vector<Runner> runners;
    std::size_t put = 0;  // questions that were
  };

  /// Runners and questions of each round; the number of rounds is the same for all skills.
  struct Round {
    std::size_t runners = 0, questions = 0;
  };

  void plan_rounds(std::size_t skill_calls);
  static void halve(Race& race);

  const std::vector<GradedQuestion>& questions_;
  const InterviewOptions options_;
  std::vector<Race> races_;
  std::vector<Round> rounds_;
  std::size_t round_ = 0;
  std::size_t calls_ = 0;
};

}  // namespace router
