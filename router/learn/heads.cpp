#include "router/learn/heads.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "router/learn/outcomes.h"

namespace router {
namespace {

float logit(float p) {
  return std::log(p / (1 - p));
}

float smooth(double sum, double count) {
  return static_cast<float>((sum + 1) / (count + 2));
}

Matrix softmax_rows(Matrix p) {
  for (Eigen::Index r = 0; r < p.rows(); ++r) {
    p.row(r).array() = (p.row(r).array() - p.row(r).maxCoeff()).exp();
    p.row(r) /= p.row(r).sum();
  }
  return p;
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

float find_sharpness(const Matrix& score, const Matrix& target, Matrix& share) {
  float best = std::numeric_limits<float>::lowest(), found = 1;
  for (const float sharpness : {4.f, 6.f, 8.f, 12.f, 16.f, 24.f, 32.f}) {
    const Matrix tried = softmax_rows(sharpness * score);
    const float likelihood = (target.array() * (tried.array() + 1e-9f).log()).sum();
    if (likelihood <= best) continue;
    best = likelihood;
    found = sharpness;
    share = tried;
  }
  return found;
}

double accuracy_of(const Matrix& share, const Matrix& target) {
  std::size_t right = 0, counted = 0;
  for (Eigen::Index r = 0; r < target.rows(); ++r) {
    if (target.row(r).sum() <= 0) continue;
    Eigen::Index first = 0;
    share.row(r).maxCoeff(&first);
    right += target(r, first) > 0;
    ++counted;
  }
  return counted ? static_cast<double>(right) / static_cast<double>(counted) : 0;
}

SkillHead fit_skills(const Sparse& x, const Matrix& target, const std::vector<int>& fold,
                     const Settings& settings) {
  const auto n = target.rows(), skills = target.cols();
  const int folds = 1 + *std::max_element(fold.begin(), fold.end());
  Matrix goal = target;
  for (Eigen::Index r = 0; r < n; ++r) {
    if (target.row(r).sum() <= 0) goal.row(r).setConstant(std::nanf(""));
  }
  const Eigen::RowVectorXf mean = mean_known(goal);
  goal.rowwise() -= mean;
  SkillHead head;
  head.score = Matrix::Zero(n, skills);
  // Fold `folds` is the head that is kept: nothing is held out of it.
  parallel_for(static_cast<std::size_t>(folds) + 1, [&](std::size_t f) {
    const auto rows = rows_of_fold(fold, static_cast<int>(f), false),
               held = rows_of_fold(fold, static_cast<int>(f), true);
    if (rows.empty() || (held.empty() && static_cast<int>(f) < folds)) return;
    Matrix w = fit_ridge(take_rows(x, rows), goal(rows, Eigen::all), settings.skill_ridge,
                         settings.iterations);
    if (static_cast<int>(f) == folds) {
      head.weight = std::move(w);
      return;
    }
    const Matrix score = multiply(take_rows(x, held), w);
    for (std::size_t i = 0; i < held.size(); ++i)
      head.score.row(held[i]) = score.row(static_cast<Eigen::Index>(i));
  });
  head.sharpness = find_sharpness(head.score.rowwise() + mean, target, head.share);
  for (Eigen::Index s = 0; s < skills; ++s) head.bias.push_back(head.sharpness * mean(s));
  head.accuracy = accuracy_of(head.share, target);
  return head;
}

OutcomeHead fit_outcomes(const Sparse& x, const Matrix& share, const Matrix& outcome,
                         const std::vector<int>& fold, const Settings& settings) {
  const auto columns = static_cast<Eigen::Index>(x.columns);
  const int folds = 1 + *std::max_element(fold.begin(), fold.end());
  const Sparse input = beside(x, share, settings.skill_input);
  const Eigen::RowVectorXf mean = mean_known(outcome);
  const Matrix goal = outcome.rowwise() - mean;
  OutcomeHead head;
  head.score = head.predicted = Matrix::Zero(outcome.rows(), outcome.cols());
  head.gain_without.assign(static_cast<std::size_t>(folds),
                           Matrix::Zero(share.cols(), outcome.cols()));
  parallel_for(static_cast<std::size_t>(folds) + 1, [&](std::size_t f) {
    const auto rows = rows_of_fold(fold, static_cast<int>(f), false),
               held = rows_of_fold(fold, static_cast<int>(f), true);
    if (rows.empty() || (held.empty() && static_cast<int>(f) < folds)) return;
    const Matrix w = fit_ridge(take_rows(input, rows), goal(rows, Eigen::all),
                               settings.outcome_ridge, settings.iterations);
    const Matrix gain = settings.skill_input * w.bottomRows(w.rows() - columns);
    if (static_cast<int>(f) == folds) {
      head.weight = w.topRows(columns);
      head.gain = gain;
      return;
    }
    head.gain_without[f] = gain;
    const Matrix score = multiply(take_rows(x, held), w.topRows(columns));
    for (std::size_t i = 0; i < held.size(); ++i) {
      head.score.row(held[i]) = score.row(static_cast<Eigen::Index>(i));
      head.predicted.row(held[i]) = mean + head.score.row(held[i]) + share.row(held[i]) * gain;
    }
  });
  return head;
}

Profile fit_profile(const Matrix& target, const Matrix& score, float prior) {
  const auto skills = target.cols(), experts = score.cols();
  Eigen::MatrixXd sum = Eigen::MatrixXd::Zero(skills, experts), count = sum;
  for (Eigen::Index r = 0; r < target.rows(); ++r) {
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
