// A model's weights as views into its mapped file, checked against the configuration.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "experts/moe/config.h"
#include "experts/moe/gguf.h"

namespace moe {

/// [rows, cols] of one tensor type, rows contiguous in the mapped file.
struct Matrix {
  std::uint32_t type = 0;
  std::size_t rows = 0, cols = 0, row_bytes = 0;
  const unsigned char* data = nullptr;

  bool empty() const { return data == nullptr; }

  std::size_t bytes() const { return rows * row_bytes; }

  const unsigned char* row(std::size_t r) const { return data + r * row_bytes; }
};

/// A gated feed-forward network: down(silu(gate x) * up x). Widths may differ between experts.
struct Expert {
  Matrix gate, up;  // [ffn, width]
  Matrix down;      // [width, ffn]

  std::size_t bytes() const { return gate.bytes() + up.bytes() + down.bytes(); }
};

struct Attention {
  std::vector<float> norm;
  Matrix q, k, v, output;
  std::vector<float> q_bias, k_bias, v_bias;  // empty: none
  std::vector<float> q_norm, k_norm;          // see QkNorm
  // Latent attention. k_b is [heads * kv_rank, nope], v_b is [heads * head_v, kv_rank].
  Matrix q_a, q_b, kv_a, kv_b, k_b, v_b;
  std::vector<float> q_a_norm, kv_a_norm;
};

struct Layer {
  Attention attention;
  std::vector<float> ffn_norm;
  Matrix router;                   // [experts, width]; empty: dense, experts[0] has weight 1
  std::vector<float> select_bias;  // added for selection only; empty: none
  std::vector<Expert> experts;
  std::vector<Expert> shared;      // none or one
  std::vector<float> shared_gate;  // [width]; empty: the shared expert has weight 1

  bool is_sparse() const { return !router.empty(); }
};

/// Whether a tensor holds routed experts, stacked (`ffn_up_exps`) or one (`ffn_up.7`).
bool is_routed(const Tensor& tensor);

struct Weights {
  Matrix embedding;  // [vocabulary, width]
  Matrix output;     // the same tensor where the file ties them
  std::vector<float> output_norm;
  std::vector<float> rope_factors;  // [rope.dims / 2]; empty: none
  std::vector<Layer> layers;
  std::size_t ffn_max = 0;   // widest expert, shared and dense ones included
  bool wants_rows = false;    // some matrix is of a type in blocks of 32: see ActRow
  bool wants_blocks = false;  // some matrix is a K-quant

  /// Fills config.vocabulary. Throws std::runtime_error naming the tensor that is missing, has
  /// another shape, a type that does not run, or is not known to the architecture.
  static Weights read(const Gguf& gguf, Config& config);
};

}  // namespace moe
