// The spend half of the map: one expert for each skill, the mean spend of a query under a budget.
// A multiple-choice knapsack, solved exactly by merging the skills' Pareto lists one after another
// (dominance, Nemhauser and Ullmann 1969) instead of by fixed weights, which reach only the points
// on the convex hull. Pure functions, deterministic; nothing is kept between calls.
//
// Units: any, as long as one budget and its prices share them. Values and spends are already
// weighted by the traffic share of their skill, so that sums over the skills are means a query.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace router {

/// One way to serve a skill.
struct SpendOption {
  double value = 0;
  double spend = 0;  // >= 0
};

/// For each skill the ways to serve it, in any order; none of the lists empty.
using SpendMenu = std::vector<std::vector<SpendOption>>;

struct SpendPoint {
  double value = 0;
  double spend = 0;
  bool hull = false;                  // on the upper convex hull: some fixed price reaches it
  std::vector<std::uint32_t> choice;  // [skills] index into the menu's list of that skill
};

struct SpendFrontier {
  std::vector<SpendPoint> points;  // spend and value both strictly rising
  double gap = 0;  // 0: every Pareto point is there; else no point of the true frontier
                   // is better than one of these at its spend by more than this
};

/// Every Pareto point of the menu. More than `points_max` partial points at once are thinned evenly
/// over the value axis; what that may have cost is in `gap`.
SpendFrontier spend_frontier(const SpendMenu& menu, std::size_t points_max);

struct SpendPick {
  bool found = false;  // false: nothing affordable is better than `value_above`
  double value = 0;
  double spend = 0;
  double bound = 0;                   // nothing affordable is better than this
  double multiplier = 0;              // of the relaxation at the budget: value per unit of spend
  std::vector<std::uint32_t> choice;  // [skills]
};

/// The best choice with spend <= spend_max, if it is better than `value_above`. Partial choices
/// whose relaxed completion is not better than the incumbent are dropped, so this stays small where
/// the whole frontier would not. Not more than `points_max` partial choices are kept; `bound` is
/// above `value` when that mattered.
SpendPick best_spend(const SpendMenu& menu, double spend_max, double value_above,
                     std::size_t points_max);

}  // namespace router
