// A policy as a map problem, and two policies side by side, on tables small enough to do by hand.
#include "router/learn/policy_map.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "router/learn/policy_diff.h"

namespace router {
namespace {

/// Two skills, three experts; traffic 3 to 1 by the outcomes.
Policy make_policy() {
  Policy policy;
  policy.version = 1;
  policy.skills = {"law", "maths", "general"};
  const float cost[] = {0.010F, 0.002F, 0.001F};
  for (const char* name : {"lawyer", "mathematician", "clerk"}) {
    policy.experts.emplace_back();
    policy.experts.back().name = name;
    policy.experts.back().cost_usd = cost[policy.experts.size() - 1];
  }
  policy.profile = {0.9F, 0.3F, 0.6F, 0.2F, 0.8F, 0.5F, 0.5F, 0.5F, 0.5F};
  policy.support = {300, 300, 300, 100, 100, 100, 1, 1, 1};
  for (std::size_t s = 0; s < policy.skills.size(); ++s)
    policy.skill_cost.insert(policy.skill_cost.end(), std::begin(cost), std::end(cost));
  return policy;
}

std::string message_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "no error";
}

TEST(PolicyMap, SolvesByHand) {
  PolicyMapOptions options;
  const PolicyMapReport free = solve_policy_map(make_policy(), options);
  EXPECT_NEAR(free.solution.objective, 0.75 * 0.9 + 0.25 * 0.8, 1e-6);
  EXPECT_EQ(free.best_single, "lawyer");
  EXPECT_NEAR(free.best_single_value, 0.75 * 0.9 + 0.25 * 0.2, 1e-6);
  // Without the mathematician the clerk is not resident, so maths falls to the lawyer now, to the
  // clerk once the map is solved again.
  EXPECT_NEAR(free.sensitivity.loss_now[1], 0.25 * (0.8 - 0.2), 1e-6);
  EXPECT_NEAR(free.sensitivity.loss_resolved[1], 0.25 * (0.8 - 0.5), 1e-6);
  EXPECT_NEAR(free.stability.resident_share[1], 1, 1e-9);

  options.count_max = 1;
  const PolicyMapReport one = solve_policy_map(make_policy(), options);
  EXPECT_NEAR(one.solution.objective, one.best_single_value, 1e-6);
  EXPECT_NEAR(one.sensitivity.count_price, 0.25 * (0.8 - 0.2), 1e-6);

  options = {};
  options.spend_max = 0.75 * 0.001 + 0.25 * 0.002 + 1e-9;
  const PolicyMapReport thrifty = solve_policy_map(make_policy(), options);
  EXPECT_NEAR(thrifty.solution.objective, 0.75 * 0.6 + 0.25 * 0.8, 1e-6);

  options = {};
  options.disabled = {"lawyer"};
  options.running = {"clerk"};
  const PolicyMapReport switched = solve_policy_map(make_policy(), options);
  ASSERT_TRUE(switched.switching);
  EXPECT_TRUE(switched.switching->worth_switching);
  EXPECT_NEAR(switched.switching->gain_mean, 0.25 * (0.8 - 0.5), 0.01);
}

TEST(PolicyMap, FrontierRisesInBoth) {
  const PolicyFrontier frontier = find_frontier(make_policy(), {}, "", 100);
  EXPECT_EQ(frontier.axis, "spend");
  ASSERT_GE(frontier.points.size(), 4u);
  EXPECT_NEAR(frontier.points.front().spend, 0.001, 1e-9);
  EXPECT_NEAR(frontier.points.back().value, 0.75 * 0.9 + 0.25 * 0.8, 1e-6);
  for (std::size_t i = 1; i < frontier.points.size(); ++i) {
    EXPECT_GT(frontier.points[i].spend, frontier.points[i - 1].spend);
    EXPECT_GT(frontier.points[i].value, frontier.points[i - 1].value);
  }
  // The same point by the other road: the solver under that budget.
  PolicyMapOptions options;
  for (const FrontierPoint& point : frontier.points) {
    options.spend_max = point.spend + 1e-12;
    EXPECT_NEAR(solve_policy_map(make_policy(), options).solution.objective, point.value, 1e-9);
  }
}

TEST(PolicyMap, ErrorsNameTheOption) {
  const std::string path = ::testing::TempDir() + "sizes_" + std::to_string(::getpid());
  PolicyMapOptions options;
  const auto message = [&] {
    return message_of([&] { solve_policy_map(make_policy(), options); });
  };
  options.memory_max = 10;
  EXPECT_NE(message().find("--sizes FILE"), std::string::npos);
  options.sizes = path;
  EXPECT_NE(message().find("cannot open"), std::string::npos);
  std::ofstream(path) << "[1]";
  EXPECT_NE(message().find("one JSON object"), std::string::npos);
  std::ofstream(path) << R"({"lawyer": 8, "clerk": 1})";
  EXPECT_NE(message().find("no size for mathematician"), std::string::npos);
  std::ofstream(path) << R"({"lawyer": -8, "clerk": 1, "mathematician": 5})";
  EXPECT_NE(message().find("0 or more"), std::string::npos);
  std::ofstream(path) << R"({"lawyer": 8, "clerk": 1, "mathematician": 5})";
  EXPECT_EQ(message(), "no error");
  EXPECT_EQ(solve_policy_map(make_policy(), options).solution.residents.size(), 2u);  // 8 + 1
  options.pinned = {"jury"};
  EXPECT_NE(message().find("--pin: jury"), std::string::npos);
  options = {};
  options.experts = {"jury"};
  EXPECT_NE(message().find("--experts: jury"), std::string::npos);
  EXPECT_NE(message_of([] { find_frontier(make_policy(), {}, "memory", 5); }).find("--sizes"),
            std::string::npos);
  Policy unpriced = make_policy();
  unpriced.experts[0].cost_usd = -1;
  EXPECT_NE(message_of([&] { find_frontier(unpriced, {}, "spend", 5); }).find("without"),
            std::string::npos);
  std::filesystem::remove(path);
}

TEST(PolicyDiff, FindsWhatWasMoved) {
  const Policy before = make_policy();
  Policy after = before;
  EXPECT_TRUE(diff_policies(before, after, {}).changes.empty());
  after.version = 2;
  after.profile[0] = 0.5F;  // lawyer, law: 300 outcomes
  after.profile[6] = 0.9F;  // lawyer, general: one
  after.experts[2].name = "intern";
  after.skills[1] = "logic";
  const PolicyDiff diff = diff_policies(before, after, {});
  EXPECT_EQ(diff.experts_added, std::vector<std::string>{"intern"});
  EXPECT_EQ(diff.experts_removed, std::vector<std::string>{"clerk"});
  EXPECT_EQ(diff.skills_removed, std::vector<std::string>{"maths"});
  ASSERT_EQ(diff.changes.size(), 2u);
  EXPECT_EQ(diff.changes[0].skill, "law");
  EXPECT_NEAR(diff.changes[0].z, -0.4 / std::sqrt((0.09 + 0.25) / 301), 1e-4);
  EXPECT_FALSE(diff.replay);
}

}  // namespace
}  // namespace router
