// What a store of any size and policy would have hit on a recorded trace, and the most that any
// policy could. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "experts/moe/options.h"
#include "experts/moe/routing_trace.h"

namespace moe {

/// What a trace asks of a store: for each step and layer the experts that are needed together.
struct AccessLog {
  std::size_t experts = 0;            // of all layers: an expert's number is layer * E + index
  std::size_t together_max = 0;       // the largest set
  std::vector<std::uint32_t> needed;  // numbers, ascending inside a set
  std::vector<std::size_t> first;     // [sets + 1] into needed
  std::vector<bool> begins_step;      // [sets]

  static AccessLog of(const Trace& trace);

  std::size_t sets() const { return first.size() - 1; }

  std::span<const std::uint32_t> set(std::size_t i) const {
    return std::span(needed).subspan(first[i], first[i + 1] - first[i]);
  }
};

/// Share of the needed experts that were there. All slots are alike and shared by the layers, as in
/// ExpertStore; `slots` must hold the largest set.
double hit_ratio(const AccessLog& log, std::size_t slots, Evict evict);

/// The `slots` experts that the log uses most, never changed: the best static choice, chosen by
/// looking at the whole log.
double hit_ratio_static(const AccessLog& log, std::size_t slots);

/// The optimum of all policies that load on demand: who is needed last goes first (Belady 1966).
double hit_ratio_belady(const AccessLog& log, std::size_t slots);

/// Null weights under which each layer keeps `load` of the experts that the trace's rows chose, 0
/// to 1: the share 1 - load of the lightest goes. Traces hold weights in steps of kTraceWeightUnit.
NullWeights calibrate_nulls(const Trace& trace, double load);

}  // namespace moe
