// Between the decision and the experts: whether one query is shown passages, which, and what is
// written down about it. The gate itself is pure (router/retrieval.h); this asks it before the
// search (none where no passage could pay) and after.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "router/lookup.h"
#include "router/pools.h"
#include "router/query.h"
#include "router/retrieval.h"

namespace experts {
class Pool;
}

namespace router {

/// What the gate takes an expert for that no learned policy has an estimate of.
inline constexpr double kCorrectUnknown = 0.5;

struct RetrievalTask {
  RetrievalRules rules;
  RetrievalModel model;
  std::vector<std::string> collections;  // empty: all
  double c0 = kCorrectUnknown;           // of the first expert to ask
  std::int64_t price_in_microusd = 0;    // a million prompt tokens, summed over the experts to ask
  std::int64_t tokens_free = std::numeric_limits<std::int64_t>::max();  // for passages, in each
  double chance = 0;                                                    // uniform in [0, 1)
};

struct Retrieved {
  std::optional<experts::Call> call;  // with passages in it; none: the client's own
  std::vector<std::string> passages;  // that are in it, each with its source's name
  std::int64_t cost_microusd = 0;     // of the query's vector
  std::string record;                 // the GateRecord as JSON; empty: nothing was considered
  bool cancelled = false;             // nobody waits any more
};

/// Mode and collections of a query under its pool's options: `rules.mode` never when it is not to
/// look anything up, or only into collections that the pool may not reach.
RetrievalTask start_retrieval(const RetrievalOptions& pool, const Query& query);

/// `query` and `task` outlive the coroutine. Never throws for what a lookup can do wrong: then
/// there are no passages. Where passages have vectors the query's is asked of the encoder in `pool`
/// first; without it, or late, the search is by words.
boost::asio::awaitable<Retrieved> retrieve(Lookup& lookup, experts::Pool& pool, const Query& query,
                                           const RetrievalTask& task);

}  // namespace router
