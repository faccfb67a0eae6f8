#include "router/learn/dense.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace router {
namespace {

constexpr std::size_t kNumbersMax = 64u << 20;  // of all rows together: half a GiB as inputs
constexpr float kStepsMax = 127;
constexpr float kRidges[] = {4, 16, 64};

/// A correction of predictions: fitted on their errors, and its own held-out predictions.
struct Correction {
  bool helps = false;
  Matrix weight;  // [dimension, columns]
  Matrix score;   // [rows, columns]
};

/// By folds; the last fit, of all rows, is the one that is kept.
Correction fit_one(const Sparse& rows, const Matrix& error, const std::vector<int>& fold,
                   float ridge, const Settings& settings) {
  Correction out;
  out.score = Matrix::Zero(error.rows(), error.cols());
  const auto folds = static_cast<std::size_t>(1 + *std::max_element(fold.begin(), fold.end()));
  parallel_for(folds + 1, [&](std::size_t f) {
    const auto fitted = rows_of_fold(fold, static_cast<int>(f), false),
               held = rows_of_fold(fold, static_cast<int>(f), true);
    if (fitted.empty() || (held.empty() && f < folds)) return;
    Matrix weight =
        fit_ridge(take_rows(rows, fitted), error(fitted, Eigen::all), ridge, settings.iterations);
    if (f == folds) {
      out.weight = std::move(weight);
      return;
    }
    const Matrix score = multiply(take_rows(rows, held), weight);
    for (std::size_t i = 0; i < held.size(); ++i)
      out.score.row(held[i]) = score.row(static_cast<Eigen::Index>(i));
  });
  return out;
}

/// By how much the squared error of a row falls, in the mean, and its standard error.
std::pair<double, double> fall_of(const Matrix& error, const Matrix& score) {
  double sum = 0, squares = 0;
  for (Eigen::Index r = 0; r < error.rows(); ++r) {
    double fall = 0;
    for (Eigen::Index c = 0; c < error.cols(); ++c) {
      const double before = error(r, c), after = before - score(r, c);
      if (!std::isnan(before)) fall += before * before - after * after;
    }
    sum += fall, squares += fall * fall;
  }
  const auto n = static_cast<double>(error.rows());
  const double mean = sum / n;
  return {mean, std::sqrt(std::max(0.0, squares / n - mean * mean) / n)};
}

/// `error`: what is to be explained, NaN where nothing is known.
Correction fit_correction(const Sparse& rows, const Matrix& error, const std::vector<int>& fold,
                          const Settings& settings) {
  Correction best;
  best.weight = Matrix::Zero(static_cast<Eigen::Index>(rows.columns), error.cols());
  best.score = Matrix::Zero(error.rows(), error.cols());
  double largest = 0;
  for (const float ridge : kRidges) {
    Correction tried = fit_one(rows, error, fold, ridge, settings);
    const auto [mean, spread] = fall_of(error, tried.score);
    if (mean <= spread || mean <= largest) continue;
    largest = mean;
    best = std::move(tried);
    best.helps = true;
  }
  return best;
}

/// What the scores of the labels leave unexplained; rows without a label are not known.
Matrix error_of_skills(const SkillHead& skills, const Matrix& target,
                       const Eigen::RowVectorXf& mean) {
  Matrix error = target - skills.score;
  error.rowwise() -= mean;
  for (Eigen::Index r = 0; r < target.rows(); ++r)
    if (target.row(r).sum() <= 0) error.row(r).setConstant(std::nanf(""));
  return error;
}

/// The held-out predictions with other shares of the skills.
Matrix predict_with(const OutcomeHead& outcomes, const Matrix& share, const Matrix& outcome,
                    const std::vector<int>& fold) {
  const Eigen::RowVectorXf mean = mean_known(outcome);
  Matrix out = outcomes.score.rowwise() + mean;
  for (Eigen::Index r = 0; r < out.rows(); ++r) {
    const auto at = static_cast<std::size_t>(fold[static_cast<std::size_t>(r)]);
    out.row(r) += share.row(r) * outcomes.gain_without[at];
  }
  return out;
}

float inverse_length(const std::string& vector) {
  double square = 0;
  for (const char byte : vector) {
    const double value = static_cast<signed char>(byte);
    square += value * value;
  }
  return square > 0 ? static_cast<float>(1 / std::sqrt(square)) : 0.0F;
}

}  // namespace

std::vector<std::string> ask_vectors(const std::string& encoder, std::string& fingerprint,
                                     const VectorsOf& vectors, std::vector<std::string> texts,
                                     const std::function<void(double)>& progress) {
  texts.emplace_back(kFingerprintText);
  std::vector<std::string> made(texts.size());
  if (vectors) made = vectors(encoder, texts, progress);
  const std::string now = std::move(made.back());
  made.pop_back();
  if (now.empty()) return std::vector<std::string>(made.size());
  if (fingerprint.empty()) fingerprint = now;
  if (!is_same_encoder(fingerprint, now))
    throw std::runtime_error("the policy needs the vectors of `" + encoder +
                             "` as they were when it was trained, and what goes by that name now "
                             "makes others: it is another model, so train again with it");
  return made;
}

std::size_t give_vectors(const std::string& encoder, std::string& fingerprint,
                         const VectorsOf& vectors, Table& table,
                         const std::function<void(double)>& progress) {
  auto made = ask_vectors(encoder, fingerprint, vectors, table.texts, progress);
  made.resize(table.rows());  // of a table without texts there are none
  std::size_t without = 0;
  for (std::size_t r = 0; r < table.rows(); ++r) {
    table.features[r].vector = std::move(made[r]);
    without += table.features[r].vector.empty();
  }
  return without;
}

DenseRows read_dense(const Table& table, std::size_t dimension) {
  if (table.rows() * dimension > kNumbersMax)
    throw std::runtime_error(std::to_string(table.rows()) + " rows with vectors of " +
                             std::to_string(dimension) + " numbers are too many: --limit " +
                             std::to_string(kNumbersMax / dimension));
  DenseRows out;
  const auto count = static_cast<Eigen::Index>(dimension);
  Eigen::RowVectorXd sum = Eigen::RowVectorXd::Zero(count);
  double known = 0;
  const auto unit_of = [&](const std::string& vector, Eigen::Index at, float scale) {
    return scale *
           static_cast<float>(static_cast<signed char>(vector[static_cast<std::size_t>(at)]));
  };
  for (const Features& features : table.features) {
    const float scale = inverse_length(features.vector);
    if (scale == 0 || features.vector.size() != dimension) continue;
    known += 1;
    for (Eigen::Index i = 0; i < count; ++i)
      sum(i) += static_cast<double>(unit_of(features.vector, i, scale));
  }
  out.mean = (sum / std::max(1.0, known)).cast<float>();
  // The mean square distance of unit vectors from their mean.
  const double spread = 1 - out.mean.cast<double>().squaredNorm();
  out.spread = static_cast<float>(std::sqrt(std::max(1e-6, spread)));
  out.rows.columns = dimension;
  for (const Features& features : table.features) {
    const float scale = inverse_length(features.vector);
    for (Eigen::Index i = 0; scale > 0 && features.vector.size() == dimension && i < count; ++i) {
      out.rows.column.push_back(static_cast<std::uint32_t>(i));
      out.rows.value.push_back((unit_of(features.vector, i, scale) - out.mean(i)) / out.spread);
    }
    out.rows.start.push_back(out.rows.column.size());
  }
  return out;
}

DenseHead fit_dense(const DenseRows& dense, const SkillHead& skills, const OutcomeHead& outcomes,
                    const Matrix& target, const Matrix& outcome, const std::vector<int>& fold,
                    const Settings& settings) {
  DenseHead out;
  out.skills = skills;
  out.outcomes = outcomes;
  Eigen::RowVectorXf mean(target.cols());
  for (Eigen::Index s = 0; s < target.cols(); ++s)
    mean(s) = skills.bias[static_cast<std::size_t>(s)] / skills.sharpness;
  const Correction label =
      fit_correction(dense.rows, error_of_skills(skills, target, mean), fold, settings);
  if (label.helps) {
    out.skills.score += label.score;
    const Matrix score = out.skills.score.rowwise() + mean;
    out.sharpen = find_sharpness(score, target, out.skills.share) / skills.sharpness;
    out.skills.accuracy = accuracy_of(out.skills.share, target);
  }
  const Matrix base = predict_with(outcomes, out.skills.share, outcome, fold);
  const Correction answer = fit_correction(dense.rows, outcome - base, fold, settings);
  out.helps = label.helps || answer.helps;
  if (!out.helps) return out;
  out.outcomes.score += answer.score;
  out.outcomes.predicted = base + answer.score;
  out.weight.resize(answer.weight.rows(), answer.weight.cols() + label.weight.cols());
  out.weight << answer.weight, label.weight;
  return out;
}

void put_dense(const Matrix& weight, const DenseRows& dense, Policy& policy) {
  Dense& out = policy.dense;
  const auto rows = static_cast<std::size_t>(weight.rows());
  out.weight.assign(rows * policy.dim, 0);
  out.scale.assign(policy.dim, 0);
  out.shift.assign(policy.dim, 0);
  for (Eigen::Index d = 0; d < weight.cols(); ++d) {
    const auto column = static_cast<std::size_t>(d);
    const float largest = std::max(1e-12f, weight.col(d).cwiseAbs().maxCoeff() / dense.spread);
    const float step = largest / kStepsMax;
    out.scale[column] = step;
    for (std::size_t i = 0; i < rows; ++i) {
      const auto at = static_cast<Eigen::Index>(i);
      const auto steps = std::lrintf(weight(at, d) / dense.spread / step);
      out.weight[i * policy.dim + column] = static_cast<std::int8_t>(steps);
      out.shift[column] += dense.mean(at) * static_cast<float>(steps) * step;
    }
  }
}

}  // namespace router
