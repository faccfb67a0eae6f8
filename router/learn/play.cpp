#include "router/learn/play.h"

#include <algorithm>
#include <numeric>

namespace router {
namespace {

/// Weights over the experts that reach score_at(hull, cost): two neighbours of the hull, or the
/// cheapest alone for a part of the queries.
std::vector<double> weights_at(const std::vector<CostPoint>& hull,
                               const std::vector<CostPoint>& single, double cost) {
  std::vector<double> weight(single.size(), 0);
  const auto give = [&](const CostPoint& point, double share) {
    for (std::size_t e = 0; e < single.size(); ++e) {
      if (single[e].cost != point.cost || single[e].score != point.score) continue;
      weight[e] += share;
      return;
    }
  };
  if (cost >= hull.back().cost) {
    give(hull.back(), 1);
  } else if (cost <= hull.front().cost) {
    give(hull.front(), hull.front().cost > 0 ? cost / hull.front().cost : 1);
  } else {
    std::size_t i = 1;
    while (cost > hull[i].cost) ++i;
    const double t = (cost - hull[i - 1].cost) / (hull[i].cost - hull[i - 1].cost);
    give(hull[i - 1], 1 - t);
    give(hull[i], t);
  }
  return weight;
}

std::vector<CostPoint> sweep_curve(const Trial& trial) {
  std::vector<CostPoint> points;
  for (const auto& chosen : trial.swept) {
    CostPoint point;
    for (std::size_t r = 0; r < trial.rows(); ++r) {
      point.score += trial.score(r, chosen[r]);
      point.cost += trial.cost_usd(r, chosen[r]);
    }
    point.score /= static_cast<double>(trial.rows());
    point.cost /= static_cast<double>(trial.rows());
    points.push_back(point);
  }
  std::sort(points.begin(), points.end(),
            [](const CostPoint& a, const CostPoint& b) { return a.cost < b.cost; });
  return points;
}

}  // namespace

double mean_of(const std::vector<double>& values) {
  if (values.empty()) return 0;
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

Play play_choices(std::string name, const Trial& trial, std::vector<std::uint32_t> expert) {
  Play play;
  play.name = std::move(name);
  for (std::size_t r = 0; r < trial.rows(); ++r) {
    play.score.push_back(trial.score(r, expert[r]));
    if (trial.priced) play.cost_usd.push_back(trial.cost_usd(r, expert[r]));
    play.shares[trial.table.experts[expert[r]]] += 1;
  }
  for (auto& [name_of, share] : play.shares) share /= static_cast<double>(trial.rows());
  play.expert = std::move(expert);
  return play;
}

Play play_mix(std::string name, const Trial& trial,
              const std::vector<std::vector<double>>& weight) {
  Play play;
  play.name = std::move(name);
  for (std::size_t r = 0; r < trial.rows(); ++r) {
    double score = 0, cost = 0;
    for (std::size_t e = 0; e < trial.experts(); ++e) {
      const double w = weight[r][e];
      if (w <= 0) continue;
      score += w * trial.score(r, e);
      cost += w * trial.cost_usd(r, e);
      play.shares[trial.table.experts[e]] += w / static_cast<double>(trial.rows());
    }
    play.score.push_back(score);
    if (trial.priced) play.cost_usd.push_back(cost);
  }
  return play;
}

std::vector<CostPoint> singles(const Trial& trial) {
  std::vector<CostPoint> out(trial.experts());
  for (std::size_t e = 0; e < out.size(); ++e) {
    double n = 0;
    for (std::size_t r = 0; r < trial.rows(); ++r) {
      if (!trial.has(r, e)) continue;
      out[e].score += trial.score(r, e), n += 1;
      out[e].cost += trial.cost_usd(r, e);
    }
    if (n > 0) out[e].score /= n, out[e].cost /= n;
  }
  return out;
}

std::uint32_t best_of(const std::vector<CostPoint>& single) {
  std::uint32_t best = 0;
  for (std::uint32_t e = 1; e < single.size(); ++e) {
    if (single[e].score > single[best].score) best = e;
  }
  return best;
}

std::uint32_t cheapest_of(const std::vector<CostPoint>& single) {
  std::uint32_t least = 0;
  for (std::uint32_t e = 1; e < single.size(); ++e) {
    if (single[e].cost < single[least].cost) least = e;
  }
  return least;
}

Play play_policy(const Trial& trial) {
  Play play = play_choices("policy", trial, trial.chosen);
  if (trial.priced) play.curve = sweep_curve(trial);
  return play;
}

Play play_random(const Trial& trial) {
  std::vector<std::vector<double>> weight(trial.rows(), std::vector<double>(trial.experts(), 0));
  for (std::size_t r = 0; r < trial.rows(); ++r) {
    double known = 0;
    for (std::size_t e = 0; e < trial.experts(); ++e) known += trial.has(r, e);
    for (std::size_t e = 0; e < trial.experts(); ++e) {
      if (trial.has(r, e)) weight[r][e] = 1 / known;
    }
  }
  Play play = play_mix("random", trial, weight);
  play.preference.assign(trial.rows(), 0);
  return play;
}

Play play_oracle(const Trial& trial) {
  std::vector<std::uint32_t> chosen(trial.rows(), 0);
  for (std::size_t r = 0; r < trial.rows(); ++r) {
    for (std::uint32_t e = 1; e < trial.experts(); ++e) {
      const double mine = trial.score(r, e), top = trial.score(r, chosen[r]);
      if (mine > top ||
          (mine == top && trial.priced && trial.cost_usd(r, e) < trial.cost_usd(r, chosen[r])))
        chosen[r] = e;
    }
  }
  return play_choices("oracle", trial, std::move(chosen));
}

Play play_fixed_mix(const Trial& trial, const std::vector<CostPoint>& single, const Play& policy) {
  std::vector<double> weight(trial.experts(), 0);
  std::vector<CostPoint> hull;
  if (trial.priced) {
    hull = hull_of(single);
    weight = weights_at(hull, single, mean_of(policy.cost_usd));
  } else {
    for (std::size_t e = 0; e < weight.size(); ++e) {
      const auto share = policy.shares.find(trial.table.experts[e]);
      if (share != policy.shares.end()) weight[e] = share->second;
    }
  }
  Play play = play_mix("fixed_mix", trial, std::vector<std::vector<double>>(trial.rows(), weight));
  play.curve = std::move(hull);
  return play;
}

}  // namespace router
