#include "experts/moe/sampler.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>

namespace moe {
namespace {

struct Weighted {
  TokenId id;
  double weight;  // relative to the best token's
};

bool heavier(const Weighted& a, const Weighted& b) {
  return a.weight != b.weight ? a.weight > b.weight : a.id < b.id;
}

// std::max_element waits for one comparison after another; eight at a time do not.
float largest(std::span<const float> logits) {
  std::array<float, 8> best;
  best.fill(logits[0]);
  std::size_t i = 0;
  for (; i + best.size() <= logits.size(); i += best.size()) {
    for (std::size_t k = 0; k < best.size(); ++k) best[k] = std::max(best[k], logits[i + k]);
  }
  for (; i < logits.size(); ++i) best[0] = std::max(best[0], logits[i]);
  return *std::max_element(best.begin(), best.end());
}

TokenId best_of(std::span<const float> logits) {
  return static_cast<TokenId>(std::find(logits.begin(), logits.end(), largest(logits)) -
                              logits.begin());
}

// exp(-40) is below double's resolution of a sum that has 1 in it: such tokens cannot be drawn.
constexpr double kFar = -40;

void weigh(std::span<const float> logits, const SamplingOptions& options,
           std::vector<Weighted>& kept) {
  const double best = largest(logits);
  const double floor = options.min_p > 0 ? std::max(kFar, std::log(options.min_p)) : kFar;
  kept.clear();
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const double scaled = (static_cast<double>(logits[i]) - best) / options.temperature;
    if (scaled < floor) continue;
    kept.push_back({static_cast<TokenId>(i), std::exp(static_cast<float>(scaled))});
  }
}

void keep_top_k(std::vector<Weighted>& kept, int top_k) {
  const auto count = static_cast<std::size_t>(top_k);
  if (count >= kept.size()) return;
  std::nth_element(kept.begin(), kept.begin() + top_k, kept.end(), heavier);
  kept.resize(count);
}

// The fewest heaviest tokens whose weights reach `top_p` of all, by narrowing where the last of
// them can be, from the heavy end: linear in the number of tokens.
void keep_top_p(std::vector<Weighted>& kept, double top_p) {
  double wanted = 0;
  for (const Weighted& w : kept) wanted += w.weight;
  wanted *= top_p;
  auto low = kept.begin();  // everything before it is kept and does not reach `wanted`
  auto high = kept.end();   // everything from it on goes
  for (std::ptrdiff_t step = 256; high - low > 1; step *= 8) {
    const auto middle = low + std::min(step, (high - low) / 2);
    std::nth_element(low, middle, high, heavier);
    double heavy = 0;
    for (auto it = low; it != middle; ++it) heavy += it->weight;
    if (heavy >= wanted) {
      high = middle;
    } else {
      wanted -= heavy;
      low = middle;
    }
  }
  kept.erase(high, kept.end());
}

// `kept` ascending by id.
TokenId draw(const std::vector<Weighted>& kept, double uniform) {
  double total = 0;
  for (const Weighted& w : kept) total += w.weight;
  double left = uniform * total;
  for (const Weighted& w : kept) {
    left -= w.weight;
    if (left < 0) return w.id;
  }
  return kept.back().id;  // rounding
}

}  // namespace

double uniform_at(std::uint64_t seed, std::uint64_t n) {
  const auto mix = [](std::uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
  };
  constexpr std::uint64_t kGamma = 0x9E3779B97F4A7C15ULL;
  // The seed is mixed first: nearby seeds would otherwise give shifted copies of one stream.
  const std::uint64_t bits = mix(mix(seed + kGamma) + (n + 1) * kGamma);
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

Sampler::Sampler(SamplingOptions options, std::span<const TokenId> prompt)
    : options_(std::move(options)) {
  if (options_.repetition_penalty == 1.0) return;  // the others count the reply alone
  for (const TokenId id : prompt) counts_[id].in_prompt = true;
}

Choice Sampler::choose(std::span<const float> logits, const Allows& allows) {
  thread_local std::vector<float> adjusted;
  Choice choice;
  if (penalises() || !options_.logit_bias.empty() || allows) {
    adjusted.assign(logits.begin(), logits.end());
    adjust(adjusted);
    choice.id = allows ? pick_allowed(adjusted, allows) : pick(adjusted, 0);
  } else {
    choice.id = pick(logits, 0);
  }
  ++drawn_;
  if (choice.id == kNoToken) return choice;
  if (options_.logprobs_top >= 0) add_logprobs(logits, choice);
  if (penalises()) ++counts_[choice.id].in_reply;
  return choice;
}

TokenId Sampler::pick(std::span<const float> logits, int attempt) const {
  thread_local std::vector<Weighted> kept;
  if (options_.temperature <= 0) return best_of(logits);
  weigh(logits, options_, kept);
  if (options_.top_k > 0) keep_top_k(kept, options_.top_k);
  if (options_.top_p < 1) keep_top_p(kept, options_.top_p);
  if (options_.top_k > 0 || options_.top_p < 1) {
    std::sort(kept.begin(), kept.end(),
              [](const Weighted& a, const Weighted& b) { return a.id < b.id; });
  }
  const std::uint64_t n = drawn_ + (static_cast<std::uint64_t>(attempt) << 32);
  return draw(kept, uniform_at(options_.seed, n));
}

TokenId Sampler::pick_allowed(std::span<float> logits, const Allows& allows) const {
  constexpr int kAttempts = 16;
  constexpr float kNever = -std::numeric_limits<float>::infinity();
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const TokenId id = pick(logits, attempt);
    if (allows(id)) return id;
    logits[static_cast<std::size_t>(id)] = kNever;
    if (largest(logits) == kNever) return kNoToken;
  }
  // The model wants something else altogether: ask about every token once.
  for (std::size_t id = 0; id < logits.size(); ++id) {
    if (logits[id] != kNever && !allows(static_cast<TokenId>(id))) logits[id] = kNever;
  }
  return largest(logits) == kNever ? kNoToken : pick(logits, kAttempts);
}

bool Sampler::penalises() const {
  return options_.repetition_penalty != 1.0 || options_.frequency_penalty != 0 ||
         options_.presence_penalty != 0;
}

void Sampler::adjust(std::span<float> logits) const {
  for (const auto& [id, count] : counts_) {
    if (static_cast<std::size_t>(id) >= logits.size()) continue;
    double logit = logits[static_cast<std::size_t>(id)];
    logit = logit > 0 ? logit / options_.repetition_penalty : logit * options_.repetition_penalty;
    logit -= options_.frequency_penalty * count.in_reply;
    if (count.in_reply > 0) logit -= options_.presence_penalty;
    logits[static_cast<std::size_t>(id)] = static_cast<float>(logit);
  }
  for (const auto& [id, bias] : options_.logit_bias) {
    if (id < 0 || static_cast<std::size_t>(id) >= logits.size()) continue;
    logits[static_cast<std::size_t>(id)] += static_cast<float>(bias);
  }
}

void Sampler::add_logprobs(std::span<const float> logits, Choice& choice) const {
  const double best = largest(logits);
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - best);
  const double log_total = best + std::log(sum);
  const auto logprob = [&](TokenId id) {
    return static_cast<double>(logits[static_cast<std::size_t>(id)]) - log_total;
  };
  choice.logprob = logprob(choice.id);
  const auto count = std::min(
      static_cast<std::size_t>(std::min(options_.logprobs_top, kTopLogprobsMax)), logits.size());
  std::vector<TokenId> ids(logits.size());
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<TokenId>(i);
  std::partial_sort(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(count), ids.end(),
                    [&logits](TokenId a, TokenId b) {
                      const float x = logits[static_cast<std::size_t>(a)];
                      const float y = logits[static_cast<std::size_t>(b)];
                      return x != y ? x > y : a < b;
                    });
  for (std::size_t i = 0; i < count; ++i) choice.top.push_back({ids[i], logprob(ids[i])});
}

}  // namespace moe
