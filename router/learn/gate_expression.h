// The condition of `evaluate --gate`: what a report must satisfy for a policy to be let through.
//
//   gain.lo >= 0 && score >= best_single.score + 0.01 && skills_worse == 0
//
// Grammar: `||` binds less than `&&`, which binds less than a comparison (< <= > >= == !=); `!` and
// parentheses; sums of numbers, names and `+ -`. A name is a figure of the report (score, gain,
// gain.lo, gain.hi, cost, apgr, cpt50, cpt80, cpt95, aiq: of the row `policy`, or ROW.FIGURE for
// another row; rows, headroom, abstained, ece, skills_worse, near_misses), or
// skills["NAME"].FIGURE with rows, score, gain, gain.lo, gain.hi, best_single, oracle.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "router/learn/evaluate.h"

namespace router {

inline constexpr std::size_t kGateBytesMax = 4096;
inline constexpr int kGateDepthMax = 64;

struct GateVerdict {
  bool passed = false;
  std::string why;  // every comparison with its numbers, as it was decided
};

class GateExpression {
 public:
  /// Throws std::runtime_error that names the place (a column from 1) and what would be right.
  explicit GateExpression(std::string_view text);
  ~GateExpression();
  GateExpression(GateExpression&&) noexcept;

  /// Throws std::runtime_error for a figure that the report does not have (no costs, no pair, no
  /// such row or skill).
  GateVerdict judge(const EvaluateReport& report) const;

  struct Node;

 private:
  std::unique_ptr<Node> root_;
};

}  // namespace router
