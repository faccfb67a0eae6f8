#include "router/learn/bag.h"

#include <algorithm>
#include <cmath>

#include "router/competence.h"

namespace router {
namespace {

/// The tenths of each surface count over the rows.
void find_edges(const Table& table, Policy& policy) {
  policy.surface_edge.clear();
  std::vector<float> values(table.rows());
  for (std::size_t i = 0; i < kSurfaceCount; ++i) {
    for (std::size_t r = 0; r < table.rows(); ++r) values[r] = table.features[r].surface[i];
    std::sort(values.begin(), values.end());
    for (std::size_t k = 1; k <= kSurfaceEdges; ++k)
      policy.surface_edge.push_back(values[k * (values.size() - 1) / kSurfaceBins]);
  }
}

}  // namespace

Vocabulary weigh_buckets(const Table& table, const Settings& settings, Policy& policy) {
  find_edges(table, policy);
  // With every mass above zero read_rows() lists all that a text has.
  policy.mass.assign(kBagRows, 1);
  std::vector<std::uint32_t> rows_with(kBagRows, 0), rows;
  for (const Features& f : table.features) {
    read_rows(policy, f, rows);
    for (std::uint32_t row : rows) ++rows_with[row];
  }
  // A file of a few rows keeps what it has.
  constexpr std::size_t kFewRows = 50;
  const std::size_t rows_min = table.rows() < kFewRows ? 1 : settings.bucket_rows_min;
  const double n = static_cast<double>(table.rows());
  policy.unseen_mass = static_cast<float>(std::pow(settings.unseen_weight * std::log(1 + n), 2.0));
  Vocabulary out;
  out.column.assign(kBagRows, kNoColumn);
  for (std::uint32_t row = 0; row < kBagRows; ++row) {
    policy.mass[row] = 0;
    if (rows_with[row] < rows_min) continue;
    const float family = row >= kBuckets        ? settings.surface_weight
                         : row >= kPlainBuckets ? settings.edge_weight
                                                : 1;
    // What nearly every text has tells little, but it is not unseen.
    const double weight = family * std::max(1e-2, std::log((1 + n) / (0.5 + rows_with[row])));
    policy.mass[row] = static_cast<float>(weight * weight);
    out.column[row] = static_cast<std::uint32_t>(out.row.size());
    out.row.push_back(row);
  }
  return out;
}

Sparse read_texts(const Table& table, const Policy& policy, const Vocabulary& vocabulary) {
  Sparse x;
  x.columns = vocabulary.row.size();
  std::vector<std::uint32_t> rows;
  for (const Features& f : table.features) {
    const Reading reading = read_rows(policy, f, rows);
    for (const std::uint32_t row : rows) {
      x.column.push_back(vocabulary.column[row]);
      x.value.push_back(std::sqrt(policy.mass[row]) / reading.length);
    }
    x.start.push_back(x.column.size());
  }
  return x;
}

void put_weights(const Matrix& weight, const Vocabulary& vocabulary, Policy& policy) {
  policy.bag.assign(std::size_t{kBagRows} * policy.dim, 0);
  policy.bag_scale.assign(policy.dim, 0);
  for (Eigen::Index d = 0; d < weight.cols(); ++d) {
    std::vector<float> value;
    float largest = 1e-12f;
    for (std::size_t c = 0; c < vocabulary.row.size(); ++c) {
      value.push_back(std::sqrt(policy.mass[vocabulary.row[c]]) *
                      weight(static_cast<Eigen::Index>(c), d));
      largest = std::max(largest, std::abs(value.back()));
    }
    // No clipping: the few largest weights decide most, and the rounding of the rest averages out.
    const float step = largest / 127;
    policy.bag_scale[static_cast<std::size_t>(d)] = step;
    for (std::size_t c = 0; c < value.size(); ++c) {
      policy.bag[std::size_t{vocabulary.row[c]} * policy.dim + static_cast<std::size_t>(d)] =
          static_cast<std::int8_t>(std::lrintf(value[c] / step));
    }
  }
}

std::vector<std::uint32_t> group_rows(const Sparse& x, std::size_t groups, int iterations) {
  const std::size_t n = x.rows(), k = std::min(groups, n);
  std::vector<std::uint32_t> group(n, 0);
  auto add_row = [&](Matrix& sum, std::size_t row, Eigen::Index to) {
    for (std::size_t i = x.start[row]; i < x.start[row + 1]; ++i)
      sum(x.column[i], to) += x.value[i];
  };
  Matrix centre = Matrix::Zero(static_cast<Eigen::Index>(x.columns), static_cast<Eigen::Index>(k));
  for (std::size_t g = 0; g < k; ++g) add_row(centre, g * n / k, static_cast<Eigen::Index>(g));
  for (int it = 0; it < iterations; ++it) {
    const Eigen::RowVectorXf length = centre.colwise().norm().cwiseMax(1e-12f);
    const Matrix similar = multiply(x, centre * length.cwiseInverse().asDiagonal());
    centre.setZero();
    for (std::size_t r = 0; r < n; ++r) {
      Eigen::Index best = 0;
      similar.row(static_cast<Eigen::Index>(r)).maxCoeff(&best);
      group[r] = static_cast<std::uint32_t>(best);
      add_row(centre, r, best);
    }
  }
  return group;
}

}  // namespace router
