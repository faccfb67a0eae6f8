// Learning from the log: graded decisions become further training rows, the new policy is compared
// with the old one by replay, and only written when it passes.
//
// Both are trained with the old policy's split, so the rows that it left out of the outcome files
// judge both. The gate: the lower end of the gain's interval is above kLearnLossMax, and no skill
// of 100 rows is significantly worse. The same log, files and program give the same bytes.
#pragma once

#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "router/learn/policy_diff.h"
#include "router/learn/train.h"

namespace router {

inline constexpr double kLearnLossMax = 0.005;  // half a point
inline constexpr std::size_t kLearnSkillRowsMin = 100;

struct Promotion {
  bool passes = false;
  std::string why;  // the comparison that decided, with its numbers
};

/// The gate, on rows that neither policy was trained on.
Promotion judge_promotion(const ReplayDiff& replay);

struct LearnOptions {
  std::string log;                 // the service's database
  std::string policy;              // the one that serves now
  std::vector<std::string> files;  // the outcome files that it was trained on
  std::string out;                 // the new policy, written only when it passes
  std::string rows;  // where to keep the log's rows as an outcome file; empty: nowhere
  /// A decision that is so many days older than the newest one counts half; 0: age does not count.
  /// Rows are thinned by a hash of their id, not weighted: in the mean it is the same, and a row
  /// that has faded stays away.
  double half_life_days = 0;
  VectorsOf vectors;  // where the old policy was trained with some: the new one is, too
  std::function<void(const std::string& stage, double done)> progress;
};

struct LearnReport {
  std::size_t graded = 0;    // decisions of the log that became rows
  std::size_t faded = 0;     // graded ones left out for their age
  std::size_t left_out = 0;  // graded ones: no text, an unknown expert, or passages were shown
  TrainReport trained;
  PolicyDiff diff;
  bool promoted = false;
  std::string why;  // the comparison that decided, with its numbers
};

/// `made`, when given, receives the policy, whether it passes or not.
/// Throws std::runtime_error: the log or a file cannot be read, nothing in the log was graded, or
/// the old policy was trained on every row, so that none is left to compare on.
LearnReport learn_from_log(const LearnOptions& options, PolicyPtr* made = nullptr);

void print(const LearnReport& report, std::ostream& out);

}  // namespace router
