#include "http/room_metrics.h"

#include <fmt/core.h>

#include <iterator>

namespace http {

namespace {

/// One metric of every expert: its head line, then a line each.
template <typename Value>
void append_family(const experts::Roster& roster, std::string_view name, std::string_view type,
                   Value value, std::string& out) {
  fmt::format_to(std::back_inserter(out), "# TYPE {} {}\n", name, type);
  for (const auto& entry : roster.entries)
    fmt::format_to(std::back_inserter(out), "{}{{expert=\"{}\"}} {}\n", name, entry.options.name,
                   value(*entry.standing));
}

void append_outcomes(const experts::Roster& roster, std::string& out) {
  out += "# TYPE skillyard_expert_calls_total counter\n";
  for (const auto& entry : roster.entries)
    for (std::size_t i = 0; i < experts::kOutcomes; ++i)
      if (const auto calls = entry.standing->outcomes[i].load(std::memory_order_relaxed))
        fmt::format_to(std::back_inserter(out),
                       "skillyard_expert_calls_total{{expert=\"{}\",outcome=\"{}\"}} {}\n",
                       entry.options.name, experts::name_of(static_cast<experts::Outcome>(i)),
                       calls);
}

}  // namespace

void append_metrics(const experts::Roster& roster, std::string& out) {
  using experts::Standing;
  const auto now = experts::Clock::now();
  append_family(
      roster, "skillyard_expert_healthy", "gauge",
      [&](const Standing& s) { return experts::is_healthy(s, now) ? 1 : 0; }, out);
  append_family(
      roster, "skillyard_expert_inflight", "gauge",
      [](const Standing& s) { return s.inflight.load(); }, out);
  append_family(
      roster, "skillyard_expert_queued", "gauge", [](const Standing& s) { return s.queued.load(); },
      out);
  append_outcomes(roster, out);
  append_family(
      roster, "skillyard_expert_retries_total", "counter",
      [](const Standing& s) { return s.retries.load(); }, out);
  append_family(
      roster, "skillyard_expert_breaker_openings_total", "counter",
      [](const Standing& s) { return s.breaker_openings.load(); }, out);
  append_family(
      roster, "skillyard_expert_prompt_tokens_total", "counter",
      [](const Standing& s) { return s.prompt_tokens.load(); }, out);
  append_family(
      roster, "skillyard_expert_completion_tokens_total", "counter",
      [](const Standing& s) { return s.completion_tokens.load(); }, out);
  append_family(
      roster, "skillyard_expert_cost_microusd_total", "counter",
      [](const Standing& s) { return s.cost_microusd.load(); }, out);
}

void append_metrics(const store::JournalCounts& counts, std::string& out) {
  const auto add = [&](std::string_view name, std::string_view type, std::uint64_t value) {
    fmt::format_to(std::back_inserter(out), "# TYPE {0} {1}\n{0} {2}\n", name, type, value);
  };
  add("skillyard_log_rows_accepted_total", "counter", counts.accepted);
  add("skillyard_log_rows_committed_total", "counter", counts.committed);
  add("skillyard_log_rows_dropped_total", "counter", counts.dropped());
  add("skillyard_log_rows_refused_total", "counter", counts.refused);
  add("skillyard_log_commits_total", "counter", counts.commits);
  add("skillyard_log_commit_failures_total", "counter", counts.failures);
  add("skillyard_log_queue_rows", "gauge", counts.queue_rows);
  add("skillyard_log_degraded", "gauge", counts.degraded ? 1 : 0);
}

}  // namespace http
