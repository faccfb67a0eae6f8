#include "router/learn/map.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "tests/router/map_tables.h"

namespace router {
namespace {

MapProblem small_models(bool by_items = false) {
  MapProblem problem;
  double items = 0;
  for (const double n : tables::kItems) items += n;
  for (const double n : tables::kItems) problem.share.push_back(by_items ? n / items : 1.0 / 15);
  for (const auto& row : tables::kSmall) {
    problem.experts.push_back({.memory = row.size_b});
    problem.value.insert(problem.value.end(), row.accuracy.begin(), row.accuracy.end());
  }
  return problem;
}

/// Spends are sums over the ten runs, as the tables' totals are; values are means.
MapProblem flagship_models() {
  MapProblem problem;
  problem.share.assign(10, 0.1);
  for (std::uint32_t e = 0; e < tables::kFlagship.size(); ++e) {
    const auto& row = tables::kFlagship[e];
    problem.experts.push_back({});
    for (std::uint32_t s = 0; s < 10; ++s) {
      problem.value.push_back(row.accuracy[s]);
      problem.cost.push_back(10 * row.cost[s]);
      if (row.accuracy[s] < 0) problem.forbidden.push_back({e, s});
    }
  }
  return problem;
}

std::vector<std::string> names_of(const std::vector<std::uint32_t>& residents) {
  std::vector<std::string> names;
  for (const std::uint32_t expert : residents) names.emplace_back(tables::kSmall[expert].name);
  return names;
}

TEST(Map, ReachesThePublishedTablesBestForEveryCount) {
  const double equal[] = {69.2273, 71.6607, 72.6813, 72.9873, 73.0767, 73.1247, 73.1513};
  const double by_items[] = {67.3460, 69.3675, 70.6047, 70.9880, 71.1188, 71.1625, 71.1799};
  for (std::uint32_t k = 1; k <= 7; ++k) {
    MapProblem problem = small_models();
    problem.count_max = k;
    const MapSolution solution = solve_map(problem);
    EXPECT_TRUE(solution.proven);
    EXPECT_NEAR(solution.objective, equal[k - 1], 5e-5) << "K=" << k;
    EXPECT_EQ(solution.residents.size(), k);
    problem.share = small_models(true).share;
    EXPECT_NEAR(solve_map(problem).objective, by_items[k - 1], 5e-5) << "K=" << k;
  }
  MapProblem two = small_models();
  two.count_max = 2;
  EXPECT_EQ(names_of(solve_map(two).residents),
            (std::vector<std::string>{"Qwen-Coder", "Qwen3-8B"}));
  EXPECT_NEAR(solve_map(small_models()).objective, 73.1513,
              5e-5);  // no budget: the oracle per skill
}

TEST(Map, KeepsToMemoryAndPricesIt) {
  MapProblem problem = small_models();
  problem.memory_max = 24;
  const MapSolution solution = solve_map(problem);
  EXPECT_NEAR(solution.objective, 72.6813, 5e-5);
  EXPECT_LE(solution.memory, 24);
  const MapSensitivity worth = explain_map(problem, solution, 8);
  EXPECT_NEAR(worth.memory_price, 72.9873 - 72.6813, 1e-4);
  EXPECT_EQ(worth.count_price, 0);  // no limit of the count
  for (const std::uint32_t expert : solution.residents) {
    EXPECT_GT(worth.loss_resolved[expert], 0);
    EXPECT_GE(worth.loss_now[expert], worth.loss_resolved[expert] - 1e-9);
    EXPECT_EQ(worth.entry_gain[expert], 0);
  }
  EXPECT_NEAR(*std::max_element(worth.entry_gain.begin(), worth.entry_gain.end()),
              72.9873 - 72.6813, 1e-4);  // Intern-S1-mini is the fourth
}

TEST(Map, MemoryFrontierIsTheSolutionOfEveryBudget) {
  const MapProblem problem = small_models();
  const auto points = memory_frontier(problem, 100);
  ASSERT_GE(points.size(), 7u);
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (i > 0) {
      EXPECT_LT(points[i].memory, points[i - 1].memory);
      EXPECT_LT(points[i].objective, points[i - 1].objective);
    }
    MapProblem budget = problem;
    budget.memory_max = points[i].memory;
    EXPECT_NEAR(solve_map(budget).objective, points[i].objective, 1e-9);
    budget.memory_max = points[i].memory - 0.5;
    if (i + 1 < points.size()) {
      EXPECT_NEAR(solve_map(budget).objective, points[i + 1].objective, 1e-9);
    }
  }
  EXPECT_EQ(points.back().residents.size(), 1u);
}

TEST(Map, SpendMatchesThePublishedFlagshipTables) {
  MapProblem problem = flagship_models();
  const double budgets[] = {50, 100, 200};
  const double values[] = {61.695, 64.488, 66.466};
  for (int i = 0; i < 3; ++i) {
    problem.spend_max = budgets[i];
    const MapSolution solution = solve_map(problem);
    EXPECT_TRUE(solution.proven);
    EXPECT_NEAR(solution.objective, values[i], 1e-6) << budgets[i];
    EXPECT_LE(solution.spend, budgets[i] + 1e-9);
  }
  double single = 0, single_cost = 0;
  for (const auto& row : tables::kFlagship) {
    double mean = 0, cost = 0;
    for (int s = 0; s < 10; ++s) mean += row.accuracy[s] / 10, cost += row.cost[s];
    if (mean > single) single = mean, single_cost = cost;
  }
  EXPECT_NEAR(single, 65.623, 1e-6);
  EXPECT_NEAR(single_cost, 416.32, 1e-6);
  problem.spend_max = kUnlimited;
  EXPECT_NEAR(solve_map(problem).objective / single, 1.0487, 5e-5);

  std::vector<std::uint32_t> everybody(problem.experts.size());
  for (std::uint32_t e = 0; e < everybody.size(); ++e) everybody[e] = e;
  const SpendFrontier frontier = spend_frontier(menu_of(problem, everybody).menu, 20'000);
  EXPECT_EQ(frontier.gap, 0);
  EXPECT_EQ(frontier.points.size(), 205u);
  EXPECT_EQ(std::count_if(frontier.points.begin(), frontier.points.end(),
                          [](const SpendPoint& point) { return point.hull; }),
            26);
  const auto match = std::find_if(frontier.points.begin(), frontier.points.end(),
                                  [&](const SpendPoint& point) { return point.value >= single; });
  EXPECT_NEAR(match->spend, 142.97, 1e-6);
  double hull_miss = 0, hull_value = 0;  // what fixed weights lose at the same budget
  for (const SpendPoint& point : frontier.points) {
    if (point.hull) hull_value = point.value;
    hull_miss = std::max(hull_miss, point.value - hull_value);
  }
  EXPECT_NEAR(hull_miss, 1.59, 5e-3);
}

struct Random {
  std::mt19937_64 engine;

  double real(double low, double high) {
    return low + (high - low) * static_cast<double>(engine() >> 11) * 0x1p-53;
  }

  std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(engine() % n); }
};

MapProblem random_problem(Random& random, std::uint32_t experts, std::uint32_t skills) {
  MapProblem problem;
  problem.base_memory = {random.real(1, 5), random.real(1, 5)};
  for (std::uint32_t e = 0; e < experts; ++e) {
    MapExpert one{.memory = std::floor(random.real(1, 9))};
    if (random.below(3) == 0) one.base = random.below(2);
    one.disabled = random.below(10) == 0;
    one.pinned = !one.disabled && random.below(10) == 0;
    problem.experts.push_back(one);
    const double strength = random.real(-0.3, 0.3);
    for (std::uint32_t s = 0; s < skills; ++s) {
      problem.value.push_back(strength + random.real(0, 1));
      problem.cost.push_back(std::max(0.0, strength + random.real(0, 1)));
      if (random.below(8) == 0) problem.forbidden.push_back({e, s});
    }
  }
  for (std::uint32_t s = 0; s < skills; ++s) problem.share.push_back(random.real(0, 1));
  if (random.below(4) > 0) problem.memory_max = random.real(6, 24);
  if (random.below(2) == 0) problem.count_max = 1 + random.below(4);
  return problem;
}

/// Whether `map` may be used, and what it is worth: straight from the definition.
double value_by_definition(const MapProblem& problem, const std::vector<std::uint32_t>& map) {
  double value = 0, spend = 0, memory = 0;
  std::vector<bool> resident(problem.experts.size(), false),
      loaded(problem.base_memory.size(), false);
  for (std::uint32_t e = 0; e < resident.size(); ++e) resident[e] = problem.experts[e].pinned;
  for (std::uint32_t s = 0; s < map.size(); ++s) {
    for (const MapPair& pair : problem.forbidden) {
      if (pair.expert == map[s] && pair.skill == s) return -kUnlimited;
    }
    resident[map[s]] = true;
    value += problem.share[s] * problem.value[map[s] * map.size() + s];
    spend += problem.share[s] * problem.cost[map[s] * map.size() + s];
  }
  std::uint32_t count = 0;
  for (std::uint32_t e = 0; e < resident.size(); ++e) {
    if (!resident[e]) continue;
    if (problem.experts[e].disabled) return -kUnlimited;
    ++count;
    memory += problem.experts[e].memory;
    const std::uint32_t base = problem.experts[e].base;
    if (base != kNobody && !loaded[base]) memory += problem.base_memory[base], loaded[base] = true;
  }
  const bool fits = memory <= problem.memory_max && count <= problem.count_max &&
                    spend <= problem.spend_max + 1e-12;
  return fits ? value : -kUnlimited;
}

double best_of_all_maps(const MapProblem& problem) {
  std::vector<std::uint32_t> map(problem.share.size(), 0);
  double best = -kUnlimited;
  for (;;) {
    best = std::max(best, value_by_definition(problem, map));
    std::size_t s = 0;
    while (s < map.size() && ++map[s] == problem.experts.size()) map[s++] = 0;
    if (s == map.size()) return best;
  }
}

TEST(Map, EqualsBruteForceOverAllMapsUnderEveryKindOfLimit) {
  Random random{std::mt19937_64(7)};
  int feasible = 0, spend_bound = 0;
  for (int round = 0; round < 200; ++round) {
    MapProblem problem = random_problem(random, 3 + random.below(4), 2 + random.below(4));
    if (random.below(4) > 0) problem.spend_max = random.real(0.05, 1.2);
    const double best = best_of_all_maps(problem);
    const MapSolution solution = solve_map(problem);
    ASSERT_TRUE(solution.proven) << round;
    ASSERT_EQ(solution.feasible, std::isfinite(best)) << round << " " << solution.obstacle;
    if (!solution.feasible) continue;
    ++feasible;
    ASSERT_NEAR(solution.objective, best, 1e-9) << round;
    ASSERT_NEAR(value_by_definition(problem, solution.expert_of), best, 1e-9) << round;
    if (solution.spend > 0.9 * problem.spend_max) ++spend_bound;
  }
  EXPECT_GT(feasible, 100);  // the instances must bite on both sides
  EXPECT_LT(feasible, 195);
  EXPECT_GT(spend_bound, 20);
}

TEST(Map, EqualsEnumerationOfResidentSetsWithTwelveExperts) {
  Random random{std::mt19937_64(11)};
  for (int round = 0; round < 200; ++round) {
    MapProblem problem = random_problem(random, 8 + random.below(5), 4 + random.below(9));
    const std::uint32_t experts = static_cast<std::uint32_t>(problem.experts.size());
    const std::size_t skills = problem.share.size();
    double best = -kUnlimited;
    for (std::uint32_t set = 1; set < 1u << experts; ++set) {
      double memory = 0, value = 0;
      bool allowed = static_cast<std::uint32_t>(__builtin_popcount(set)) <= problem.count_max;
      bool loaded[2] = {false, false};
      for (std::uint32_t e = 0; e < experts; ++e) {
        const bool in = (set >> e) & 1;
        allowed = allowed && !(in ? problem.experts[e].disabled : problem.experts[e].pinned);
        if (!in) continue;
        const std::uint32_t base = problem.experts[e].base;
        memory += problem.experts[e].memory;
        if (base != kNobody && !loaded[base])
          memory += problem.base_memory[base], loaded[base] = true;
      }
      if (!allowed || memory > problem.memory_max) continue;
      for (std::uint32_t s = 0; s < skills; ++s) {
        double most = -kUnlimited;
        for (std::uint32_t e = 0; e < experts; ++e) {
          const bool barred =
              std::any_of(problem.forbidden.begin(), problem.forbidden.end(),
                          [&](const MapPair& pair) { return pair.expert == e && pair.skill == s; });
          if ((set >> e) & 1 && !barred) most = std::max(most, problem.value[e * skills + s]);
        }
        value += problem.share[s] * most;
      }
      best = std::max(best, value);
    }
    const MapSolution solution = solve_map(problem);
    ASSERT_EQ(solution.feasible, std::isfinite(best)) << round;
    if (!solution.feasible) continue;
    ASSERT_NEAR(solution.objective, best, 1e-9) << round;
  }
}

TEST(Map, LargeCorrelatedInstancesAreProvenQuickly) {
  Random random{std::mt19937_64(3)};
  MapProblem problem = random_problem(random, 40, 32);
  problem.memory_max = 30;
  problem.count_max = 8;
  for (MapExpert& one : problem.experts) one.pinned = false;
  const MapSolution solution = solve_map(problem);
  EXPECT_TRUE(solution.proven);
  problem.spend_max = 0.5 * solution.spend;
  const MapSolution cheaper = solve_map(problem);
  EXPECT_TRUE(cheaper.proven);
  EXPECT_LT(cheaper.objective, solution.objective);
  EXPECT_LE(cheaper.spend, problem.spend_max + 1e-9);
}

TEST(Map, AStoppedSearchReturnsTheIncumbentWithAGapThatHoldsTheOptimum) {
  Random random{std::mt19937_64(3)};
  MapProblem problem = random_problem(random, 30, 24);
  problem.memory_max = 30;
  problem.count_max = 6;
  for (MapExpert& one : problem.experts) one.pinned = false;
  const MapSolution optimum = solve_map(problem);
  ASSERT_TRUE(optimum.proven);
  ASSERT_GT(optimum.nodes, 10u);
  for (const std::uint64_t nodes : {0, 1, 3, 9}) {
    const MapSolution stopped = solve_map(problem, {.nodes_max = nodes});
    EXPECT_LE(stopped.objective, optimum.objective + 1e-9);
    EXPECT_GE(stopped.bound, optimum.objective - 1e-9);
    EXPECT_TRUE(!stopped.proven || stopped.objective > optimum.objective - 1e-9);
  }
  int asked = 0;
  const MapLimits clock{.expired = [&] { return ++asked > 0; }};
  EXPECT_LE(solve_map(problem, clock).nodes, 64u);
}

TEST(Map, ThinnedFrontierStaysWithinItsGap) {
  Random random{std::mt19937_64(5)};
  const MapProblem problem = random_problem(random, 8, 10);
  std::vector<std::uint32_t> all(8);
  for (std::uint32_t e = 0; e < 8; ++e) all[e] = e;
  ResidentMenu menu = menu_of(problem, all);
  const SpendFrontier exact = spend_frontier(menu.menu, 1'000'000);
  const SpendFrontier thin = spend_frontier(menu.menu, 50);
  ASSERT_EQ(exact.gap, 0);
  ASSERT_GT(exact.points.size(), 50u);
  EXPECT_GT(thin.gap, 0);
  for (const SpendPoint& point : exact.points) {
    double reached = -kUnlimited;
    for (const SpendPoint& other : thin.points) {
      if (other.spend <= point.spend + 1e-9) reached = std::max(reached, other.value);
    }
    EXPECT_GE(reached, point.value - thin.gap - 1e-9);
    // The budgeted search finds each point of the whole frontier again.
    const SpendPick pick = best_spend(menu.menu, point.spend, -kUnlimited, 100'000);
    ASSERT_TRUE(pick.found);
    EXPECT_NEAR(pick.value, point.value, 1e-9);
    EXPECT_GE(pick.bound, pick.value - 1e-9);
  }
}

TEST(Map, SwitchesOnlyWhenTheGainIsSure) {
  MapProblem problem;
  problem.experts.resize(2);
  problem.share = {1};
  problem.value = {0.70, 0.72};
  problem.count_max = 1;
  const std::vector<std::uint32_t> running{0}, candidate{1};
  const std::vector<double> sure(2, 0.001), unsure(2, 0.05);
  const MapStability firm = test_switch(problem, sure, candidate, running, {});
  EXPECT_TRUE(firm.worth_switching);
  EXPECT_NEAR(firm.gain_mean, 0.02, 0.001);
  EXPECT_NEAR(firm.resident_share[1], 1, 1e-9);
  const MapStability loose = test_switch(problem, unsure, candidate, running, {.draws = 4000});
  EXPECT_FALSE(loose.worth_switching);
  // P(N(0.02, 0.05 sqrt 2) > 0.003) = Phi(0.2404) = 0.595
  EXPECT_NEAR(loose.better_share, 0.595, 0.025);
  EXPECT_NEAR(loose.resident_share[0] + loose.resident_share[1], 1, 1e-9);
  EXPECT_EQ(test_switch(problem, unsure, candidate, running, {}).better_share,
            test_switch(problem, unsure, candidate, running, {}).better_share);
  problem.experts[0].disabled = true;  // the running one was taken away
  EXPECT_TRUE(test_switch(problem, unsure, candidate, running, {}).worth_switching);
}

TEST(Map, SaysWhatCannotHold) {
  MapProblem problem = small_models();
  problem.memory_max = 5;
  EXPECT_NE(solve_map(problem).obstacle.find("15 skills"), std::string::npos);
  problem.experts[0].pinned = true;
  EXPECT_NE(solve_map(problem).obstacle.find("pinned experts need more memory"), std::string::npos);
  problem.experts[0].disabled = true;
  problem.share[2] = -1;
  problem.forbidden.push_back({99, 0});
  try {
    solve_map(problem);
    FAIL() << "accepted a broken problem";
  } catch (const std::runtime_error& error) {
    const std::string text = error.what();
    for (const char* part : {"a share is not", "expert 0: both pinned", "forbidden pair"}) {
      EXPECT_NE(text.find(part), std::string::npos) << text;
    }
  }
}

}  // namespace
}  // namespace router
