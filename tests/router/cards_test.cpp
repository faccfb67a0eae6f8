// Declared skills: cards become a policy, and the same decision runs on it.
#include "router/cards.h"

#include <gtest/gtest.h>

#include "router/decide.h"
#include "router/guard.h"

namespace router {
namespace {

std::vector<SkillCard> write_cards() {
  return {{.name = "mathematics",
           .description = "algebra, calculus, derivatives, integrals, equations, probability",
           .examples = {"Solve x^2 - 4 = 0.", "What is the integral of sin(x) from 0 to pi?"}},
          {.name = "law",
           .description = "contracts, torts, negligence, liability, courts, statutes, evidence",
           .examples = {"Is a promise without consideration enforceable in court?"}},
          {.name = "cooking",
           .description = "recipes, ingredients, baking, roasting, sauces, spices",
           .examples = {"How long do I roast a chicken of two kilograms?"}}};
}

Route route(const Policy& policy, PoolView& pool, const std::string& text) {
  bind(policy, pool);
  Features features;
  Extractor().extract(text, features);
  Query query;
  query.text = text;
  return decide(query, features, policy, pool);
}

PoolView make_pool(const std::vector<std::string>& names, std::uint32_t default_expert) {
  PoolView pool;
  for (const auto& name : names) {
    PoolExpert expert;
    expert.name = name;
    pool.experts.push_back(expert);
  }
  pool.default_expert = default_expert;
  return pool;
}

const std::vector<DeclaredExpert> kExperts = {
    {"plain", {}}, {"counsel", {"law"}}, {"chef", {"cooking"}}, {"solver", {"mathematics"}}};

TEST(Cards, the_expert_that_declares_the_skill_is_asked_and_others_leave_it_to_the_default) {
  const auto policy = compile_cards(write_cards(), kExperts);
  auto pool = make_pool({"plain", "counsel", "chef", "solver"}, 0);
  const std::pair<const char*, const char*> cases[] = {
      {"Find the derivative of the equation y = 3x^2 by calculus.", "solver"},
      {"Can the buyer sue for negligence, and who carries the liability?", "counsel"},
      {"Which spices go with roasting a chicken?", "chef"}};
  for (const auto& [text, name] : cases) {
    const Route out = route(*policy, pool, text);
    EXPECT_EQ(pool.experts[out.candidates[0].expert].name, name) << text;
    EXPECT_EQ(out.reason, Reason::declared) << text;
  }
  for (const char* text :
       {"Who won the football championship of 1974?", "hello", "", "the of and"}) {
    const Route out = route(*policy, pool, text);
    EXPECT_EQ(pool.experts[out.candidates[0].expert].name, "plain") << text;
    EXPECT_EQ(out.reason, Reason::fallback) << text;
  }
}

TEST(Cards, nothing_declared_is_no_policy) {
  EXPECT_TRUE(compile_cards(write_cards(), {{"a", {}}, {"b", {}}})->empty());
  EXPECT_TRUE(compile_cards({}, {})->empty());
}

TEST(Cards, a_skill_without_a_card_stands_for_its_name) {
  const auto policy = compile_cards({}, {{"a", {}}, {"b", {"organic chemistry"}}});
  auto pool = make_pool({"a", "b"}, 0);
  const Route out = route(*policy, pool, "organic chemistry: name this molecule");
  EXPECT_EQ(pool.experts[out.candidates[0].expert].name, "b");
}

TEST(Cards, the_declared_default_of_the_pool_stays) {
  const auto policy = compile_cards(write_cards(), kExperts);
  auto pool = make_pool({"plain", "counsel", "chef", "solver"}, 2);
  const Route out = route(*policy, pool, "Who won the football championship of 1974?");
  EXPECT_EQ(pool.experts[out.candidates[0].expert].name, "chef");
}

TEST(Cards, as_many_skills_as_fit_are_told_apart) {
  std::vector<DeclaredExpert> experts = {{"plain", {}}};
  for (std::size_t s = 0; s < kSkillCardsMax + 3; ++s)
    experts.push_back({"e" + std::to_string(s),
                       {"subject" + std::string(1 + s / 26, static_cast<char>('a' + s % 26))}});
  const auto policy = compile_cards({}, experts);
  EXPECT_EQ(policy->skills.size(), kSkillCardsMax + 1);
  EXPECT_EQ(policy->dim % 16, 0u);
}

}  // namespace
}  // namespace router
