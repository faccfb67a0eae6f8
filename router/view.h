// A pool as its administrator wrote it, seen by the decision: options become a PoolView.
#pragma once

#include <string_view>
#include <vector>

#include "experts/options.h"
#include "router/policy.h"
#include "router/pool_view.h"
#include "router/pools.h"

namespace router {

/// Whether a pool's queries may go to an expert; a pool that names none has all.
bool is_member(const PoolOptions& pool, std::string_view expert);

/// `experts`: those of the roster, in its order. Bound to the policy; health and load are those of
/// a quiet day.
PoolView view_of(const std::vector<const experts::ExpertOptions*>& experts, const PoolOptions& pool,
                 const Lives& lives, const Policy& policy);

}  // namespace router
