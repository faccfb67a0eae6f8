// Drives Forward for tests: sequences with their own pages, stepped alone or together.
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "experts/moe/forward.h"

namespace moe::testing {

struct RunResult {
  std::vector<std::vector<float>> logits;       // after each token
  std::vector<std::vector<LayerRoute>> routes;  // per step
};

class Runner {
 public:
  Runner(const Model& model, const Kernels& kernels, int threads = 2, int rows_max = 256)
      : model_(model),
        cache_(KvCache::Shape::of(model.config), 64),
        team_(threads),
        forward_(model, cache_, team_, kernels, rows_max) {}

  void read_experts_from(ExpertStore* store) { forward_.read_experts_from(store); }

  /// Logits after each token of each sequence. All sequences advance together, each by at most
  /// `chunk` tokens a step (a sequence joins `stagger` steps after the one before it).
  std::vector<std::vector<std::vector<float>>> run(const std::vector<std::vector<int>>& sequences,
                                                   std::size_t chunk, std::size_t stagger = 0,
                                                   const std::vector<GatePolicy>& policies = {}) {
    std::vector<std::vector<std::uint32_t>> pages(sequences.size());
    std::vector<std::size_t> done(sequences.size(), 0);
    std::vector<std::vector<std::vector<float>>> logits(sequences.size());
    picks.assign(sequences.size(), {});
    for (std::size_t s = 0; s < sequences.size(); ++s) {
      picks[s].resize(sequences[s].size());
      const std::size_t count = (sequences[s].size() + kPagePositions - 1) / kPagePositions;
      for (std::size_t i = 0; i < count; ++i) pages[s].push_back(cache_.take());
    }
    std::vector<LayerRoute> routes;
    forward_.trace_into(&routes);
    for (std::size_t step = 0;; ++step) {
      std::vector<BatchRow> rows;
      std::vector<std::size_t> owner;
      for (std::size_t s = 0; s < sequences.size(); ++s) {
        if (step < s * stagger) continue;
        const std::size_t end = std::min(done[s] + chunk, sequences[s].size());
        for (std::size_t i = done[s]; i < end; ++i) {
          BatchRow row{sequences[s][i], static_cast<int>(i), pages[s].data(), nullptr, true};
          if (!policies.empty()) row.gate = &policies[s];
          rows.push_back(row);
          owner.push_back(s);
        }
      }
      if (rows.empty()) break;
      forward_.run(rows);
      for (std::size_t i = 0; i < rows.size(); ++i) {
        const auto row = forward_.logits(i);
        logits[owner[i]].emplace_back(row.begin(), row.end());
        for (const LayerRoute& route : routes) {
          picks[owner[i]][static_cast<std::size_t>(rows[i].position)].emplace_back(
              route.picks.begin() + route.first[i], route.picks.begin() + route.first[i + 1]);
        }
        ++done[owner[i]];
      }
    }
    for (const auto& list : pages) {
      for (const std::uint32_t page : list) cache_.release(page);
    }
    return logits;
  }

  /// After run(): [sequence][token][sparse layer] -> picks, best first.
  std::vector<std::vector<std::vector<std::vector<Pick>>>> picks;

 private:
  const Model& model_;
  KvCache cache_;
  Team team_;
  Forward forward_;
};

}  // namespace moe::testing
