// Small random models of every architecture, built in memory, so that tests need no files.
#pragma once

#include <random>

#include "experts/moe/model.h"
#include "tests/moe/gguf_writer.h"

namespace moe::testing {

struct PlantedShape {
  std::string architecture = "llama";
  std::uint32_t layers = 2, width = 64, heads = 4, heads_kv = 2, head = 16, ffn = 32;
  std::uint32_t experts = 8, used = 2;  // experts 0: dense
  std::uint32_t vocabulary = 64, context = 512;
  std::uint64_t seed = 1;
  bool biases = false;                   // of q, k and v
  std::uint32_t q_norm = 0, k_norm = 0;  // sizes; 0: none
  std::uint32_t shared_ffn = 0;
  bool shared_gate = false;
  std::uint32_t dense_layers = 0;  // first layers without a router
  bool latent = false, latent_split = false;
  std::uint32_t q_rank = 0, kv_rank = 32, nope = 16, rope = 8;
  bool sigmoid = false;  // with selection bias, 4 groups of which 2 are used, scale 2.5
  float yarn_factor = 0;
  bool factors = false;  // Granite's, of embeddings, residuals, scores and logits
};

/// F32 weights of plausible size.
struct Planted {
  std::vector<std::byte> bytes;
  Model model;

  explicit Planted(const PlantedShape& shape = {})
      : bytes(Writing(shape).run()), model(load(bytes)) {}

 private:
  static Model load(const std::vector<std::byte>& bytes) {
    return Model::from(Gguf::parse(bytes, "planted.gguf"));
  }

  class Writing {
   public:
    explicit Writing(const PlantedShape& shape) : s(shape), random(shape.seed) {}

    std::vector<std::byte> run() {
      metadata();
      tensor("token_embd.weight", {s.width, s.vocabulary}, 1);
      tensor("output.weight", {s.width, s.vocabulary}, 0.3f);
      norm("output_norm", s.width);
      for (std::uint32_t i = 0; i < s.layers; ++i) {
        blk = "blk." + std::to_string(i) + ".";
        norm(blk + "attn_norm", s.width);
        s.latent ? latent_attention() : plain_attention();
        norm(blk + "ffn_norm", s.width);
        i < s.dense_layers || s.experts == 0 ? network("", s.ffn) : sparse();
      }
      return writer.bytes();
    }

   private:
    void metadata() {
      const std::string a = s.architecture + ".";
      writer.add("general.architecture", std::string_view(s.architecture));
      writer.add(a + "block_count", s.layers);
      writer.add(a + "context_length", s.context);
      writer.add(a + "embedding_length", s.width);
      writer.add(a + "feed_forward_length", s.ffn);
      writer.add(a + "attention.head_count", s.heads);
      writer.add(a + "attention.head_count_kv", s.heads_kv);
      writer.add(a + "attention.layer_norm_rms_epsilon", 1e-5f);
      writer.add(a + "expert_count", s.experts);
      writer.add(a + "expert_used_count", s.used);
      if (s.latent) {
        writer.add(a + "attention.kv_lora_rank", s.kv_rank);
        writer.add(a + "attention.q_lora_rank", s.q_rank);
        writer.add(a + "rope.dimension_count", s.rope);
        writer.add(a + "attention.key_length",
                   s.latent_split ? s.kv_rank + s.rope : s.nope + s.rope);
        writer.add(a + "attention.value_length", s.latent_split ? s.kv_rank : s.head);
        if (s.latent_split) writer.add(a + "attention.key_length_mla", s.nope + s.rope);
        if (s.latent_split) writer.add(a + "attention.value_length_mla", s.head);
      } else {
        writer.add(a + "attention.key_length", s.head);
        writer.add(a + "attention.value_length", s.head);
      }
      if (s.sigmoid) {
        writer.add(a + "expert_gating_func", std::uint32_t{2});
        writer.add(a + "expert_weights_norm", true);
        writer.add(a + "expert_weights_scale", 2.5f);
        writer.add(a + "expert_group_count", std::uint32_t{4});
        writer.add(a + "expert_group_used_count", std::uint32_t{2});
      }
      if (s.factors) {
        writer.add(a + "embedding_scale", 3.0f);
        writer.add(a + "residual_scale", 0.22f);
        writer.add(a + "attention.scale", 0.0625f);
        writer.add(a + "logit_scale", 6.0f);
      }
      if (s.yarn_factor > 0) {
        writer.add(a + "rope.scaling.type", std::string_view("yarn"));
        writer.add(a + "rope.scaling.factor", s.yarn_factor);
        writer.add(a + "rope.scaling.original_context_length", std::uint32_t{32});
        writer.add(a + "rope.scaling.yarn_log_multiplier", 0.0707f);
      }
    }

    void tensor(const std::string& name, std::vector<std::uint64_t> ne, float scale,
                float mean = 0) {
      std::size_t size = 1;
      for (const std::uint64_t extent : ne) size *= extent;
      std::normal_distribution<float> normal(mean, scale);
      std::vector<float> values(size);
      for (float& x : values) x = normal(random);
      writer.add_tensor(name, ne, values);
    }

    void norm(const std::string& name, std::uint64_t size) {
      tensor(name + ".weight", {size}, 0.1f, 1);
    }

    void plain_attention() {
      const std::uint64_t q = s.heads * s.head, kv = s.heads_kv * s.head;
      tensor(blk + "attn_q.weight", {s.width, q}, 0.15f);
      tensor(blk + "attn_k.weight", {s.width, kv}, 0.15f);
      tensor(blk + "attn_v.weight", {s.width, kv}, 0.15f);
      tensor(blk + "attn_output.weight", {q, s.width}, 0.15f);
      if (s.biases) {
        tensor(blk + "attn_q.bias", {q}, 0.3f);
        tensor(blk + "attn_k.bias", {kv}, 0.3f);
        tensor(blk + "attn_v.bias", {kv}, 0.3f);
      }
      if (s.q_norm > 0) norm(blk + "attn_q_norm", s.q_norm);
      if (s.k_norm > 0) norm(blk + "attn_k_norm", s.k_norm);
    }

    void latent_attention() {
      const std::uint64_t q = s.heads * (s.nope + s.rope);
      if (s.q_rank > 0) {
        tensor(blk + "attn_q_a.weight", {s.width, s.q_rank}, 0.15f);
        norm(blk + "attn_q_a_norm", s.q_rank);
        tensor(blk + "attn_q_b.weight", {s.q_rank, q}, 0.2f);
      } else {
        tensor(blk + "attn_q.weight", {s.width, q}, 0.15f);
      }
      tensor(blk + "attn_kv_a_mqa.weight", {s.width, s.kv_rank + s.rope}, 0.15f);
      norm(blk + "attn_kv_a_norm", s.kv_rank);
      if (s.latent_split) {
        tensor(blk + "attn_k_b.weight", {s.nope, s.kv_rank, s.heads}, 0.2f);
        tensor(blk + "attn_v_b.weight", {s.kv_rank, s.head, s.heads}, 0.2f);
      } else {
        tensor(blk + "attn_kv_b.weight", {s.kv_rank, s.heads * (s.nope + s.head)}, 0.2f);
      }
      tensor(blk + "attn_output.weight", {s.heads * s.head, s.width}, 0.15f);
    }

    void network(const std::string& suffix, std::uint64_t ffn) {
      tensor(blk + "ffn_gate" + suffix + ".weight", {s.width, ffn}, 0.15f);
      tensor(blk + "ffn_up" + suffix + ".weight", {s.width, ffn}, 0.15f);
      tensor(blk + "ffn_down" + suffix + ".weight", {ffn, s.width}, 0.2f);
    }

    void sparse() {
      tensor(blk + "ffn_gate_inp.weight", {s.width, s.experts}, 0.3f);
      tensor(blk + "ffn_gate_exps.weight", {s.width, s.ffn, s.experts}, 0.15f);
      tensor(blk + "ffn_up_exps.weight", {s.width, s.ffn, s.experts}, 0.15f);
      tensor(blk + "ffn_down_exps.weight", {s.ffn, s.width, s.experts}, 0.2f);
      if (s.sigmoid) tensor(blk + "exp_probs_b.bias", {s.experts}, 0.2f);
      if (s.shared_ffn > 0) network("_shexp", s.shared_ffn);
      if (s.shared_gate) tensor(blk + "ffn_gate_inp_shexp.weight", {s.width}, 0.3f);
    }

    const PlantedShape& s;
    GgufWriter writer;
    std::mt19937_64 random;
    std::string blk;
  };
};

}  // namespace moe::testing
