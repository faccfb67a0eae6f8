// What would another policy have been worth on the service's own log? Values the choices of a
// policy on graded decisions by the propensities that were logged with them.
//
//   SNIPS  self-normalised inverse propensity score: sum w r / sum w,  w = 1{same choice} / p
//   DR     doubly robust: mean of q(target) + w (r - q(logged)), q: the estimates that were logged
//   (Dudik, Langford, Li 2011; Swaminathan, Joachims 2015)
//
// The action is the first choice of a decision; when it failed and a fallback answered, the grade
// of the fallback's answer is its reward. A row whose target choice could not have been drawn
// (propensity 1 for another expert: no exploration) says nothing about the target: it is not
// identifiable, and only bounds hold for it.
#pragma once

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "router/learn/metrics.h"
#include "router/policy.h"

namespace router {

/// One graded decision as the estimators need it.
struct LoggedChoice {
  bool same = false;                      // the target policy chooses what was chosen
  bool supported = true;                  // its choice could have been drawn
  double propensity = 1;                  // of what was chosen
  double reward = 0;                      // 0..1
  double q_logged = 0.5, q_target = 0.5;  // estimates of the reward for both choices
};

inline constexpr double kWeightMax = 20;  // of one row; what is clipped is reported

struct LogValue {
  std::size_t rows = 0, matched = 0, unsupported = 0, clipped = 0;
  double logged = 0;               // mean reward of what was done
  bool identifiable = false;       // no row is unsupported, and some match
  Interval snips, doubly_robust;   // over the supported rows
  Interval gain;                   // doubly robust minus logged, paired, over the supported rows
  double effective_rows = 0;       // (sum w)^2 / sum w^2
  double lowest = 0, highest = 0;  // of the value over all rows, unsupported ones being 0 or 1
};

/// Pure; intervals: 95%, percentile bootstrap of the rows from the seed.
LogValue value_choices(const std::vector<LoggedChoice>& rows, std::uint64_t seed);

struct LogValueOptions {
  std::string log;            // the service's database
  std::int64_t since_us = 0;  // decisions that came in at or after
  std::uint64_t seed = 0;
  std::function<void(const std::string& stage, double done)> progress;
};

struct LogValueReport {
  std::size_t decisions = 0;  // routed ones in the log
  std::size_t ungraded = 0, without_text = 0, unreadable = 0, unknown = 0;  // left out, and why
  std::uint64_t policy_version = 0;
  bool by_words = false;  // the policy would have had vectors: it is valued without
  LogValue value;
};

/// Throws std::runtime_error: the log cannot be read, or no graded decision with its text is there
/// (the sentence says what to switch on).
LogValueReport value_log(const Policy& policy, const LogValueOptions& options);

std::string to_json(const LogValueReport& report);
void print(const LogValueReport& report, std::ostream& out);

}  // namespace router
