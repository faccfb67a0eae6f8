#include "router/learn/unseen.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "router/learn/heads.h"

namespace router {
namespace {

constexpr int kGroups = 5;  // of domains: as many fits

/// Domains of about equal sums of rows to a group, the largest dealt first; -1: no domain.
std::vector<int> group_domains(const Table& table) {
  const std::size_t skills = table.skills.size();
  std::vector<std::size_t> rows_of(skills, 0), order(skills);
  for (const auto& labels : table.labels) {
    if (!labels.empty()) ++rows_of[labels.front()];
  }
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](auto a, auto b) { return rows_of[a] > rows_of[b]; });
  std::vector<int> group_of(skills, -1);
  std::vector<std::size_t> load(kGroups, 0);
  for (const std::size_t skill : order) {
    if (rows_of[skill] == 0) continue;
    const auto least = std::min_element(load.begin(), load.end());
    *least += rows_of[skill];
    group_of[skill] = static_cast<int>(least - load.begin());
  }
  return group_of;
}

/// Without the skills of the group; the rest sums to 1 again.
Matrix without_skills(Matrix share, const std::vector<int>& group_of, int group) {
  for (std::size_t s = 0; s < group_of.size(); ++s) {
    if (group_of[s] == group) share.col(static_cast<Eigen::Index>(s)).setZero();
  }
  const Eigen::VectorXf left = share.rowwise().sum().cwiseMax(1e-6f);
  return left.cwiseInverse().asDiagonal() * share;
}

/// Estimates for the rows of `held` [held, experts] by a fit on `rows`; `best`: the expert with the
/// best mean there.
Matrix predict(const Sparse& input, const Matrix& goal, const std::vector<Eigen::Index>& rows,
               const Sparse& held, const Settings& settings, Eigen::Index& best) {
  const Matrix known = goal(rows, Eigen::all);
  const Eigen::RowVectorXf mean = mean_known(known);
  mean.maxCoeff(&best);
  const Matrix weight = fit_ridge(take_rows(input, rows), known.rowwise() - mean,
                                  settings.outcome_ridge, settings.iterations);
  return multiply(held, weight).rowwise() + mean;
}

}  // namespace

UnseenDomains judge_unseen(const Sparse& x, const Matrix& share, const Table& table, float margin,
                           const Settings& settings, std::uint64_t seed) {
  const std::vector<int> group_of = group_domains(table);
  std::vector<int> fold;
  for (const auto& labels : table.labels) fold.push_back(labels.empty() ? -1 : group_of[labels[0]]);
  UnseenDomains out;
  const auto domains =
      std::count_if(group_of.begin(), group_of.end(), [](int g) { return g >= 0; });
  if (domains < 2) return out;
  out.domains = static_cast<std::size_t>(domains);
  const Sparse input = beside(x, share, settings.skill_input);
  std::vector<double> gain(table.rows(), std::nan(""));
  parallel_for(kGroups, [&](std::size_t g) {
    const int group = static_cast<int>(g);
    const auto rows = rows_of_fold(fold, group, false), held = rows_of_fold(fold, group, true);
    if (rows.empty() || held.empty()) return;
    Eigen::Index best = 0;
    const Sparse unseen =
        beside(take_rows(x, held), without_skills(share(held, Eigen::all), group_of, group),
               settings.skill_input);
    const Matrix p = predict(input, table.score, rows, unseen, settings, best);
    for (std::size_t i = 0; i < held.size(); ++i) {
      const auto score = table.score.row(held[i]);
      if (std::isnan(score(best))) continue;
      const auto at = static_cast<Eigen::Index>(i);
      Eigen::Index chosen = best;
      float top = p(at, best) + margin;
      for (Eigen::Index e = 0; e < p.cols(); ++e) {
        if (!std::isnan(score(e)) && p(at, e) > top) top = p(at, e), chosen = e;
      }
      gain[static_cast<std::size_t>(held[i])] = double{score(chosen)} - double{score(best)};
    }
  });
  std::vector<std::vector<double>> by_domain(table.skills.size());
  std::vector<double> all;
  for (std::size_t r = 0; r < gain.size(); ++r) {
    if (std::isnan(gain[r])) continue;
    all.push_back(gain[r]);
    by_domain[table.labels[r].front()].push_back(gain[r]);
  }
  out.rows = all.size();
  out.gain = bootstrap_mean(all, seed);
  for (std::size_t s = 0; s < by_domain.size(); ++s) {
    if (!by_domain[s].empty() && bootstrap_mean(by_domain[s], seed).hi < 0)
      out.worse.push_back(table.skills[s]);
  }
  return out;
}

}  // namespace router
