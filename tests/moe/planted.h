// Small random models built in memory, so that tests need no files.
#pragma once

#include <random>

#include "experts/moe/model.h"
#include "tests/moe/gguf_writer.h"

namespace moe::testing {

struct PlantedShape {
  std::string architecture = "llama";
  std::uint32_t layers = 2, width = 64, heads = 4, heads_kv = 2, ffn = 32, experts = 8, used = 2;
  std::uint32_t vocabulary = 64, context = 512;
  std::uint64_t seed = 1;
};

/// A sparse model of plain attention with F32 weights.
struct Planted {
  std::vector<std::byte> bytes;
  Model model;

  explicit Planted(const PlantedShape& shape = {}) : bytes(write(shape)), model(load(bytes)) {}

 private:
  static Model load(const std::vector<std::byte>& bytes) {
    return Model::from(Gguf::parse(bytes, "planted.gguf"));
  }

  static std::vector<std::byte> write(const PlantedShape& s) {
    GgufWriter writer;
    const std::string& a = s.architecture;
    writer.add("general.architecture", std::string_view(a));
    writer.add(a + ".block_count", s.layers);
    writer.add(a + ".context_length", s.context);
    writer.add(a + ".embedding_length", s.width);
    writer.add(a + ".feed_forward_length", s.ffn);
    writer.add(a + ".attention.head_count", s.heads);
    writer.add(a + ".attention.head_count_kv", s.heads_kv);
    writer.add(a + ".attention.layer_norm_rms_epsilon", 1e-5f);
    writer.add(a + ".expert_count", s.experts);
    writer.add(a + ".expert_used_count", s.used);
    std::mt19937_64 random(s.seed);
    const auto tensor = [&](const std::string& name, std::vector<std::uint64_t> ne, float scale,
                            float mean) {
      std::size_t size = 1;
      for (const std::uint64_t extent : ne) size *= extent;
      std::normal_distribution<float> normal(mean, scale);
      std::vector<float> values(size);
      for (float& x : values) x = normal(random);
      writer.add_tensor(name, ne, values);
    };
    const std::uint64_t kv = s.width / s.heads * s.heads_kv;
    tensor("token_embd.weight", {s.width, s.vocabulary}, 1, 0);
    tensor("output.weight", {s.width, s.vocabulary}, 0.3f, 0);
    tensor("output_norm.weight", {s.width}, 0.1f, 1);
    for (std::uint32_t i = 0; i < s.layers; ++i) {
      const std::string blk = "blk." + std::to_string(i) + ".";
      tensor(blk + "attn_norm.weight", {s.width}, 0.1f, 1);
      tensor(blk + "attn_q.weight", {s.width, s.width}, 0.15f, 0);
      tensor(blk + "attn_k.weight", {s.width, kv}, 0.15f, 0);
      tensor(blk + "attn_v.weight", {s.width, kv}, 0.15f, 0);
      tensor(blk + "attn_output.weight", {s.width, s.width}, 0.15f, 0);
      tensor(blk + "ffn_norm.weight", {s.width}, 0.1f, 1);
      tensor(blk + "ffn_gate_inp.weight", {s.width, s.experts}, 0.3f, 0);
      tensor(blk + "ffn_gate_exps.weight", {s.width, s.ffn, s.experts}, 0.15f, 0);
      tensor(blk + "ffn_up_exps.weight", {s.width, s.ffn, s.experts}, 0.15f, 0);
      tensor(blk + "ffn_down_exps.weight", {s.ffn, s.width, s.experts}, 0.2f, 0);
    }
    return writer.bytes();
  }
};

}  // namespace moe::testing
