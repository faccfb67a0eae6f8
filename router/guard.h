// The guard: leave the best single expert only where the policy's own held-out predictions say that
// leaving it gains, with a bound.
//
// For a pool the default is the expert with the best mean on the rows of the policy's memory. A
// candidate must beat the default's estimate by a margin. Every margin of a fixed grid is replayed
// on the held-out predictions, paired by row. Those whose mean gain exceeds kGuardZ standard errors
// stand; of these the one with the best mean gain is kept. When none stands the pool is guarded:
// the default decides, unless price counts and somebody is expected to be as good for less.
//
// A policy with vectors has two sets of held-out predictions, and the guard two verdicts: one for
// the queries whose vector is there, one for the others (PoolView::by_words).
//
// An expert without outcomes in the memory is known from probes alone: it is never the default
// while another can be, and beats it above kGuardZ standard errors of its probes. Nor is one that
// gets only a share of its wins the default.
#pragma once

#include "router/policy.h"
#include "router/pool_view.h"

namespace router {

inline constexpr double kGuardZ = 1.0;

/// Maps names to the policy's experts, finds the default and the margin. Call once per pair of
/// policy and pool (it replays the memory: about 5 ms for 8,000 rows of 28 experts). A declared
/// default expert that the policy does not know stays the default only when it knows no other.
void bind(const Policy& policy, PoolView& pool);

/// Whether the guard can replay an expert of the policy: it has outcomes among the rows of the
/// memory.
bool is_remembered(const Policy& policy, std::uint32_t expert);

}  // namespace router
