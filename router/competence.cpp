#include "router/competence.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "router/kernels.h"

namespace router {
namespace {

constexpr float kUnit = 127;             // of the int8 unit vectors
constexpr std::size_t kProbeRows = 800;  // rows of the memory that are compared at least

/// For |x| < 2^22; unlike lrintf the compiler can do several at once.
std::int32_t round_to_even(float x) {
  constexpr float kMagic = 12582912;  // 1.5 * 2^23: no bits are left behind the point
  return std::bit_cast<std::int32_t>(x + kMagic) - std::bit_cast<std::int32_t>(kMagic);
}

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
    out.skills[s] = kernel::loops().dot(w, out.input.data(), dim) + w[dim];
  }
  softmax(out.skills);
  const float x = policy.novelty_scale * unseen + policy.novelty_offset;
  out.general = policy.novelty_scale > 0 ? 1 / (1 + std::exp(-x)) : 0;
  for (float& share : out.skills) share *= 1 - out.general;
  out.skills.back() += out.general;
}

/// A heap of the cells, the nearest to the query on top: most of them are never taken.
void rank_cells(const Policy& policy, Competence& out) {
  const Memory& m = policy.memory;
  kernel::loops().dot_rows(out.z.data(), m.centroid.data(), m.cells, policy.dim, out.sums.data());
  out.cells.resize(m.cells);
  for (std::uint32_t c = 0; c < m.cells; ++c) {
    const auto nearness = static_cast<std::uint32_t>(out.sums[c]) ^ 0x80000000u;
    out.cells[c] = std::uint64_t{nearness} << 32 | (~0u - c);
  }
  std::make_heap(out.cells.begin(), out.cells.end());
}

/// Compares the query with the rows of the nearest cells: similarities of out.stretches one after
/// the other in out.sums. Returns how many.
std::size_t compare_rows(const Policy& policy, std::uint32_t skip_row, Competence& out) {
  const Memory& m = policy.memory;
  const std::size_t wanted = std::max<std::size_t>(kProbeRows, 4 * policy.neighbours);
  std::uint32_t compared = 0;
  out.stretches.clear();
  while (compared < wanted && !out.cells.empty()) {
    std::pop_heap(out.cells.begin(), out.cells.end());
    const std::uint32_t cell = ~0u - static_cast<std::uint32_t>(out.cells.back());
    out.cells.pop_back();
    const std::uint32_t from = m.cell_start[cell], rows = m.cell_start[cell + 1] - from;
    std::int32_t* sums = out.sums.data() + compared;
    kernel::loops().dot_rows(out.z.data(), m.z.data() + std::size_t{from} * policy.dim, rows,
                             policy.dim, sums);
    if (skip_row - from < rows) sums[skip_row - from] = 0;
    out.stretches.push_back({from, compared, compared + rows});
    compared += rows;
  }
  return compared;
}

/// The largest similarity that at least `kept` of them reach; 1 when fewer are positive. By halves
/// instead of sorting: every machine counts fast, and none can guess how two of them compare.
std::int32_t find_floor(const std::int32_t* similarities, std::size_t count, std::size_t kept) {
  std::int32_t reached = 1, missed = 1 << 15;  // see dot_rows in kernels.h
  while (missed - reached > 1) {
    const std::int32_t middle = (reached + missed) / 2;
    const std::size_t reaching = kernel::loops().count_from(similarities, count, middle);
    if (reaching == kept) return middle;
    (reaching > kept ? reached : missed) = middle;
  }
  return reached;
}

/// The nearest rows of the memory, by exact cosine inside the cells nearest to the query. Of those
/// that are as near as the last one, the first ones met.
void find_neighbours(const Policy& policy, std::uint32_t skip_row, Competence& out) {
  const Memory& m = policy.memory;
  out.neighbours.clear();
  if (m.rows == 0 || policy.neighbours == 0) return;
  out.z.resize(policy.dim);
  for (std::size_t d = 0; d < policy.dim; ++d) {
    const float x = std::clamp(out.input[d] * kUnit, -127.f, 127.f);
    out.z[d] = static_cast<std::int8_t>(round_to_even(x));
  }
  const std::size_t most = std::max<std::size_t>(m.rows, m.cells) + 8;
  if (out.found.size() < most) out.sums.resize(most), out.found.resize(most);
  rank_cells(policy, out);
  const std::size_t compared = compare_rows(policy, skip_row, out), kept = policy.neighbours;
  const std::int32_t* similarities = out.sums.data();
  const std::int32_t floor = find_floor(similarities, compared, kept);
  std::size_t on_floor = kept - kernel::loops().count_from(similarities, compared, floor + 1);
  const std::size_t found =
      kernel::loops().find_from(similarities, compared, floor, out.found.data());
  const Stretch* stretch = out.stretches.data();
  for (std::size_t i = 0; i < found; ++i) {
    const std::uint32_t at = out.found[i];
    if (similarities[at] == floor) {
      if (on_floor == 0) continue;
      --on_floor;
    }
    while (at >= stretch->end) ++stretch;
    const float cosine = static_cast<float>(similarities[at]) / (kUnit * kUnit);
    out.neighbours.push_back({stretch->row + (at - stretch->begin), cosine});
  }
}

void blend_local(const Policy& policy, Competence& out) {
  const Memory& m = policy.memory;
  const std::size_t experts = policy.experts.size();
  out.local_term.assign(experts, 0);
  out.weight.assign(experts, 0);
  const std::size_t count = out.neighbours.size();
  out.rows.resize(count), out.weights.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    const float similarity = out.neighbours[i].similarity;
    out.rows[i] = out.neighbours[i].row;
    // Cubed by hand: the usual power, and pow() is the dearest call of a decision.
    out.weights[i] = policy.neighbour_power == 3 ? similarity * similarity * similarity
                                                 : std::pow(similarity, policy.neighbour_power);
  }
  kernel::loops().add_known(m.score.data(), kUnknown, out.rows.data(), out.weights.data(), count,
                            experts, out.local_term.data(), out.weight.data());
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
  std::size_t seen = 0;
  for (const std::uint32_t bucket : features.buckets) {
    __builtin_prefetch(&policy.bag[std::size_t{bucket} * dim]);  // the table is larger than a cache
    seen += policy.known[bucket] != 0;
  }
  if (out.sums.size() < dim) out.sums.resize(dim);
  kernel::loops().sum_rows(policy.bag.data(), policy.dim, features.buckets.data(),
                           features.buckets.size(), out.sums.data());
  out.input.assign(dim + kSurfaceCount + skills + 1, 0);
  for (std::size_t d = 0; d < dim; ++d) {
    out.input[d] = static_cast<float>(out.sums[d]) * policy.bag_scale[d];
  }
  const float square = kernel::loops().dot(out.input.data(), out.input.data(), dim);
  const float norm = square > 0 ? 1 / std::sqrt(square) : 0;
  for (std::size_t d = 0; d < dim; ++d) out.input[d] *= norm;
  for (std::size_t i = 0; i < kSurfaceCount; ++i) {
    const float x = (features.surface[i] - policy.surface_mean[i]) * policy.surface_scale[i];
    out.input[dim + i] = std::clamp(x, -4.f, 4.f);
  }
  const std::size_t all = features.buckets.size();
  return all == 0 ? 1.f : static_cast<float>(all - seen) / static_cast<float>(all);
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
    out.direct_term[e] =
        kernel::loops().dot(&policy.direct_weight[e * width], out.input.data(), width);
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
