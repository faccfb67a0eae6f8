#include "http/model_name.h"

#include <charconv>
#include <cmath>

namespace http {

namespace {

template <typename Number>
std::optional<Number> number_in(std::string_view text, Number low, Number high) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (!(value >= low && value <= high)) return std::nullopt;  // NaN fails too
  return value;
}

/// Sets one knob; false when it is unknown, out of range or there twice.
bool read_knob(std::string_view knob, router::Knobs& knobs) {
  if (knob == "explain") {
    if (knobs.explain) return false;
    knobs.explain = true;
    return true;
  }
  if (knob.starts_with("max")) {
    const auto usd = number_in<double>(knob.substr(3), 0, kCostUsdMax);
    if (!usd || knobs.cost_microusd_max) return false;
    knobs.cost_microusd_max = std::llround(*usd * 1e6);
    return true;
  }
  if (knob.starts_with("ms")) {
    const auto ms = number_in<std::int64_t>(knob.substr(2), 1, kLatencyMsMax);
    if (!ms || knobs.latency_ms_max) return false;
    knobs.latency_ms_max = *ms;
    return true;
  }
  if (knob.starts_with('k')) {
    const auto k = number_in<int>(knob.substr(1), 1, kExpertsAskedMax);
    if (!k || knobs.k) return false;
    knobs.k = *k;
    return true;
  }
  if (knob.starts_with('q')) {
    const auto quality = number_in<double>(knob.substr(1), 0, 1);
    if (!quality || knobs.quality) return false;
    knobs.quality = *quality;
    return true;
  }
  return false;
}

/// The request object wins over the suffixes, wherever it stands in the body.
void fill_unset(const router::Knobs& from, router::Knobs& into) {
  if (!into.quality) into.quality = from.quality;
  if (!into.cost_microusd_max) into.cost_microusd_max = from.cost_microusd_max;
  if (!into.latency_ms_max) into.latency_ms_max = from.latency_ms_max;
  if (!into.k) into.k = from.k;
  into.explain = into.explain || from.explain;
}

Problem bad_model(std::string message) {
  Problem problem;
  problem.fault = Fault::bad_value;
  problem.message = std::move(message);
  problem.param = "model";
  return problem;
}

}  // namespace

std::optional<Problem> read_model_name(std::string_view model, router::Query& query) {
  query.model = model;
  if (!model.starts_with(kOwnPrefix)) {
    query.expert = model;
    query.pool.clear();
    return std::nullopt;
  }
  std::string_view rest = model.substr(kOwnPrefix.size());
  const auto at = rest.find('@');
  query.expert.clear();
  query.pool = rest.substr(0, at);
  if (query.pool.empty())
    return bad_model("`model` names no pool: `skillyard/auto` or `skillyard/<pool>`");
  rest = at == std::string_view::npos ? std::string_view() : rest.substr(at + 1);
  router::Knobs knobs;
  while (at != std::string_view::npos) {
    const auto next = rest.find('@');
    const std::string_view knob = rest.substr(0, next);
    if (!read_knob(knob, knobs)) {
      return bad_model("`@" + std::string(knob) +
                       "` in `model` is not one of @k1..8, @q0..1, @max<usd>, @ms<milliseconds>, "
                       "@explain, each at most once");
    }
    if (next == std::string_view::npos) break;
    rest.remove_prefix(next + 1);
  }
  fill_unset(knobs, query.knobs);
  return std::nullopt;
}

}  // namespace http
