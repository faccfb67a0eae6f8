#include "http/openai_read.h"

#include <cmath>

#include "experts/splice.h"
#include "http/model_name.h"

namespace http {

using simdjson::dom::element;

bool Reading::fail(Fault fault, std::string_view param, std::string message) {
  problem.emplace();
  problem->fault = fault;
  problem->param = param;
  problem->message = std::move(message);
  return false;
}

bool Reading::fail_type(std::string_view param, std::string_view wanted) {
  std::string message = "`";
  message.append(param).append("` must be ").append(wanted);
  return fail(Fault::bad_value, param, std::move(message));
}

bool read_bool(Reading& reading, std::string_view param, element value, bool& into) {
  return !value.get(into) || reading.fail_type(param, "true or false");
}

bool read_number(Reading& reading, std::string_view param, element value, double low, double high,
                 std::optional<double>& into) {
  double number = 0;
  if (value.get(number) || !(number >= low && number <= high)) {
    std::string wanted = "a number from ";
    wanted.append(std::to_string(std::llround(low))).append(" to ");
    wanted.append(std::to_string(std::llround(high)));
    return reading.fail_type(param, wanted);
  }
  into = number;
  return true;
}

bool read_integer(Reading& reading, std::string_view param, element value, std::int64_t low,
                  std::int64_t high, std::int64_t& into) {
  if (value.get(into) || into < low || into > high) {
    std::string wanted = "an integer from ";
    wanted.append(std::to_string(low)).append(" to ").append(std::to_string(high));
    return reading.fail_type(param, wanted);
  }
  return true;
}

bool check_string(Reading& reading, std::string_view param, element value, std::size_t bytes_max) {
  std::string_view text;
  if (value.get(text)) return reading.fail_type(param, "a string");
  if (text.size() <= bytes_max) return true;
  return reading.fail_type(param, "at most " + std::to_string(bytes_max) + " bytes long");
}

namespace {

bool read_member(Reading& r, std::span<const Field> fields, std::uint64_t never_null,
                 std::string_view key, element value, std::uint64_t& seen,
                 std::vector<std::string_view>& unknown, bool& ours) {
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (fields[i].name != key) continue;
    const std::uint64_t bit = std::uint64_t{1} << i;
    if (seen & bit)
      return r.fail(Fault::bad_json, key, "`" + std::string(key) + "` is there twice");
    seen |= bit;
    ours = fields[i].ours;
    if (value.is_null() && !(never_null & bit)) return true;
    return fields[i].read(r, key, value);
  }
  ours = false;
  if (r.options.strict) {
    return r.fail(Fault::unknown_field, key,
                  "`" + std::string(key) + "` is not a field of this request (strict mode)");
  }
  for (const std::string_view other : unknown) {
    if (other == key)
      return r.fail(Fault::bad_json, key, "`" + std::string(key) + "` is there twice");
  }
  unknown.push_back(key);
  return true;
}

}  // namespace

bool read_members(Reading& r, simdjson::dom::object object, std::string_view text,
                  std::span<const Field> fields, std::uint64_t never_null, std::uint64_t& seen) {
  std::vector<std::string_view> unknown;
  std::size_t members = 0;
  experts::MemberWalk walk(text);
  std::string& wire = r.call().wire;
  wire.reserve(text.size());
  for (const auto [key, value] : object) {
    if (++members > r.options.json_members_max) {
      return r.fail(Fault::bad_json, "",
                    "more than " + std::to_string(r.options.json_members_max) +
                        " members in the request object");
    }
    bool ours = false;
    if (!read_member(r, fields, never_null, key, value, seen, unknown, ours)) return false;
    const std::string_view written = walk.next();
    if (ours) continue;
    if (!wire.empty()) wire.push_back(',');
    wire.append(written);
  }
  return true;
}

bool read_model(Reading& r, std::string_view param, element value) {
  std::string_view name;
  if (value.get(name)) return r.fail_type(param, "a string");
  if (name.empty() || name.size() > r.options.model_bytes_max) {
    return r.fail(Fault::bad_value, param,
                  "`model` must have 1 to " + std::to_string(r.options.model_bytes_max) + " bytes");
  }
  for (const char c : name) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      return r.fail(Fault::bad_value, param, "`model` must not hold control characters");
    }
  }
  r.problem = read_model_name(name, r.query);
  return !r.problem;
}

namespace {

bool read_aggregation(Reading& reading, element value) {
  std::string_view name;
  auto& into = reading.query.knobs.aggregation;
  const bool is_text = !value.get(name);
  if (is_text && name == "auto") return true;
  into = is_text ? aggregator::mode_named(name) : std::nullopt;
  return into || reading.fail_type("skillyard.aggregation",
                                   "auto, single, plurality, weighted, fused, synthesised, best_of "
                                   "or corrected");
}

constexpr std::size_t kCollectionsMax = 16;
constexpr std::size_t kCollectionBytesMax = 64;

bool read_retrieval(Reading& reading, element value) {
  std::string_view mode;
  auto& into = reading.query.knobs.retrieval;
  const bool is_text = !value.get(mode);
  if (is_text && mode == "off") into = router::RetrievalMode::never;
  if (is_text && mode == "on") into = router::RetrievalMode::always;
  if (is_text && mode == "auto") into = router::RetrievalMode::gated;
  return into || reading.fail_type("skillyard.retrieval", "off, on or auto");
}

bool read_collections(Reading& reading, element value) {
  constexpr std::string_view kWanted = "an array of 1 to 16 names of collections";
  simdjson::dom::array list;
  if (value.get(list) || list.size() == 0 || list.size() > kCollectionsMax)
    return reading.fail_type("skillyard.collections", kWanted);
  for (const element item : list) {
    std::string_view name;
    if (item.get(name) || name.empty() || name.size() > kCollectionBytesMax)
      return reading.fail_type("skillyard.collections", kWanted);
    reading.query.knobs.collections.emplace_back(name);
  }
  return true;
}

}  // namespace

bool read_knobs(Reading& reading, std::string_view param, element value) {
  simdjson::dom::object object;
  if (value.get(object)) return reading.fail_type(param, "an object");
  router::Knobs& knobs = reading.query.knobs;
  for (const auto [key, member] : object) {
    if (member.is_null()) continue;
    std::int64_t integer = 0;
    if (key == "quality") {
      if (!read_number(reading, "skillyard.quality", member, 0, 1, knobs.quality)) return false;
    } else if (key == "max_cost_usd") {
      std::optional<double> usd;
      if (!read_number(reading, "skillyard.max_cost_usd", member, 0, kCostUsdMax, usd))
        return false;
      knobs.cost_microusd_max = std::llround(*usd * 1e6);
    } else if (key == "max_latency_ms") {
      if (!read_integer(reading, "skillyard.max_latency_ms", member, 1, kLatencyMsMax, integer)) {
        return false;
      }
      knobs.latency_ms_max = integer;
    } else if (key == "k") {
      if (!read_integer(reading, "skillyard.k", member, 1, kExpertsAskedMax, integer)) return false;
      knobs.k = static_cast<int>(integer);
    } else if (key == "pool") {
      if (!check_string(reading, "skillyard.pool", member, kPoolBytesMax)) return false;
      reading.pool = std::string_view(member);
    } else if (key == "answer_type") {
      std::string_view name;
      knobs.answer_type = member.get(name) ? std::nullopt : aggregator::answer_type_of(name);
      if (!knobs.answer_type) {
        return reading.fail_type("skillyard.answer_type",
                                 "choice, number, yes_no, date, list, json, code, short_text or "
                                 "free_text");
      }
    } else if (key == "retrieval") {
      if (!read_retrieval(reading, member)) return false;
    } else if (key == "collections") {
      if (!read_collections(reading, member)) return false;
    } else if (key == "aggregation") {
      if (!read_aggregation(reading, member)) return false;
    } else if (key == "explain") {
      if (!read_bool(reading, "skillyard.explain", member, knobs.explain)) return false;
    } else {
      return reading.fail(
          Fault::unknown_field, "skillyard." + std::string(key),
          "`skillyard` holds quality, max_cost_usd, max_latency_ms, k, answer_type, "
          "pool, retrieval, collections, aggregation and explain");
    }
  }
  return true;
}

}  // namespace http
