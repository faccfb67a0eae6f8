// The decision: features to route. Pure: the same query, features, policy, pool and seed give the
// same route, on any machine and at any time.
//
// Order of candidates: utility = p_correct - margin (not for the default) - load_penalty * load
// - price weight * cost. The price weight is ((1 - quality) / quality)^2 per typical cost of the
// dearest eligible expert, plus 1 / value_microusd where a value is set: as `quality` falls, the
// expected cost and the expected success of the first choice can only fall.
#pragma once

#include "router/competence.h"
#include "router/features.h"
#include "router/policy.h"
#include "router/pool_view.h"
#include "router/query.h"
#include "router/route.h"

namespace router {

inline constexpr std::uint32_t kExpertsAsked = 8;  // largest k

/// The scratch of a decision: one per thread, reused; after decide() it holds the policy's terms.
struct DecideScratch {
  Competence competence;
};

/// A policy that was trained with vectors reads features.vector; without it the n-grams decide
/// alone, under the guard's word for such queries. With an empty policy the pool's default expert
/// comes first (Reason::fallback). `out` is overwritten and its memory reused. query.text is read
/// for the turns of newcomers only.
void decide(const Query& query, const Features& features, const Policy& policy,
            const PoolView& pool, DecideScratch& scratch, Route& out);

Route decide(const Query& query, const Features& features, const Policy& policy,
             const PoolView& pool);

/// The same without the estimate: scratch.competence was filled by estimate() for these features.
/// For replays that vary the knobs.
void choose(const Query& query, const Features& features, const Policy& policy,
            const PoolView& pool, const Competence& competence, Route& out);

}  // namespace router
