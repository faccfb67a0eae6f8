#include "experts/moe/gate.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

namespace moe {

namespace {

constexpr float kExcluded = -std::numeric_limits<float>::infinity();

/// splitmix64: a stateless generator, so that a row's picks do not depend on its neighbours.
std::uint64_t hash(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

}  // namespace

Gate::Gate(const Config& config)
    : recipe_(config.gate), experts_(config.experts), experts_used_(config.experts_used) {
  scores_.resize(static_cast<std::size_t>(experts_));
  choice_.resize(scores_.size());
  order_.resize(scores_.size());
}

/// Fills scores_ (the weights' source) and choice_ (what is compared); kExcluded is never chosen.
void Gate::score(const GateQuestion& question, const GatePolicy& policy) {
  float top = kExcluded;
  for (int e = 0; e < experts_; ++e) {
    const float z = question.logits[e];
    const bool allowed = policy.mask == nullptr || policy.mask->allows(question.layer, e);
    scores_[e] = allowed && std::isfinite(z) ? z : kExcluded;
    top = std::max(top, scores_[e]);
  }
  float total = 0;
  for (float& s : scores_) {
    if (s == kExcluded) continue;
    s = recipe_.score == GateScore::sigmoid ? 1.0f / (1.0f + std::exp(-s)) : std::exp(s - top);
    total += s;
  }
  for (int e = 0; e < experts_; ++e) {
    float& s = scores_[e];
    if (s != kExcluded && recipe_.score == GateScore::softmax) s /= total;
    const float bias = question.select_bias != nullptr ? question.select_bias[e] : 0.0f;
    choice_[e] = s == kExcluded ? kExcluded : s + bias;
  }
}

/// Leaves only the best groups, each scored by the sum of its two best (DeepSeek-V3).
void Gate::limit_groups() {
  const int size = experts_ / recipe_.groups;
  std::vector<std::pair<float, int>> groups;
  for (int g = 0; g < recipe_.groups; ++g) {
    float first = kExcluded, second = kExcluded;
    for (int e = g * size; e < (g + 1) * size; ++e) {
      if (choice_[e] > first) {
        second = std::exchange(first, choice_[e]);
      } else {
        second = std::max(second, choice_[e]);
      }
    }
    groups.emplace_back(size > 1 && second != kExcluded ? first + second : first, g);
  }
  std::stable_sort(groups.begin(), groups.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  for (std::size_t i = static_cast<std::size_t>(recipe_.groups_used); i < groups.size(); ++i) {
    const int first = groups[i].second * size;
    std::fill(choice_.begin() + first, choice_.begin() + first + size, kExcluded);
  }
}

/// The best `count` of choice_ to the front of order_.
void Gate::order(std::size_t count) {
  std::iota(order_.begin(), order_.end(), 0u);
  std::partial_sort(order_.begin(), order_.begin() + static_cast<std::ptrdiff_t>(count),
                    order_.end(), [&](std::uint32_t a, std::uint32_t b) {
                      return choice_[a] != choice_[b] ? choice_[a] > choice_[b] : a < b;
                    });
}

void Gate::route(const GateQuestion& question, const GatePolicy& policy, std::vector<Pick>& picks) {
  score(question, policy);
  if (policy.select == Select::random) {
    const std::uint64_t base =
        hash(policy.seed ^ hash(static_cast<std::uint64_t>(question.position) << 20 |
                                static_cast<std::uint64_t>(question.layer)));
    for (int e = 0; e < experts_; ++e) {
      if (choice_[e] == kExcluded) continue;
      choice_[e] = static_cast<float>(hash(base + static_cast<std::uint64_t>(e)) >> 40);
    }
  } else if (recipe_.groups > 1) {
    limit_groups();
  }
  const bool own = policy.select == Select::model || policy.k <= 0;
  const auto most = static_cast<std::size_t>(own ? experts_used_ : std::min(policy.k, experts_));
  order(most);
  const std::size_t begin = picks.size();
  const std::size_t first = policy.select == Select::rank ? most - 1 : 0;
  float sum = 0;
  for (std::size_t i = first; i < most && choice_[order_[i]] != kExcluded; ++i) {
    const float s = scores_[order_[i]];
    const bool past_minimum = i >= static_cast<std::size_t>(policy.k_min);
    if (policy.select == Select::top_p && past_minimum && sum > policy.p) break;
    if (policy.select == Select::threshold && past_minimum && s < policy.p * scores_[order_[0]])
      break;
    picks.push_back({order_[i], s});
    sum += s;
  }
  weigh(picks, begin);
  if (policy.nulls != nullptr) drop_light(*policy.nulls, question.layer, picks, begin);
  if (policy.steer == nullptr) return;
  const ExpertSteer& steer = *policy.steer;
  const std::size_t row = static_cast<std::size_t>(question.layer) * steer.experts;
  for (std::size_t i = begin; i < picks.size(); ++i) {
    picks[i].weight *= steer.factor[row + picks[i].expert];
  }
}

/// From scores to weights.
void Gate::weigh(std::vector<Pick>& picks, std::size_t begin) const {
  float sum = 0;
  for (std::size_t i = begin; i < picks.size(); ++i) {
    picks[i].weight = scores_[picks[i].expert];
    sum += picks[i].weight;
  }
  const float factor =
      recipe_.scale / (recipe_.renormalise ? std::max(sum, recipe_.sum_min) : 1.0f);
  for (std::size_t i = begin; i < picks.size(); ++i) picks[i].weight *= factor;
}

void Gate::drop_light(const NullWeights& nulls, int layer, std::vector<Pick>& picks,
                      std::size_t begin) const {
  const float least = nulls.least[static_cast<std::size_t>(layer)];
  const auto from = picks.begin() + static_cast<std::ptrdiff_t>(begin);
  const auto kept =
      std::remove_if(from, picks.end(), [&](const Pick& pick) { return pick.weight < least; });
  if (kept == picks.end()) return;
  picks.erase(kept, picks.end());
  weigh(picks, begin);
}

}  // namespace moe
