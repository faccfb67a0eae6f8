// The texts of training as sparse rows, exactly as the decision will read them, and fitted weights
// as the policy's int8 table.
#pragma once

#include "router/learn/fit.h"
#include "router/learn/settings.h"
#include "router/policy.h"

namespace router {

/// Which rows of the policy's bag the columns of a sparse matrix are.
struct Vocabulary {
  std::vector<std::uint32_t> row;     // [columns]
  std::vector<std::uint32_t> column;  // [kBagRows] kNoColumn: not kept
};

inline constexpr std::uint32_t kNoColumn = ~0u;

/// Fills the policy's mass, unseen_mass and surface_edge.
Vocabulary weigh_buckets(const Table& table, const Settings& settings, Policy& policy);

/// Every text as read_rows() reads it: weights over its length.
Sparse read_texts(const Table& table, const Policy& policy, const Vocabulary& vocabulary);

/// `weight` [columns, dim], a step per column of the table. Fills bag and bag_scale; policy.dim is
/// set before.
void put_weights(const Matrix& weight, const Vocabulary& vocabulary, Policy& policy);

/// Spherical k-means, started from evenly spaced rows: which of the groups each row is in.
std::vector<std::uint32_t> group_rows(const Sparse& x, std::size_t groups, int iterations);

}  // namespace router
