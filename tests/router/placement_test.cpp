// Placements against all placements there are, and the simulation against times known by hand.
#include "router/learn/placement.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <optional>
#include <random>

#include "router/learn/placement_plan.h"
#include "store/journal.h"

namespace router {
namespace {

namespace fs = std::filesystem;

PlacementProblem random_problem(std::uint64_t seed, std::size_t experts, std::size_t nodes) {
  std::mt19937_64 chance(seed);
  std::uniform_real_distribution<double> unit;
  PlacementProblem problem;
  problem.together.assign(experts * experts, 0);
  for (std::size_t e = 0; e < experts; ++e) {
    problem.work.push_back(unit(chance));
    problem.memory.push_back(1 + unit(chance));
    for (std::size_t other = 0; other < e; ++other) {
      const double waits = unit(chance) < 0.4 ? 0.2 * unit(chance) : 0;
      problem.together[e * experts + other] = problem.together[other * experts + e] = waits;
    }
  }
  const double room = 1.7 * static_cast<double>(experts) / static_cast<double>(nodes);
  for (std::size_t n = 0; n < nodes; ++n) {
    problem.nodes.push_back({.name = "n" + std::to_string(n)});
    if (seed % 3 > 0) problem.nodes.back().memory = room + (n == 0 ? 1 : 0);
    if (seed % 2 > 0) problem.nodes.back().speed = n == 0 ? 2 : 1;
  }
  problem.apart = seed % 5 == 0 ? 0 : 1;
  return problem;
}

/// The best objective of all placements, or nothing.
std::optional<double> best_of_all(const PlacementProblem& problem) {
  std::optional<double> best;
  std::vector<std::uint32_t> node_of(problem.work.size(), 0);
  for (bool more = true; more;) {
    const Placement placement = judge_placement(problem, node_of);
    if (placement.feasible && (!best || placement.objective < *best)) best = placement.objective;
    more = false;
    for (std::uint32_t& node : node_of) {
      if (++node < problem.nodes.size()) {
        more = true;
        break;
      }
      node = 0;
    }
  }
  return best;
}

TEST(Placement, IsTheBestOfAll) {
  int impossible = 0;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    const PlacementProblem problem = random_problem(seed, 4 + seed % 4, 2 + seed % 2);
    const auto best = best_of_all(problem);
    const Placement found = solve_placement(problem);
    ASSERT_EQ(found.feasible, best.has_value()) << "seed " << seed;
    impossible += !best;
    if (!best) continue;
    EXPECT_NEAR(found.objective, *best, 1e-9) << "seed " << seed;
    EXPECT_TRUE(found.proven);
    EXPECT_TRUE(judge_placement(problem, found.node_of).feasible);
  }
  EXPECT_LT(impossible, 30);
}

TEST(Placement, ASearchThatWasCutSaysHowFarOffItMayBe) {
  for (std::uint64_t seed = 1; seed < 12; ++seed) {
    const PlacementProblem problem = random_problem(seed, 9, 3);
    const Placement whole = solve_placement(problem), cut = solve_placement(problem, 5);
    ASSERT_TRUE(whole.feasible && whole.proven);
    if (!cut.feasible) continue;
    EXPECT_LE(cut.bound, whole.objective + 1e-9) << "seed " << seed;
    EXPECT_GE(cut.objective, whole.objective - 1e-9);
    EXPECT_LE(cut.steps, 5U + 3);
  }
}

TEST(Placement, KeepsApartWhatIsAskedTogether) {
  PlacementProblem problem;
  problem.nodes = {{.name = "a"}, {.name = "b"}};
  problem.work = {0.25, 0.25, 0.25, 0.25};
  problem.memory.assign(4, 0);
  problem.together.assign(16, 0);
  problem.together[0 * 4 + 1] = problem.together[1 * 4 + 0] = 0.1;
  problem.together[2 * 4 + 3] = problem.together[3 * 4 + 2] = 0.1;
  const Placement placement = solve_placement(problem);
  EXPECT_NE(placement.node_of[0], placement.node_of[1]);
  EXPECT_NE(placement.node_of[2], placement.node_of[3]);
  EXPECT_DOUBLE_EQ(placement.peak, 0.5);
  EXPECT_DOUBLE_EQ(placement.waits, 0);
}

TEST(Placement, SaysWhyNothingFits) {
  PlacementProblem problem = random_problem(0, 4, 2);
  problem.nodes[0].memory = problem.nodes[1].memory = 4;
  problem.memory = {5, 1, 1, 1};
  EXPECT_NE(solve_placement(problem).obstacle.find("larger than every node"), std::string::npos);
  problem.memory = {3, 3, 3, 3};
  EXPECT_NE(solve_placement(problem).obstacle.find("together"), std::string::npos);
  problem.memory = {3, 3, 1.5, 0.1};  // seven and a bit of eight, and still no way
  EXPECT_NE(solve_placement(problem).obstacle.find("no way to pack"), std::string::npos);
  problem.memory = {1, 1, 1, -1};
  EXPECT_THROW(solve_placement(problem), std::runtime_error);
}

TEST(Placement, PlaysQueriesFirstComeFirstServed) {
  PlacementProblem problem;
  problem.nodes = {{.name = "a"}, {.name = "b", .speed = 2}};
  problem.work = {1, 1};
  problem.memory = {0, 0};
  problem.together.assign(4, 0);
  // Two calls of two seconds each; a second query comes at once and waits for a place.
  const std::vector<PlacedQuery> queries = {{0, {{0, 2}, {1, 2}}}, {0, {{0, 2}, {1, 2}}}};
  const std::vector<std::uint32_t> one_node = {0, 0}, two_nodes = {0, 1};
  const PlacementTrial crowded = play_placement(problem, one_node, queries, 1);
  EXPECT_DOUBLE_EQ(crowded.mean, (4 + 8) / 2.0);
  EXPECT_DOUBLE_EQ(crowded.busy[0], 1);
  EXPECT_DOUBLE_EQ(crowded.busy[1], 0);
  const PlacementTrial spread = play_placement(problem, two_nodes, queries, 1);
  EXPECT_DOUBLE_EQ(spread.mean, (2 + 4) / 2.0);
  EXPECT_DOUBLE_EQ(spread.busy[1], 0.5);  // twice as fast
  EXPECT_DOUBLE_EQ(play_placement(problem, one_node, queries, 4).mean, 2);
}

TEST(Placement, ReadsNodes) {
  EXPECT_EQ(read_node("a").name, "a");
  EXPECT_TRUE(std::isinf(read_node("a").memory));
  EXPECT_EQ(read_node("a=80").memory, 80);
  EXPECT_EQ(read_node("a=80,1.5").speed, 1.5);
  for (const char* wrong : {"=1", "a=", "a=x", "a=1,", "a=-1", "a=1,0", "a=inf", "a=1 "})
    EXPECT_THROW(read_node(wrong), std::runtime_error) << wrong;
}

struct Plan : ::testing::Test {
  fs::path folder = fs::path(::testing::TempDir()) / ("placement_" + std::to_string(::getpid()));
  PlacementOptions options;

  Plan() {
    fs::create_directories(folder);
    options.nodes = {"left", "right"};
  }

  ~Plan() override { fs::remove_all(folder); }

  std::string write(const std::string& name, const std::string& text) {
    std::ofstream(folder / name) << text;
    return (folder / name).string();
  }
};

TEST_F(Plan, FromTheLog) {
  options.log = (folder / "log.db").string();
  options.slots = 1;
  options.utilisation = 0.3;
  store::Options stored;
  stored.path = options.log;
  {
    store::Journal journal(stored, [](std::string_view) {});
    const auto now = std::chrono::duration_cast<std::chrono::microseconds>(
        std::chrono::system_clock::now().time_since_epoch());
    for (int i = 0; i < 100; ++i) {
      store::Decision row;
      row.id = "dec_" + std::to_string(1000 + i);
      row.unix_us = now.count() - 1'000'000LL * (100 - i);
      row.calls.push_back(
          {.expert = "a", .attempts = 1, .queued_us = 500'000, .total_us = 1'500'000});
      row.calls.push_back({.expert = i % 2 == 0 ? "b" : "c", .attempts = 1, .total_us = 2'000'000});
      if (i == 7) row.calls.clear();                                     // nobody was asked
      if (i == 8) row.calls[1].attempts = 0, row.calls[1].total_us = 9;  // not tried
      journal.put(std::move(row));
    }
  }
  const PlacementReport report = plan_placement(options);
  EXPECT_EQ(report.traffic.queries.size(), 99U);
  EXPECT_EQ(report.traffic.left_out, 1U);
  ASSERT_EQ(report.traffic.experts.size(), 3U);
  const auto& node_of = report.rows.front().placement.node_of;
  const auto index = [&](const char* name) {
    const auto& names = report.traffic.experts;
    return static_cast<std::size_t>(std::find(names.begin(), names.end(), name) - names.begin());
  };
  EXPECT_NEAR(report.problem.work[index("a")], 99 / (99 + 98 * 2.0), 1e-9);
  EXPECT_NEAR(report.problem.together[index("a") * 3 + index("b")], 49 / (99 + 98 * 2.0), 1e-9);
  EXPECT_EQ(node_of[index("b")], node_of[index("c")]) << "never asked together";
  EXPECT_NE(node_of[index("a")], node_of[index("b")]);
  ASSERT_TRUE(report.rows.front().trial);
  EXPECT_LT(report.rows[0].trial->mean, report.rows[2].trial->mean)
      << "b and a wait for each other";
}

TEST_F(Plan, FromPicksAndSizes) {
  options.picks = write("picks", R"({"id":"1","expert":"a","score":1,"p":{"a":0.9,"b":0.8,"c":0.1}}
{"id":"2","expert":"b","score":1,"p":{"a":0.2,"b":0.8,"c":0.9}}
)");
  options.k = 2;
  options.nodes = {"left=10", "right=10"};
  EXPECT_THROW(plan_placement(options), std::runtime_error) << "memory without sizes";
  options.sizes = write("sizes", R"({"a":6,"b":6,"c":5})");
  EXPECT_FALSE(plan_placement(options).rows.front().placement.feasible);
  options.sizes = write("sizes", R"({"a":6,"b":6,"c":4})");
  const PlacementReport report = plan_placement(options);
  EXPECT_EQ(report.traffic.queries[1].calls.size(), 2U);
  EXPECT_EQ(report.traffic.experts, (std::vector<std::string>{"a", "b", "c"}));
  const auto& node_of = report.rows.front().placement.node_of;
  EXPECT_NE(node_of[0], node_of[1]);
  EXPECT_EQ(node_of[2], node_of[0]) << "c is asked together with b";
  options.picks = write("broken", "{\"id\":\"1\"}\n");
  EXPECT_THROW(plan_placement(options), std::runtime_error);
  options.picks = write("empty", "");
  EXPECT_THROW(plan_placement(options), std::runtime_error);
}

}  // namespace
}  // namespace router
