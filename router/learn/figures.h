// The figures of the HTML report as inline SVG. Colours are classes of the page's style, so that
// they follow light and dark. Every text that comes from a file is escaped here.
#pragma once

#include <string>
#include <string_view>

#include "router/learn/evaluate.h"

namespace router {

/// For HTML text and attributes; control characters become spaces.
std::string escape_html(std::string_view text);

/// The number with so many digits behind the point.
std::string fixed(double value, int digits);
/// 0.713 -> 71.3
std::string points(double share, int digits = 1);

/// Every row's gain over the best single expert, with its interval.
std::string draw_gains(const EvaluateReport& report);
/// Cost against score: the policy's knob, the single experts, the mix of them. Needs costs.
std::string draw_costs(const EvaluateReport& report);
/// Share of strong calls against the gap that they recover. Needs a pair.
std::string draw_recovery(const EvaluateReport& report);
/// Estimates against outcomes, with how many there are of each.
std::string draw_reliability(const EvaluateReport& report);
/// Per skill: best single, policy and oracle on one line.
std::string draw_skills(const EvaluateReport& report);
/// Rows by how many experts are right, and what the policy loses on each kind.
std::string draw_regret(const EvaluateReport& report);

}  // namespace router
