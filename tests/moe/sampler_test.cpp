// The sampler against probabilities worked out by hand and against its own distribution.
#include "experts/moe/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

namespace moe {
namespace {

// Probabilities 0.5, 0.25, 0.15, 0.1 of tokens 2, 0, 3, 1.
const std::vector<float> kLogits = {std::log(0.25F), std::log(0.1F), std::log(0.5F),
                                    std::log(0.15F)};

std::vector<TokenId> draw_many(SamplingOptions options, int n,
                               std::span<const float> logits = kLogits) {
  Sampler sampler(options, {});
  std::vector<TokenId> ids;
  for (int i = 0; i < n; ++i) ids.push_back(sampler.choose(logits).id);
  return ids;
}

std::set<TokenId> support(const SamplingOptions& options) {
  const auto ids = draw_many(options, 2000);
  return {ids.begin(), ids.end()};
}

TEST(Sampler, FrequenciesFollowTheDistribution) {
  for (const double temperature : {0.5, 1.0, 2.0}) {
    SamplingOptions options;
    options.temperature = temperature;
    options.seed = 7;
    constexpr int kDraws = 40000;
    std::map<TokenId, int> counts;
    for (const TokenId id : draw_many(options, kDraws)) ++counts[id];
    double total = 0;
    for (const float logit : kLogits) total += std::exp(logit / temperature);
    for (TokenId id = 0; id < 4; ++id) {
      const double p = std::exp(kLogits[static_cast<std::size_t>(id)] / temperature) / total;
      const double sigma = std::sqrt(p * (1 - p) / kDraws);
      EXPECT_NEAR(static_cast<double>(counts[id]) / kDraws, p, 4 * sigma)
          << id << " at " << temperature;
    }
  }
}

TEST(Sampler, CutsKeepWhatTheyShould) {
  using Ids = std::set<TokenId>;
  EXPECT_EQ(support({}), (Ids{0, 1, 2, 3}));
  EXPECT_EQ(support({.temperature = 0}), (Ids{2}));
  EXPECT_EQ(support({.top_k = 2}), (Ids{0, 2}));
  EXPECT_EQ(support({.top_p = 0.5}), (Ids{2}));
  EXPECT_EQ(support({.top_p = 0.51}), (Ids{0, 2}));
  EXPECT_EQ(support({.top_p = 0.8}), (Ids{0, 2, 3}));
  EXPECT_EQ(support({.top_p = 0}), (Ids{2}));
  EXPECT_EQ(support({.min_p = 0.29}), (Ids{0, 2, 3}));  // 0.15 / 0.5 = 0.3
  EXPECT_EQ(support({.min_p = 0.31}), (Ids{0, 2}));
  EXPECT_EQ(support({.temperature = 2, .min_p = 0.5}), (Ids{0, 2, 3}));  // sqrt(0.3) = 0.55
  EXPECT_EQ(support({.top_k = 3, .top_p = 0.8}), (Ids{0, 2}));           // 0.75 / 0.9 reaches 0.8
}

TEST(Sampler, PenaltiesAndBias) {
  const auto greedy = [](SamplingOptions options, int n) {
    options.temperature = 0;
    return draw_many(std::move(options), n, std::vector<float>{1.0F, 2.0F, -1.0F});
  };
  using Ids = std::vector<TokenId>;
  EXPECT_EQ(greedy({}, 3), (Ids{1, 1, 1}));
  EXPECT_EQ(greedy({.frequency_penalty = 0.6}, 4), (Ids{1, 1, 0, 1}));  // 2, 1.4, .8<1, .8>.4
  EXPECT_EQ(greedy({.presence_penalty = 1.5}, 3), (Ids{1, 0, 1}));      // 2, .5<1, .5>-.5
  EXPECT_EQ(greedy({.logit_bias = {{2, 3.5}, {99, 1}, {-5, 1}}}, 1), (Ids{2}));
  SamplingOptions repetition;
  repetition.temperature = 0;
  repetition.repetition_penalty = 4;
  Sampler with_prompt(repetition, std::vector<TokenId>{1, 77});
  EXPECT_EQ(with_prompt.choose(std::vector<float>{1.0F, 2.0F, -1.0F}).id, 0);  // 2 / 4 < 1
  Sampler negative(repetition, std::vector<TokenId>{0});
  EXPECT_EQ(negative.choose(std::vector<float>{-1.0F, -2.0F}).id, 1);  // -1 * 4 < -2
}

TEST(Sampler, SameSeedSameTokensOthersDiffer) {
  EXPECT_EQ(draw_many({.seed = 3}, 50), draw_many({.seed = 3}, 50));
  EXPECT_NE(draw_many({.seed = 3}, 50), draw_many({.seed = 4}, 50));
  // Another sampler in between changes nothing: nothing but the working memory is shared.
  Sampler a({.seed = 3}, {});
  Sampler b({.top_p = 0.6, .frequency_penalty = 1, .seed = 9}, {});
  std::vector<TokenId> ids;
  for (int i = 0; i < 50; ++i) {
    ids.push_back(a.choose(kLogits).id);
    b.choose(kLogits);
  }
  EXPECT_EQ(ids, draw_many({.seed = 3}, 50));
}

TEST(Sampler, TopPOfManyTokensIsTheFewestThatReachIt) {
  // 5000 tokens with weights 1, 1/2, 1/3 ... scattered over the ids.
  constexpr std::size_t kTokens = 5000;
  std::vector<float> logits(kTokens);
  double total = 0;
  for (std::size_t rank = 0; rank < kTokens; ++rank) {
    logits[(rank * 1237) % kTokens] = std::log(1.0F / static_cast<float>(rank + 1));
    total += 1.0 / static_cast<double>(rank + 1);
  }
  double reached = 0;
  std::set<TokenId> expected;
  for (std::size_t rank = 0; reached < 0.7 * total; ++rank) {
    expected.insert(static_cast<TokenId>((rank * 1237) % kTokens));
    reached += 1.0 / static_cast<double>(rank + 1);
  }
  const auto ids = draw_many({.top_p = 0.7}, 3000, logits);
  const std::set<TokenId> seen(ids.begin(), ids.end());
  EXPECT_TRUE(std::includes(expected.begin(), expected.end(), seen.begin(), seen.end()));
  EXPECT_GT(seen.size(), expected.size() * 3 / 4);
}

TEST(Sampler, LogprobsAreTheModelsOwn) {
  Sampler sampler({.temperature = 0, .logit_bias = {{1, 50}}, .logprobs_top = 2}, {});
  const Choice choice = sampler.choose(kLogits);
  EXPECT_EQ(choice.id, 1);
  EXPECT_NEAR(choice.logprob, std::log(0.1), 1e-6);
  ASSERT_EQ(choice.top.size(), 2U);
  EXPECT_EQ(choice.top[0].id, 2);
  EXPECT_NEAR(choice.top[0].logprob, std::log(0.5), 1e-6);
  EXPECT_EQ(choice.top[1].id, 0);
  EXPECT_TRUE(Sampler({}, {}).choose(kLogits).top.empty());
}

TEST(Sampler, DrawsAmongWhatIsAllowed) {
  Sampler sampler({.seed = 11}, {});
  constexpr int kDraws = 20000;
  int ones = 0;
  for (int i = 0; i < kDraws; ++i) {
    const TokenId id = sampler.choose(kLogits, [](TokenId t) { return t == 1 || t == 3; }).id;
    ASSERT_TRUE(id == 1 || id == 3);
    ones += id == 1;
  }
  EXPECT_NEAR(static_cast<double>(ones) / kDraws, 0.4, 4 * std::sqrt(0.24 / kDraws));  // 0.1 : 0.15
  EXPECT_EQ(sampler.choose(kLogits, [](TokenId) { return false; }).id, kNoToken);
  // The one allowed token is the least likely of many.
  std::vector<float> many(1000, 0.0F);
  many[7] = -9;
  for (const double temperature : {0.0, 1.0}) {
    Sampler picky({.temperature = temperature}, {});
    EXPECT_EQ(picky.choose(many, [](TokenId t) { return t == 7; }).id, 7);
  }
}

TEST(Sampler, UniformStreamsLookUniform) {
  constexpr int kDraws = 100000;
  std::vector<int> bins(10);
  for (int i = 0; i < kDraws; ++i) {
    ++bins[static_cast<std::size_t>(uniform_at(42, static_cast<std::uint64_t>(i)) * 10)];
  }
  for (const int count : bins) EXPECT_NEAR(count, kDraws / 10, 4 * std::sqrt(kDraws * 0.09));
  double across_seeds = 0;
  for (std::uint64_t seed = 0; seed < 10000; ++seed) across_seeds += uniform_at(seed, 0) / 10000;
  EXPECT_NEAR(across_seeds, 0.5, 0.012);  // 4 sigma
}

}  // namespace
}  // namespace moe
