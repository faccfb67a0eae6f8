// Features -> how likely each expert of a policy is to be right, with the terms behind it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "router/features.h"
#include "router/policy.h"

namespace router {

struct Neighbour {
  std::uint32_t row = 0;  // of Policy::memory
  float similarity = 0;   // cosine
};

/// Consecutive rows of the memory whose similarities lie one after the other from `begin` on.
struct Stretch {
  std::uint32_t row = 0;
  std::uint32_t begin = 0, end = 0;
};

/// The estimate for one query, and the scratch it is made in: one per thread, reused.
struct Competence {
  // Results, per expert of the policy.
  std::vector<float> p, skill_term, local_term, direct_term, support;
  std::vector<float> skills;          // [skills] sums to 1, the last is `general`
  std::vector<Neighbour> neighbours;  // not sorted
  float general = 0;                  // mass of "unlike anything seen"

  // Scratch.
  std::vector<float> input;  // [dim + kSurfaceCount + skills + 1]
  std::vector<float> weight;
  std::vector<std::int32_t> sums;
  std::vector<std::int8_t> z;
  std::vector<std::uint64_t> cells;  // a heap, the nearest on top
  std::vector<Stretch> stretches;
  std::vector<std::uint32_t> found;  // similarities that are high enough
  std::vector<std::uint32_t> rows;   // of the neighbours
  std::vector<float> weights;        // of the neighbours
};

/// Pure. `policy` must not be empty. `skip_row`: a row of the memory to leave out (its own past);
/// ~0u for none.
void estimate(const Policy& policy, const Features& features, Competence& out,
              std::uint32_t skip_row = ~0u);

/// Fills `input` up to z and the surface: the part that depends on the bag alone. Returns the share
/// of buckets that training never saw.
float embed(const Policy& policy, const Features& features, Competence& out);

}  // namespace router
