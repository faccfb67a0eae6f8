// Routing before anything was learned: skills as an administrator describes them, and experts that
// declare which of them they have, compiled into a Policy. The corridor walks the same path as with
// a learned one; nothing in it is measured, so an expert wins over the pool's default only by a
// clear match (kDeclaredMargin), and intervals are those of two outcomes.
//
// The evidence for a skill is the sum, over the query's n-grams, of ln(1 + skills / skills that
// have the n-gram); n-grams of function words count nowhere, those of no card count for `general`.
// (The first rung of cold start: cosine of query and cards, as in semantic routers.)
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "router/policy.h"
#include "router/pools.h"

namespace router {

inline constexpr float kDeclaredPrior = 0.5f;  // of an expert that declares nothing about a skill
inline constexpr float kDeclaredMargin = 0.05f;

/// One expert's name and the names of the skills it declares.
using DeclaredExpert = std::pair<std::string, std::vector<std::string>>;

/// A declared skill without a card is described by its name alone. Skills beyond kSkillCardsMax are
/// left out (config refuses them). Returns an empty policy when no expert declares a skill.
PolicyPtr compile_cards(const std::vector<SkillCard>& cards,
                        const std::vector<DeclaredExpert>& experts);

}  // namespace router
