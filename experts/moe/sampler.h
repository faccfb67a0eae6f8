// Chooses the next token of one reply from the model's logits.
//
// Order, as vLLM documents it: repetition penalty (Keskar et al. 2019), frequency and presence
// penalty (OpenAI), logit bias, temperature; then min-p (Nguyen et al. 2024), top-k and top-p
// (Holtzman et al. 2020), each on the distribution before it. Ties are broken by the lower id, so
// that the set kept is unique; the draw goes through it in the order of ids.
//
// The n-th token of a reply uses the n-th number of a stream that depends on the seed alone: the
// same logits and seed give the same tokens whatever else runs.
//
// A Sampler belongs to one reply. Not thread-safe; working memory is shared by the samplers of a
// thread.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "experts/moe/vocabulary.h"

namespace moe {

constexpr int kTopLogprobsMax = 20;

struct SamplingOptions {
  double temperature = 1.0;  // 0: the best token
  int top_k = 0;             // 0: all
  double top_p = 1.0;
  double min_p = 0.0;               // of the best token's probability
  double repetition_penalty = 1.0;  // of tokens in prompt and reply; 1: none
  double frequency_penalty = 0.0;   // times a token's occurrences in the reply
  double presence_penalty = 0.0;    // of tokens in the reply
  std::vector<std::pair<TokenId, double>> logit_bias{};
  std::uint64_t seed = 0;
  int logprobs_top = -1;  // -1: no log-probabilities; else how many of the best tokens, too
};

struct TokenLogprob {
  TokenId id = kNoToken;
  double logprob = 0;
};

/// Log-probabilities are those of the model itself: before penalties, bias and temperature.
struct Choice {
  TokenId id = kNoToken;
  double logprob = 0;
  std::vector<TokenLogprob> top;  // best first
};

class Sampler {
 public:
  /// Options are taken as they are: who reads them from a client checks their ranges. Biased ids
  /// outside the vocabulary are ignored.
  Sampler(SamplingOptions options, std::span<const TokenId> prompt);

  using Allows = std::function<bool(TokenId)>;

  /// `logits` [vocabulary], finite. The chosen token counts for the penalties from now on.
  /// `allows`, when given, is asked about what was drawn; a token that it refuses goes and the draw
  /// is repeated, which is a draw among those that are allowed. Choice::id is kNoToken when it
  /// allows none.
  Choice choose(std::span<const float> logits, const Allows& allows = {});

  bool gives_logprobs() const { return options_.logprobs_top >= 0; }

 private:
  struct Count {
    int in_reply = 0;
    bool in_prompt = false;
  };

  TokenId pick(std::span<const float> logits, int attempt) const;
  TokenId pick_allowed(std::span<float> logits, const Allows& allows) const;
  bool penalises() const;
  void adjust(std::span<float> logits) const;
  void add_logprobs(std::span<const float> logits, Choice& choice) const;

  SamplingOptions options_;
  std::unordered_map<TokenId, Count> counts_;  // empty unless a penalty is on
  std::uint64_t drawn_ = 0;
};

/// The n-th number in [0, 1) of the stream of `seed` (SplitMix64, Steele et al. 2014).
double uniform_at(std::uint64_t seed, std::uint64_t n);

}  // namespace moe
