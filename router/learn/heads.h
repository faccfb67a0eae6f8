// What is fitted on the unit vectors z: skills, profiles, neighbours, the direct term and their
// blend, each with predictions for rows that it was not fitted on.
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

struct SkillHead {
  Matrix weight;    // [skills, dim + 1] on z
  Matrix held_out;  // [rows, skills] posterior by a head that did not see the row
  double accuracy = 0;
};

/// `target` [rows, skills], rows sum to 1; all-zero rows have no label and are left out of the fit.
SkillHead fit_skills(const Matrix& z, const Matrix& target, const std::vector<int>& fold,
                     const Settings& settings);

/// Shrunken success rates [skills, experts]: X = sum of score, n = count, prior by logit
/// additivity.
struct Profile {
  Matrix rate, support;
};

Profile fit_profile(const Matrix& target, const Matrix& score,
                    const std::vector<Eigen::Index>& rows, float prior);

/// Mean outcome of the nearest other rows, [rows, experts].
Matrix predict_local(const Matrix& z, const Matrix& score, const Matrix& fallback,
                     const Settings& settings);

/// Weights >= 0 of the three terms, by least squares on held-out terms: the differences of outcome
/// between the three leading experts of every row. Shrunken towards (1/2, 1/4, 1/4).
void fit_blend(const Matrix terms[3], const Matrix& score, const Eigen::RowVectorXf& mean,
               float blend[3]);

/// Column means that ignore NaN.
Eigen::RowVectorXf mean_known(const Matrix& score);

}  // namespace router
