// What a change of the configuration would do, before it is made: recent queries decided again
// under the old and the new one. Nobody is asked.
//
// The queries are the newest of the log that kept their words; without any, the rows that the
// policy remembers, with its held-out estimates of them. Counted is the first choice, with every
// expert well and idle. Intervals:
//   share   Wilson (1927), 95% for all experts together (Bonferroni), of the share among the *next*
//           as many queries: both samples vary, so n is halved. It holds for queries that come from
//           where the replayed ones came from.
//   score, cost, gain, skills   95%, normal, of the mean over such queries. The score is what the
//           policies estimate (both sides by the mean of both policies), not what was graded.
// The same queries, settings and seed give the same figures. Pure but for read_traffic().
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "router/learn/metrics.h"
#include "router/policy.h"
#include "router/pool_view.h"
#include "router/query.h"

namespace router {

inline constexpr std::size_t kTrafficMax = 4'000;    // queries that are replayed
inline constexpr std::size_t kTrafficScan = 20'000;  // rows of the log that are looked at for them
inline constexpr std::size_t kTrafficMin = 30;       // fewer say nothing: the memory is taken

/// How the service routes, or would.
struct Setting {
  PolicyPtr policy;
  std::map<std::string, PoolView, std::less<>> pools;  // bound to the policy; "auto" is there
  std::set<std::string, std::less<>> experts;          // that a client may name
};

struct TrafficRow {
  Query query;            // pool or expert, text, knobs, seed, tokens_in_estimate
  std::int64_t row = -1;  // of Policy::memory instead of the text
};

struct Traffic {
  std::string source = "none";  // log, memory, none
  std::vector<TrafficRow> rows;
  double per_s = 0;  // queries a second, of the log; 0: not known
};

/// `read_model` fills pool or expert and knobs from query.model. The log's file may be missing.
Traffic read_traffic(const std::string& log, const std::function<void(Query&)>& read_model);

/// What the policy remembers, asked of one pool.
Traffic recall_traffic(const Policy& policy, const std::string& pool);

struct SimulatedExpert {
  std::string name;
  Interval before, after;                  // share of the routed queries that it is asked first for
  double load_before = 0, load_after = 0;  // calls that run at once, by Little's law; 0: not known
};

struct SimulatedMove {
  std::string from, to;  // empty: nobody could be asked
  double share = 0;      // of the routed queries
};

struct SimulatedSkill {
  std::string skill;
  std::size_t rows = 0;
  Interval gain;  // of the estimated score, after minus before
};

struct Simulation {
  std::string source;
  std::size_t queries = 0;  // routed ones
  double per_s = 0;
  std::size_t named = 0;                 // queries whose client named an expert: not routed
  std::size_t named_lost = 0;            // of these: it would not be there
  std::size_t pool_lost = 0;             // queries of a pool that would not be there
  std::vector<SimulatedExpert> experts;  // by name
  std::optional<Interval> score_before, score_after, gain;  // null where nothing was learned
  Interval cost_before, cost_after, cost_change;            // usd per query
  double moved = 0;                                         // share that goes elsewhere
  std::vector<SimulatedMove> moves;                         // the largest first
  std::vector<SimulatedSkill> skills;                       // the largest loss first
};

Simulation simulate(const Setting& before, const Setting& after, const Traffic& traffic);

/// Of the share among the next `rows` queries when it was `share` among `rows`; `experts` intervals
/// are to hold together.
Interval share_interval(double share, std::size_t rows, std::size_t experts);

std::string to_json(const Simulation& simulation);

}  // namespace router
