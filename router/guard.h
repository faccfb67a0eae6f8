// The guard: leave the best single expert only where the policy's own held-out predictions say that
// leaving it gains, with a bound.
//
// For a pool the default is the expert with the best mean on the rows of the policy's memory. A
// candidate must beat the default's estimate by a margin. Every margin of a fixed grid is replayed
// on the held-out predictions, paired by row. Those whose mean gain exceeds kGuardZ standard errors
// stand; of these the one with the best (mean gain - kMarginZ * standard error) is kept: a wide
// margin always looks surer, and gives away what was to be gained. When none stands the pool is
// guarded: the default, or where price counts the experts' plain means, decide.
#pragma once

#include "router/policy.h"
#include "router/pool_view.h"

namespace router {

inline constexpr double kGuardZ = 1.0;
inline constexpr double kMarginZ = 0.3;

/// Maps names to the policy's experts, finds the default and the margin. Call once per pair of
/// policy and pool (it replays the memory: about 5 ms for 8,000 rows of 28 experts). A declared
/// default expert that the policy does not know stays the default only when it knows no other.
void bind(const Policy& policy, PoolView& pool);

}  // namespace router
