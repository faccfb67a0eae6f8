// The numerical work of training: sparse products, a randomised SVD, softmax and ridge regression.
// All deterministic: the number of threads never changes a result.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <functional>
#include <vector>

#include "router/learn/table.h"

namespace router {

/// Rows of (column, value); CSR.
struct Sparse {
  std::size_t columns = 0;
  std::vector<std::size_t> start{0};  // [rows + 1]
  std::vector<std::uint32_t> column;
  std::vector<float> value;

  std::size_t rows() const { return start.size() - 1; }
};

/// Calls work(i) for i in [0, count) on the hardware's threads; each i on one thread only.
void parallel_for(std::size_t count, const std::function<void(std::size_t)>& work);

Sparse transpose(const Sparse& x);

/// x * d  [x.rows, d.cols]
Matrix multiply(const Sparse& x, const Matrix& d);

/// The right singular vectors of the `rank` largest singular values, [columns, rank], by two power
/// iterations over a random sign sketch (Halko, Martinsson, Tropp 2011). Fewer when x has fewer
/// rows.
Matrix right_vectors(const Sparse& x, std::size_t rank, std::uint64_t seed);

/// Multinomial logistic regression with soft targets [n, classes] on x [n, d]; L-BFGS.
/// Returns [classes, d + 1], the last column the intercept (not penalised).
Matrix fit_softmax(const Matrix& x, const Matrix& target, float l2, int iterations);

/// softmax(weight * [x, 1]) per row.
Matrix apply_softmax(const Matrix& weight, const Matrix& x);

/// Least squares of each column of y on [x, 1] with penalty lambda on all but the intercept; NaN in
/// y: the row does not count for that column. Returns [y.cols, x.cols + 1].
Matrix fit_ridge(const Matrix& x, const Matrix& y, const Eigen::VectorXf& lambda);

}  // namespace router
