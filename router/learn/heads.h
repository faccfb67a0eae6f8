// What is fitted on the sparse rows: skills, outcomes and profiles, each with predictions for rows
// that it was not fitted on.
#pragma once

#include <vector>

#include "router/learn/fit.h"
#include "router/learn/settings.h"
#include "router/learn/table.h"

namespace router {

/// Which fold holds a row out; by a hash of its id, so that row order does not matter.
std::vector<int> assign_folds(const Table& table, int folds, std::uint64_t seed);

/// Rows that are not (held = false) or are (true) in the fold.
std::vector<Eigen::Index> rows_of_fold(const std::vector<int>& fold, int which, bool held);

/// Ridge regression of the labels; softmax(sharpness * score + bias), the sharpness by held-out
/// likelihood.
struct SkillHead {
  Matrix weight;  // [columns, skills]
  float sharpness = 1;
  std::vector<float> bias;  // [skills]
  Matrix score, share;      // [rows, skills] by a head that did not see the row
  double accuracy = 0;      // of the largest share
};

/// The sharpness of softmax(sharpness * score) under which `target` is likeliest; fills `share`.
float find_sharpness(const Matrix& score, const Matrix& target, Matrix& share);

/// How often the largest share is of a skill that the row has; rows without any do not count.
double accuracy_of(const Matrix& share, const Matrix& target);

/// `target` [rows, skills], rows sum to 1; all-zero rows have no label and are left out of the fit.
SkillHead fit_skills(const Sparse& x, const Matrix& target, const std::vector<int>& fold,
                     const Settings& settings);

/// Ridge regression of the outcomes less each expert's mean, on the text and the skill shares.
struct OutcomeHead {
  Matrix weight;                     // [columns, experts]
  Matrix gain;                       // [skills, experts]
  Matrix score, predicted;           // [rows, experts] by a head that did not see the row
  std::vector<Matrix> gain_without;  // [folds] `gain` of the head that did not see the fold
};

OutcomeHead fit_outcomes(const Sparse& x, const Matrix& share, const Matrix& outcome,
                         const std::vector<int>& fold, const Settings& settings);

/// Shrunken success rates [skills, experts]: X = sum of score, n = count, prior by logit
/// additivity.
struct Profile {
  Matrix rate, support;
};

Profile fit_profile(const Matrix& target, const Matrix& score, float prior);

/// Column means that ignore NaN.
Eigen::RowVectorXf mean_known(const Matrix& score);

}  // namespace router
