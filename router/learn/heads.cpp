#include "router/learn/heads.h"

#include <Eigen/Cholesky>
#include <algorithm>
#include <cmath>

#include "router/learn/outcomes.h"

namespace router {
namespace {

float logit(float p) {
  return std::log(p / (1 - p));
}

float smooth(double sum, double count) {
  return static_cast<float>((sum + 1) / (count + 2));
}

}  // namespace

std::vector<int> assign_folds(const Table& table, int folds, std::uint64_t seed) {
  std::vector<int> fold;
  for (std::uint64_t id : table.id_hashes) {
    fold.push_back(static_cast<int>(split_point(id, seed ^ 0xF01Dull) * folds));
  }
  return fold;
}

std::vector<Eigen::Index> rows_of_fold(const std::vector<int>& fold, int which, bool held) {
  std::vector<Eigen::Index> rows;
  for (std::size_t r = 0; r < fold.size(); ++r) {
    if ((fold[r] == which) == held) rows.push_back(static_cast<Eigen::Index>(r));
  }
  return rows;
}

SkillHead fit_skills(const Matrix& z, const Matrix& target, const std::vector<int>& fold,
                     const Settings& settings) {
  const int folds = 1 + *std::max_element(fold.begin(), fold.end());
  const Matrix x = z * settings.skill_gain;
  SkillHead head;
  head.held_out = Matrix::Zero(z.rows(), target.cols());
  auto labelled = [&](std::vector<Eigen::Index> rows) {
    std::erase_if(rows, [&](Eigen::Index r) { return target.row(r).sum() <= 0; });
    return rows;
  };
  // Fold `folds` is the head that is kept: nothing is held out of it.
  parallel_for(static_cast<std::size_t>(folds) + 1, [&](std::size_t f) {
    const auto rows = labelled(rows_of_fold(fold, static_cast<int>(f), false));
    Matrix w = Matrix::Zero(target.cols(), x.cols() + 1);
    if (!rows.empty())
      w = fit_softmax(x(rows, Eigen::all), target(rows, Eigen::all), settings.skill_l2,
                      settings.skill_iterations);
    if (static_cast<int>(f) == folds) {
      w.leftCols(x.cols()) *= settings.skill_gain;
      head.weight = std::move(w);
      return;
    }
    const auto held = rows_of_fold(fold, static_cast<int>(f), true);
    if (held.empty()) return;
    const Matrix p = apply_softmax(w, x(held, Eigen::all));
    for (std::size_t i = 0; i < held.size(); ++i)
      head.held_out.row(held[i]) = p.row(static_cast<Eigen::Index>(i));
  });
  std::size_t right = 0, counted = 0;
  for (Eigen::Index r = 0; r < z.rows(); ++r) {
    if (target.row(r).sum() <= 0) continue;
    Eigen::Index best = 0;
    head.held_out.row(r).maxCoeff(&best);
    right += target(r, best) > 0;
    ++counted;
  }
  head.accuracy = counted ? static_cast<double>(right) / static_cast<double>(counted) : 0;
  return head;
}

Profile fit_profile(const Matrix& target, const Matrix& score,
                    const std::vector<Eigen::Index>& rows, float prior) {
  const auto skills = target.cols(), experts = score.cols();
  Eigen::MatrixXd sum = Eigen::MatrixXd::Zero(skills, experts), count = sum;
  for (Eigen::Index r : rows) {
    for (Eigen::Index s = 0; s < skills; ++s) {
      const double w = target(r, s);
      if (w <= 0) continue;
      for (Eigen::Index e = 0; e < experts; ++e) {
        if (std::isnan(score(r, e))) continue;
        sum(s, e) += w * score(r, e);
        count(s, e) += w;
      }
    }
  }
  Profile out{Matrix(skills, experts), count.cast<float>()};
  const float grand = logit(smooth(sum.sum(), count.sum()));
  for (Eigen::Index e = 0; e < experts; ++e) {
    const float of_expert = logit(smooth(sum.col(e).sum(), count.col(e).sum()));
    for (Eigen::Index s = 0; s < skills; ++s) {
      const float of_skill = logit(smooth(sum.row(s).sum(), count.row(s).sum()));
      const float expected = 1 / (1 + std::exp(-(of_expert + of_skill - grand)));
      out.rate(s, e) = (static_cast<float>(sum(s, e)) + prior * expected) /
                       (static_cast<float>(count(s, e)) + prior);
    }
  }
  return out;
}

Matrix predict_local(const Matrix& z, const Matrix& score, const Matrix& fallback,
                     const Settings& settings) {
  constexpr Eigen::Index kRowsAtOnce = 256;
  const auto n = z.rows(), experts = score.cols();
  Matrix out(n, experts);
  const auto blocks = static_cast<std::size_t>((n + kRowsAtOnce - 1) / kRowsAtOnce);
  parallel_for(blocks, [&](std::size_t block) {
    const Eigen::Index from = static_cast<Eigen::Index>(block) * kRowsAtOnce,
                       rows = std::min(kRowsAtOnce, n - from);
    const Matrix similar = z.middleRows(from, rows) * z.transpose();
    std::vector<std::pair<float, Eigen::Index>> order(static_cast<std::size_t>(n));
    for (Eigen::Index i = 0; i < rows; ++i) {
      for (Eigen::Index j = 0; j < n; ++j)
        order[static_cast<std::size_t>(j)] = {j == from + i ? -2.f : similar(i, j), j};
      const std::size_t k = std::min<std::size_t>(settings.neighbours, order.size() - 1);
      std::nth_element(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(k), order.end(),
                       std::greater<>());
      std::sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(k), std::greater<>());
      for (Eigen::Index e = 0; e < experts; ++e) {
        float sum = 1e-3f * fallback(from + i, e), weight = 1e-3f;
        for (std::size_t j = 0; j < k && order[j].first > 0; ++j) {
          const float y = score(order[j].second, e);
          if (std::isnan(y)) continue;
          const float w = std::pow(order[j].first, settings.neighbour_power);
          sum += w * y, weight += w;
        }
        out(from + i, e) = sum / weight;
      }
    }
  });
  return out;
}

void fit_blend(const Matrix terms[3], const Matrix& score, const Eigen::RowVectorXf& mean,
               float blend[3]) {
  // The prior weights choose who competes for a row, and are what few rows shrink to.
  const Eigen::Vector3d prior(0.5, 0.25, 0.25);
  constexpr std::size_t kContenders = 3;
  Eigen::Matrix3d gram = Eigen::Matrix3d::Zero();
  Eigen::Vector3d right = Eigen::Vector3d::Zero();
  std::vector<std::pair<double, Eigen::Index>> order;
  for (Eigen::Index r = 0; r < score.rows(); ++r) {
    order.clear();
    for (Eigen::Index e = 0; e < score.cols(); ++e) {
      if (std::isnan(score(r, e))) continue;
      const double p = mean(e) + prior(0) * (terms[0](r, e) - mean(e)) +
                       prior(1) * (terms[1](r, e) - mean(e)) +
                       prior(2) * (terms[2](r, e) - mean(e));
      order.emplace_back(p, e);
    }
    const std::size_t kept = std::min(kContenders, order.size());
    std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(kept), order.end(),
                      std::greater<>());
    // What must be right is the difference between the experts that may be chosen.
    for (std::size_t i = 0; i < kept; ++i) {
      for (std::size_t j = i + 1; j < kept; ++j) {
        const Eigen::Index a = order[i].second, b = order[j].second;
        const double base = mean(a) - mean(b);
        Eigen::Vector3d t;
        for (int k = 0; k < 3; ++k) t(k) = terms[k](r, a) - terms[k](r, b) - base;
        gram += t * t.transpose();
        right += t * (score(r, a) - score(r, b) - base);
      }
    }
  }
  const double pull = 0.1 * gram.trace() / 3 + 1e-9;
  gram += pull * Eigen::Matrix3d::Identity();
  right += pull * prior;
  // Non-negative least squares over three unknowns: the best of all subsets that stay non-negative.
  double best = 0;
  for (int i = 0; i < 3; ++i) blend[i] = 0;
  for (int subset = 1; subset < 8; ++subset) {
    std::vector<int> in;
    for (int i = 0; i < 3; ++i) {
      if (subset >> i & 1) in.push_back(i);
    }
    const Eigen::MatrixXd a = gram(in, in);
    const Eigen::VectorXd b = right(in), w = a.ldlt().solve(b);
    if (w.minCoeff() < 0) continue;
    const double drop = b.dot(w);  // fall of the squared error
    if (drop <= best) continue;
    best = drop;
    for (int i = 0; i < 3; ++i) blend[i] = 0;
    for (std::size_t i = 0; i < in.size(); ++i)
      blend[in[i]] = static_cast<float>(w(static_cast<Eigen::Index>(i)));
  }
}

Eigen::RowVectorXf mean_known(const Matrix& score) {
  Eigen::RowVectorXf mean(score.cols());
  for (Eigen::Index e = 0; e < score.cols(); ++e) {
    double sum = 0, known = 0;
    for (Eigen::Index r = 0; r < score.rows(); ++r) {
      if (!std::isnan(score(r, e))) sum += score(r, e), known += 1;
    }
    mean(e) = known > 0 ? static_cast<float>(sum / known) : 0;
  }
  return mean;
}

}  // namespace router
