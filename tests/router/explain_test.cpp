// Explanations against decisions whose reasons are planted.
#include "router/explain.h"

#include <gtest/gtest.h>

#include "router/competence.h"
#include "router/decide.h"

namespace router {
namespace {

/// Three experts and one skill; competence is what the test says, not what a text says.
struct Desk {
  Policy policy;
  PoolView pool;
  Competence competence;
  Query query;

  Desk() {
    policy.version = 9;
    policy.skills = {"law", "general"};
    for (const auto& [name, cost] :
         {std::pair("alpha", 0.010), {"beta", 0.001}, {"gamma", 0.005}}) {
      policy.experts.emplace_back();
      policy.experts.back().name = name;
      policy.experts.back().cost_usd = static_cast<float>(cost);
      pool.experts.emplace_back();
      pool.experts.back().name = name;
      pool.experts.back().policy_expert = static_cast<std::int32_t>(policy.experts.size() - 1);
    }
    policy.profile = {0.9F, 0.6F, 0.8F, 0.5F, 0.5F, 0.5F};
    policy.support = {40, 30, 20, 1, 1, 1};
    competence.p = {0.9F, 0.6F, 0.8F};
    competence.skill_term = competence.word_term = competence.p;
    competence.support = {40, 30, 20};
    competence.cost_usd = {0.010F, 0.001F, 0.005F};
    competence.skills = {1, 0};
    pool.default_expert = 1;
  }

  LoggedRoute decide() const {
    Route route;
    choose(query, Features{}, policy, pool, competence, route);
    std::string bytes;
    encode_route(
        route, [&](std::uint32_t s) { return std::string_view(policy.skills[s]); },
        [&](std::uint32_t e) { return std::string_view(pool.experts[e].name); }, bytes);
    LoggedRoute logged = decode_route(bytes).value();
    logged.route.policy_version = policy.version;  // a column of the log, not of the bytes
    return logged;
  }

  Explanation explain() const { return router::explain(query, decide(), policy, pool); }

  /// The estimate of an expert is moved by hand: does the choice change where it was said to?
  std::string first_with(std::size_t expert, float p) {
    const float before = competence.p[expert];
    competence.p[expert] = p;
    const LoggedRoute again = decide();
    competence.p[expert] = before;
    return again.experts[again.route.candidates.front().expert];
  }
};

TEST(Explain, TellsWhatWouldHaveChangedTheChoice) {
  Desk desk;
  const Explanation e = desk.explain();
  EXPECT_EQ(e.chosen, "alpha");
  EXPECT_EQ(e.bound, Bound::none);
  ASSERT_TRUE(e.repeatable);
  ASSERT_EQ(e.rivals.size(), 2u);
  EXPECT_EQ(e.rivals[0].expert, "gamma");
  ASSERT_TRUE(e.rivals[0].p_needed);
  EXPECT_EQ(desk.first_with(2, *e.rivals[0].p_needed + 1e-4F), "gamma");
  EXPECT_EQ(desk.first_with(2, *e.rivals[0].p_needed - 1e-4F), "alpha");
  ASSERT_EQ(e.turns.size(), 1u);  // quality is 1: only downwards
  Query at = desk.query;
  at.knobs.quality = e.turns[0].quality;
  std::swap(desk.query, at);
  EXPECT_EQ(desk.explain().chosen, e.turns[0].expert);
  desk.query.knobs.quality = e.turns[0].quality + 0.011;
  EXPECT_EQ(desk.explain().chosen, "alpha");
  ASSERT_FALSE(e.skills.empty());
  EXPECT_EQ(e.skills[0].skill, "law");
  EXPECT_FLOAT_EQ(e.skills[0].rate, 0.9F);
  EXPECT_FLOAT_EQ(e.skills[0].outcomes, 40);
}

TEST(Explain, NamesTheBound) {
  Desk price;
  price.query.knobs.quality = 0.3;
  EXPECT_EQ(price.explain().bound, Bound::price);
  EXPECT_EQ(price.explain().kept_from, "alpha");

  Desk bar;
  bar.query.knobs.cost_microusd_max = 7000;
  EXPECT_EQ(bar.explain().chosen, "gamma");
  EXPECT_EQ(bar.explain().bound, Bound::bar);
  EXPECT_EQ(bar.explain().bar, Bar::cost);
  EXPECT_EQ(bar.explain().kept_from, "alpha");

  Desk guard;
  guard.pool.guarded = true;
  EXPECT_EQ(guard.explain().chosen, "beta");
  EXPECT_EQ(guard.explain().bound, Bound::guard);
  EXPECT_EQ(guard.explain().kept_from, "alpha");
  EXPECT_FALSE(guard.explain().rivals[0].p_needed);

  Desk load;
  load.pool.experts[0].load = 1;
  load.pool.load_penalty = 0.2;
  EXPECT_EQ(load.explain().chosen, "gamma");
  EXPECT_EQ(load.explain().bound, Bound::load);

  Desk nobody;
  for (PoolExpert& expert : nobody.pool.experts) expert.healthy = false;
  EXPECT_EQ(nobody.explain().bound, Bound::nobody);
  EXPECT_EQ(nobody.explain().sentences.size(), 4u);

  Desk chance;
  chance.pool.explore = 1;
  for (std::uint64_t seed = 0; chance.explain().bound != Bound::exploration; ++seed) {
    ASSERT_LT(seed, 100u);
    chance.query.seed = seed;
  }
  EXPECT_EQ(chance.explain().kept_from, "alpha");
}

TEST(Explain, SaysThatAQuestionIsOutside) {
  Desk desk;
  desk.competence.outside = true;
  desk.competence.general = 0.75F;
  const Explanation asked = desk.explain();
  EXPECT_EQ(asked.chosen, "alpha");
  EXPECT_NE(asked.sentences.front().find("75%"), std::string::npos) << asked.sentences.front();
  desk.pool.answers_outside = true;
  const Explanation kept = desk.explain();
  EXPECT_EQ(kept.bound, Bound::outside);
  EXPECT_EQ(kept.chosen, "");
  ASSERT_EQ(kept.sentences.size(), 2u);
  EXPECT_NE(kept.sentences[1].find("Nobody was asked"), std::string::npos);
}

TEST(Explain, SaysWhatItCannotKnow) {
  Desk desk;
  const LoggedRoute logged = desk.decide();
  desk.policy.version = 10;
  const Explanation other_policy = explain(desk.query, logged, desk.policy, desk.pool);
  EXPECT_FALSE(other_policy.policy_known);
  EXPECT_TRUE(other_policy.turns.empty());
  EXPECT_EQ(other_policy.chosen, "alpha");
  EXPECT_NE(other_policy.sentences.back().find("Another policy"), std::string::npos);
  desk.policy.version = 9;
  desk.pool.experts.erase(desk.pool.experts.begin());
  desk.pool.default_expert = 0;
  const Explanation other_pool = explain(desk.query, logged, desk.policy, desk.pool);
  EXPECT_FALSE(other_pool.repeatable);
  EXPECT_NE(other_pool.sentences.back().find("pool has changed"), std::string::npos);
}

}  // namespace
}  // namespace router
