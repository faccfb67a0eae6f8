// What the router serves by: the learned policy and the pools, one immutable snapshot, swapped
// whole.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "router/policy.h"
#include "router/pools.h"
#include "router/retrieval.h"

namespace router {

struct Rules {
  PolicyPtr policy;                // never null; Policy::empty() when nothing was learned yet
  std::vector<PoolOptions> pools;  // "auto" first
  Lives lives;                     // of the experts that are not simply active
  RetrievalModel retrieval;        // the guesses of its header, until some were learned
};

/// The one place where the current Rules hang. Any thread may publish or read.
class RulesBoard {
 public:
  explicit RulesBoard(Rules rules) { publish(std::move(rules)); }

  std::shared_ptr<const Rules> current() const { return current_.load(); }

  /// Changes with every publish: the cheap question "is there anything new?".
  std::uint64_t version() const { return version_.load(std::memory_order_acquire); }

  void publish(Rules rules) {
    current_.store(std::make_shared<const Rules>(std::move(rules)));
    version_.fetch_add(1, std::memory_order_release);
  }

 private:
  std::atomic<std::shared_ptr<const Rules>> current_;
  std::atomic<std::uint64_t> version_{0};
};

}  // namespace router
