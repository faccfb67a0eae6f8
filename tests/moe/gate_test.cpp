// Gate policies on hand-made scores, and what they mean for whole models.
#include "experts/moe/gate.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/moe/planted.h"
#include "tests/moe/runner.h"

namespace moe {
namespace {

std::vector<std::pair<int, float>> route(const std::vector<float>& scores, int used,
                                         bool renormalise, const GatePolicy& policy) {
  Config config;
  config.experts = static_cast<int>(scores.size());
  config.experts_used = used;
  config.gate.renormalise = renormalise;
  std::vector<float> logits;
  for (const float s : scores) logits.push_back(std::log(s));
  Gate gate(config);
  std::vector<Pick> picks;
  gate.route({logits.data(), nullptr, 0, 0}, policy, picks);
  std::vector<std::pair<int, float>> result;
  for (const Pick& pick : picks) {
    result.emplace_back(static_cast<int>(pick.expert), std::round(pick.weight * 1000) / 1000);
  }
  return result;
}

using Result = std::vector<std::pair<int, float>>;
const std::vector<float> kScores = {0.15f, 0.5f, 0.05f, 0.3f};

TEST(Gate, TopKWithAndWithoutRenormalisation) {
  EXPECT_EQ(route(kScores, 2, false, {}), (Result{{1, 0.5f}, {3, 0.3f}}));
  EXPECT_EQ(route(kScores, 2, true, {}), (Result{{1, 0.625f}, {3, 0.375f}}));
  EXPECT_EQ(route(kScores, 2, false, {.select = Select::top_k, .k = 1}), (Result{{1, 0.5f}}));
  EXPECT_EQ(route({0.25f, 0.25f, 0.25f, 0.25f}, 2, false, {}), (Result{{0, 0.25f}, {1, 0.25f}}));
}

TEST(Gate, TopPKeepsTheExpertThatCrosses) {
  const auto chosen = [&](float p) {
    return route(kScores, 2, false, {.select = Select::top_p, .k = 4, .p = p}).size();
  };
  EXPECT_EQ(chosen(0.4f), 1u);
  EXPECT_EQ(chosen(0.6f), 2u);
  EXPECT_EQ(chosen(0.96f), 4u);
  EXPECT_EQ(chosen(1.0f), 4u);
}

TEST(Gate, ThresholdRankAndMask) {
  EXPECT_EQ(route(kScores, 4, false, {.select = Select::threshold, .p = 0.5f}),
            (Result{{1, 0.5f}, {3, 0.3f}}));
  EXPECT_EQ(route(kScores, 2, true, {.select = Select::rank, .k = 2}), (Result{{3, 1.0f}}));
  const ExpertMask mask{4, {true, false, true, true}};
  EXPECT_EQ(route(kScores, 2, false, {.mask = &mask}), (Result{{3, 0.6f}, {0, 0.3f}}));
  const ExpertMask none{4, {false, false, false, false}};
  EXPECT_TRUE(route(kScores, 2, false, {.mask = &none}).empty());
}

TEST(Gate, LogitsThatAreNoNumbersAreNeverChosen) {
  EXPECT_EQ(route({NAN, 0.5f, INFINITY, 0.5f}, 2, false, {}), (Result{{1, 0.5f}, {3, 0.5f}}));
  EXPECT_TRUE(route({NAN, NAN}, 2, false, {}).empty());
}

TEST(Gate, RandomIsSeededSpreadAndIndependentOfTheScores) {
  std::vector<int> hits(4, 0);
  Config config;
  config.experts = 4;
  config.experts_used = 2;
  Gate gate(config);
  const std::vector<float> logits = {9, 0, 0, 0};
  for (int position = 0; position < 4000; ++position) {
    const GatePolicy policy{.select = Select::random, .seed = 7};
    std::vector<Pick> a, b;
    gate.route({logits.data(), nullptr, 1, position}, policy, a);
    gate.route({logits.data(), nullptr, 1, position}, policy, b);
    ASSERT_EQ(a.size(), 2u);
    EXPECT_EQ(a[0].expert, b[0].expert);
    for (const Pick& pick : a) ++hits[pick.expert];
  }
  for (const int h : hits) EXPECT_NEAR(h, 2000, 150);
}

TEST(Gate, PoliciesOfOneBatchDoNotMixAndTheDefaultsChangeNothing) {
  const testing::Planted planted;
  const std::vector<int> tokens = {5, 9, 2, 33, 17, 4};
  std::vector<GatePolicy> policies = {{},
                                      {.select = Select::top_k, .k = 2},
                                      {.select = Select::top_p, .p = 1},
                                      {.select = Select::top_k, .k = 1},
                                      {.select = Select::random, .seed = 3}};
  testing::Runner runner(planted.model, pick_kernels());
  const auto all =
      runner.run(std::vector<std::vector<int>>(policies.size(), tokens), 2, 0, policies);
  EXPECT_TRUE(all[1] == all[0]);
  EXPECT_TRUE(all[2] == all[0]);
  EXPECT_FALSE(all[3] == all[0]);
  EXPECT_FALSE(all[4] == all[0]);
  for (std::size_t i = 0; i < policies.size(); ++i) {
    EXPECT_TRUE(runner.run({tokens}, 6, 0, {policies[i]})[0] == all[i]) << i;
  }
}

TEST(Gate, NullWeightsDropTheLightAndRenormaliseTheRest) {
  const NullWeights off{{0.0f}}, some{{0.35f}}, all{{2.0f}};
  for (const bool renormalise : {false, true}) {
    const auto model = route(kScores, 3, renormalise, {});
    EXPECT_EQ(route(kScores, 3, renormalise, {.nulls = &off}), model);
    EXPECT_TRUE(route(kScores, 3, renormalise, {.nulls = &all}).empty());
  }
  EXPECT_EQ(route(kScores, 3, false, {.nulls = &some}), (Result{{1, 0.5f}}));
  EXPECT_EQ(route(kScores, 2, true, {.nulls = &some}), (Result{{1, 0.625f}, {3, 0.375f}}));
  EXPECT_EQ(route(kScores, 3, true, {.nulls = &some}), (Result{{1, 1.0f}}))
      << "weights of three are 0.526, 0.316 and 0.158; the one that is left gets all";
}

TEST(Gate, SteeringMultipliesWhatWasChosen) {
  const ExpertSteer steer{4, {1, 1, 64, 2}};
  EXPECT_EQ(route(kScores, 2, true, {.steer = &steer}), (Result{{1, 0.625f}, {3, 0.75f}}))
      << "2 was not chosen: no effect";
}

TEST(Gate, NullAndSteerAtRestChangeNoBit) {
  const testing::Planted planted;
  testing::Runner runner(planted.model, kPortable);
  const std::vector<std::vector<int>> sequences = {{1, 2, 3, 4, 5, 6}, {9, 8, 7}};
  const auto expected = runner.run(sequences, 2);
  const NullWeights nulls{{0, 0}};
  const ExpertSteer steer{8, std::vector<float>(16, 1.0f)};
  const GatePolicy policy{.nulls = &nulls, .steer = &steer};
  EXPECT_TRUE(runner.run(sequences, 2, 0, {policy, policy}) == expected);
  const NullWeights everybody{{9, 9}};
  const GatePolicy none{.nulls = &everybody};
  const auto without = runner.run(sequences, 2, 0, {none, none});
  EXPECT_FALSE(without == expected);
  for (const auto& layers : runner.picks[0]) {
    for (const auto& picks : layers) EXPECT_TRUE(picks.empty());
  }
}

}  // namespace
}  // namespace moe
