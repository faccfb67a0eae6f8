#include "router/guard.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "router/cards.h"

namespace router {
namespace {

constexpr float kMargins[] = {0, 0.01f, 0.02f, 0.03f, 0.05f, 0.075f, 0.1f, 0.15f, 0.2f};

struct Gain {
  double mean = 0, error = 0;
};

/// Held-out gain over the default when the best of the estimates `predictions` is followed above
/// this margin.
Gain replay(const Policy& policy, const std::vector<std::uint8_t>& predictions,
            const std::vector<std::uint32_t>& members, std::uint32_t fallback, float margin) {
  const Memory& m = policy.memory;
  const std::size_t experts = policy.experts.size();
  double sum = 0, squares = 0;
  std::size_t rows = 0;
  for (std::uint32_t r = 0; r < m.rows; ++r) {
    const std::uint8_t* score = &m.score[r * experts];
    const std::uint8_t* predicted = &predictions[r * experts];
    if (score[fallback] == kUnknown) continue;
    std::uint32_t best = fallback;
    float top = predicted[fallback] + margin * kPredictedSteps;
    for (std::uint32_t e : members) {
      if (score[e] != kUnknown && predicted[e] > top) top = predicted[e], best = e;
    }
    const double gain = (static_cast<double>(score[best]) - score[fallback]) / kScoreSteps;
    sum += gain, squares += gain * gain;
    ++rows;
  }
  if (rows < 2) return {};
  const double n = static_cast<double>(rows), mean = sum / n;
  return {mean, std::sqrt(std::max(0.0, squares / n - mean * mean) / n)};
}

/// The margin that gains most of those that can be trusted.
Guarded find_margin(const Policy& policy, const std::vector<std::uint8_t>& predictions,
                    const std::vector<std::uint32_t>& members, std::uint32_t fallback) {
  Guarded found;
  found.guarded = true;
  double best = 0;
  for (float margin : kMargins) {
    const Gain gain = replay(policy, predictions, members, fallback, margin);
    const double bound = gain.mean - kGuardZ * gain.error;
    if (bound <= 0 || gain.mean <= best) continue;
    best = gain.mean;
    found = {false, margin, static_cast<float>(gain.mean), static_cast<float>(bound)};
  }
  return found;
}

/// For who is known from probes alone: the standard error of their mean.
float margin_of_probes(const PolicyExpert& expert) {
  const double p = std::clamp(static_cast<double>(expert.mean), 0.05, 0.95);
  return static_cast<float>(kGuardZ * std::sqrt(p * (1 - p) / (expert.outcomes + 2.0)));
}

}  // namespace

bool is_remembered(const Policy& policy, std::uint32_t expert) {
  const std::size_t experts = policy.experts.size();
  for (std::size_t r = 0; r < policy.memory.rows; ++r) {
    if (policy.memory.score[r * experts + expert] != kUnknown) return true;
  }
  return false;
}

void bind(const Policy& policy, PoolView& pool) {
  std::unordered_map<std::string_view, std::uint32_t> index;
  for (std::uint32_t e = 0; e < policy.experts.size(); ++e)
    index.emplace(policy.experts[e].name, e);
  std::vector<std::uint32_t> members;
  float best_mean = -1;
  for (std::uint32_t i = 0; i < pool.experts.size(); ++i) {
    PoolExpert& expert = pool.experts[i];
    const auto found = index.find(expert.name);
    expert.policy_expert = found == index.end() ? -1 : static_cast<std::int32_t>(found->second);
    expert.margin = 0;
    expert.probed = false;
    if (expert.policy_expert < 0 || !expert.member || !expert.enabled) continue;
    if (!policy.declared && policy.memory.rows > 0 && !is_remembered(policy, found->second)) {
      expert.probed = true;
      expert.margin = margin_of_probes(policy.experts[found->second]);
      continue;
    }
    if (policy.declared) {  // the pool's default stays, and only a clear match leaves it
      expert.margin = kDeclaredMargin;
      continue;
    }
    if (expert.share < 1)
      continue;  // who does not get every win cannot be what others fall back on
    members.push_back(found->second);
    if (policy.experts[found->second].mean > best_mean) {
      best_mean = policy.experts[found->second].mean;
      pool.default_expert = i;
    }
  }
  pool.guarded = false;
  pool.gain_mean = pool.gain_lo = 0;
  pool.by_words = {};
  if (members.size() < 2 || policy.memory.rows == 0) return;
  const auto fallback = static_cast<std::uint32_t>(pool.experts[pool.default_expert].policy_expert);
  const Guarded found = find_margin(policy, policy.memory.predicted, members, fallback);
  pool.guarded = found.guarded;
  pool.gain_mean = found.gain_mean;
  pool.gain_lo = found.gain_lo;
  if (!policy.dense.empty())
    pool.by_words = find_margin(policy, policy.memory.predicted_by_words, members, fallback);
  for (PoolExpert& expert : pool.experts)
    if (!expert.probed) expert.margin = found.margin;
}

}  // namespace router
