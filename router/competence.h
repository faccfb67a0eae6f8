// Features -> how likely each expert of a policy is to be right, with the terms behind it.
#pragma once

#include <cstdint>
#include <vector>

#include "router/features.h"
#include "router/policy.h"

namespace router {

inline constexpr std::size_t kNeighbours = 100;  // of recall() at most

struct Neighbour {
  std::uint32_t row = 0;  // of Policy::memory
  float similarity = 0;   // cosine
};

/// The estimate for one query, and the scratch it is made in: one per thread, reused.
struct Competence {
  // Results, per expert of the policy.
  std::vector<float> p, skill_term, word_term, support;
  std::vector<float> cost_usd;  // below 0: not known
  std::vector<float> skills;    // [skills] sums to 1, the last is `general`
  float general = 0;            // share of the n-grams' weight that training never saw
  bool outside = false;         // is_outside()
  bool with_vector = false;     // the query's vector is in it

  // Results of recall().
  std::vector<Neighbour> neighbours;  // by row
  std::vector<float> similar;         // [experts] mean outcome of the neighbours

  // Scratch.
  std::vector<std::uint32_t> rows;  // of the bag
  std::vector<std::int32_t> sums;
  std::vector<float> score;  // [dim]
  std::vector<std::int8_t> key;
};

/// What a query has of the bag.
struct Reading {
  float length = 0;  // of its weight vector; 0: nothing
  float unseen = 0;  // share of the n-grams' squared weight that training never saw
};

/// Fills `rows` with the rows of the bag that training knew, those of the surface last.
Reading read_rows(const Policy& policy, const Features& features, std::vector<std::uint32_t>& rows);

/// Whether a query is unlike all that the policy was trained on: more of its weight is unseen than
/// Policy::unseen_max, and no skill's score reaches Policy::skill_score_min. `top_score`: of the
/// skill columns. Never for declared skills.
bool is_outside(const Policy& policy, float unseen, float top_score);

/// Pure. `policy` must not be empty.
void estimate(const Policy& policy, const Features& features, Competence& out);

/// The past queries most like the one that `out` was estimated for, in the eyes of the policy:
/// cosine of the scores. Not part of a decision; for explanations and as a baseline.
void recall(const Policy& policy, Competence& out);

/// The unit vector that recall() compares, times 127.
void make_key(const Policy& policy, const float* score, std::int8_t* key);

}  // namespace router
