// The vectors of queries, for policies that were trained with an encoder's: asked of the expert
// that makes them, kept for the next query of the same words. A query that is not given one in time
// is decided by its words alone.
//
// The expert is the first of the pool that makes embeddings under the name that the policy has
// recorded, and no other. With the first query it is also asked for kFingerprintText; who gives
// another vector than the policy remembers is another encoder, and is not asked again until experts
// or policy change. After a failure nobody asks for some seconds.
//
// One for each net thread, used on that thread only.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

#include "experts/pool.h"
#include "router/options.h"
#include "router/policy.h"

namespace router {

class QueryVectors {
 public:
  using Warn = std::function<void(std::string_view sentence)>;

  /// `pool` outlives it. `warn` (may be null) hears once of each encoder that is refused.
  QueryVectors(experts::Pool& pool, VectorOptions options, Warn warn);

  /// Whether fetch() would ask somebody for it.
  bool lacks(const Policy& policy, const std::string& text);

  struct Fetched {
    std::int64_t cost_microusd = 0;
    bool cancelled = false;  // nobody waits any more
  };

  /// Asks for the vector of a text that lacks() it. Never throws for what the encoder can do wrong.
  /// `policy` and `text` outlive the coroutine.
  boost::asio::awaitable<Fetched> fetch(const Policy& policy, const std::string& text,
                                        experts::Clock::time_point deadline);

  /// What is kept for a text; empty: nothing.
  const std::string& find(const Policy& policy, const std::string& text);

 private:
  void settle(const Policy& policy);
  void keep(std::uint64_t hash, std::string vector);
  bool is_known(const Policy& policy, const std::string& vector);

  struct Kept {
    std::uint64_t hash = 0;  // of the text
    std::string vector;
  };

  experts::Pool& pool_;
  const VectorOptions options_;
  const Warn warn_;
  std::uint64_t policy_version_ = 0, pool_version_ = 0;  // that the rest belongs to
  std::string encoder_, fingerprint_;                    // of the vectors that are kept
  std::string expert_;                                   // empty: nobody is asked
  bool checked_ = false;                                 // it gave the right fingerprint
  experts::Clock::time_point again_{};                   // not asked before
  std::list<Kept> kept_;                                 // the latest used first
  std::unordered_map<std::uint64_t, std::list<Kept>::iterator> places_;  // by hash
};

}  // namespace router
