// The numerical work of training: sparse products and ridge regression on sparse rows.
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

/// Calls work(i) for i in [0, count) on the hardware's threads; each i on one thread only. When one
/// of them throws, no further ones are begun and the first exception is thrown here.
void parallel_for(std::size_t count, const std::function<void(std::size_t)>& work);

Sparse transpose(const Sparse& x);

/// The rows of x in the order given.
Sparse take_rows(const Sparse& x, const std::vector<Eigen::Index>& rows);

/// x with the entries of `dense` * scale as further columns; shares below 1e-3 are left out.
Sparse beside(const Sparse& x, const Matrix& dense, float scale);

/// x * d  [x.rows, d.cols]
Matrix multiply(const Sparse& x, const Matrix& d);

/// Least squares of each column of y on x with penalty lambda and no intercept; NaN in y: the row
/// does not count for that column. Conjugate gradients on the rows' side (there are fewer of them)
/// until the residual is 1e-3 of y or `iterations` are done. Returns [x.columns, y.cols].
Matrix fit_ridge(const Sparse& x, const Matrix& y, float lambda, int iterations);

}  // namespace router
