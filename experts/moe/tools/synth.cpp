#include "experts/moe/tools/synth.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <utility>
#include <vector>

#include "experts/moe/gguf.h"

namespace moe::tools {

namespace {

struct Shape {
  std::string_view name, architecture;
  int layers, width, heads, heads_kv, head, ffn, experts, used, vocabulary, context;
};

constexpr std::array kShapes = {
    Shape{"olmoe-1b-7b", "olmoe", 16, 2048, 16, 16, 128, 1024, 64, 8, 50304, 4096},
    Shape{"qwen3-30b-cut", "qwen3moe", 12, 2048, 32, 4, 128, 768, 128, 8, 151936, 32768},
    Shape{"mid", "qwen3moe", 12, 1024, 16, 4, 64, 256, 64, 8, 32000, 4096},
    Shape{"tiny", "olmoe", 2, 256, 4, 4, 64, 256, 8, 2, 512, 512},
};

/// splitmix64: small, fast, and the same on every platform.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    std::uint64_t x = state_ += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
  }

  /// About normal: the sum of four uniform numbers, variance 1.
  float normal() {
    const std::uint64_t x = next();
    float sum = -2 * 65535.0f;
    for (int i = 0; i < 4; ++i) sum += static_cast<float>(x >> (16 * i) & 0xffff);
    return sum / 65535.0f * 1.7320508f;
  }

 private:
  std::uint64_t state_;
};

std::uint16_t to_half(float value) {  // positive normal numbers only
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  return static_cast<std::uint16_t>(((bits >> 23) - 112) << 10 | (bits >> 13 & 1023));
}

void put_half(std::byte* at, float value) {
  const std::uint16_t half = to_half(value);
  std::memcpy(at, &half, 2);
}

/// Blocks of uniform random quants, scaled so that the values have standard deviation `sigma`.
void fill_blocks(TensorType type, float sigma, Random& random, std::span<std::byte> blocks) {
  for (std::size_t i = 0; i + 8 <= blocks.size(); i += 8) {
    const std::uint64_t x = random.next();
    std::memcpy(&blocks[i], &x, 8);
  }
  const TypeTraits& traits = traits_of(type);
  for (std::size_t at = 0; at < blocks.size(); at += traits.bytes) {
    std::byte* block = &blocks[at];
    if (type == TensorType::q8_0) {
      put_half(block, sigma / 73.9f);
    } else if (type == TensorType::q4_k) {
      // Every sub-scale 32 and minimum 30: value = 32 d (q - 7.5) with dmin = 8 d.
      const float d = sigma / (32 * 4.61f);
      put_half(block, d);
      put_half(block + 2, 8 * d);
      constexpr std::array<unsigned char, 12> kScales = {32, 32, 32, 32, 30, 30,
                                                         30, 30, 0,  0,  0,  0};
      for (std::size_t j = 0; j < 12; ++j) block[4 + j] = std::byte{kScales[j]};
      for (std::size_t j = 0; j < 4; ++j) {
        block[4 + j] = std::byte{32 | 2 << 6};  // upper two bits: sub-scale 4 + j is 32 = 2 << 4
        block[8 + j] = std::byte{30 | 1 << 6};  // and minimum 4 + j is 30 = 1 << 4 | 14
        block[12 + j] = std::byte{14 << 4};
      }
    } else {  // q6_k: sub-scales 16
      for (std::size_t j = 0; j < 16; ++j) block[192 + j] = std::byte{16};
      put_half(block + 208, sigma / (16 * 18.5f));
    }
  }
}

struct Plan {
  std::string name;
  std::vector<std::uint64_t> ne;
  TensorType type;
  float sigma, mean;
  std::uint64_t bytes, offset;
};

class Synth {
 public:
  Synth(const Shape& shape, bool mixed, std::uint64_t seed)
      : shape_(shape), mixed_(mixed), random_(seed) {}

  std::uint64_t write(const std::filesystem::path& path) {
    plan_tensors();
    std::ofstream file(path, std::ios::binary);
    std::string header = write_header();
    header.resize((header.size() + 31) / 32 * 32);
    file.write(header.data(), static_cast<std::streamsize>(header.size()));
    for (const Plan& plan : plans_) write_tensor(plan, file);
    const auto size = file.tellp();
    file.close();
    if (!file) throw std::runtime_error("cannot write " + path.string());
    return static_cast<std::uint64_t>(size);
  }

 private:
  void plan(std::string name, std::vector<std::uint64_t> ne, TensorType type, float sigma,
            float mean = 0) {
    std::uint64_t elements = 1;
    for (const std::uint64_t extent : ne) elements *= extent;
    const TypeTraits& traits = traits_of(type);
    const std::uint64_t bytes = elements / traits.elements * traits.bytes;
    plans_.push_back({std::move(name), std::move(ne), type, sigma, mean, bytes, end_});
    end_ += (bytes + 31) / 32 * 32;
  }

  /// The mix that llama.cpp calls Q4_K_M gives some layers' values and downs more bits.
  TensorType type_of(int layer, bool sensitive) const {
    if (!mixed_) return TensorType::q8_0;
    const int eighth = shape_.layers / 8;
    const bool more = layer < eighth || layer >= 7 * shape_.layers / 8 || (layer - eighth) % 3 == 2;
    return sensitive && more ? TensorType::q6_k : TensorType::q4_k;
  }

  void plan_tensors() {
    const Shape& s = shape_;
    const auto u = [](int x) { return static_cast<std::uint64_t>(x); };
    const auto sigma = [](int inputs) { return 1.0f / std::sqrt(static_cast<float>(inputs)); };
    plan("token_embd.weight", {u(s.width), u(s.vocabulary)}, type_of(1, false), 1);
    plan("output_norm.weight", {u(s.width)}, TensorType::f32, 0.05f, 1);
    plan("output.weight", {u(s.width), u(s.vocabulary)},
         mixed_ ? TensorType::q6_k : TensorType::q8_0, 3 * sigma(s.width));
    const bool whole_norm = s.architecture == "olmoe";
    for (int i = 0; i < s.layers; ++i) {
      const std::string blk = "blk." + std::to_string(i) + ".";
      const auto q = u(s.heads * s.head), kv = u(s.heads_kv * s.head);
      plan(blk + "attn_norm.weight", {u(s.width)}, TensorType::f32, 0.05f, 1);
      plan(blk + "attn_q.weight", {u(s.width), q}, type_of(i, false), sigma(s.width));
      plan(blk + "attn_k.weight", {u(s.width), kv}, type_of(i, false), sigma(s.width));
      plan(blk + "attn_v.weight", {u(s.width), kv}, type_of(i, true), sigma(s.width));
      plan(blk + "attn_output.weight", {q, u(s.width)}, type_of(i, false), sigma(s.width));
      plan(blk + "attn_q_norm.weight", {whole_norm ? q : u(s.head)}, TensorType::f32, 0.05f, 1);
      plan(blk + "attn_k_norm.weight", {whole_norm ? kv : u(s.head)}, TensorType::f32, 0.05f, 1);
      plan(blk + "ffn_norm.weight", {u(s.width)}, TensorType::f32, 0.05f, 1);
      plan(blk + "ffn_gate_inp.weight", {u(s.width), u(s.experts)}, TensorType::f32,
           2 * sigma(s.width));
      plan(blk + "ffn_gate_exps.weight", {u(s.width), u(s.ffn), u(s.experts)}, type_of(i, false),
           sigma(s.width));
      plan(blk + "ffn_up_exps.weight", {u(s.width), u(s.ffn), u(s.experts)}, type_of(i, false),
           sigma(s.width));
      plan(blk + "ffn_down_exps.weight", {u(s.ffn), u(s.width), u(s.experts)}, type_of(i, true),
           2 * sigma(s.ffn));
    }
  }

  template <class T>
  void put(const T& value) {
    header_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }

  void put_string(std::string_view text) {
    put(static_cast<std::uint64_t>(text.size()));
    header_ += text;
  }

  void put_key(std::string_view key, ValueType type) {
    ++keys_;
    put_string(key);
    put(static_cast<std::uint32_t>(type));
  }

  void add(const std::string& key, int value) {
    put_key(key, ValueType::u32);
    put(static_cast<std::uint32_t>(value));
  }

  void add(const std::string& key, float value) {
    put_key(key, ValueType::f32);
    put(value);
  }

  void add(const std::string& key, std::string_view value) {
    put_key(key, ValueType::string);
    put_string(value);
  }

  template <class Put>
  void add_array(const std::string& key, ValueType element, int count, Put put_element) {
    put_key(key, ValueType::array);
    put(static_cast<std::uint32_t>(element));
    put(static_cast<std::uint64_t>(count));
    for (int i = 0; i < count; ++i) put_element(i);
  }

  void add_shape() {
    const std::string a(shape_.architecture);
    add("general.architecture", a);
    add("general.name", std::string(shape_.name) + ", random weights");
    add(a + ".block_count", shape_.layers);
    add(a + ".context_length", shape_.context);
    add(a + ".embedding_length", shape_.width);
    add(a + ".feed_forward_length", shape_.ffn);
    add(a + ".expert_feed_forward_length", shape_.ffn);
    add(a + ".attention.head_count", shape_.heads);
    add(a + ".attention.head_count_kv", shape_.heads_kv);
    add(a + ".attention.key_length", shape_.head);
    add(a + ".attention.value_length", shape_.head);
    add(a + ".attention.layer_norm_rms_epsilon", 1e-5f);
    add(a + ".rope.freq_base", 10000.0f);
    add(a + ".expert_count", shape_.experts);
    add(a + ".expert_used_count", shape_.used);
    add("general.file_type", mixed_ ? 15 : 7);
    add("general.quantization_version", 2);
  }

  /// Three control tokens, the 256 bytes, and made-up words.
  void add_vocabulary() {
    add("tokenizer.ggml.model", "llama");
    const auto token = [&](int i) -> std::string {
      if (i < 3) return std::array{"<unk>", "<s>", "</s>"}[static_cast<std::size_t>(i)];
      char text[32];
      std::snprintf(text, sizeof text, i < 259 ? "<0x%02X>" : "\xe2\x96\x81t%d",
                    i < 259 ? i - 3 : i);
      return text;
    };
    add_array("tokenizer.ggml.tokens", ValueType::string, shape_.vocabulary,
              [&](int i) { put_string(token(i)); });
    add_array("tokenizer.ggml.scores", ValueType::f32, shape_.vocabulary,
              [&](int i) { put(static_cast<float>(-i)); });
    add_array("tokenizer.ggml.token_type", ValueType::i32, shape_.vocabulary, [&](int i) {
      put(std::int32_t{i == 0 ? 2 : i < 3 ? 3 : i < 259 ? 6 : 1});
    });
    add("tokenizer.ggml.bos_token_id", 1);
    add("tokenizer.ggml.eos_token_id", 2);
  }

  std::string write_header() {
    add_shape();
    add_vocabulary();
    const std::string pairs = std::exchange(header_, "");
    for (const Plan& plan : plans_) {
      put_string(plan.name);
      put(static_cast<std::uint32_t>(plan.ne.size()));
      for (const std::uint64_t extent : plan.ne) put(extent);
      put(static_cast<std::uint32_t>(plan.type));
      put(plan.offset);
    }
    const std::string tensors = std::exchange(header_, "");
    put(std::uint32_t{0x46554747});
    put(std::uint32_t{3});
    put(static_cast<std::uint64_t>(plans_.size()));
    put(keys_);
    return header_ + pairs + tensors;
  }

  void write_tensor(const Plan& plan, std::ofstream& file) {
    const TypeTraits& traits = traits_of(plan.type);
    std::vector<std::byte> piece(traits.bytes * std::size_t{4096});
    for (std::uint64_t left = plan.bytes; left > 0;) {
      const std::uint64_t size = std::min<std::uint64_t>(left, piece.size());
      if (plan.type == TensorType::f32) {
        for (std::size_t i = 0; i < size; i += 4) {
          const float value = plan.mean + plan.sigma * random_.normal();
          std::memcpy(&piece[i], &value, 4);
        }
      } else {
        fill_blocks(plan.type, plan.sigma, random_, std::span(piece).first(size));
      }
      file.write(reinterpret_cast<const char*>(piece.data()), static_cast<std::streamsize>(size));
      left -= size;
    }
    const std::array<char, 32> zeros{};
    file.write(zeros.data(), static_cast<std::streamsize>((32 - plan.bytes % 32) % 32));
  }

  const Shape shape_;
  const bool mixed_;
  Random random_;
  std::vector<Plan> plans_;
  std::uint64_t end_ = 0;
  std::string header_;
  std::uint64_t keys_ = 0;
};

}  // namespace

std::uint64_t synth(const SynthOptions& options) {
  if (options.type != "Q4_K_M" && options.type != "Q8_0") {
    throw std::runtime_error("synth: type '" + options.type +
                             "' is not known; Q4_K_M and Q8_0 are");
  }
  std::string known;
  for (Shape shape : kShapes) {
    known += (known.empty() ? "" : ", ") + std::string(shape.name);
    if (shape.name != options.shape) continue;
    if (options.layers > 0) shape.layers = options.layers;
    return Synth(shape, options.type == "Q4_K_M", options.seed).write(options.out);
  }
  throw std::runtime_error("synth: shape '" + options.shape + "' is not known; known are " + known);
}

}  // namespace moe::tools
