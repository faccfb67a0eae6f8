#include "router/learn/spend.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

namespace router {
namespace {

constexpr double kInfinite = std::numeric_limits<double>::infinity();

struct Choice {
  double value;
  double spend;
  std::uint32_t option;  // in the menu's list
};

/// A partial map over the first skills: its last option and the partial map that it extends.
struct Partial {
  double value;
  double spend;
  std::uint32_t parent;
  std::uint32_t option;
};

/// Sums of decimals differ in their last bits by the order of the terms; below this two are equal.
double tolerance_of(const SpendMenu& menu) {
  double largest = 0;
  for (const auto& options : menu) {
    for (const SpendOption& option : options) {
      largest = std::max({largest, std::abs(option.value), std::abs(option.spend)});
    }
  }
  return 1e-12 * (1 + largest) * (1 + static_cast<double>(menu.size()));
}

/// Keeps what no other is at least as good and as cheap as; spend and value rise strictly after it.
template <class Point>
void keep_undominated(std::vector<Point>& points, double tolerance) {
  std::stable_sort(points.begin(), points.end(), [](const Point& a, const Point& b) {
    return a.spend != b.spend ? a.spend < b.spend : a.value > b.value;
  });
  std::size_t kept = 0;
  for (const Point& point : points) {
    if (kept > 0 && point.value <= points[kept - 1].value + tolerance) continue;
    if (kept > 0 && point.spend <= points[kept - 1].spend + tolerance) --kept;
    points[kept++] = point;
  }
  points.resize(kept);
}

std::vector<Choice> undominated(const std::vector<SpendOption>& options, double tolerance) {
  std::vector<Choice> choices;
  for (std::size_t i = 0; i < options.size(); ++i) {
    choices.push_back({options[i].value, options[i].spend, static_cast<std::uint32_t>(i)});
  }
  keep_undominated(choices, tolerance);
  return choices;
}

/// Marks the points of a frontier that lie on its upper convex hull.
template <class Point>
std::vector<std::size_t> hull_of(const std::vector<Point>& points) {
  std::vector<std::size_t> hull;
  for (std::size_t i = 0; i < points.size(); ++i) {
    while (hull.size() >= 2) {
      const Point& a = points[hull[hull.size() - 2]];
      const Point& b = points[hull.back()];
      const double turn = (b.value - a.value) * (points[i].spend - a.spend) -
                          (points[i].value - a.value) * (b.spend - a.spend);
      if (turn > 0) break;
      hull.pop_back();
    }
    hull.push_back(i);
  }
  return hull;
}

/// Keeps the cheapest of every slice of the value axis, and the most valuable of all. Returns the
/// width of a slice: what a dropped point may have been better by.
double thin(std::vector<Partial>& points, std::size_t points_max) {
  if (points.size() <= points_max) return 0;
  const double lowest = points.front().value;
  const double width = (points.back().value - lowest) / static_cast<double>(points_max - 1);
  std::vector<Partial> kept;
  double slice_last = -1;
  for (const Partial& point : points) {
    const double slice = std::floor((point.value - lowest) / width);
    if (slice != slice_last || &point == &points.back()) kept.push_back(point);
    slice_last = slice;
  }
  points = std::move(kept);
  return width;
}

std::vector<std::uint32_t> trace(const std::vector<std::vector<Partial>>& layers,
                                 std::uint32_t last) {
  std::vector<std::uint32_t> choice(layers.size());
  for (std::size_t s = layers.size(); s-- > 0;) {
    choice[s] = layers[s][last].option;
    last = layers[s][last].parent;
  }
  return choice;
}

/// The relaxation of the whole menu at a price of spend, and what it would spend.
struct Relaxed {
  double value;
  double spend;
};

Relaxed relax(std::span<const std::vector<Choice>> lists, double price) {
  Relaxed sum{0, 0};
  for (const auto& list : lists) {
    const Choice* best = &list.front();
    for (const Choice& choice : list) {
      if (choice.value - price * choice.spend > best->value - price * best->spend) best = &choice;
    }
    sum.value += best->value - price * best->spend;
    sum.spend += best->spend;
  }
  return sum;
}

/// One step along the hull of one skill's list.
struct Upgrade {
  double slope;
  double value;
  double spend;
  std::uint32_t skill;
  std::uint32_t choice;  // index into the skill's undominated list
};

struct Greedy {
  double value = 0;
  double spend = 0;
  double multiplier = 0;
  std::vector<std::uint32_t> choice;  // index into the undominated lists
};

/// The cheapest map, then the steepest affordable upgrades: the relaxation's own solution up to the
/// first upgrade that does not fit (whose slope is the multiplier), and further ones that do.
Greedy upgrade_greedily(const std::vector<std::vector<Choice>>& lists, double spend_max) {
  Greedy greedy;
  std::vector<Upgrade> upgrades;
  for (std::size_t s = 0; s < lists.size(); ++s) {
    const auto hull = hull_of(lists[s]);
    greedy.value += lists[s].front().value;
    greedy.spend += lists[s].front().spend;
    greedy.choice.push_back(0);
    for (std::size_t i = 1; i < hull.size(); ++i) {
      const double value = lists[s][hull[i]].value - lists[s][hull[i - 1]].value;
      const double spend = lists[s][hull[i]].spend - lists[s][hull[i - 1]].spend;
      upgrades.push_back({value / spend, value, spend, static_cast<std::uint32_t>(s),
                          static_cast<std::uint32_t>(hull[i])});
    }
  }
  std::stable_sort(upgrades.begin(), upgrades.end(),
                   [](const Upgrade& a, const Upgrade& b) { return a.slope > b.slope; });
  std::vector<bool> stuck(lists.size(), false);
  for (const Upgrade& upgrade : upgrades) {
    if (stuck[upgrade.skill]) continue;
    if (greedy.spend + upgrade.spend > spend_max) {
      if (greedy.multiplier == 0) greedy.multiplier = upgrade.slope;
      stuck[upgrade.skill] = true;
      continue;
    }
    greedy.value += upgrade.value;
    greedy.spend += upgrade.spend;
    greedy.choice[upgrade.skill] = upgrade.choice;
  }
  return greedy;
}

}  // namespace

SpendFrontier spend_frontier(const SpendMenu& menu, std::size_t points_max) {
  const double tolerance = tolerance_of(menu);
  SpendFrontier frontier;
  std::vector<std::vector<Partial>> layers;
  std::vector<Partial> last{{0, 0, 0, 0}};
  for (const auto& options : menu) {
    const auto choices = undominated(options, tolerance);
    std::vector<Partial> next;
    next.reserve(last.size() * choices.size());
    for (std::uint32_t p = 0; p < last.size(); ++p) {
      for (const Choice& choice : choices) {
        next.push_back(
            {last[p].value + choice.value, last[p].spend + choice.spend, p, choice.option});
      }
    }
    keep_undominated(next, tolerance);
    frontier.gap += thin(next, std::max<std::size_t>(points_max, 2));
    layers.push_back(next);
    last = std::move(next);
  }
  for (std::uint32_t i = 0; i < last.size(); ++i) {
    frontier.points.push_back({last[i].value, last[i].spend, false, trace(layers, i)});
  }
  for (const std::size_t i : hull_of(frontier.points)) frontier.points[i].hull = true;
  return frontier;
}

SpendPick best_spend(const SpendMenu& menu, double spend_max, double value_above,
                     std::size_t points_max) {
  const double tolerance = tolerance_of(menu);
  const std::size_t skills = menu.size();
  const double affordable = spend_max + tolerance;
  std::vector<std::vector<Choice>> lists;
  for (const auto& options : menu) lists.push_back(undominated(options, tolerance));

  std::vector<double> cheapest_after(skills + 1, 0);
  for (std::size_t s = skills; s-- > 0;) {
    cheapest_after[s] = cheapest_after[s + 1] + lists[s].front().spend;
  }
  SpendPick pick;
  pick.bound = -kInfinite;
  if (cheapest_after[0] > affordable) return pick;
  // A budget beyond the dearest map is that map: keeps an unlimited one out of the arithmetic
  // below.
  double dearest = 0;
  for (const auto& list : lists) dearest += list.back().spend;
  spend_max = std::min(spend_max, dearest);

  const Greedy greedy = upgrade_greedily(lists, affordable);
  const double price = greedy.multiplier;
  pick.multiplier = price;
  std::vector<double> relaxed_after(skills + 1, 0);
  for (std::size_t s = skills; s-- > 0;) {
    relaxed_after[s] = relaxed_after[s + 1] + relax(std::span(lists).subspan(s, 1), price).value;
  }
  double best = value_above;
  if (greedy.value > best) {
    best = greedy.value;
    pick.found = true;
    pick.value = greedy.value;
    pick.spend = greedy.spend;
    for (std::size_t s = 0; s < skills; ++s) {
      pick.choice.push_back(lists[s][greedy.choice[s]].option);
    }
  }

  double gap = 0;
  std::vector<std::vector<Partial>> layers;
  std::vector<Partial> last{{0, 0, 0, 0}};
  for (std::size_t s = 0; s < skills; ++s) {
    std::vector<Partial> next;
    for (std::uint32_t p = 0; p < last.size(); ++p) {
      for (const Choice& choice : lists[s]) {
        const double value = last[p].value + choice.value;
        const double spend = last[p].spend + choice.spend;
        if (spend + cheapest_after[s + 1] > affordable) break;
        const double most = value + price * (spend_max - spend) + relaxed_after[s + 1];
        if (most > best + tolerance) next.push_back({value, spend, p, choice.option});
      }
    }
    keep_undominated(next, tolerance);
    gap += thin(next, std::max<std::size_t>(points_max, 2));
    layers.push_back(next);
    last = std::move(next);
  }
  if (!last.empty() && last.back().value > best + tolerance) {
    best = last.back().value;
    pick.found = true;
    pick.value = best;
    pick.spend = last.back().spend;
    pick.choice = trace(layers, static_cast<std::uint32_t>(last.size() - 1));
  }
  pick.bound = std::min(best + gap, std::max(best, relaxed_after[0] + price * spend_max));
  return pick;
}

}  // namespace router
