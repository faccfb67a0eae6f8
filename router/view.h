// A pool as its administrator wrote it, seen by the decision: options become a PoolView.
#pragma once

#include <vector>

#include "experts/options.h"
#include "router/policy.h"
#include "router/pool_view.h"
#include "router/pools.h"

namespace router {

/// `experts`: those of the roster, in its order. Bound to the policy; health and load are those of
/// a quiet day.
PoolView view_of(const std::vector<const experts::ExpertOptions*>& experts, const PoolOptions& pool,
                 const Lives& lives, const Policy& policy);

}  // namespace router
