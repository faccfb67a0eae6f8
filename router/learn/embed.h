// The unsupervised half of training: hashed counts -> tf-idf -> unit vectors of a few dimensions,
// and groups of similar rows.
#pragma once

#include "router/learn/fit.h"
#include "router/learn/settings.h"
#include "router/policy.h"

namespace router {

/// Fills dim, bag, bag_scale, known and the surface scales of the policy.
void fit_bag(const Table& table, const Settings& settings, std::uint64_t seed, Policy& policy);

/// What the policy's own embed() makes of every row: z [rows, dim] and the scaled surface
/// [rows, kSurfaceCount], so that training and serving see the same numbers.
struct Embedded {
  Matrix z, surface;
};

Embedded embed_rows(const Policy& policy, const Table& table);

/// Spherical k-means, started from evenly spaced rows. Returns the cell of every row; `centroids`
/// [cells, dim] are unit vectors.
std::vector<std::uint32_t> group_rows(const Matrix& z, std::size_t cells, int iterations,
                                      Matrix& centroids);

}  // namespace router
