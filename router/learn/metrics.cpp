#include "router/learn/metrics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "router/splitmix.h"

namespace router {
namespace {

constexpr int kResamples = 1000;
constexpr double kPointsApart = 0.01;  // of a pair's curve

/// `point` with the 2.5% and 97.5% percentiles of what `resampled` returns for a sample of n rows
/// with replacement.
template <class Resampled>
Interval bootstrap(double point, std::size_t n, std::uint64_t seed, const Resampled& resampled) {
  std::vector<std::size_t> sample(n);
  std::vector<double> draws(kResamples);
  for (double& draw : draws) {
    for (std::size_t& row : sample) row = draw_below(seed, n);
    draw = resampled(sample);
  }
  std::sort(draws.begin(), draws.end());
  return {point, draws[kResamples / 40], draws[kResamples - 1 - kResamples / 40]};
}

}  // namespace

Interval bootstrap_mean(const std::vector<double>& values, std::uint64_t seed) {
  if (values.empty()) return {};
  const double n = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  return bootstrap(mean, values.size(), seed, [&](const std::vector<std::size_t>& sample) {
    double sum = 0;
    for (const std::size_t row : sample) sum += values[row];
    return sum / n;
  });
}

Interval bootstrap_ratio(const std::vector<double>& top, const std::vector<double>& bottom,
                         std::uint64_t seed) {
  const double all_bottom = std::accumulate(bottom.begin(), bottom.end(), 0.0);
  if (all_bottom <= 0) return {};
  const double ratio = std::accumulate(top.begin(), top.end(), 0.0) / all_bottom;
  return bootstrap(ratio, top.size(), seed, [&](const std::vector<std::size_t>& sample) {
    double t = 0, b = 0;
    for (const std::size_t row : sample) t += top[row], b += bottom[row];
    return b > 0 ? t / b : ratio;
  });
}

std::vector<ReliabilityBin> reliability_of(const Matrix& p, const Matrix& score) {
  constexpr int kBins = 15;
  std::vector<ReliabilityBin> bins(kBins);
  for (Eigen::Index i = 0; i < p.size(); ++i) {
    const float y = score.data()[i];
    if (std::isnan(y)) continue;
    ReliabilityBin& bin = bins[static_cast<std::size_t>(
        std::clamp(static_cast<int>(p.data()[i] * kBins), 0, kBins - 1))];
    bin.predicted += p.data()[i], bin.observed += y, ++bin.count;
  }
  for (ReliabilityBin& bin : bins) {
    const double n = static_cast<double>(std::max<std::size_t>(bin.count, 1));
    bin.predicted /= n, bin.observed /= n;
  }
  return bins;
}

double calibration_error(const Matrix& p, const Matrix& score) {
  double error = 0, total = 0;
  for (const ReliabilityBin& bin : reliability_of(p, score)) {
    error += static_cast<double>(bin.count) * std::abs(bin.predicted - bin.observed);
    total += static_cast<double>(bin.count);
  }
  return total > 0 ? error / total : 0;
}

std::optional<PairCurve> pair_curve(const std::vector<double>& preference,
                                    const std::vector<double>& weak,
                                    const std::vector<double>& strong) {
  const std::size_t n = preference.size();
  const double weak_sum = std::accumulate(weak.begin(), weak.end(), 0.0);
  const double gap = std::accumulate(strong.begin(), strong.end(), 0.0) - weak_sum;
  if (n == 0 || gap <= 0) return std::nullopt;
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(),
            [&](auto a, auto b) { return preference[a] > preference[b]; });
  constexpr double kLevels[3] = {0.5, 0.8, 0.95};
  PairCurve out;
  out.points.push_back({0, 0});
  std::fill(out.cpt, out.cpt + 3, 1.0);
  bool reached[3] = {};
  double recovered = 0, share = 0;
  for (std::size_t from = 0; from < n;) {
    std::size_t to = from;
    double gain = 0;
    for (; to < n && preference[order[to]] == preference[order[from]]; ++to)
      gain += strong[order[to]] - weak[order[to]];
    const double next = recovered + gain / gap,
                 next_share = static_cast<double>(to) / static_cast<double>(n);
    for (int i = 0; i < 3; ++i) {
      if (reached[i] || next < kLevels[i]) continue;
      reached[i] = true;
      out.cpt[i] = share + (next_share - share) * (kLevels[i] - recovered) / (next - recovered);
    }
    out.apgr += (next_share - share) * (recovered + next) / 2;
    recovered = next, share = next_share, from = to;
    if (share - out.points.back().cost >= kPointsApart || to == n)
      out.points.push_back({share, recovered});
  }
  return out;
}

std::vector<CostPoint> hull_of(std::vector<CostPoint> points) {
  std::sort(points.begin(), points.end(), [](const CostPoint& a, const CostPoint& b) {
    return a.cost != b.cost ? a.cost < b.cost : a.score > b.score;
  });
  std::vector<CostPoint> hull;
  for (const CostPoint& p : points) {
    if (!hull.empty() && p.score <= hull.back().score) continue;
    while (hull.size() >= 2) {
      const CostPoint &a = hull[hull.size() - 2], &b = hull.back();
      if ((b.score - a.score) * (p.cost - a.cost) > (p.score - a.score) * (b.cost - a.cost)) break;
      hull.pop_back();
    }
    hull.push_back(p);
  }
  return hull;
}

double score_at(const std::vector<CostPoint>& hull, double cost) {
  if (hull.empty()) return 0;
  if (cost >= hull.back().cost) return hull.back().score;
  if (cost <= hull.front().cost)
    return hull.front().cost > 0 ? hull.front().score * cost / hull.front().cost
                                 : hull.front().score;
  for (std::size_t i = 1; i < hull.size(); ++i) {
    if (cost > hull[i].cost) continue;
    const double t = (cost - hull[i - 1].cost) / (hull[i].cost - hull[i - 1].cost);
    return hull[i - 1].score + t * (hull[i].score - hull[i - 1].score);
  }
  return hull.back().score;
}

double average_quality(const std::vector<CostPoint>& hull, double lo, double hi) {
  if (hull.empty() || hi <= lo) return 0;
  std::vector<double> costs{lo, hi};
  for (const CostPoint& p : hull) {
    if (p.cost > lo && p.cost < hi) costs.push_back(p.cost);
  }
  std::sort(costs.begin(), costs.end());
  double area = 0;
  for (std::size_t i = 1; i < costs.size(); ++i) {
    area +=
        (costs[i] - costs[i - 1]) * (score_at(hull, costs[i - 1]) + score_at(hull, costs[i])) / 2;
  }
  return area / (hi - lo);
}

}  // namespace router
