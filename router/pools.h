// Pools and skills as an administrator writes them: which experts answer under `skillyard/<name>`,
// and what the words mean that they declare.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "aggregator/answer.h"
#include "router/retrieval.h"

namespace router {

/// A skill as an administrator describes it, for routing before anything was learned.
struct SkillCard {
  std::string name, description;
  std::vector<std::string> examples;  // questions that need it
};

inline constexpr std::size_t kSkillCardsMax = 127;

/// Whether a pool's queries are shown passages of the knowledge.
enum class PoolRetrieval : std::uint8_t {
  never,  // not even where a request asks for it
  off,    // only where a request asks for it
  gated,  // where it is worth it, unless a request says otherwise
  on,     // always, unless a request says otherwise
};

struct RetrievalOptions {
  PoolRetrieval mode = PoolRetrieval::off;
  std::vector<std::string> collections;  // that the pool's queries may reach; empty: all
  double value_microusd = 10'000;        // RetrievalRules of the same names
  double explore = 0.02;
};

/// How far an expert is on its way into the pools, or out of them. Clients that name it are
/// answered at every stage.
enum class Stage : std::uint8_t {
  active,   // asked when it wins
  shadow,   // weighed and logged with every query, never chosen
  ramp,     // asked for a share of the queries that it wins
  draining  // not chosen any more; calls that run end
};

struct Life {
  Stage stage = Stage::active;
  double share = 1;  // at stage ramp, between 0 and 1: of its wins that it gets

  bool operator==(const Life&) const = default;
};

/// By expert; who is not in it is active.
using Lives = std::map<std::string, Life, std::less<>>;

/// What becomes of a query that is unlike all that the policy was trained on.
enum class Outside : std::uint8_t {
  ask,     // the expert that is best on the whole, as ever
  answer,  // nobody is asked; the pool answers what it was trained for
};

/// How several experts' answers become one.
struct AggregationOptions {
  std::string expert;  // that reads the others' answers (found by `skillyard bench-aggregators`);
                       // empty: the first that was asked
  std::optional<aggregator::Mode> mode;  // not set: by skill and type of answer, as was measured
};

struct PoolOptions {
  std::string name;  // `skillyard/<name>`; "auto" is always there and has every expert
  std::vector<std::string> experts;  // empty: every expert
  std::string default_expert;        // asked when nothing better is known; empty: the first one
  int fallbacks_max = 2;             // further experts that may be asked after one failed
  double explore = 0;  // share of the queries that go to a random eligible expert; the probability
                       // is logged, and `evaluate --log` needs it
  Outside outside = Outside::ask;
  RetrievalOptions retrieval;
  AggregationOptions aggregation;
};

}  // namespace router
