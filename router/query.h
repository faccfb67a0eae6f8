// What a client asks: the edge makes it, the corridor walks it. Plain data.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "aggregator/answer.h"
#include "aggregator/canonical.h"
#include "experts/call.h"
#include "router/retrieval.h"

namespace router {

/// What a client may set per request, in the `skillyard` object or as `@` suffixes of `model`.
struct Knobs {
  std::optional<double> quality;  // 0 = cheapest .. 1 = best, along the solved frontier
  std::optional<std::int64_t> cost_microusd_max;
  std::optional<std::int64_t> latency_ms_max;
  std::optional<int> k;                               // experts to ask at most, 1..8
  std::optional<aggregator::AnswerType> answer_type;  // of panels; not set: read from the question
  bool explain = false;                               // the reply carries the `skillyard` object
  std::optional<RetrievalMode> retrieval;             // not set: as the pool says
  std::vector<std::string> collections;               // to look into; empty: all that the pool may
  std::optional<aggregator::Mode> aggregation;        // not set: as the pool says
};

/// Tokens of a text before any server counted them.
inline std::int64_t estimate_tokens(std::size_t bytes) {
  return (static_cast<std::int64_t>(bytes) + 3) / 4;
}

/// What the request needs that not every expert can do.
struct Needs {
  bool tools = false;
  bool json_schema = false;  // response_format other than text
  bool images = false;
  bool logprobs = false;
  bool many = false;                    // n > 1
  std::int64_t choices = 1;             // n
  std::int64_t tokens_in_estimate = 0;  // of all text
  std::int64_t tokens_out_max = 0;      // 0: not said
};

struct Query {
  std::string id;      // decision id, `dec_` + 26 characters, sortable by time
  std::string model;   // as the client wrote it, at most 256 bytes
  std::string pool;    // "auto" or a pool's name; empty when `expert` is set
  std::string expert;  // a concrete expert: the router is bypassed
  std::string
      text;  // what the router reads: last user message, then system; at most head + tail limit
  std::uint64_t seed = 0;    // of every random choice made for this query
  std::int64_t unix_us = 0;  // when it came in
  Knobs knobs;
  Needs needs;
  experts::Call call;
  /// Told once, before anybody answers, which experts may be asked, in order. Empty: nobody wants
  /// to know.
  std::function<void(const std::vector<std::string>&)> on_asking;
};

}  // namespace router
