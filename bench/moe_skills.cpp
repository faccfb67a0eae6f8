// rooms: moe
// What do batches of one skill save inside a sparse model? Texts of one domain are computed
// together, a token each a step as replies are made, then as many texts of all domains mixed:
// distinct experts a layer and step, which is how often weights are read, and tokens a processor
// second of both. Baseline: the mixed batches of the same run, over the same tokens.
//
// Then what an engine makes of it: all texts wait as requests, the domains in turn, and it runs
// eight at a time, told of what kin they are or not.
//
// With SKILLYARD_DATA: models/tiny-moe.F32.gguf (16 experts, 4 of them a token) and the held-out
// texts of its five domains. Without it the bench says that it skips.
//
//   bench_moe_skills [--smoke]
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <future>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "experts/moe/engine.h"
#include "experts/moe/forward.h"

namespace {

using Text = std::vector<std::int32_t>;  // token ids

constexpr int kWindow = 64;  // tokens of one text

/// What a set of batches cost.
struct Cost {
  std::size_t experts = 0;  // distinct ones, summed over layers and steps
  std::size_t layer_steps = 0;
  std::size_t tokens = 0;
  double cpu_seconds = 0;

  double experts_per_layer() const {
    return static_cast<double>(experts) / static_cast<double>(layer_steps);
  }

  double tokens_per_cpu_second() const { return static_cast<double>(tokens) / cpu_seconds; }
};

class Batches {
 public:
  Batches(const moe::Model& model, std::size_t together)
      : cache_(moe::KvCache::Shape::of(model.config), together * kPages),
        team_(1),
        forward_(model, cache_, team_, moe::pick_kernels(), static_cast<int>(together)) {
    for (std::size_t i = 0; i < together * kPages; ++i) pages_.push_back(cache_.take());
  }

  /// Computes the texts together and adds what it cost.
  void run(const std::vector<const Text*>& texts, Cost& cost) {
    forward_.trace_into(&routes_);
    for (int position = 0; position < kWindow; ++position) {
      step(texts, position);
      for (const moe::LayerRoute& route : routes_) count(route, cost);
    }
    forward_.trace_into(nullptr);  // the trace must not be in the figure
    const std::clock_t start = std::clock();
    for (int position = 0; position < kWindow; ++position) step(texts, position);
    cost.cpu_seconds += static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    cost.tokens += texts.size() * kWindow;
  }

 private:
  static constexpr std::size_t kPages = (kWindow + moe::kPagePositions - 1) / moe::kPagePositions;

  void step(const std::vector<const Text*>& texts, int position) {
    rows_.clear();
    for (std::size_t i = 0; i < texts.size(); ++i) {
      const std::int32_t token = (*texts[i])[static_cast<std::size_t>(position)];
      rows_.push_back({token, position, &pages_[i * kPages], nullptr, true});
    }
    forward_.run(rows_);
  }

  void count(const moe::LayerRoute& route, Cost& cost) {
    used_.clear();
    for (const moe::Pick& pick : route.picks)
      used_.push_back(static_cast<std::uint32_t>(pick.expert));
    std::sort(used_.begin(), used_.end());
    const auto end = std::unique(used_.begin(), used_.end());
    cost.experts += static_cast<std::size_t>(end - used_.begin());
    ++cost.layer_steps;
  }

  moe::KvCache cache_;
  moe::Team team_;
  moe::Forward forward_;
  std::vector<std::uint32_t> pages_;
  std::vector<moe::BatchRow> rows_;
  std::vector<moe::LayerRoute> routes_;
  std::vector<std::uint32_t> used_;
};

/// Texts of kWindow tokens, by domain; all domains have as many.
std::vector<std::vector<Text>> read_domains(const std::filesystem::path& path, std::size_t each) {
  std::ifstream in(path);
  const nlohmann::json file = nlohmann::json::parse(in);
  std::vector<std::vector<Text>> domains;
  for (const nlohmann::json& domain : file) {
    const auto ids = domain.at("ids").get<Text>();
    std::vector<Text>& texts = domains.emplace_back();
    for (std::size_t i = 0; i < each && (i + 1) * kWindow <= ids.size(); ++i) {
      const auto first = ids.begin() + static_cast<std::ptrdiff_t>(i * kWindow);
      texts.emplace_back(first, first + kWindow);
    }
  }
  return domains;
}

/// Every text once, `together` at a time, in the given order.
Cost measure(const moe::Model& model, const std::vector<const Text*>& order, std::size_t together) {
  Batches batches(model, together);
  Cost cost;
  for (std::size_t i = 0; i + together <= order.size(); i += together) {
    const auto first = order.begin() + static_cast<std::ptrdiff_t>(i);
    batches.run({first, first + static_cast<std::ptrdiff_t>(together)}, cost);
  }
  return cost;
}

/// All texts as requests to one engine, read along token by token.
Cost serve(const moe::Model& model, const std::vector<std::vector<Text>>& domains, bool collated) {
  moe::EngineOptions options;
  options.threads = 1;
  options.sequences_max = 8;
  options.queue_max = 10'000;
  options.prefix_reuse = false;
  std::promise<void> ready, done;
  const auto all_there = ready.get_future().share();
  std::atomic<std::size_t> left{domains.size() * domains.front().size()};
  moe::Engine engine(model, options);
  for (std::size_t i = 0; i < domains.front().size(); ++i) {
    for (std::size_t d = 0; d < domains.size(); ++d) {
      const Text& text = domains[d][i];
      moe::Request request;
      request.prompt = {text.front()};
      request.tokens_max = kWindow;
      request.kin = collated ? d + 1 : 0;
      request.choose = [&text, all_there, at = std::size_t{0}](std::span<const float>) mutable {
        all_there.wait();
        return ++at < text.size() ? text[at] : moe::kStop;
      };
      request.finish = [&](const moe::Ending&) {
        if (--left == 0) done.set_value();
      };
      engine.submit(std::move(request));
    }
  }
  const std::clock_t start = std::clock();
  ready.set_value();
  done.get_future().wait();
  const auto layers = static_cast<std::size_t>(model.config.layers);
  const moe::EngineStats stats = engine.stats();
  return {.experts = stats.expert_loads,
          .layer_steps = stats.steps * layers,
          .tokens = stats.rows,
          .cpu_seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC};
}

}  // namespace

int main(int argc, char** argv) {
  const bool smoke = argc > 1 && std::strcmp(argv[1], "--smoke") == 0;
  const char* data = std::getenv("SKILLYARD_DATA");
  if (data == nullptr) {
    std::printf("skipped: SKILLYARD_DATA is not set\n");
    return 0;
  }
  const std::filesystem::path models = std::filesystem::path(data) / "models";
  const moe::Model model = moe::Model::open(models / "tiny-moe.F32.gguf");
  const auto domains = read_domains(models / "tiny-moe.eval.json", smoke ? 8 : 32);
  std::printf("%8s %22s %22s %10s %26s\n", "together", "experts, one domain", "experts, mixed",
              "ratio", "tokens a processor second");
  for (const std::size_t together : {std::size_t{4}, std::size_t{8}, std::size_t{16}}) {
    if (smoke && together > 8) break;
    std::vector<const Text*> one_domain, mixed;
    for (const auto& texts : domains) {
      for (const Text& text : texts) one_domain.push_back(&text);
    }
    for (std::size_t i = 0; i < domains.front().size(); ++i) {
      for (const auto& texts : domains) mixed.push_back(&texts[i]);
    }
    const Cost alike = measure(model, one_domain, together), all = measure(model, mixed, together);
    std::printf("%8zu %22.2f %22.2f %10.2f %12.0f, %12.0f\n", together, alike.experts_per_layer(),
                all.experts_per_layer(), all.experts_per_layer() / alike.experts_per_layer(),
                alike.tokens_per_cpu_second(), all.tokens_per_cpu_second());
  }
  const Cost alike = serve(model, domains, true), all = serve(model, domains, false);
  std::printf("%8s %22.2f %22.2f %10.2f %12.0f, %12.0f\n", "engine", alike.experts_per_layer(),
              all.experts_per_layer(), all.experts_per_layer() / alike.experts_per_layer(),
              alike.tokens_per_cpu_second(), all.tokens_per_cpu_second());
}
