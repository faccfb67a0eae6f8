#include "router/learn/map.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <stdexcept>

#include "router/learn/map_search.h"
#include "router/splitmix.h"

namespace router {
namespace {

void check_experts(const MapProblem& problem, std::vector<std::string>& faults) {
  for (std::size_t e = 0; e < problem.experts.size(); ++e) {
    const MapExpert& one = problem.experts[e];
    const std::string name = "expert " + std::to_string(e);
    if (!(one.memory >= 0)) faults.push_back(name + ": memory is not a number >= 0");
    if (one.base != kNobody && one.base >= problem.base_memory.size()) {
      faults.push_back(name + ": its base is not in base_memory");
    }
    if (one.pinned && one.disabled) faults.push_back(name + ": both pinned and disabled");
  }
}

void check(const MapProblem& problem) {
  const std::size_t cells = problem.experts.size() * problem.share.size();
  std::vector<std::string> faults;
  const auto any = [](const std::vector<double>& list, auto wrong) {
    return std::any_of(list.begin(), list.end(), wrong);
  };
  const auto negative = [](double x) { return !(x >= 0) || x == kUnlimited; };
  if (problem.experts.empty()) faults.push_back("no experts");
  if (problem.share.empty()) faults.push_back("no skills");
  if (problem.value.size() != cells) faults.push_back("value is not experts x skills");
  if (!problem.cost.empty() && problem.cost.size() != cells) {
    faults.push_back("cost is neither empty nor experts x skills");
  }
  if (any(problem.share, negative)) faults.push_back("a share is not a number >= 0");
  if (any(problem.cost, negative)) faults.push_back("a cost is not a number >= 0");
  if (any(problem.base_memory, negative)) faults.push_back("a base's memory is not a number >= 0");
  if (any(problem.value, [](double x) { return !std::isfinite(x); })) {
    faults.push_back("a value is not finite");
  }
  if (!(problem.memory_max >= 0)) faults.push_back("memory_max is not a number >= 0");
  if (!(problem.spend_max >= 0)) faults.push_back("spend_max is not a number >= 0");
  check_experts(problem, faults);
  for (const MapPair& pair : problem.forbidden) {
    if (pair.expert >= problem.experts.size() || pair.skill >= problem.share.size()) {
      faults.push_back("a forbidden pair names an expert or skill that does not exist");
      break;
    }
  }
  if (faults.empty()) return;
  std::string text = "map problem: ";
  for (std::size_t i = 0; i < faults.size(); ++i) text += (i ? "; " : "") + faults[i];
  throw std::runtime_error(text);
}

/// The same problem with exactly these experts, and no budget of memory and count.
MapProblem only(const MapProblem& problem, std::span<const std::uint32_t> residents) {
  MapProblem fixed = problem;
  fixed.memory_max = kUnlimited;
  fixed.count_max = kNobody;
  for (MapExpert& one : fixed.experts) {
    one.disabled = true;
    one.pinned = false;
  }
  for (const std::uint32_t expert : residents) {
    fixed.experts[expert].disabled = problem.experts[expert].disabled;
  }
  return fixed;
}

double objective_or_nothing(const MapProblem& problem, const MapLimits& limits) {
  const MapSolution solution = solve_map(problem, limits);
  return solution.feasible ? solution.objective : -kUnlimited;
}

/// Standard normal draws from a seed; the same on every machine, unlike std::normal_distribution.
class Normal {
 public:
  explicit Normal(std::uint64_t seed) : state_(seed) {}

  double draw() {
    const double radius = std::sqrt(-2 * std::log(uniform()));
    return radius * std::cos(2 * std::numbers::pi * uniform());
  }

 private:
  double uniform() { return 1 - draw_unit(state_); }  // in (0, 1]

  std::uint64_t state_;
};

}  // namespace

MapSolution solve_map(const MapProblem& problem, const MapLimits& limits) {
  check(problem);
  return MapSearch(problem, limits).solve();
}

ResidentMenu menu_of(const MapProblem& problem, std::span<const std::uint32_t> residents) {
  check(problem);
  const std::size_t skills = problem.share.size();
  std::vector<bool> forbidden(problem.value.size(), false);
  for (const MapPair& pair : problem.forbidden) forbidden[pair.expert * skills + pair.skill] = true;
  ResidentMenu resident{SpendMenu(skills), std::vector<std::vector<std::uint32_t>>(skills)};
  for (std::size_t s = 0; s < skills; ++s) {
    for (const std::uint32_t expert : residents) {
      const std::size_t at = expert * skills + s;
      if (forbidden[at]) continue;
      const double spend = problem.cost.empty() ? 0 : problem.share[s] * problem.cost[at];
      resident.menu[s].push_back({problem.share[s] * problem.value[at], spend});
      resident.expert_of[s].push_back(expert);
    }
  }
  return resident;
}

MapSensitivity explain_map(const MapProblem& problem, const MapSolution& solution,
                           double memory_step, const MapLimits& limits) {
  const std::size_t experts = problem.experts.size();
  MapSensitivity found;
  found.loss_now.assign(experts, 0);
  found.loss_resolved.assign(experts, 0);
  found.entry_gain.assign(experts, 0);
  std::vector<bool> resident(experts, false);
  for (const std::uint32_t expert : solution.residents) resident[expert] = true;
  for (std::uint32_t e = 0; e < experts; ++e) {
    std::vector<std::uint32_t> others = solution.residents;
    if (!resident[e]) {
      if (problem.experts[e].disabled) continue;
      others.push_back(e);
      found.entry_gain[e] =
          std::max(0.0, objective_or_nothing(only(problem, others), limits) - solution.objective);
      continue;
    }
    std::erase(others, e);
    found.loss_now[e] = solution.objective - objective_or_nothing(only(problem, others), limits);
    MapProblem without = problem;
    without.experts[e].pinned = false;
    without.experts[e].disabled = true;
    found.loss_resolved[e] = solution.objective - objective_or_nothing(without, limits);
  }
  MapProblem more = problem;
  more.memory_max += memory_step;
  found.memory_price = objective_or_nothing(more, limits) - solution.objective;
  if (problem.count_max < experts) {
    more = problem;
    ++more.count_max;
    found.count_price = objective_or_nothing(more, limits) - solution.objective;
  }
  if (problem.spend_max < kUnlimited) {
    const ResidentMenu fixed = menu_of(problem, solution.residents);
    found.spend_price =
        best_spend(fixed.menu, problem.spend_max, -kUnlimited, limits.spend_points_max).multiplier;
  }
  return found;
}

std::vector<MapSolution> memory_frontier(const MapProblem& problem, std::size_t points_max,
                                         const MapLimits& limits) {
  std::vector<MapSolution> points;
  MapProblem tighter = problem;
  while (points.size() < points_max) {
    MapSolution next = solve_map(tighter, limits);
    if (!next.feasible) break;
    // The next tighter memory; the objective may stay the same where two sets tie.
    const double used = next.memory;
    if (!points.empty() && next.objective >= points.back().objective - 1e-12) points.pop_back();
    points.push_back(std::move(next));
    if (used <= 0) break;
    tighter.memory_max = used * (1 - 1e-6);
  }
  return points;
}

MapStability test_switch(const MapProblem& problem, std::span<const double> sd,
                         std::span<const std::uint32_t> candidate,
                         std::span<const std::uint32_t> running, const SwitchRule& rule,
                         const MapLimits& limits) {
  if (sd.size() != problem.value.size()) {
    throw std::runtime_error("map stability: sd is not experts x skills");
  }
  MapStability result;
  result.resident_share.assign(problem.experts.size(), 0);
  Normal normal(rule.seed);
  MapProblem drawn = problem;
  const double each = 1.0 / std::max(1u, rule.draws);
  std::uint32_t compared = 0;
  for (std::uint32_t d = 0; d < rule.draws; ++d) {
    for (std::size_t i = 0; i < sd.size(); ++i) {
      drawn.value[i] = problem.value[i] + sd[i] * normal.draw();
    }
    for (const std::uint32_t expert : solve_map(drawn, limits).residents) {
      result.resident_share[expert] += each;
    }
    const double now = objective_or_nothing(only(drawn, running), limits);
    const double then = objective_or_nothing(only(drawn, candidate), limits);
    if (then > now + rule.margin) result.better_share += each;
    if (std::isfinite(now) && std::isfinite(then)) {
      result.gain_mean += then - now;
      ++compared;
    }
  }
  if (compared > 0) result.gain_mean /= compared;
  result.worth_switching = result.better_share >= rule.better_share - 1e-9;
  return result;
}

}  // namespace router
