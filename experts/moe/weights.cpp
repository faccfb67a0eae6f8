#include "experts/moe/weights.h"

#include <algorithm>
#include <set>
#include <stdexcept>

#include "experts/moe/kernels/kernels.h"

namespace moe {

namespace {

/// Takes tensors out of a file by name, checks them, and remembers which were taken.
class Shelf {
 public:
  explicit Shelf(const Gguf& gguf) : gguf_(gguf) {}

  bool has(const std::string& name) const { return gguf_.tensor(name) != nullptr; }

  /// All rows of a tensor; rows 0 or cols 0 in the arguments accept any.
  Matrix matrix(const std::string& name, std::size_t rows, std::size_t cols) {
    const Tensor& tensor = take(name);
    Matrix matrix = view(tensor, 0, static_cast<std::size_t>(tensor.rows()));
    if ((rows != 0 && matrix.rows != rows) || (cols != 0 && matrix.cols != cols)) {
      refuse(tensor, "has shape [" + std::to_string(matrix.cols) + ", " +
                         std::to_string(matrix.rows) + "], expected [" + std::to_string(cols) +
                         ", " + std::to_string(rows) + "]");
    }
    return matrix;
  }

  Matrix matrix_if_there(const std::string& name, std::size_t rows, std::size_t cols) {
    return has(name) ? matrix(name, rows, cols) : Matrix{};
  }

  /// Slice `index` of a tensor that stacks `count` matrices.
  Matrix slice(const std::string& name, std::size_t index, std::size_t count) {
    const Tensor& tensor = take(name);
    if (tensor.ne[3] != 1 || tensor.ne[2] != static_cast<std::int64_t>(count)) {
      refuse(tensor, "does not stack " + std::to_string(count) + " experts");
    }
    const auto rows = static_cast<std::size_t>(tensor.ne[1]);
    return view(tensor, index * rows, rows);
  }

  std::vector<float> vector(const std::string& name, std::size_t size) {
    const Tensor& tensor = take(name);
    const std::size_t elements = static_cast<std::size_t>(tensor.ne[0] * tensor.rows());
    if (elements != size) {
      refuse(tensor,
             "has " + std::to_string(elements) + " elements, expected " + std::to_string(size));
    }
    std::vector<float> values(size);
    dequantize(tensor.type, reinterpret_cast<const unsigned char*>(tensor.data), size, values.data());
    return values;
  }

  std::vector<float> vector_if_there(const std::string& name, std::size_t size) {
    return has(name) ? vector(name, size) : std::vector<float>();
  }

  /// A weight that nobody asked for would silently make the answers wrong.
  void refuse_untaken() const {
    for (const Tensor& tensor : gguf_.tensors()) {
      const bool harmless = tensor.name.ends_with(".attn_rot_embd") ||
                            tensor.name.ends_with(".rope_freqs.weight") ||
                            tensor.name.ends_with(".attention.rotary_emb.inv_freq");
      if (!harmless && !taken_.contains(tensor.name)) {
        refuse(tensor, "is not part of the supported form of this architecture");
      }
    }
  }

  bool wants_rows() const { return wants_rows_; }

  bool wants_blocks() const { return wants_blocks_; }

 private:
  [[noreturn]] void refuse(const Tensor& tensor, const std::string& what) const {
    throw std::runtime_error("model file " + gguf_.name() + ": tensor " + std::string(tensor.name) +
                             " " + what);
  }

  const Tensor& take(const std::string& name) {
    const Tensor* tensor = gguf_.tensor(name);
    if (tensor == nullptr) {
      throw std::runtime_error("model file " + gguf_.name() + " has no tensor " + name);
    }
    if (!is_runnable(tensor->type)) {
      refuse(*tensor, std::string("has type ") + traits_of(tensor->type)->name +
                          ", which is not supported (F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, "
                          "Q4_K, Q5_K and Q6_K are)");
    }
    taken_.insert(tensor->name);
    return *tensor;
  }

  Matrix view(const Tensor& tensor, std::size_t first_row, std::size_t rows) {
    Matrix matrix;
    matrix.type = tensor.type;
    matrix.rows = rows;
    matrix.cols = static_cast<std::size_t>(tensor.ne[0]);
    matrix.row_bytes = tensor.row_bytes();
    matrix.data =
        reinterpret_cast<const unsigned char*>(tensor.data) + first_row * matrix.row_bytes;
    wants_rows_ = wants_rows_ || traits_of(tensor.type)->elements == 32;
    wants_blocks_ = wants_blocks_ || traits_of(tensor.type)->elements == 256;
    return matrix;
  }

  const Gguf& gguf_;
  std::set<std::string_view> taken_;
  bool wants_rows_ = false, wants_blocks_ = false;
};

Attention read_latent(Shelf& shelf, const Config& config, const std::string& blk) {
  Attention a;
  const auto width = static_cast<std::size_t>(config.width);
  const auto heads = static_cast<std::size_t>(config.heads);
  const auto kv_rank = static_cast<std::size_t>(config.latent.kv_rank);
  const auto q_rank = static_cast<std::size_t>(config.latent.q_rank);
  const auto nope = static_cast<std::size_t>(config.latent.nope);
  const auto rope = static_cast<std::size_t>(config.rope.dims);
  const auto head_k = static_cast<std::size_t>(config.head_k);
  const auto head_v = static_cast<std::size_t>(config.head_v);
  if (q_rank > 0) {
    a.q_a = shelf.matrix(blk + "attn_q_a.weight", q_rank, width);
    a.q_a_norm = shelf.vector(blk + "attn_q_a_norm.weight", q_rank);
    a.q_b = shelf.matrix(blk + "attn_q_b.weight", heads * head_k, q_rank);
  } else {
    a.q = shelf.matrix(blk + "attn_q.weight", heads * head_k, width);
  }
  a.kv_a = shelf.matrix(blk + "attn_kv_a_mqa.weight", kv_rank + rope, width);
  a.kv_a_norm = shelf.vector(blk + "attn_kv_a_norm.weight", kv_rank);
  if (config.latent.split) {
    a.k_b = shelf.matrix(blk + "attn_k_b.weight", heads * kv_rank, nope);
    a.v_b = shelf.matrix(blk + "attn_v_b.weight", heads * head_v, kv_rank);
  } else {
    a.kv_b = shelf.matrix(blk + "attn_kv_b.weight", heads * (nope + head_v), kv_rank);
  }
  return a;
}

Attention read_attention(Shelf& shelf, const Config& config, const std::string& blk) {
  Attention a;
  const auto width = static_cast<std::size_t>(config.width);
  const std::size_t q = static_cast<std::size_t>(config.heads) * config.head_k;
  const std::size_t k = static_cast<std::size_t>(config.heads_kv) * config.head_k;
  const std::size_t v = static_cast<std::size_t>(config.heads_kv) * config.head_v;
  if (config.latent.kv_rank > 0) {
    a = read_latent(shelf, config, blk);
  } else {
    a.q = shelf.matrix(blk + "attn_q.weight", q, width);
    a.k = shelf.matrix(blk + "attn_k.weight", k, width);
    a.v = shelf.matrix(blk + "attn_v.weight", v, width);
    a.q_bias = shelf.vector_if_there(blk + "attn_q.bias", q);
    a.k_bias = shelf.vector_if_there(blk + "attn_k.bias", k);
    a.v_bias = shelf.vector_if_there(blk + "attn_v.bias", v);
  }
  if (config.qk_norm != QkNorm::none) {
    const bool whole = config.qk_norm == QkNorm::whole_row;
    a.q_norm = shelf.vector(blk + "attn_q_norm.weight", whole ? q : config.head_k);
    a.k_norm = shelf.vector(blk + "attn_k_norm.weight", whole ? k : config.head_k);
  }
  a.norm = shelf.vector(blk + "attn_norm.weight", width);
  a.output = shelf.matrix(blk + "attn_output.weight", width,
                          static_cast<std::size_t>(config.heads) * config.head_v);
  return a;
}

/// A whole network under one suffix: "" (dense) or "_shexp" (shared).
Expert read_network(Shelf& shelf, const Config& config, const std::string& blk,
                    const std::string& suffix) {
  const auto width = static_cast<std::size_t>(config.width);
  Expert e;
  e.gate = shelf.matrix(blk + "ffn_gate" + suffix + ".weight", 0, width);
  e.up = shelf.matrix(blk + "ffn_up" + suffix + ".weight", e.gate.rows, width);
  e.down = shelf.matrix(blk + "ffn_down" + suffix + ".weight", width, e.gate.rows);
  return e;
}

/// Stacked tensors `ffn_gate_exps`, or one tensor per expert `ffn_gate.7` as older files have.
Expert read_expert(Shelf& shelf, const Config& config, const std::string& blk, std::size_t index) {
  const auto matrix = [&](const std::string& part) {
    const std::string stacked = blk + "ffn_" + part + "_exps.weight";
    return shelf.has(stacked)
               ? shelf.slice(stacked, index, static_cast<std::size_t>(config.experts))
               : shelf.matrix(blk + "ffn_" + part + "." + std::to_string(index) + ".weight", 0, 0);
  };
  Expert e{matrix("gate"), matrix("up"), matrix("down")};
  const auto width = static_cast<std::size_t>(config.width);
  if (e.gate.cols != width || e.up.cols != width || e.down.rows != width ||
      e.up.rows != e.gate.rows || e.down.cols != e.gate.rows) {
    throw std::runtime_error("model: the matrices of " + blk + "expert " + std::to_string(index) +
                             " do not fit together");
  }
  return e;
}

Layer read_layer(Shelf& shelf, const Config& config, int index) {
  const std::string blk = "blk." + std::to_string(index) + ".";
  const auto width = static_cast<std::size_t>(config.width);
  const auto experts = static_cast<std::size_t>(config.experts);
  Layer layer;
  layer.attention = read_attention(shelf, config, blk);
  layer.ffn_norm = shelf.vector(blk + "ffn_norm.weight", width);
  if (!shelf.has(blk + "ffn_gate_inp.weight")) {
    layer.experts.push_back(read_network(shelf, config, blk, ""));
    return layer;
  }
  if (experts == 0) throw std::runtime_error("model has a router but no key expert_count");
  layer.router = shelf.matrix(blk + "ffn_gate_inp.weight", experts, width);
  layer.select_bias = shelf.vector_if_there(blk + "exp_probs_b.bias", experts);
  for (std::size_t e = 0; e < experts; ++e) {
    layer.experts.push_back(read_expert(shelf, config, blk, e));
  }
  if (shelf.has(blk + "ffn_gate_shexp.weight")) {
    layer.shared.push_back(read_network(shelf, config, blk, "_shexp"));
  }
  if (config.shared_gated && !layer.shared.empty()) {
    layer.shared_gate = shelf.vector(blk + "ffn_gate_inp_shexp.weight", width);
  }
  return layer;
}

}  // namespace

bool is_routed(const Tensor& tensor) {
  for (const std::string_view part : {".ffn_gate", ".ffn_up", ".ffn_down"}) {
    const std::size_t at = tensor.name.find(part);
    if (at == std::string_view::npos) continue;
    const std::string_view rest = tensor.name.substr(at + part.size());
    const bool single = rest.size() > 1 && rest[0] == '.' && rest[1] >= '0' && rest[1] <= '9';
    return rest.starts_with("_exps.") || single;
  }
  return false;
}

Weights Weights::read(const Gguf& gguf, Config& config) {
  Shelf shelf(gguf);
  Weights weights;
  const auto width = static_cast<std::size_t>(config.width);
  weights.embedding = shelf.matrix("token_embd.weight", 0, width);
  if (weights.embedding.rows > (std::size_t{1} << 24)) {
    throw std::runtime_error("model file " + gguf.name() + " has a vocabulary above 2^24");
  }
  config.vocabulary = static_cast<int>(weights.embedding.rows);
  weights.output = weights.embedding;
  if (shelf.has("output.weight")) {
    weights.output = shelf.matrix("output.weight", weights.embedding.rows, width);
  }
  weights.output_norm = shelf.vector("output_norm.weight", width);
  weights.rope_factors =
      shelf.vector_if_there("rope_freqs.weight", static_cast<std::size_t>(config.rope.dims / 2));
  for (int i = 0; i < config.layers; ++i) {
    weights.layers.push_back(read_layer(shelf, config, i));
    const Layer& layer = weights.layers.back();
    for (const auto* list : {&layer.experts, &layer.shared}) {
      for (const Expert& e : *list) weights.ffn_max = std::max(weights.ffn_max, e.gate.rows);
    }
  }
  shelf.refuse_untaken();
  weights.wants_rows = shelf.wants_rows();
  weights.wants_blocks = shelf.wants_blocks();
  return weights;
}

}  // namespace moe
