#include "router/competence.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "router/kernels.h"

namespace router {
namespace {

constexpr float kUnit = 127;             // of the int8 unit vectors
constexpr std::size_t kProbeRows = 800;  // rows of the memory that are compared at least

void softmax(std::vector<float>& logits) {
  const float top = *std::max_element(logits.begin(), logits.end());
  float sum = 0;
  for (float& value : logits) sum += value = std::exp(value - top);
  for (float& value : logits) value /= sum;
}

void find_skills(const Policy& policy, float unseen, Competence& out) {
  const std::size_t count = policy.skills.size(), dim = policy.dim;
  out.skills.resize(count);
  for (std::size_t s = 0; s < count; ++s) {
    const float* w = &policy.skill_weight[s * (dim + 1)];
    out.skills[s] = kernel::dot(w, out.input.data(), dim) + w[dim];
  }
  softmax(out.skills);
  const float x = policy.novelty_scale * unseen + policy.novelty_offset;
  out.general = policy.novelty_scale > 0 ? 1 / (1 + std::exp(-x)) : 0;
  for (float& share : out.skills) share *= 1 - out.general;
  out.skills.back() += out.general;
}

/// The nearest rows of the memory, by exact cosine inside the cells nearest to the query.
void find_neighbours(const Policy& policy, std::uint32_t skip_row, Competence& out) {
  const Memory& m = policy.memory;
  const std::size_t dim = policy.dim;
  out.neighbours.clear();
  if (m.rows == 0) return;
  out.z.resize(dim);
  for (std::size_t d = 0; d < dim; ++d) {
    out.z[d] =
        static_cast<std::int8_t>(std::lrintf(std::clamp(out.input[d] * kUnit, -127.f, 127.f)));
  }
  out.sums.resize(std::max<std::size_t>(m.rows, m.cells));
  kernel::dot_rows(out.z.data(), m.centroid.data(), m.cells, policy.dim, out.sums.data());
  // Cells as a heap of (dot, -index): only the few that are visited get sorted.
  out.cells.clear();
  for (std::uint32_t c = 0; c < m.cells; ++c) {
    out.cells.push_back((static_cast<std::uint64_t>(std::int64_t{out.sums[c]} + (1 << 30)) << 32) |
                        (~0u - c));
  }
  std::make_heap(out.cells.begin(), out.cells.end());
  const std::size_t wanted = std::max<std::size_t>(kProbeRows, 4 * policy.neighbours);
  out.keys.clear();
  while (!out.cells.empty() && out.keys.size() < wanted) {
    const std::uint32_t cell = ~0u - static_cast<std::uint32_t>(out.cells.front());
    std::pop_heap(out.cells.begin(), out.cells.end());
    out.cells.pop_back();
    const std::uint32_t from = m.cell_start[cell], rows = m.cell_start[cell + 1] - from;
    kernel::dot_rows(out.z.data(), &m.z[std::size_t{from} * dim], rows, policy.dim,
                     out.sums.data());
    for (std::uint32_t r = 0; r < rows; ++r) {
      if (out.sums[r] <= 0 || from + r == skip_row) continue;
      out.keys.push_back(std::uint64_t{static_cast<std::uint32_t>(out.sums[r])} << 32 |
                         (~0u - (from + r)));
    }
  }
  const std::size_t kept = std::min<std::size_t>(policy.neighbours, out.keys.size());
  if (kept < out.keys.size()) {
    std::nth_element(out.keys.begin(), out.keys.begin() + static_cast<std::ptrdiff_t>(kept),
                     out.keys.end(), std::greater<>());
  }
  for (std::size_t i = 0; i < kept; ++i) {
    const float similarity = static_cast<float>(out.keys[i] >> 32) / (kUnit * kUnit);
    out.neighbours.push_back({~0u - static_cast<std::uint32_t>(out.keys[i]), similarity});
  }
}

void blend_local(const Policy& policy, Competence& out) {
  const Memory& m = policy.memory;
  const std::size_t experts = policy.experts.size();
  out.local_term.assign(experts, 0);
  out.weight.assign(experts, 0);
  for (const Neighbour& n : out.neighbours) {
    // Cubed by hand: the usual power, and pow() is the dearest call of a decision.
    const float w = policy.neighbour_power == 3 ? n.similarity * n.similarity * n.similarity
                                                : std::pow(n.similarity, policy.neighbour_power);
    const std::uint8_t* score = &m.score[std::size_t{n.row} * experts];
    for (std::size_t e = 0; e < experts; ++e) {
      const float known = score[e] == kUnknown ? 0 : w;
      out.local_term[e] += known * static_cast<float>(score[e]);
      out.weight[e] += known;
    }
  }
  for (std::size_t e = 0; e < experts; ++e) {
    // A pinch of the skill term keeps an expert without neighbours defined.
    constexpr float kPinch = 1e-3f;
    out.local_term[e] =
        (out.local_term[e] / kScoreSteps + kPinch * out.skill_term[e]) / (out.weight[e] + kPinch);
  }
}

}  // namespace

float embed(const Policy& policy, const Features& features, Competence& out) {
  const std::size_t dim = policy.dim, skills = policy.skills.size();
  out.sums.resize(std::max<std::size_t>(out.sums.size(), dim));
  kernel::sum_rows(policy.bag.data(), policy.dim, features.buckets.data(), features.buckets.size(),
                   out.sums.data());
  out.input.assign(dim + kSurfaceCount + skills + 1, 0);
  float square = 0;
  for (std::size_t d = 0; d < dim; ++d) {
    out.input[d] = static_cast<float>(out.sums[d]) * policy.bag_scale[d];
    square += out.input[d] * out.input[d];
  }
  const float norm = square > 0 ? 1 / std::sqrt(square) : 0;
  for (std::size_t d = 0; d < dim; ++d) out.input[d] *= norm;
  for (std::size_t i = 0; i < kSurfaceCount; ++i) {
    const float x = (features.surface[i] - policy.surface_mean[i]) * policy.surface_scale[i];
    out.input[dim + i] = std::clamp(x, -4.f, 4.f);
  }
  std::size_t unseen = 0;
  for (std::uint32_t bucket : features.buckets) unseen += policy.known[bucket] == 0;
  return features.buckets.empty()
             ? 1.f
             : static_cast<float>(unseen) / static_cast<float>(features.buckets.size());
}

void estimate(const Policy& policy, const Features& features, Competence& out,
              std::uint32_t skip_row) {
  const std::size_t experts = policy.experts.size(), dim = policy.dim,
                    skills = policy.skills.size();
  const float unseen = embed(policy, features, out);
  find_skills(policy, unseen, out);
  out.skill_term.assign(experts, 0);
  out.support.assign(experts, 0);
  float covered = 0;
  for (std::size_t s = 0; s < skills; ++s) {
    const float share = out.skills[s];
    if (share < 1e-4f) continue;
    const float* profile = &policy.profile[s * experts];
    const float* support = &policy.support[s * experts];
    for (std::size_t e = 0; e < experts; ++e) {
      out.skill_term[e] += share * profile[e];
      out.support[e] += share * support[e];
    }
    covered += share;
  }
  for (std::size_t e = 0; e < experts; ++e) out.skill_term[e] /= std::max(covered, 1e-6f);
  find_neighbours(policy, skip_row, out);
  blend_local(policy, out);
  std::copy(out.skills.begin(), out.skills.end(),
            out.input.begin() + static_cast<std::ptrdiff_t>(dim + kSurfaceCount));
  out.input.back() = 1;
  out.direct_term.resize(experts);
  const std::size_t width = out.input.size();
  for (std::size_t e = 0; e < experts; ++e) {
    out.direct_term[e] = kernel::dot(&policy.direct_weight[e * width], out.input.data(), width);
  }
  const float trust = 1 - out.general;
  out.p.resize(experts);
  for (std::size_t e = 0; e < experts; ++e) {
    const float mean = policy.experts[e].mean;
    const float moved = policy.blend[0] * (out.skill_term[e] - mean) +
                        policy.blend[1] * (out.local_term[e] - mean) +
                        policy.blend[2] * (out.direct_term[e] - mean);
    out.p[e] = std::clamp(mean + trust * moved, 0.01f, 0.99f);
  }
}

}  // namespace router
