// What a model is, read from its metadata: sizes, architecture traits, and the gate recipe.
//
// Keys are those that llama.cpp's converters write. A key that is missing gets its architecture's
// own default, never a global one.
#pragma once

#include <cstdint>
#include <string>

#include "experts/moe/gguf.h"

namespace moe {

enum class Architecture : std::uint8_t {
  llama,  // dense, and Mixtral
  qwen2,
  qwen3,
  olmoe,
  qwen2moe,
  qwen3moe,
  deepseek,   // v1
  deepseek2,  // V2, V2-Lite, V3: latent attention
  granite,
  granitemoe,
};

enum class RopeStyle : std::uint8_t {
  interleaved,  // pairs (2i, 2i+1)
  neox,         // pairs (i, i + n/2)
};

enum class QkNorm : std::uint8_t { none, per_head, whole_row };

enum class GateScore : std::uint8_t { softmax, sigmoid };

/// How router logits become experts and weights (reference: the model's paper; table in README.md).
struct GateRecipe {
  GateScore score = GateScore::softmax;
  bool renormalise = false;
  float scale = 1;                  // multiplies the weights after renormalisation
  float sum_min = 6.103515625e-5f;  // renormalising divides by at least this
  int groups = 1;  // experts in equal groups; only the best groups are selected from
  int groups_used = 1;
};

struct Rope {
  RopeStyle style = RopeStyle::interleaved;
  int dims = 0;
  float base = 10000;
  float frequency_scale = 1;  // 1 / factor
  bool yarn = false;
  int context_original = 0;
  float beta_fast = 32, beta_slow = 1;
  float magnitude = 1;  // multiplies cos and sin
};

/// Latent attention of DeepSeek-V2 (arXiv 2405.04434); kv_rank 0: not used.
struct Latent {
  int q_rank = 0;  // 0: queries are not compressed
  int kv_rank = 0;
  int nope = 0;        // per head, without rope
  bool split = false;  // attn_k_b and attn_v_b instead of attn_kv_b
};

/// Constants of the Granite models (the "power scheduler" report, arXiv 2408.13359); 1: none.
struct Factors {
  float embedding = 1;
  float residual = 1;  // multiplies what attention and experts add
  float logits = 1;
};

struct Config {
  Architecture architecture = Architecture::llama;
  std::string architecture_name;
  std::string name;
  int layers = 0;
  int context = 0;
  int width = 0;
  int vocabulary = 0;
  int heads = 0;
  int heads_kv = 0;
  int head_k = 0;  // per head, rope part included
  int head_v = 0;
  float rms_eps = 1e-5f;
  float score_scale = 1;  // multiplies <q, k>
  Factors factors;
  QkNorm qk_norm = QkNorm::none;
  Rope rope;
  Latent latent;
  int experts = 0;  // 0: dense
  int experts_used = 0;
  bool shared_gated = false;  // the shared expert is weighed by sigmoid(gate . x)
  GateRecipe gate;

  /// Throws std::runtime_error naming the key that is missing, absurd or not supported.
  static Config read(const Gguf& gguf);
};

}  // namespace moe
