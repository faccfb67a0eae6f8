// What the edge asks of the rest of the house. `main` fills one set per net thread; tests fill it
// with fakes.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "aggregator/answer.h"
#include "experts/expert.h"
#include "http/admission.h"
#include "router/decision.h"
#include "router/explain.h"
#include "router/query.h"

namespace http {

class BatchDesk;
class KeyDesk;
class Records;
struct AdminDoors;

/// One line of GET /v1/models.
struct Model {
  std::string id;
  std::string owned_by;
  std::int64_t created_s = 0;     // Unix time
  std::string state = "";         // where not all experts fit in memory: resident, loading ...
  std::int64_t load_wait_ms = 0;  // then, expected of a request that would come now
};

/// All of them are called on the net thread they were made for and, but for `answer`, do not block.
struct Doors {
  /// The corridor. `query` and `sink` outlive the coroutine; sink is null unless query.call.stream.
  /// Of the query it may write what it learns for the call. Cancelled when the client goes away or
  /// the deadline passes.
  std::function<boost::asio::awaitable<aggregator::Answer>(router::Query& query,
                                                           experts::Sink* sink)>
      answer;

  /// Gets what the decision about a query needs from elsewhere, for `route` right after; may be
  /// empty. `query` outlives the coroutine.
  std::function<boost::asio::awaitable<void>(const router::Query& query)> prepare;

  /// The decision alone; asks nobody.
  std::function<router::LoggedRoute(const router::Query& query)> route;

  /// Why a decision fell as it did; of the query what is still known.
  std::function<router::Explanation(const router::Query& query, const router::LoggedRoute& logged)>
      explain;

  std::function<bool(std::string_view name)> knows_expert;
  std::function<bool(std::string_view name)> knows_pool;  // "auto" included
  std::function<std::vector<Model>()> models;             // experts, then `skillyard/<pool>` names
  std::function<std::uint64_t()> policy_version;          // of the snapshot that runs now; 0: none

  /// The log; null: the service keeps none. Shared by the net threads, outlives them.
  Records* records = nullptr;

  /// The batch API; null: the service takes none. Shared by the net threads, outlives them.
  BatchDesk* batches = nullptr;

  /// Empty when the service can take requests, else why not.
  std::function<std::string()> unready;

  /// API keys; null: nobody is asked for one. Shared by the net threads, outlives them.
  KeyDesk* keys = nullptr;

  /// Most that a query's calls may cost; may be empty where no key has a budget.
  std::function<CostBound(const router::Query& query)> cost_bound;

  /// Set: this is the administrators' listener, and serves their endpoints instead of the others.
  const AdminDoors* admin = nullptr;

  /// Appends the other rooms' metrics in Prometheus' text format; may be empty.
  std::function<void(std::string& out)> metrics;
};

}  // namespace http
