// The corridor: the one path from a query to an answer. Read this file and pipeline.cpp first.
//
// One Pipeline per net thread, used on that thread only. It never blocks: the decision is computed
// in place (well under a millisecond), the experts are asked by coroutines, the log row goes into a
// queue.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "aggregator/answer.h"
#include "experts/pool.h"
#include "router/board.h"
#include "router/decide.h"
#include "router/decision.h"
#include "router/explain.h"
#include "router/features.h"
#include "router/panel.h"
#include "router/passage_search.h"
#include "router/pool_view.h"
#include "router/query.h"
#include "router/query_vectors.h"
#include "store/journal.h"

namespace router {

class Pipeline {
 public:
  /// All of them outlive the Pipeline. `lookup`: null where nothing can be looked up.
  Pipeline(experts::Pool& pool, const RulesBoard& rules, store::Journal& journal,
           Lookup* lookup = nullptr, VectorOptions vectors = {}, QueryVectors::Warn warn = nullptr);

  /// Decides, asks, logs. `query` and `sink` outlive the coroutine; `sink` is used when
  /// query.call.stream; of the query only call.kin is written, as soon as its skill is known. Never
  /// throws for what an expert can do wrong. Cancelled: the experts are cancelled too, and the
  /// decision is logged as far as it went.
  boost::asio::awaitable<aggregator::Answer> answer(Query& query, experts::Sink* sink);

  /// Gets what the decision about a query needs from elsewhere, and keeps it for route(): its
  /// vector, where the policy was trained with some. `query` outlives the coroutine.
  boost::asio::awaitable<void> prepare(const Query& query);

  /// The decision alone, with its names; asks nobody and logs nothing.
  LoggedRoute route(const Query& query);

  /// Why a decision fell as it did; `logged` came from route() or from the log, and of the query
  /// what is still known (its pool or expert must be). Some hundred times the price of a decision.
  Explanation explain(const Query& query, const LoggedRoute& logged);

  bool knows_pool(std::string_view name);
  std::uint64_t policy_version();

 private:
  /// What one pool's queries are decided by: a view of the experts under one policy. Rebuilt when
  /// the rules or the experts change; whoever decided by it keeps it until the answer is there.
  struct Desk {
    PolicyPtr policy;
    PoolView view;
    int fallbacks_max = 0;
    RetrievalOptions retrieval;
    RetrievalModel retrieval_model;
    AggregationOptions aggregation;
    std::string notice;  // what the pool answers to queries that are outside
  };

  struct Decided {
    std::shared_ptr<const Desk> desk;
    Route route;
    std::int64_t took_us = 0;
  };

  boost::asio::awaitable<aggregator::Answer> ask_experts(const Query& query, const Decided& decided,
                                                         const Retrieved& retrieved,
                                                         experts::Sink* sink);
  static PanelTask panel_of(const Query& query, const Decided& decided, const Retrieved& retrieved);
  bool may_retrieve(const Query& query, const Decided& decided) const;
  static RetrievalTask task_of(const Query& query, const Decided& decided);
  bool lacks_vector(const Query& query);
  boost::asio::awaitable<QueryVectors::Fetched> fetch_vector(const Query& query);
  Decided decide_for(const Query& query);
  /// The expert that makes a pool's embeddings: the first of its members that can, and no other
  /// when that one is ill, since vectors of two models cannot be compared. Empty: there is none.
  std::string encoder_of(std::string_view pool);
  const Rules& current_rules();
  std::shared_ptr<Desk> desk_of(const Query& query);
  std::shared_ptr<Desk> make_desk(const Rules& rules, const PoolOptions& pool);
  void refresh(Desk& desk, const std::vector<experts::ExpertView>& now);
  void log(const Query& query, const Decided& decided, const aggregator::Answer& answer,
           std::int64_t total_us);

  experts::Pool& pool_;
  const RulesBoard& board_;
  store::Journal& journal_;
  Lookup* const lookup_;
  QueryVectors vectors_;
  std::shared_ptr<const Rules> rules_;
  std::uint64_t rules_version_ = 0;
  std::uint64_t pool_version_ = 0;
  std::map<std::string, std::shared_ptr<Desk>, std::less<>> desks_;  // by pool name
  Extractor extractor_;
  Features features_;      // scratch of decide_for, never alive across a suspension
  DecideScratch scratch_;  // likewise
};

}  // namespace router
