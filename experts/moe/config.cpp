#include "experts/moe/config.h"

#include <array>
#include <cmath>
#include <stdexcept>

namespace moe {

namespace {

struct Traits {
  std::string_view name;
  Architecture architecture;
  RopeStyle rope;
  QkNorm qk_norm;
  bool renormalise;
  bool shared_gated;
};

constexpr std::array kTraits = {
    Traits{"llama", Architecture::llama, RopeStyle::interleaved, QkNorm::none, true, false},
    Traits{"qwen2", Architecture::qwen2, RopeStyle::neox, QkNorm::none, false, false},
    Traits{"qwen3", Architecture::qwen3, RopeStyle::neox, QkNorm::per_head, false, false},
    Traits{"olmoe", Architecture::olmoe, RopeStyle::neox, QkNorm::whole_row, false, false},
    Traits{"qwen2moe", Architecture::qwen2moe, RopeStyle::neox, QkNorm::none, false, true},
    Traits{"qwen3moe", Architecture::qwen3moe, RopeStyle::neox, QkNorm::per_head, true, false},
    Traits{"deepseek", Architecture::deepseek, RopeStyle::interleaved, QkNorm::none, false, false},
    Traits{"deepseek2", Architecture::deepseek2, RopeStyle::interleaved, QkNorm::none, false,
           false},
    Traits{"granite", Architecture::granite, RopeStyle::interleaved, QkNorm::none, false, false},
    Traits{"granitemoe", Architecture::granitemoe, RopeStyle::interleaved, QkNorm::none, true,
           false},
};

/// Metadata under the architecture's prefix, with bounds.
class Keys {
 public:
  Keys(const Gguf& gguf, std::string prefix) : gguf_(gguf), prefix_(std::move(prefix)) {}

  int required(std::string_view key, int max) const {
    const std::optional<std::int64_t> value = integer(key);
    if (!value) refuse("has no key " + full(key));
    return checked(key, *value, 1, max);
  }

  int optional(std::string_view key, int otherwise, int max) const {
    const std::optional<std::int64_t> value = integer(key);
    return value ? checked(key, *value, 0, max) : otherwise;
  }

  float number(std::string_view key, double otherwise) const {
    const double value = gguf_.number(full(key)).value_or(otherwise);
    if (!std::isfinite(value)) refuse("has a value that is no number in " + full(key));
    return static_cast<float>(value);
  }

  bool boolean(std::string_view key, bool otherwise) const {
    return gguf_.boolean(full(key)).value_or(otherwise);
  }

  std::string_view text(std::string_view key) const { return gguf_.string(full(key)).value_or(""); }

  bool has(std::string_view key) const { return gguf_.find(full(key)) != nullptr; }

  [[noreturn]] void refuse(const std::string& what) const {
    throw std::runtime_error("model file " + gguf_.name() + " " + what);
  }

  std::string full(std::string_view key) const { return prefix_ + "." + std::string(key); }

 private:
  /// Some keys are written once per layer; all layers must agree.
  std::optional<std::int64_t> integer(std::string_view key) const {
    const Value* value = gguf_.find(full(key));
    if (value == nullptr || value->type != ValueType::array) return gguf_.integer(full(key));
    const std::vector<std::int64_t> values = *gguf_.integers(full(key));
    if (values.empty()) refuse("has an empty array in " + full(key));
    for (const std::int64_t v : values) {
      if (v != values[0])
        refuse("has layers that differ in " + full(key) + ", which is not supported");
    }
    return values[0];
  }

  int checked(std::string_view key, std::int64_t value, int min, int max) const {
    if (value < min || value > max) {
      refuse("has " + full(key) + " = " + std::to_string(value) + "; from " + std::to_string(min) +
             " to " + std::to_string(max) + " is supported");
    }
    return static_cast<int>(value);
  }

  const Gguf& gguf_;
  std::string prefix_;
};

const Traits& traits_of_file(const Gguf& gguf) {
  const std::string_view name = gguf.string("general.architecture").value_or("");
  std::string known;
  for (const Traits& traits : kTraits) {
    if (traits.name == name) return traits;
    known += std::string(known.empty() ? "" : ", ") + std::string(traits.name);
  }
  throw std::runtime_error("model file " + gguf.name() + " has architecture '" + std::string(name) +
                           "'; supported are " + known);
}

void read_attention(const Keys& keys, Config& config) {
  config.heads = keys.required("attention.head_count", 1024);
  config.heads_kv = keys.optional("attention.head_count_kv", config.heads, 1024);
  if (config.heads_kv == 0 || config.heads % config.heads_kv != 0) {
    keys.refuse("has " + keys.full("attention.head_count") + " not a multiple of head_count_kv");
  }
  const int head = config.width / config.heads;
  config.head_k = keys.optional("attention.key_length", head, 1 << 14);
  config.head_v = keys.optional("attention.value_length", head, 1 << 14);
  if (config.architecture == Architecture::deepseek2) {
    config.latent.kv_rank = keys.required("attention.kv_lora_rank", 1 << 14);
    config.latent.q_rank = keys.optional("attention.q_lora_rank", 0, 1 << 14);
    config.latent.split = keys.has("attention.key_length_mla");
    config.head_k = keys.optional("attention.key_length_mla", config.head_k, 1 << 14);
    config.head_v = keys.optional("attention.value_length_mla", config.head_v, 1 << 14);
    config.heads_kv = config.heads;
  }
  if (config.head_k <= 0 || config.head_v <= 0) keys.refuse("has attention heads of size 0");
  config.rms_eps = keys.number("attention.layer_norm_rms_epsilon", 1e-5);
  if (!(config.rms_eps > 0)) keys.refuse("has an RMS epsilon that is not positive");
}

void read_rope(const Keys& keys, RopeStyle style, Config& config) {
  Rope& rope = config.rope;
  rope.style = style;
  rope.dims = keys.optional("rope.dimension_count", config.head_k, 1 << 14);
  rope.base = keys.number("rope.freq_base", 10000);
  if (rope.dims < 2 || rope.dims % 2 != 0 || rope.dims > config.head_k || !(rope.base > 0)) {
    keys.refuse("has rotary position keys that make no sense");
  }
  const std::string_view scaling = keys.text("rope.scaling.type");
  const float factor = keys.number("rope.scaling.factor", keys.number("rope.scale_linear", 1));
  config.score_scale = 1.0f / std::sqrt(static_cast<float>(config.head_k));
  if (config.latent.kv_rank > 0) {
    config.latent.nope = config.head_k - rope.dims;
    if (config.latent.nope == 0) keys.refuse("has latent attention whose heads are all rotary");
  }
  if (scaling.empty() || scaling == "none") return;
  if (scaling != "linear" && scaling != "yarn") {
    keys.refuse("has rotary scaling '" + std::string(scaling) +
                "'; none, linear and yarn are supported");
  }
  if (!(factor > 0)) keys.refuse("has a rotary scaling factor that is not positive");
  rope.frequency_scale = 1.0f / factor;
  if (scaling == "linear") return;
  rope.yarn = true;
  rope.context_original =
      keys.optional("rope.scaling.original_context_length", config.context, 1 << 30);
  rope.beta_fast = keys.number("rope.scaling.yarn_beta_fast", 32);
  rope.beta_slow = keys.number("rope.scaling.yarn_beta_slow", 1);
  const float attention = keys.number("rope.scaling.attn_factor", 1);
  if (config.architecture == Architecture::deepseek2) {
    // DeepSeek scales the scores instead of cos and sin.
    const float log_mul = keys.number("rope.scaling.yarn_log_multiplier", 0);
    const float m = attention * (1.0f + log_mul * std::log(factor));
    config.score_scale *= m * m;
  } else {
    rope.magnitude = attention * (1.0f + 0.1f * std::log(factor));
  }
}

void read_factors(const Keys& keys, Config& config) {
  if (config.architecture != Architecture::granite &&
      config.architecture != Architecture::granitemoe) {
    return;
  }
  if (!keys.boolean("rope.scaling.finetuned", true)) {
    keys.refuse("has no positions in its attention, which is not supported");
  }
  if (keys.has("deepstack_mapping")) keys.refuse("reads images, which is not supported");
  const auto factor = [&](std::string_view key, float otherwise) {
    const float value = keys.number(key, 0);
    if (value == 0) return otherwise;  // how converters write "none"
    if (!(value >= 1e-6f && value <= 1e6f)) {
      keys.refuse("has a value out of reason in " + keys.full(key));
    }
    return value;
  };
  config.factors.embedding = factor("embedding_scale", 1);
  config.factors.residual = factor("residual_scale", 1);
  config.factors.logits = 1 / factor("logit_scale", 1);
  config.score_scale = factor("attention.scale", config.score_scale);
}

void read_gate(const Keys& keys, const Traits& traits, Config& config) {
  config.experts = keys.optional("expert_count", 0, 1 << 14);
  if (config.experts == 0) return;
  config.experts_used = keys.required("expert_used_count", config.experts);
  config.shared_gated = traits.shared_gated;
  GateRecipe& gate = config.gate;
  gate.renormalise = keys.boolean("expert_weights_norm", traits.renormalise);
  gate.scale = keys.number("expert_weights_scale", 1);
  if (gate.scale == 0) gate.scale = 1;  // how converters write "none"
  const int score = keys.optional("expert_gating_func", 1, 100);
  if (score != 0 && score != 1 && score != 2) {
    keys.refuse("has expert_gating_func " + std::to_string(score) +
                "; 1 (softmax) and 2 (sigmoid) are supported");
  }
  gate.score = score == 2 ? GateScore::sigmoid : GateScore::softmax;
  gate.groups = std::max(1, keys.optional("expert_group_count", 1, config.experts));
  gate.groups_used =
      std::max(1, keys.optional("expert_group_used_count", gate.groups, gate.groups));
  if (config.experts % gate.groups != 0 ||
      config.experts / gate.groups * gate.groups_used < config.experts_used) {
    keys.refuse("has expert groups that do not fit its experts");
  }
}

}  // namespace

Config Config::read(const Gguf& gguf) {
  const Traits& traits = traits_of_file(gguf);
  const Keys keys(gguf, std::string(traits.name));
  Config config;
  config.architecture = traits.architecture;
  config.architecture_name = traits.name;
  config.name = gguf.string("general.name").value_or("");
  config.qk_norm = traits.qk_norm;
  config.layers = keys.required("block_count", 1024);
  config.context = keys.required("context_length", 1 << 30);
  config.width = keys.required("embedding_length", 1 << 17);
  read_attention(keys, config);
  read_rope(keys, traits.rope, config);
  read_factors(keys, config);
  read_gate(keys, traits, config);
  if (keys.optional("attention.sliding_window", 0, 1 << 30) != 0) {
    keys.refuse("uses sliding-window attention, which is not supported");
  }
  return config;
}

}  // namespace moe
