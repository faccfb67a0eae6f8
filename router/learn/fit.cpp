#include "router/learn/fit.h"

#include <Eigen/Cholesky>
#include <Eigen/Eigenvalues>
#include <algorithm>
#include <atomic>
#include <cmath>
#include <deque>
#include <thread>

namespace router {
namespace {

constexpr std::size_t kOversampled = 10;
constexpr int kPowerIterations = 2;

/// Columns made orthonormal by Cholesky, twice for stability.
void orthonormalise(Matrix& q) {
  for (int pass = 0; pass < 2; ++pass) {
    Eigen::MatrixXd gram = (q.transpose() * q).cast<double>();
    gram.diagonal().array() += 1e-7 * std::max(gram.diagonal().maxCoeff(), 1e-30);
    const Eigen::LLT<Eigen::MatrixXd> chol(gram);
    const Eigen::MatrixXd inverse =
        chol.matrixL().transpose().solve(Eigen::MatrixXd::Identity(gram.rows(), gram.cols()));
    q = q * inverse.cast<float>();
  }
}

std::uint64_t mix(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15ull;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
  return x ^ (x >> 31);
}

/// Loss and gradient of the softmax regression at w.
float softmax_loss(const Matrix& x, const Matrix& target, float l2, const Matrix& w,
                   Matrix& gradient) {
  const auto d = x.cols();
  const float n = static_cast<float>(x.rows());
  Matrix p = apply_softmax(w, x);
  const float fit = -(target.array() * (p.array() + 1e-12f).log()).sum() / n;
  p = (p - target) / n;
  gradient.resize(w.rows(), w.cols());
  gradient.leftCols(d).noalias() = p.transpose() * x;
  gradient.leftCols(d) += l2 * w.leftCols(d);
  gradient.col(d) = p.colwise().sum().transpose();
  return fit + 0.5f * l2 * w.leftCols(d).squaredNorm();
}

float inner(const Matrix& a, const Matrix& b) {
  return a.cwiseProduct(b).sum();
}

/// The two-loop recursion of L-BFGS.
Matrix descent(const Matrix& gradient, const std::deque<Matrix>& steps,
               const std::deque<Matrix>& changes) {
  Matrix q = gradient;
  std::vector<float> alpha(steps.size());
  for (std::size_t i = steps.size(); i-- > 0;) {
    alpha[i] = inner(steps[i], q) / inner(steps[i], changes[i]);
    q -= alpha[i] * changes[i];
  }
  if (!steps.empty()) q *= inner(steps.back(), changes.back()) / changes.back().squaredNorm();
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const float beta = inner(changes[i], q) / inner(steps[i], changes[i]);
    q += (alpha[i] - beta) * steps[i];
  }
  return -q;
}

}  // namespace

void parallel_for(std::size_t count, const std::function<void(std::size_t)>& work) {
  const std::size_t threads =
      std::min<std::size_t>(count, std::max(1u, std::thread::hardware_concurrency()));
  std::atomic<std::size_t> next{0};
  auto run = [&] {
    for (std::size_t i; (i = next.fetch_add(1)) < count;) work(i);
  };
  std::vector<std::jthread> pool;
  for (std::size_t t = 1; t < threads; ++t) pool.emplace_back(run);
  run();
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

Matrix right_vectors(const Sparse& x, std::size_t rank, std::uint64_t seed) {
  const Sparse t = transpose(x);
  const auto width =
      static_cast<Eigen::Index>(std::min(rank + kOversampled, std::min(x.rows(), x.columns)));
  Matrix omega(static_cast<Eigen::Index>(x.columns), width);
  for (Eigen::Index i = 0; i < omega.size(); ++i) {
    omega.data()[i] = (mix(seed + static_cast<std::uint64_t>(i)) & 1) ? 1.f : -1.f;
  }
  // The basis is kept on the side of the rows, which are far fewer than the columns.
  Matrix q = multiply(x, omega);
  orthonormalise(q);
  for (int i = 0; i < kPowerIterations; ++i) {
    q = multiply(x, multiply(t, q));
    orthonormalise(q);
  }
  const Matrix b = multiply(t, q);
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> eigen((b.transpose() * b).cast<double>());
  const auto kept = std::min<Eigen::Index>(static_cast<Eigen::Index>(rank), width);
  Eigen::MatrixXd rotation = eigen.eigenvectors().rightCols(kept).rowwise().reverse();
  const Eigen::VectorXd square = eigen.eigenvalues().tail(kept).reverse();
  for (Eigen::Index c = 0; c < kept; ++c) {
    // A sign convention, so that the same data give the same file.
    Eigen::Index at = 0;
    rotation.col(c).cwiseAbs().maxCoeff(&at);
    const double sign = rotation(at, c) < 0 ? -1 : 1;
    rotation.col(c) *= square(c) > 1e-12 * square(0) ? sign / std::sqrt(square(c)) : 0;
  }
  return b * rotation.cast<float>();
}

Matrix apply_softmax(const Matrix& weight, const Matrix& x) {
  const auto d = x.cols();
  Matrix p = x * weight.leftCols(d).transpose();
  p.rowwise() += weight.col(d).transpose();
  for (Eigen::Index r = 0; r < p.rows(); ++r) {
    p.row(r).array() = (p.row(r).array() - p.row(r).maxCoeff()).exp();
    p.row(r) /= p.row(r).sum();
  }
  return p;
}

Matrix fit_softmax(const Matrix& x, const Matrix& target, float l2, int iterations) {
  constexpr std::size_t kHistory = 8;
  Matrix w = Matrix::Zero(target.cols(), x.cols() + 1), gradient;
  float loss = softmax_loss(x, target, l2, w, gradient);
  std::deque<Matrix> steps, changes;
  for (int it = 0; it < iterations; ++it) {
    Matrix direction = descent(gradient, steps, changes);
    float slope = inner(direction, gradient);
    if (slope >= 0) {
      steps.clear(), changes.clear();
      direction = -gradient;
      slope = -gradient.squaredNorm();
    }
    float size = steps.empty() ? std::min(1.f, 1.f / std::sqrt(-slope + 1e-12f)) : 1.f;
    Matrix next, next_gradient;
    float next_loss = loss;
    int tries = 0;
    for (; tries < 20; ++tries, size *= 0.5f) {
      next = w + size * direction;
      next_loss = softmax_loss(x, target, l2, next, next_gradient);
      if (next_loss <= loss + 1e-4f * size * slope) break;
    }
    if (tries == 20 || loss - next_loss < 1e-6f * std::abs(loss)) break;
    Matrix step = next - w, change = next_gradient - gradient;
    if (inner(step, change) > 1e-10f) {
      steps.push_back(std::move(step)), changes.push_back(std::move(change));
      if (steps.size() > kHistory) steps.pop_front(), changes.pop_front();
    }
    w = std::move(next);
    gradient = std::move(next_gradient);
    loss = next_loss;
  }
  return w;
}

Matrix fit_ridge(const Matrix& x, const Matrix& y, const Eigen::VectorXf& lambda) {
  const auto n = x.rows(), d = x.cols();
  Matrix out(y.cols(), d + 1);
  const bool whole = !y.array().isNaN().any();
  auto solve = [&](const Matrix& part, const Matrix& goal, Eigen::Index first) {
    const Eigen::RowVectorXf mean = part.colwise().mean(), goal_mean = goal.colwise().mean();
    const Matrix centred = part.rowwise() - mean;
    Eigen::MatrixXd gram = (centred.transpose() * centred).cast<double>();
    gram.diagonal() += lambda.cast<double>();
    const Eigen::MatrixXd right =
        (centred.transpose() * (goal.rowwise() - goal_mean)).cast<double>();
    const Eigen::MatrixXd w = gram.ldlt().solve(right);
    for (Eigen::Index e = 0; e < goal.cols(); ++e) {
      out.row(first + e).head(d) = w.col(e).cast<float>().transpose();
      out(first + e, d) = goal_mean(e) - static_cast<float>(mean.cast<double>() * w.col(e));
    }
  };
  if (whole) {
    solve(x, y, 0);
    return out;
  }
  for (Eigen::Index e = 0; e < y.cols(); ++e) {
    std::vector<Eigen::Index> known;
    for (Eigen::Index r = 0; r < n; ++r) {
      if (!std::isnan(y(r, e))) known.push_back(r);
    }
    if (known.empty()) {
      out.row(e).setZero();
      continue;
    }
    const Matrix part = x(known, Eigen::all), goal = y(known, std::vector<Eigen::Index>{e});
    solve(part, goal, e);
  }
  return out;
}

}  // namespace router
