#include "router/learn/embed.h"

#include <algorithm>
#include <cmath>

#include "router/competence.h"

namespace router {
namespace {

/// Distinct buckets of every row, weighted by ln(rows / rows with it), each row a unit vector.
Sparse weigh(const Table& table, std::size_t rows_min, std::vector<float>& idf) {
  std::vector<std::uint32_t> rows_with(kBuckets, 0);
  for (const Features& f : table.features) {
    for (std::uint32_t b : f.buckets) ++rows_with[b];
  }
  // A file of a few rows keeps what it has.
  if (table.rows() < 50) rows_min = 1;
  idf.assign(kBuckets, 0);
  const double n = static_cast<double>(table.rows());
  for (std::uint32_t b = 0; b < kBuckets; ++b) {
    if (rows_with[b] >= rows_min)
      idf[b] = static_cast<float>(std::log((1 + n) / (0.5 + rows_with[b])));
  }
  Sparse x;
  x.columns = kBuckets;
  for (const Features& f : table.features) {
    double square = 0;
    for (std::uint32_t b : f.buckets) square += double{idf[b]} * idf[b];
    const float norm = square > 0 ? static_cast<float>(1 / std::sqrt(square)) : 0;
    for (std::uint32_t b : f.buckets) {
      if (idf[b] == 0) continue;
      x.column.push_back(b);
      x.value.push_back(idf[b] * norm);
    }
    x.start.push_back(x.column.size());
  }
  return x;
}

void fit_surface(const Table& table, Policy& policy) {
  const double n = static_cast<double>(table.rows());
  for (std::size_t i = 0; i < kSurfaceCount; ++i) {
    double sum = 0, squares = 0;
    for (const Features& f : table.features)
      sum += f.surface[i], squares += double{f.surface[i]} * f.surface[i];
    const double mean = sum / n, variance = std::max(0.0, squares / n - mean * mean);
    policy.surface_mean.push_back(static_cast<float>(mean));
    policy.surface_scale.push_back(variance > 1e-8 ? static_cast<float>(1 / std::sqrt(variance))
                                                   : 0);
  }
}

}  // namespace

void fit_bag(const Table& table, const Settings& settings, std::uint64_t seed, Policy& policy) {
  std::vector<float> idf;
  const Sparse x = weigh(table, settings.bucket_rows_min, idf);
  const Matrix v = right_vectors(x, settings.dim, seed);
  policy.dim = static_cast<std::uint32_t>(settings.dim);
  policy.bag.assign(std::size_t{kBuckets} * settings.dim, 0);
  policy.known.assign(kBuckets, 0);
  policy.bag_scale.assign(settings.dim, 1);
  for (std::uint32_t b = 0; b < kBuckets; ++b) policy.known[b] = idf[b] > 0;
  for (Eigen::Index d = 0; d < v.cols(); ++d) {
    // A column's step follows its 99.9th percentile: few clipped weights, no lost resolution.
    std::vector<float> weight;
    for (std::uint32_t b = 0; b < kBuckets; ++b) {
      if (idf[b] > 0) weight.push_back(std::abs(idf[b] * v(b, d)));
    }
    if (weight.empty()) continue;
    const std::size_t at = std::min(
        weight.size() - 1, static_cast<std::size_t>(0.9995 * static_cast<double>(weight.size())));
    std::nth_element(weight.begin(), weight.begin() + static_cast<std::ptrdiff_t>(at),
                     weight.end());
    const float step = std::max(weight[at], 1e-12f) / 127;
    policy.bag_scale[static_cast<std::size_t>(d)] = step;
    for (std::uint32_t b = 0; b < kBuckets; ++b) {
      if (idf[b] == 0) continue;
      const float value = std::clamp(idf[b] * v(b, d) / step, -127.f, 127.f);
      policy.bag[std::size_t{b} * settings.dim + static_cast<std::size_t>(d)] =
          static_cast<std::int8_t>(std::lrintf(value));
    }
  }
  fit_surface(table, policy);
}

Embedded embed_rows(const Policy& policy, const Table& table) {
  const auto n = static_cast<Eigen::Index>(table.rows());
  Embedded out{Matrix(n, policy.dim), Matrix(n, kSurfaceCount)};
  Competence scratch;
  for (Eigen::Index r = 0; r < n; ++r) {
    embed(policy, table.features[static_cast<std::size_t>(r)], scratch);
    out.z.row(r) = Eigen::Map<Eigen::RowVectorXf>(scratch.input.data(), policy.dim);
    out.surface.row(r) =
        Eigen::Map<Eigen::RowVectorXf>(scratch.input.data() + policy.dim, kSurfaceCount);
  }
  return out;
}

std::vector<std::uint32_t> group_rows(const Matrix& z, std::size_t cells, int iterations,
                                      Matrix& centroids) {
  const auto n = z.rows(), k = static_cast<Eigen::Index>(
                               std::min<std::size_t>(cells, static_cast<std::size_t>(n)));
  centroids.resize(k, z.cols());
  for (Eigen::Index c = 0; c < k; ++c) centroids.row(c) = z.row(c * n / k);
  std::vector<std::uint32_t> cell(static_cast<std::size_t>(n), 0);
  for (int it = 0; it < iterations; ++it) {
    const Matrix similar = z * centroids.transpose();
    Matrix sum = Matrix::Zero(k, z.cols());
    for (Eigen::Index r = 0; r < n; ++r) {
      Eigen::Index best = 0;
      similar.row(r).maxCoeff(&best);
      cell[static_cast<std::size_t>(r)] = static_cast<std::uint32_t>(best);
      sum.row(best) += z.row(r);
    }
    for (Eigen::Index c = 0; c < k; ++c) {
      const float norm = sum.row(c).norm();
      if (norm > 0) centroids.row(c) = sum.row(c) / norm;
    }
  }
  return cell;
}

}  // namespace router
