// Whole domains held out of training: what following the estimates is worth where nothing like the
// query was ever graded. The rows' folds hold out rows, of which training saw many like them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "router/learn/fit.h"
#include "router/learn/metrics.h"
#include "router/learn/settings.h"

namespace router {

struct UnseenDomains {
  std::size_t rows = 0, domains = 0;  // 0: fewer than two domains, nothing was judged
  Interval gain;  // by row, over the expert that is best on the rows outside the domain
  std::vector<std::string> worse;  // domains whose 95% interval lies below zero
};

/// Outcomes are fitted again without each of a few groups of domains. A row's domain is its first
/// label; rows without one are never held out. `share` [rows, skills] as the outcomes were fitted
/// on; on held-out rows the skills of their group do not count. An expert must beat the best one of
/// the fitted rows by `margin`, as bind() set it for the whole pool.
UnseenDomains judge_unseen(const Sparse& x, const Matrix& share, const Table& table, float margin,
                           const Settings& settings, std::uint64_t seed);

}  // namespace router
