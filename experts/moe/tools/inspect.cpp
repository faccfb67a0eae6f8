#include "experts/moe/tools/inspect.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <ostream>
#include <string>

#include "experts/moe/kernels/kernels.h"
#include "experts/moe/kv_cache.h"
#include "experts/moe/model.h"
#include "experts/moe/options.h"

namespace moe::tools {

namespace {

std::string bytes_text(std::uint64_t bytes) {
  char text[32];
  const double mib = static_cast<double>(bytes) / (1 << 20);
  std::snprintf(text, sizeof text, mib >= 1024 ? "%.2f GiB" : "%.2f MiB",
                mib >= 1024 ? mib / 1024 : mib);
  return text;
}

std::string gate_text(const Config& config) {
  const GateRecipe& gate = config.gate;
  std::string text = gate.score == GateScore::sigmoid ? "sigmoid" : "softmax";
  text += ", top " + std::to_string(config.experts_used) + " of " + std::to_string(config.experts);
  if (gate.groups > 1) {
    text += " in the best " + std::to_string(gate.groups_used) + " of " +
            std::to_string(gate.groups) + " groups";
  }
  text += gate.renormalise ? ", renormalised" : ", not renormalised";
  if (gate.scale != 1) text += ", times " + std::to_string(gate.scale);
  return text;
}

/// Parameters, and of these the ones that a token meets.
struct Sizes {
  std::uint64_t parameters = 0, active = 0;
  std::uint64_t bytes = 0, active_bytes = 0;
  std::uint64_t expert_bytes = 0;      // all routed experts
  std::uint64_t expert_bytes_max = 0;  // the largest one

  void add(std::uint64_t count, std::uint64_t size, double share) {
    parameters += count;
    bytes += size;
    active += static_cast<std::uint64_t>(static_cast<double>(count) * share);
    active_bytes += static_cast<std::uint64_t>(static_cast<double>(size) * share);
  }
};

Sizes measure(const Model& model) {
  Sizes sizes;
  const double routed = model.config.experts > 0
                            ? static_cast<double>(model.config.experts_used) / model.config.experts
                            : 1;
  for (const Tensor& tensor : model.gguf.tensors()) {
    const auto count = static_cast<std::uint64_t>(tensor.ne[0] * tensor.rows());
    const bool table =
        tensor.name == "token_embd.weight" && model.gguf.tensor("output.weight") != nullptr;
    sizes.add(count, tensor.bytes, table ? 0 : is_routed(tensor) ? routed : 1);
  }
  for (const Layer& layer : model.weights.layers) {
    if (!layer.is_sparse()) continue;
    for (const Expert& expert : layer.experts) {
      sizes.expert_bytes += expert.bytes();
      sizes.expert_bytes_max = std::max<std::uint64_t>(sizes.expert_bytes_max, expert.bytes());
    }
  }
  return sizes;
}

}  // namespace

void inspect(const std::filesystem::path& path, std::ostream& out) {
  const Model model = Model::open(path);
  const Config& c = model.config;
  const Sizes sizes = measure(model);
  const auto line = [&](const char* key, const std::string& value) {
    char padded[32];
    std::snprintf(padded, sizeof padded, "%-18s", key);
    out << padded << value << '\n';
  };
  line("file", model.gguf.name() + " (GGUF v" + std::to_string(model.gguf.version()) + ", " +
                   bytes_text(model.gguf.file_bytes()) + ", " +
                   std::to_string(model.gguf.shards()) +
                   (model.gguf.shards() == 1 ? " file)" : " files)"));
  line("name", c.name);
  line("architecture", c.architecture_name);
  line("layers", std::to_string(c.layers));
  line("width", std::to_string(c.width));
  line("attention",
       std::to_string(c.heads) + " heads, " + std::to_string(c.heads_kv) + " for keys, of " +
           std::to_string(c.head_k) +
           (c.latent.kv_rank > 0 ? ", latent " + std::to_string(c.latent.kv_rank) : ""));
  line("vocabulary", std::to_string(c.vocabulary));
  line("context", std::to_string(c.context));
  line("gate", c.experts == 0 ? "none, dense" : gate_text(c));
  const auto sparse = std::count_if(model.weights.layers.begin(), model.weights.layers.end(),
                                    [](const Layer& layer) { return layer.is_sparse(); });
  line("sparse layers", std::to_string(sparse));
  line("shared expert", model.weights.layers.back().shared.empty()
                            ? "none"
                            : std::to_string(model.weights.layers.back().shared[0].gate.rows) +
                                  " wide" + (c.shared_gated ? ", gated" : ""));
  line("parameters", std::to_string(sizes.parameters) + ", active " + std::to_string(sizes.active));
  line("weights", bytes_text(sizes.bytes) + ", read per token " + bytes_text(sizes.active_bytes));
  line("experts", bytes_text(sizes.expert_bytes) + ", one " + bytes_text(sizes.expert_bytes_max));
  std::map<std::string, int> types;
  for (const Tensor& tensor : model.gguf.tensors()) ++types[traits_of(tensor.type)->name];
  std::string list;
  for (const auto& [name, count] : types) {
    list += (list.empty() ? "" : ", ") + name + " x " + std::to_string(count);
  }
  line("tensor types", list);
  const std::uint64_t page = KvCache::Shape::of(c).page_bytes();
  line("KV per token", bytes_text(page / kPagePositions));
  line("memory", bytes_text(model.gguf.file_bytes()) + " of mapped file + at most " +
                     bytes_text(EngineOptions().kv_bytes_max) + " of KV (kv_bytes_max)");
  line("kernels", pick_kernels().name);
}

}  // namespace moe::tools
