// What a change would do, against worlds whose answer is known.
#include "router/learn/simulate.h"

#include <gtest/gtest.h>

#include <random>

#include "router/guard.h"

namespace router {
namespace {

/// Two experts, no policy: the pool's default answers, and exploration spreads the rest.
Setting setting_of(const std::vector<std::string>& experts, double explore = 0) {
  Setting setting;
  setting.policy = std::make_shared<Policy>();
  PoolView view;
  for (const auto& name : experts) {
    view.experts.emplace_back().name = name;
    setting.experts.insert(name);
  }
  view.explore = explore;
  setting.pools.emplace("auto", std::move(view));
  return setting;
}

Traffic traffic_of(int rows, std::uint64_t seed) {
  Traffic traffic;
  traffic.source = "log";
  traffic.per_s = 2;
  std::mt19937_64 random(seed);
  for (int i = 0; i < rows; ++i) {
    Query query;
    query.pool = "auto";
    query.text = "query " + std::to_string(random());
    query.seed = random();
    traffic.rows.push_back({std::move(query), -1});
  }
  return traffic;
}

double share_of(const Simulation& simulation, const std::string& expert) {
  for (const auto& row : simulation.experts)
    if (row.name == expert) return row.after.mean;
  return -1;
}

TEST(Simulate, SaysWhereTheQueriesOfARemovedExpertGo) {
  Traffic traffic = traffic_of(200, 1);
  traffic.rows.push_back({});
  traffic.rows.back().query.expert = "one";
  traffic.rows.push_back({});
  traffic.rows.back().query.pool = "gone before";
  Setting before = setting_of({"one", "two"});
  before.pools["auto"].experts[0].latency_ms = 500;
  const Simulation told = simulate(before, setting_of({"two"}), traffic);
  EXPECT_EQ(told.queries, 200u);
  EXPECT_EQ(told.named, 1u);
  EXPECT_EQ(told.named_lost, 1u);
  EXPECT_EQ(told.moved, 1);
  ASSERT_EQ(told.moves.size(), 1u);
  EXPECT_EQ(told.moves[0].from, "one");
  EXPECT_EQ(told.moves[0].to, "two");
  ASSERT_EQ(told.experts.size(), 2u);
  EXPECT_NEAR(told.experts[0].load_before, 1, 1e-9);  // two a second of half a second each
  EXPECT_EQ(told.experts[0].load_after, 0);
  EXPECT_EQ(share_of(told, "two"), 1);
  EXPECT_FALSE(told.gain) << "nothing was learned, so no score is known";
}

TEST(Simulate, APoolThatGoesIsTold) {
  Setting after = setting_of({"one"});
  after.pools.clear();
  const Simulation told = simulate(setting_of({"one"}), after, traffic_of(50, 2));
  EXPECT_EQ(told.pool_lost, 50u);
  EXPECT_EQ(told.moves[0].to, "");
}

/// The share among other queries of the same kind, within the interval for nearly every draw.
TEST(Simulate, SharesOfTheNextQueriesAreWithinTheirIntervals) {
  int inside = 0;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    const Setting now = setting_of({"one", "two", "three"});
    const Setting then = setting_of({"one", "two", "three"}, 0.1 + 0.01 * seed);
    const Simulation told = simulate(now, then, traffic_of(300, seed));
    const Simulation came = simulate(then, then, traffic_of(300, 1000 + seed));
    bool all = true;
    for (const auto& expert : told.experts) {
      const double share = share_of(came, expert.name);
      all = all && share >= expert.after.lo && share <= expert.after.hi;
    }
    inside += all;
  }
  EXPECT_GE(inside, 54);
  EXPECT_LE(share_interval(0.5, 300, 3).hi - share_interval(0.5, 300, 3).lo, 0.2);
  EXPECT_GT(share_interval(0, 300, 3).hi, 0);
  EXPECT_EQ(share_interval(0, 0, 3).hi, 1);
}

/// Held-out estimates of the policy stand in for a log; another policy has other rows.
TEST(Simulate, TheMemoryStandsInForALog) {
  auto policy = std::make_shared<Policy>();
  policy->experts.resize(2);
  policy->experts[0].name = "one";
  policy->experts[1].name = "two";
  policy->experts[0].mean = 0.6F;
  policy->experts[1].mean = 0.5F;
  policy->skills = {"general"};
  policy->memory.rows = 400;
  for (std::uint32_t row = 0; row < 400; ++row) {
    const bool first = row % 4 != 0;
    for (const bool good : {first, !first}) {
      policy->memory.predicted.push_back(good ? 200 : 50);
      policy->memory.score.push_back(good ? 180 : 20);
    }
  }
  Setting both = setting_of({"one", "two"}), alone = setting_of({"one"});
  for (Setting* setting : {&both, &alone}) {
    setting->policy = policy;
    bind(*policy, setting->pools["auto"]);
  }
  const Traffic traffic = recall_traffic(*policy, "auto");
  EXPECT_EQ(traffic.source, "memory");
  const Simulation told = simulate(both, alone, traffic);
  EXPECT_EQ(told.queries, 400u);
  EXPECT_NEAR(told.moved, 0.25, 1e-9);
  ASSERT_TRUE(told.gain);
  EXPECT_NEAR(told.gain->mean, -0.25 * 0.6, 1e-3);
  EXPECT_LT(told.gain->hi, 0);
  alone.policy = std::make_shared<Policy>(*policy);
  EXPECT_EQ(simulate(both, alone, traffic).source, "none");
}

}  // namespace
}  // namespace router
