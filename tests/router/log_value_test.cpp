// Off-policy values against worlds whose truth is known, and against a real log.
#include "router/learn/log_value.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <random>

#include "router/cards.h"
#include "router/decision.h"
#include "store/journal.h"

namespace router {
namespace {

/// Two experts, right with 0.8 and 0.6 whatever is asked; the log explores with `epsilon` around
/// the second, the target always takes the first. `q` is a reward model that is wrong on purpose.
std::vector<LoggedChoice> simulate(int rows, double epsilon, double q, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> unit;
  std::vector<LoggedChoice> out;
  for (int i = 0; i < rows; ++i) {
    LoggedChoice row;
    row.same = unit(random) < epsilon / 2;
    row.propensity = row.same ? epsilon / 2 : 1 - epsilon / 2;
    row.reward = unit(random) < (row.same ? 0.8 : 0.6) ? 1 : 0;
    row.supported = row.same || row.propensity < 1;
    row.q_target = q, row.q_logged = row.same ? q : 0.6;
    out.push_back(row);
  }
  return out;
}

TEST(LogValue, IntervalsHoldTheTruth) {
  int snips = 0, robust = 0, gain = 0;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    const LogValue value = value_choices(simulate(1500, 0.3, 0.4, seed), seed);
    ASSERT_TRUE(value.identifiable);
    snips += value.snips.lo <= 0.8 && 0.8 <= value.snips.hi;
    robust += value.doubly_robust.lo <= 0.8 && 0.8 <= value.doubly_robust.hi;
    gain += value.gain.lo <= 0.2 && 0.2 <= value.gain.hi;
    EXPECT_NEAR(value.effective_rows, static_cast<double>(value.matched), 1e-6);  // equal weights
  }
  EXPECT_GE(snips, 53);
  EXPECT_GE(robust, 53);
  EXPECT_GE(gain, 53);
}

TEST(LogValue, WithoutSupportItSaysSo) {
  // No exploration: the target differs on every row.
  const LogValue none = value_choices(simulate(500, 0, 0.9, 1), 1);
  EXPECT_FALSE(none.identifiable);
  EXPECT_EQ(none.unsupported, 500u);
  EXPECT_EQ(none.matched, 0u);
  EXPECT_EQ(none.lowest, 0);
  EXPECT_EQ(none.highest, 1);
  // Half of the rows without support: their value may be anything.
  std::vector<LoggedChoice> rows = simulate(2000, 0.4, 0.8, 2);
  for (const LoggedChoice& row : simulate(2000, 0, 0.8, 3)) rows.push_back(row);
  const LogValue half = value_choices(rows, 1);
  EXPECT_FALSE(half.identifiable);
  EXPECT_NEAR(half.highest - half.lowest, 0.5, 1e-9);
  EXPECT_LT(half.lowest, 0.8);
  EXPECT_GT(half.highest, 0.8);
}

TEST(LogValue, RareChoicesAreClippedAndCounted) {
  std::vector<LoggedChoice> rows = simulate(100, 0.3, 0.8, 4);
  rows[0].same = true;
  rows[0].propensity = 0.001;
  EXPECT_EQ(value_choices(rows, 1).clipped, 1u);
  EXPECT_LT(value_choices(rows, 1).effective_rows, 90);
}

/// A log in which `plain` was chosen half of the time, whoever knew better.
TEST(LogValue, ReadsTheServicesLog) {
  const auto folder =
      std::filesystem::path(::testing::TempDir()) / ("log_value_" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  store::Options options;
  options.path = (folder / "log.db").string();
  options.keep_text = true;
  const PolicyPtr policy = compile_cards({}, {{"plain", {}}, {"gauss", {"prime number theorem"}}});
  LogValueOptions valued;
  valued.log = options.path;
  {
    store::Journal journal(options, [](std::string_view) {});
    const auto now = std::chrono::duration_cast<std::chrono::microseconds>(
                         std::chrono::system_clock::now().time_since_epoch())
                         .count();
    for (int i = 0; i < 60; ++i) {
      const bool gauss = i % 2 == 0;
      const std::string names[2] = {gauss ? "gauss" : "plain", gauss ? "plain" : "gauss"};
      store::Decision row;
      row.id = "dec_" + std::to_string(i);
      row.unix_us = now;
      row.pool = "auto";
      row.expert = names[0];
      row.text = "a prime number theorem";
      row.propensity = 0.5;
      Route route;
      route.candidates.resize(2);
      route.candidates[1].expert = 1;
      encode_route(
          route, [](std::uint32_t) { return std::string_view(); },
          [&](std::uint32_t e) { return std::string_view(names[e]); }, row.route);
      journal.put(std::move(row));
      if (i >= 40) continue;  // not graded
      store::Feedback said;
      said.decision_id = "dec_" + std::to_string(i);
      said.unix_us = now;
      said.score = gauss ? 1 : 0;
      journal.put(std::move(said));
    }
    ASSERT_TRUE(journal.flush(std::chrono::steady_clock::now() + std::chrono::seconds(5)));
  }
  const LogValueReport report = value_log(*policy, valued);
  EXPECT_EQ(report.decisions, 60u);
  EXPECT_EQ(report.ungraded, 20u);
  EXPECT_EQ(report.value.rows, 40u);
  EXPECT_EQ(report.value.matched, 20u);
  EXPECT_NEAR(report.value.logged, 0.5, 1e-9);
  EXPECT_NEAR(report.value.snips.mean, 1, 1e-9);  // gauss was always right
  EXPECT_TRUE(report.value.identifiable);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace router
