// Figures of merit. Definitions and their sources are in README.md, "How a router is measured".
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "router/learn/table.h"

namespace router {

struct Interval {
  double mean = 0, lo = 0, hi = 0;
};

/// Mean with a 95% percentile bootstrap interval (1,000 resamples of the rows, seeded).
Interval bootstrap_mean(const std::vector<double>& values, std::uint64_t seed);

/// The same for sum(top) / sum(bottom), resampled in pairs; a resample whose `bottom` is 0 repeats
/// the point. All zeros when no row has a `bottom`.
Interval bootstrap_ratio(const std::vector<double>& top, const std::vector<double>& bottom,
                         std::uint64_t seed);

struct ReliabilityBin {
  double predicted = 0, observed = 0;  // means over the bin
  std::size_t count = 0;
};

/// p against outcomes in 15 equal-width bins; NaN outcomes are skipped.
std::vector<ReliabilityBin> reliability_of(const Matrix& p, const Matrix& score);

/// Expected calibration error over the same bins.
double calibration_error(const Matrix& p, const Matrix& score);

/// One point of a cost-quality curve.
struct CostPoint {
  double cost = 0, score = 0;
};

/// RouteLLM (arXiv 2406.18665): rows are sent to the strong expert in order of `preference`, ties
/// in proportion (all rows of one value move together, along a straight line).
struct PairCurve {
  double apgr = 0;  // area under performance gap recovered against the share of strong calls
  double cpt[3] = {0, 0, 0};      // share of strong calls that recovers 50, 80, 95% of the gap
  std::vector<CostPoint> points;  // (share of strong calls, gap recovered), about a hundred
};

/// nullopt when the strong expert is not better than the weak one on these rows.
std::optional<PairCurve> pair_curve(const std::vector<double>& preference,
                                    const std::vector<double>& weak,
                                    const std::vector<double>& strong);

/// The upper convex hull that never falls with cost (RouterBench, arXiv 2403.12031, section 3).
std::vector<CostPoint> hull_of(std::vector<CostPoint> points);

/// Area under the hull between the costs `lo` and `hi`, divided by hi - lo; to the right of the
/// last point the score stays, to the left of the first one it is taken as that point's score
/// scaled down to zero cost by a straight line.
double average_quality(const std::vector<CostPoint>& hull, double lo, double hi);

/// Score of the hull at a cost, the same extrapolation.
double score_at(const std::vector<CostPoint>& hull, double cost);

}  // namespace router
