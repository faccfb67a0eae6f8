#include "router/learn/metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace router {
namespace {

TEST(PairCurve, WorkedByHand) {
  // Gains by preference: +1, 0, +1, -1 of a gap of 1; recovered 1, 1, 2, 1 after each quarter.
  const std::vector<double> weak{0, 1, 0, 1}, strong{1, 1, 1, 0}, preference{4, 3, 2, 1};
  const auto curve = pair_curve(preference, weak, strong);
  ASSERT_TRUE(curve);
  EXPECT_NEAR(curve->apgr, 0.25 * (0.5 + 1 + 1.5 + 1.5), 1e-12);
  EXPECT_NEAR(curve->cpt[0], 0.125, 1e-12);
  EXPECT_NEAR(curve->cpt[1], 0.2, 1e-12);
}

TEST(PairCurve, TiesAreAStraightLine) {
  const auto curve = pair_curve({1, 1, 1, 1}, {0, 1, 0, 1}, {1, 1, 1, 0});
  ASSERT_TRUE(curve);
  EXPECT_NEAR(curve->apgr, 0.5, 1e-12);
  EXPECT_NEAR(curve->cpt[1], 0.8, 1e-12);
}

TEST(PairCurve, NeedsAStrongerExpert) {
  EXPECT_FALSE(pair_curve({1, 2}, {1, 1}, {1, 0}));
}

// Second road: the mean over many thresholds, as RouteLLM computes it.
TEST(PairCurve, AgreesWithSampledThresholds) {
  std::mt19937_64 random(3);
  std::uniform_real_distribution<double> unit;
  const std::size_t n = 4000;
  std::vector<double> preference(n), weak(n), strong(n);
  for (std::size_t i = 0; i < n; ++i) {
    preference[i] = unit(random);
    weak[i] = unit(random) < 0.6;
    strong[i] = unit(random) < 0.7 + 0.2 * preference[i];
  }
  const auto curve = pair_curve(preference, weak, strong);
  double gap = 0, base = 0, area = 0;
  for (std::size_t i = 0; i < n; ++i) gap += strong[i] - weak[i], base += weak[i];
  for (int t = 0; t < 1000; ++t) {
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i)
      sum += preference[i] > (t + 0.5) / 1000 ? strong[i] : weak[i];
    area += (sum - base) / gap / 1000;
  }
  EXPECT_NEAR(curve->apgr, area, 0.02);
}

TEST(Hull, DropsWhatIsDearerOrBelow) {
  const auto hull = hull_of({{3, 0.9}, {1, 0.5}, {2, 0.6}, {2.5, 0.4}, {4, 0.9}});
  ASSERT_EQ(hull.size(), 2u);
  EXPECT_EQ(hull[0].cost, 1);
  EXPECT_EQ(hull[1].cost, 3);
  EXPECT_NEAR(score_at(hull, 2), 0.7, 1e-12);
  EXPECT_NEAR(score_at(hull, 0.5), 0.25, 1e-12);
  EXPECT_NEAR(average_quality(hull, 1, 4), (2 * 0.7 + 0.9) / 3, 1e-12);
}

TEST(Bootstrap, CoversTheMean) {
  std::mt19937_64 random(5);
  std::normal_distribution<double> normal(0.3, 1);
  int covered = 0;
  for (int trial = 0; trial < 40; ++trial) {
    std::vector<double> values(300);
    for (double& v : values) v = normal(random);
    const Interval interval = bootstrap_mean(values, 11);
    covered += interval.lo <= 0.3 && 0.3 <= interval.hi;
    EXPECT_NEAR(interval.hi - interval.lo, 2 * 1.96 / std::sqrt(300), 0.05);
  }
  EXPECT_GE(covered, 34);
}

TEST(Calibration, IsZeroWhenRightAndSkipsMissing) {
  Matrix p(4, 1), y(4, 1);
  p << 0.5f, 0.5f, 1, 1;
  y << 1, 0, 1, std::nanf("");
  EXPECT_NEAR(calibration_error(p, y), 0, 1e-6);
  p(2, 0) = 0;
  EXPECT_NEAR(calibration_error(p, y), 1.0 / 3, 1e-6);
}

}  // namespace
}  // namespace router
