// What the retrieval gate did for one query, as it is logged, shown to clients that ask for it, and
// learned from: a small JSON object, so that the log can be read without this program.
//
//   {"mode": "auto", "lookup": "found", "search_us": 812, "c0": 0.41, "passages": 1,
//    "p_correct": 0.7, "propensity": 0.99, "explored": false,
//    "probe": {"top", "margin", "covered", "found"},
//    "arms": [{"passages", "r", "kappa", "gain", "threshold"}, ...],
//    "encoded": "ok", "sources": [{"id", "collection", "source", "heading", "score",
//    "similarity"}, ...]}
//
// SearchProbe, arms and sources are left out where nothing was searched, `encoded` where no encoder
// was asked.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "router/retrieval.h"

namespace router {

/// A passage that the experts were shown, or could have been.
struct GateSource {
  std::int64_t id = 0;
  std::string collection, source, heading;
  double score = 0;       // store::Passage
  double similarity = 0;  //
};

struct GateRecord {
  RetrievalMode mode = RetrievalMode::gated;
  std::string lookup;   // name_of(LookupOutcome), `none`: no search could have been worth it, or
                        // `unframed`: found, but the request has no place for passages
  std::string encoded;  // name_of(experts::Outcome) of the query's vector; empty: nobody was asked
  std::int64_t search_us = 0;  // the encoder included
  SearchProbe probe;
  RetrievalChoice choice;
  std::vector<GateSource> sources;  // shown, best first

  bool searched() const { return lookup == "found" || lookup == "unframed"; }
};

std::string encode(const GateRecord& record);

/// nullopt: not such an object. Members that are not there keep their defaults.
std::optional<GateRecord> decode_gate(std::string_view json);

/// For people.
std::vector<std::string> tell(const GateRecord& record);

}  // namespace router
