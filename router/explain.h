// Why a decision fell as it did: numbers, and sentences made of them by template. Pure.
//
// The decision itself is taken as it was logged; what would have changed it is found by deciding
// again with one thing moved at a time. That needs the policy that made it and a pool that still
// gives the same first choice; where either is gone the explanation says so and leaves it out.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "router/decision.h"
#include "router/features.h"
#include "router/query.h"

namespace router {

struct Policy;
struct PoolView;

inline constexpr std::size_t kSimilarListed = 5;
inline constexpr std::size_t kRivalsListed = 3;

/// What kept the best estimate from being chosen.
enum class Bound : std::uint8_t {
  none,         // nothing: the best estimate was chosen
  bar,          // an expert that would have been chosen was barred
  guard,        // the default was kept: the gain of leaving it was within the margin
  price,        // at quality 1 another expert would have been chosen
  load,         // the load of a better estimated expert
  exploration,  // drawn at random with the logged propensity
  nobody,       // no expert was eligible
  outside       // nobody was asked: the pool answers such queries itself
};

std::string_view name_of(Bound bound);

struct SkillEvidence {
  std::string skill;
  float share = 0;     // of the query
  float rate = 0;      // success rate of the chosen expert on it, shrunken
  float outcomes = 0;  // effective outcomes behind the rate; 0: not known
};

/// A training query near to this one, and how the chosen expert and its rivals did on it.
struct SimilarQuery {
  std::string id;
  float similarity = 0;       // cosine
  std::vector<float> scores;  // parallel to Explanation::compared; below 0: no outcome
};

/// One eligible expert that was not chosen.
struct Rival {
  std::string expert;
  float p_correct = 0;
  float behind = 0;               // in utility
  std::optional<float> p_needed;  // with this estimate it would have been chosen; none: with no one
};

/// A quality knob at which somebody else comes first, the nearest below or above the query's own.
struct Turn {
  float quality = 0;
  std::string expert;
};

struct Explanation {
  std::string chosen;  // empty: nobody was asked
  Bound bound = Bound::none;
  Bar bar = Bar::none;        // of Bound::bar
  std::string kept_from;      // whom the bound kept from being chosen
  float margin = 0;           // of the guard, as the pool has it now
  bool policy_known = false;  // the policy that decided is the one that serves now
  bool repeatable = false;    // deciding again gives the same first choice
  bool by_words = false;      // the policy has vectors, and that of the query did not count
  bool text_known = false;    // the words of the query were there to look for similar ones
  float quality = 1;          // the knob that was decided with
  std::vector<SkillEvidence> skills;
  std::vector<std::string> compared;  // the chosen expert, then the rivals
  std::vector<SimilarQuery> similar;
  std::vector<Rival> rivals;
  std::vector<Turn> turns;
  std::vector<std::string> sentences;
};

/// `logged` with the names of its experts and skills. query.text may be empty, query.knobs as far
/// as they are known.
Explanation explain(const Query& query, const LoggedRoute& logged, const Policy& policy,
                    const PoolView& pool);

}  // namespace router
