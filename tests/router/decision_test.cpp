#include "router/decision.h"

#include <gtest/gtest.h>

namespace {

router::Route sample() {
  router::Route route;
  route.skills = {{.skill = 3, .share = 0.75F}, {.skill = 1, .share = 0.25F}};
  route.candidates = {{.expert = 7,
                       .p_correct = 0.9F,
                       .p_lo = 0.8F,
                       .p_hi = 0.95F,
                       .utility = 0.88F,
                       .cost_microusd = 12,
                       .skill_term = 0.85F,
                       .word_term = 0.95F,
                       .support = 40},
                      {.expert = 2, .p_correct = 0.4F, .bar = router::Bar::context}};
  route.k = 2;
  route.reason = router::Reason::guarded;
  route.abstained = true;
  route.outside = true;
  route.gain_lo = -0.25F;
  route.general = 0.125F;
  route.propensity = 0.98F;
  route.features_hash = 0x1234567890abcdefULL;
  return route;
}

std::string bytes_of(const router::Route& route) {
  std::string out;
  router::encode_route(
      route, [](std::uint32_t skill) { return skill == 3 ? "algebra" : "law"; },
      [](std::uint32_t expert) { return expert == 7 ? "alma" : "bert"; }, out);
  return out;
}

}  // namespace

TEST(Decision, ReadsBackWhatWasLogged) {
  const auto logged = router::decode_route(bytes_of(sample()));
  ASSERT_TRUE(logged);
  const auto& route = logged->route;
  EXPECT_EQ(logged->skills, (std::vector<std::string>{"algebra", "law"}));
  EXPECT_EQ(logged->experts, (std::vector<std::string>{"alma", "bert"}));
  EXPECT_EQ(route.reason, router::Reason::guarded);
  EXPECT_TRUE(route.abstained);
  EXPECT_TRUE(route.outside);
  EXPECT_EQ(route.k, 2u);
  EXPECT_EQ(route.features_hash, sample().features_hash);
  EXPECT_EQ(route.gain_lo, -0.25F);
  EXPECT_EQ(route.propensity, 0.98F);
  ASSERT_EQ(route.candidates.size(), 2u);
  EXPECT_EQ(route.candidates[0].word_term, 0.95F);
  EXPECT_EQ(route.candidates[0].support, 40);
  EXPECT_EQ(route.candidates[1].bar, router::Bar::context);
  EXPECT_EQ(route.eligible(), 1u);
}

TEST(Decision, RefusesEveryTruncationAndWrongVersion) {
  const auto bytes = bytes_of(sample());
  for (std::size_t length = 0; length < bytes.size(); ++length)
    EXPECT_FALSE(router::decode_route(std::string_view(bytes).substr(0, length))) << length;
  EXPECT_FALSE(router::decode_route(bytes + "x"));
  auto other = bytes;
  other[0] = 9;
  EXPECT_FALSE(router::decode_route(other));
  other = bytes;
  other[1] = 99;  // a reason that does not exist
  EXPECT_FALSE(router::decode_route(other));
}
