#include "experts/native_metrics.h"

#include <fmt/core.h>

#include <iterator>
#include <vector>

#include "experts/native_model.h"
#include "experts/target.h"

namespace experts {
namespace {

/// One family: its head line, then a line for each model.
template <class Value>
void append_family(const std::vector<NativeStatus>& models, std::string_view name,
                   std::string_view type, Value value, std::string& out) {
  fmt::format_to(std::back_inserter(out), "# TYPE {} {}\n", name, type);
  for (const NativeStatus& model : models) {
    fmt::format_to(std::back_inserter(out), "{}{{file={}}} {}\n", name, quote_json(model.file),
                   value(model));
  }
}

}  // namespace

void append_metrics(const NativeModels& models, std::string& out) {
  const std::vector<NativeStatus> loaded = models.describe();
  if (loaded.empty()) return;
  using Status = NativeStatus;
  const auto counter = [&](std::string_view name, auto value) {
    append_family(loaded, name, "counter", value, out);
  };
  const auto gauge = [&](std::string_view name, auto value) {
    append_family(loaded, name, "gauge", value, out);
  };
  // Tokens a second of the model: the rate of the first; of one reply: completion tokens by
  // generation seconds.
  counter("skillyard_native_tokens_total", [](const Status& m) { return m.engine.rows; });
  counter("skillyard_native_completion_tokens_total",
          [](const Status& m) { return m.engine.completion_tokens; });
  counter("skillyard_native_cached_tokens_total",
          [](const Status& m) { return m.engine.cached_tokens; });
  counter("skillyard_native_generation_seconds_total",
          [](const Status& m) { return static_cast<double>(m.generation_us) / 1e6; });
  fmt::format_to(std::back_inserter(out), "# TYPE skillyard_native_first_token_seconds summary\n");
  for (const Status& m : loaded) {
    const std::string file = quote_json(m.file);
    fmt::format_to(std::back_inserter(out),
                   "skillyard_native_first_token_seconds_sum{{file={0}}} {1}\n"
                   "skillyard_native_first_token_seconds_count{{file={0}}} {2}\n",
                   file, static_cast<double>(m.first_token_us) / 1e6, m.first_tokens);
  }
  counter("skillyard_native_steps_total", [](const Status& m) { return m.engine.steps; });
  counter("skillyard_native_expert_runs_total",
          [](const Status& m) { return m.engine.expert_runs; });
  counter("skillyard_native_expert_loads_total",
          [](const Status& m) { return m.engine.expert_loads; });
  counter("skillyard_native_slot_uses_total", [](const Status& m) { return m.engine.store.uses; });
  counter("skillyard_native_slot_hits_total", [](const Status& m) { return m.engine.store.hits; });
  counter("skillyard_native_slot_bytes_read_total",
          [](const Status& m) { return m.engine.store.bytes_read; });
  gauge("skillyard_native_slot_bytes", [](const Status& m) { return m.engine.store.slot_bytes; });
  gauge("skillyard_native_running", [](const Status& m) { return m.engine.running; });
  gauge("skillyard_native_waiting", [](const Status& m) { return m.engine.waiting; });
  gauge("skillyard_native_kv_bytes", [](const Status& m) {
    return (m.engine.pages - m.engine.pages_free) * m.engine.page_bytes;
  });
}

}  // namespace experts
