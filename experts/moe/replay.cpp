#include "experts/moe/replay.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>
#include <utility>

#include "experts/moe/usage.h"

namespace moe {

namespace {

constexpr std::size_t kNotAgain = std::numeric_limits<std::size_t>::max();

double share(std::size_t hits, const AccessLog& log) {
  return log.needed.empty() ? 1
                            : static_cast<double>(hits) / static_cast<double>(log.needed.size());
}

/// Goes through the log with a cache of `slots`; `worth(expert)` says who stays, `after(expert, i)`
/// that it was used in position i of the log.
template <class Begin, class Worth, class After>
double run_cache(const AccessLog& log, std::size_t slots, Begin begin, Worth worth, After after) {
  std::vector<std::uint32_t> held;
  std::vector<bool> is_held(log.experts, false), is_needed(log.experts, false);
  std::size_t hits = 0;
  for (std::size_t i = 0; i < log.sets(); ++i) {
    if (log.begins_step[i]) begin();
    for (const std::uint32_t expert : log.set(i)) is_needed[expert] = true;
    for (std::size_t at = log.first[i]; at < log.first[i + 1]; ++at) {
      const std::uint32_t expert = log.needed[at];
      if (is_held[expert]) {
        ++hits;
      } else {
        if (held.size() == slots) {
          auto least = held.end();
          for (auto it = held.begin(); it != held.end(); ++it) {
            if (is_needed[*it]) continue;
            if (least == held.end() || worth(*it) < worth(*least)) least = it;
          }
          is_held[*least] = false;
          *least = held.back();
          held.pop_back();
        }
        held.push_back(expert);
        is_held[expert] = true;
      }
      after(expert, at);
    }
    for (const std::uint32_t expert : log.set(i)) is_needed[expert] = false;
  }
  return share(hits, log);
}

}  // namespace

AccessLog AccessLog::of(const Trace& trace) {
  AccessLog log;
  log.experts = static_cast<std::size_t>(trace.shape.layers) * trace.shape.experts;
  log.first.push_back(0);
  std::vector<bool> seen(trace.shape.experts);
  for (std::size_t begin = 0; begin < trace.rows.size();) {
    std::size_t end = begin;
    while (end < trace.rows.size() && trace.rows[end].step == trace.rows[begin].step) ++end;
    bool first_of_step = true;
    for (std::uint32_t layer = 0; layer < trace.shape.layers; ++layer) {
      seen.assign(seen.size(), false);
      for (std::size_t r = begin; r < end; ++r) {
        const TraceRow& row = trace.rows[r];
        for (std::uint32_t p = row.first[layer]; p < row.first[layer + 1]; ++p) {
          seen[row.picks[p].expert] = true;
        }
      }
      for (std::uint32_t e = 0; e < trace.shape.experts; ++e) {
        if (seen[e]) log.needed.push_back(layer * trace.shape.experts + e);
      }
      if (log.needed.size() == log.first.back()) continue;  // dense
      log.together_max = std::max(log.together_max, log.needed.size() - log.first.back());
      log.first.push_back(log.needed.size());
      log.begins_step.push_back(first_of_step);
      first_of_step = false;
    }
    begin = end;
  }
  return log;
}

double hit_ratio(const AccessLog& log, std::size_t slots, Evict evict) {
  Usage usage(log.experts, evict);
  return run_cache(
      log, slots, [&] { usage.begin_step(); },
      [&](std::uint32_t expert) { return usage.worth(expert); },
      [&](std::uint32_t expert, std::size_t) { usage.use(expert); });
}

double hit_ratio_static(const AccessLog& log, std::size_t slots) {
  std::vector<std::size_t> uses(log.experts, 0);
  for (const std::uint32_t expert : log.needed) ++uses[expert];
  std::sort(uses.begin(), uses.end(), std::greater<>());
  const auto held = static_cast<std::ptrdiff_t>(std::min(slots, uses.size()));
  return share(std::accumulate(uses.begin(), uses.begin() + held, std::size_t{0}), log);
}

double hit_ratio_belady(const AccessLog& log, std::size_t slots) {
  std::vector<std::size_t> next_use(log.needed.size()), upcoming(log.experts, kNotAgain);
  for (std::size_t at = log.needed.size(); at-- > 0;) {
    next_use[at] = std::exchange(upcoming[log.needed[at]], at);
  }
  std::vector<std::size_t> next(log.experts, kNotAgain);  // of experts that are held
  return run_cache(
      log, slots, [] {}, [&](std::uint32_t expert) { return -static_cast<double>(next[expert]); },
      [&](std::uint32_t expert, std::size_t at) { next[expert] = next_use[at]; });
}

NullWeights calibrate_nulls(const Trace& trace, double load) {
  NullWeights nulls;
  std::vector<float> weights;
  for (std::uint32_t layer = 0; layer < trace.shape.layers; ++layer) {
    weights.clear();
    for (const TraceRow& row : trace.rows) {
      for (std::uint32_t p = row.first[layer]; p < row.first[layer + 1]; ++p) {
        weights.push_back(row.picks[p].weight);
      }
    }
    std::sort(weights.begin(), weights.end());
    const double dropped = (1 - std::clamp(load, 0.0, 1.0)) * static_cast<double>(weights.size());
    const auto at = static_cast<std::size_t>(dropped);
    // Half a step lower: a weight as traced may have been rounded up.
    const float unit = kTraceWeightUnit / 2;
    nulls.least.push_back(at == 0               ? 0.0f
                          : at < weights.size() ? weights[at] - unit
                                                : weights.back() + unit);
  }
  return nulls;
}

}  // namespace moe
