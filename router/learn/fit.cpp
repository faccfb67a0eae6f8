#include "router/learn/fit.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

namespace router {

void parallel_for(std::size_t count, const std::function<void(std::size_t)>& work) {
  const std::size_t threads =
      std::min<std::size_t>(count, std::max(1u, std::thread::hardware_concurrency()));
  std::atomic<std::size_t> next{0};
  std::exception_ptr failure;
  std::once_flag failed;
  auto run = [&] {
    try {
      for (std::size_t i; (i = next.fetch_add(1)) < count;) work(i);
    } catch (...) {
      next = count;
      std::call_once(failed, [&] { failure = std::current_exception(); });
    }
  };
  {
    std::vector<std::jthread> pool;
    for (std::size_t t = 1; t < threads; ++t) pool.emplace_back(run);
    run();
  }
  if (failure) std::rethrow_exception(failure);
}

Sparse transpose(const Sparse& x) {
  Sparse out;
  out.columns = x.rows();
  out.start.assign(x.columns + 1, 0);
  for (std::uint32_t c : x.column) ++out.start[c + 1];
  for (std::size_t c = 0; c < x.columns; ++c) out.start[c + 1] += out.start[c];
  out.column.resize(x.column.size());
  out.value.resize(x.value.size());
  std::vector<std::size_t> at(out.start.begin(), out.start.end() - 1);
  for (std::size_t r = 0; r < x.rows(); ++r) {
    for (std::size_t i = x.start[r]; i < x.start[r + 1]; ++i) {
      const std::size_t to = at[x.column[i]]++;
      out.column[to] = static_cast<std::uint32_t>(r);
      out.value[to] = x.value[i];
    }
  }
  return out;
}

Matrix multiply(const Sparse& x, const Matrix& d) {
  constexpr std::size_t kRowsAtOnce = 512;
  Matrix out = Matrix::Zero(static_cast<Eigen::Index>(x.rows()), d.cols());
  parallel_for((x.rows() + kRowsAtOnce - 1) / kRowsAtOnce, [&](std::size_t block) {
    const std::size_t end = std::min(x.rows(), (block + 1) * kRowsAtOnce);
    for (std::size_t r = block * kRowsAtOnce; r < end; ++r) {
      auto row = out.row(static_cast<Eigen::Index>(r));
      for (std::size_t i = x.start[r]; i < x.start[r + 1]; ++i)
        row += x.value[i] * d.row(x.column[i]);
    }
  });
  return out;
}

Sparse take_rows(const Sparse& x, const std::vector<Eigen::Index>& rows) {
  Sparse out;
  out.columns = x.columns;
  for (const Eigen::Index row : rows) {
    const std::size_t from = x.start[static_cast<std::size_t>(row)],
                      to = x.start[static_cast<std::size_t>(row) + 1];
    out.column.insert(out.column.end(), &x.column[0] + from, &x.column[0] + to);
    out.value.insert(out.value.end(), &x.value[0] + from, &x.value[0] + to);
    out.start.push_back(out.column.size());
  }
  return out;
}

Sparse beside(const Sparse& x, const Matrix& dense, float scale) {
  constexpr float kNothing = 1e-3f;
  Sparse out;
  out.columns = x.columns + static_cast<std::size_t>(dense.cols());
  for (std::size_t r = 0; r < x.rows(); ++r) {
    for (std::size_t i = x.start[r]; i < x.start[r + 1]; ++i) {
      out.column.push_back(x.column[i]);
      out.value.push_back(x.value[i]);
    }
    for (Eigen::Index c = 0; c < dense.cols(); ++c) {
      const float value = dense(static_cast<Eigen::Index>(r), c);
      if (value < kNothing) continue;
      out.column.push_back(static_cast<std::uint32_t>(x.columns) + static_cast<std::uint32_t>(c));
      out.value.push_back(scale * value);
    }
    out.start.push_back(out.column.size());
  }
  return out;
}

Matrix fit_ridge(const Sparse& x, const Matrix& y, float lambda, int iterations) {
  constexpr float kResidual = 1e-6f;  // squared, of the largest column
  const Sparse t = transpose(x);
  const Matrix known = y.array().isNaN().select(0.f, Matrix::Ones(y.rows(), y.cols()));
  // (M X X' M + lambda) a = M y per column, M the rows that the column knows; then w = X' a.
  Matrix residual = y.array().isNaN().select(0.f, y);
  Matrix a = Matrix::Zero(y.rows(), y.cols()), direction = residual;
  Eigen::RowVectorXf square = residual.colwise().squaredNorm();
  const Eigen::RowVectorXf first = square;
  for (int i = 0; i < iterations; ++i) {
    if ((square.array() <= kResidual * first.array()).all()) break;
    const Matrix image =
        multiply(x, multiply(t, direction)).cwiseProduct(known) + lambda * direction;
    const Eigen::RowVectorXf curve = direction.cwiseProduct(image).colwise().sum();
    const Eigen::RowVectorXf step = (curve.array() > 0).select(square.array() / curve.array(), 0.f);
    a += direction * step.asDiagonal();
    residual -= image * step.asDiagonal();
    const Eigen::RowVectorXf next = residual.colwise().squaredNorm();
    const Eigen::RowVectorXf keep = (square.array() > 0).select(next.array() / square.array(), 0.f);
    direction = residual + direction * keep.asDiagonal();
    square = next;
  }
  return multiply(t, a);
}

}  // namespace router
