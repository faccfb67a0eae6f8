#include "router/competence.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "router/kernels.h"

namespace router {
namespace {

constexpr float kUnit = 127;  // of the int8 unit vectors

/// For |x| < 2^22; unlike lrintf the compiler can do several at once.
std::int32_t round_to_even(float x) {
  constexpr float kMagic = 12582912;  // 1.5 * 2^23: no bits are left behind the point
  return std::bit_cast<std::int32_t>(x + kMagic) - std::bit_cast<std::int32_t>(kMagic);
}

/// In place. Far below the top nothing is left, and exp() is not asked.
void softmax(std::vector<float>& logits) {
  constexpr float kFar = 20;
  const float top = *std::max_element(logits.begin(), logits.end());
  float sum = 0;
  for (float& value : logits) sum += value = value < top - kFar ? 0 : std::exp(value - top);
  for (float& value : logits) value /= sum;
}

/// The columns of the bag for this query: out.score.
void add_rows(const Policy& policy, const Reading& reading, Competence& out) {
  const std::size_t dim = policy.dim;
  if (out.sums.size() < dim) out.sums.resize(dim);
  kernel::sum_rows(policy.bag.data(), policy.dim, out.rows.data(), out.rows.size(),
                   out.sums.data());
  out.score.resize(dim);
  for (std::size_t d = 0; d < dim; ++d)
    out.score[d] = static_cast<float>(out.sums[d]) * policy.bag_scale[d];
  float length = reading.length;
  if (policy.declared) {
    float square = 0;
    for (const float x : out.score) square += x * x;
    length = std::sqrt(square);
  }
  const float norm = length > 0 ? 1 / length : 0;
  for (std::size_t d = 0; d < dim; ++d) out.score[d] *= norm;
}

/// Adds what the vector says to out.score. Integer sums, as those of the bag. False: there is none
/// that the policy can read.
bool add_vector(const Policy& policy, const std::string& vector, Competence& out) {
  const Dense& dense = policy.dense;
  if (dense.empty() || vector.size() != dense.dimension()) return false;
  const std::size_t dim = policy.dim;
  std::int32_t square = 0;
  std::fill_n(out.sums.begin(), dim, 0);
  const std::int8_t* weight = dense.weight.data();
  for (const char byte : vector) {
    const std::int32_t value = static_cast<signed char>(byte);
    square += value * value;
    for (std::size_t d = 0; d < dim; ++d) out.sums[d] += value * weight[d];
    weight += dim;
  }
  if (square == 0) return false;
  const float norm = 1 / std::sqrt(static_cast<float>(square));
  for (std::size_t d = 0; d < dim; ++d)
    out.score[d] += static_cast<float>(out.sums[d]) * norm * dense.scale[d] - dense.shift[d];
  return true;
}

void find_skills(const Policy& policy, Competence& out) {
  const std::size_t count = policy.skills.size(), first = policy.experts.size();
  out.skills.resize(count);
  for (std::size_t s = 0; s < count; ++s)
    out.skills[s] = policy.skill_sharpness * out.score[first + s] + policy.skill_bias[s];
  if (out.with_vector)
    for (float& logit : out.skills) logit *= policy.dense.sharpen;
  softmax(out.skills);
}

/// Of the skills that were learned: the last is `general`.
float top_skill_score(const Policy& policy, const Competence& known) {
  const auto first = known.score.begin() + static_cast<std::ptrdiff_t>(policy.experts.size());
  const auto count = static_cast<std::ptrdiff_t>(policy.skills.size()) - 1;
  return count > 0 ? *std::max_element(first, first + count) : 0;
}

/// The kNeighbours rows that are nearest, of equals the first ones; in the order of the memory.
void find_neighbours(const Policy& policy, Competence& out) {
  const Memory& m = policy.memory;
  out.key.resize(policy.dim);
  make_key(policy, out.score.data(), out.key.data());
  std::vector<Neighbour>& all = out.neighbours;
  all.clear();
  for (std::uint32_t row = 0; row < m.rows; ++row) {
    const std::int8_t* past = &m.z[std::size_t{row} * policy.dim];
    std::int32_t dot = 0;
    for (std::size_t d = 0; d < policy.dim; ++d)
      dot += std::int32_t{out.key[d]} * std::int32_t{past[d]};
    if (dot > 0) all.push_back({row, static_cast<float>(dot) / (kUnit * kUnit)});
  }
  const auto nearer = [](const Neighbour& a, const Neighbour& b) {
    return a.similarity != b.similarity ? a.similarity > b.similarity : a.row < b.row;
  };
  if (all.size() > kNeighbours) {
    std::nth_element(all.begin(), all.begin() + kNeighbours, all.end(), nearer);
    all.resize(kNeighbours);
  }
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.row < b.row; });
}

}  // namespace

Reading read_rows(const Policy& policy, const Features& features,
                  std::vector<std::uint32_t>& rows) {
  rows.resize(features.buckets.size() + kSurfaceCount);
  std::size_t known = 0;
  float seen = 0;
  for (const std::uint32_t bucket : features.buckets) {
    const float mass = policy.mass[bucket];
    rows[known] = bucket;
    known += mass > 0;
    seen += mass;
  }
  const float unseen = policy.unseen_mass * static_cast<float>(features.buckets.size() - known);
  const float words = seen + unseen;
  for (std::uint32_t i = 0; i < kSurfaceCount; ++i) {
    const float* edge = &policy.surface_edge[std::size_t{i} * kSurfaceEdges];
    std::uint32_t bin = 0;
    for (int k = 0; k < kSurfaceEdges; ++k) bin += features.surface[i] > edge[k];
    const std::uint32_t row = kBuckets + i * kSurfaceBins + bin;
    rows[known] = row;
    known += policy.mass[row] > 0;
    seen += policy.mass[row];
  }
  rows.resize(known);
  const float all = seen + unseen;
  return {std::sqrt(all), words > 0 ? unseen / words : 1};
}

bool is_outside(const Policy& policy, float unseen, float top_score) {
  return !policy.declared && unseen > policy.unseen_max && top_score < policy.skill_score_min;
}

void make_key(const Policy& policy, const float* score, std::int8_t* key) {
  float square = 0;
  for (std::size_t d = 0; d < policy.dim; ++d) {
    const float x = score[d] * policy.key_scale[d];
    square += x * x;
  }
  const float norm = square > 0 ? kUnit / std::sqrt(square) : 0;
  for (std::size_t d = 0; d < policy.dim; ++d)
    key[d] = static_cast<std::int8_t>(round_to_even(score[d] * policy.key_scale[d] * norm));
}

void estimate(const Policy& policy, const Features& features, Competence& out) {
  const std::size_t experts = policy.experts.size(), skills = policy.skills.size();
  const Reading reading = read_rows(policy, features, out.rows);
  add_rows(policy, reading, out);
  out.outside = is_outside(policy, reading.unseen, top_skill_score(policy, out));
  out.with_vector = add_vector(policy, features.vector, out);
  find_skills(policy, out);
  out.general = policy.declared ? out.skills.back() : reading.unseen;
  out.skill_term.assign(experts, 0);
  out.support.assign(experts, 0);
  out.p.assign(experts, 0);
  out.cost_usd.assign(experts, 0);
  for (std::size_t s = 0; s < skills; ++s) {
    constexpr float kNothing = 1e-4f;
    const float share = out.skills[s];
    if (share < kNothing) continue;
    const float* profile = &policy.profile[s * experts];
    const float* support = &policy.support[s * experts];
    const float* gain = &policy.skill_gain[s * experts];
    const float* cost = &policy.skill_cost[s * experts];
    for (std::size_t e = 0; e < experts; ++e) {
      out.skill_term[e] += share * profile[e];
      out.support[e] += share * support[e];
      out.p[e] += share * gain[e];
      out.cost_usd[e] += share * cost[e];
    }
  }
  out.word_term.resize(experts);
  for (std::size_t e = 0; e < experts; ++e) {
    out.word_term[e] = policy.experts[e].mean + out.score[e];
    out.p[e] = std::clamp(out.word_term[e] + out.p[e], 0.01f, 0.99f);
  }
}

void recall(const Policy& policy, Competence& out) {
  const Memory& m = policy.memory;
  const std::size_t experts = policy.experts.size();
  out.similar = out.skill_term;
  out.neighbours.clear();
  if (m.rows == 0) return;
  find_neighbours(policy, out);
  std::fill(out.similar.begin(), out.similar.end(), 0.f);
  std::vector<float> weight(experts, 0);
  for (const Neighbour& n : out.neighbours) {
    const std::uint8_t* score = &m.score[std::size_t{n.row} * experts];
    for (std::size_t e = 0; e < experts; ++e) {
      if (score[e] == kUnknown) continue;
      out.similar[e] += n.similarity * static_cast<float>(score[e]);
      weight[e] += n.similarity;
    }
  }
  for (std::size_t e = 0; e < experts; ++e) {
    // A pinch of the skill term keeps an expert without neighbours defined.
    constexpr float kPinch = 1e-3f;
    out.similar[e] =
        (out.similar[e] / kScoreSteps + kPinch * out.skill_term[e]) / (weight[e] + kPinch);
  }
}

}  // namespace router
