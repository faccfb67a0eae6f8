#include "experts/moe/tools/bench.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <memory>
#include <ostream>
#include <random>

#include "experts/moe/forward.h"

namespace moe::tools {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// What one measurement cost: elapsed, and processor time of all threads, which a busy machine
/// spoils less.
struct Cost {
  double seconds = 0, cpu_seconds = 0;
};

template <class Work>
Cost measure(const Work& work) {
  const auto start = Clock::now();
  const std::clock_t cpu = std::clock();
  work();
  return {seconds_since(start), static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC};
}

class Bench {
 public:
  Bench(const Model& model, const BenchOptions& options, int rows_max, std::size_t pages)
      : options_(options),
        vocabulary_(model.config.vocabulary),
        cache_(KvCache::Shape::of(model.config), pages),
        team_(options.threads),
        forward_(model, cache_, team_, pick_kernels(options.coarse), rows_max) {
    for (std::size_t i = 0; i < pages; ++i) pages_.push_back(cache_.take());
  }

  /// options.steps steps of n sequences, each at its own page.
  Cost decode(int n) {
    const auto step = [&](int position) {
      rows_.clear();
      for (int s = 0; s < n; ++s) rows_.push_back({token(), position, &pages_[s], nullptr, true});
      forward_.run(rows_);
    };
    step(0);
    return measure([&] {
      for (int i = 1; i <= options_.steps; ++i) step(i % kPagePositions);
    });
  }

  /// One prompt of n tokens.
  Cost prefill(int n) {
    rows_.clear();
    for (int i = 0; i < n; ++i) rows_.push_back({token(), i, pages_.data(), nullptr, i + 1 == n});
    return measure([&] { forward_.run(rows_); });
  }

 private:
  std::int32_t token() {
    return static_cast<std::int32_t>(random_() % static_cast<std::uint32_t>(vocabulary_));
  }

  const BenchOptions& options_;
  int vocabulary_;
  KvCache cache_;
  Team team_;
  Forward forward_;
  std::vector<std::uint32_t> pages_;
  std::vector<BatchRow> rows_;
  std::mt19937 random_{1};
};

void report(std::ostream& out, const char* what, int n, double tokens, std::vector<Cost> costs) {
  std::sort(costs.begin(), costs.end(),
            [](const Cost& a, const Cost& b) { return a.seconds < b.seconds; });
  double cpu = costs[0].cpu_seconds;
  for (const Cost& cost : costs) cpu = std::min(cpu, cost.cpu_seconds);
  char line[160];
  std::snprintf(line, sizeof line,
                "%-8s %4d   median %8.2f   best %8.2f tokens/s   best %7.2f processor ms/token\n",
                what, n, tokens / costs[costs.size() / 2].seconds, tokens / costs[0].seconds,
                cpu * 1e3 / tokens);
  out << line << std::flush;
}

}  // namespace

void bench(const BenchOptions& options, std::ostream& out) {
  const auto start = Clock::now();
  const Model model = Model::open(options.model);
  char line[128];
  std::snprintf(line, sizeof line, "load %.3f s, %d threads, kernels %s\n", seconds_since(start),
                options.threads, pick_kernels(options.coarse).name);
  out << line;
  const auto mapped = Clock::now();
  for (const MappedFile& file : model.gguf.files()) file.populate(0, file.bytes().size());
  std::snprintf(line, sizeof line, "weights mapped in %.3f s more\n", seconds_since(mapped));
  out << line;
  int rows_max = 1;
  std::size_t pages = 1;
  for (const int n : options.decode) {
    rows_max = std::max(rows_max, n);
    pages = std::max(pages, static_cast<std::size_t>(n));
  }
  for (const int n : options.prefill) {
    rows_max = std::max(rows_max, n);
    pages = std::max(pages, static_cast<std::size_t>(n / kPagePositions + 1));
  }
  Bench bench(model, options, rows_max, pages);
  for (const int n : options.decode) {
    std::vector<Cost> costs;
    for (int round = 0; round < options.rounds; ++round) costs.push_back(bench.decode(n));
    report(out, "decode", n, static_cast<double>(n) * options.steps, costs);
  }
  for (const int n : options.prefill) {
    std::vector<Cost> costs;
    bench.prefill(n);
    for (int round = 0; round < options.rounds; ++round) costs.push_back(bench.prefill(n));
    report(out, "prefill", n, n, costs);
  }
}

}  // namespace moe::tools
