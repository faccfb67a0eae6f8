#include "http/openai_read.h"

#include <cmath>

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
    } else if (key == "explain") {
      if (!read_bool(reading, "skillyard.explain", member, knobs.explain)) return false;
    } else {
      return reading.fail(
          Fault::unknown_field, "skillyard." + std::string(key),
          "`skillyard` holds quality, max_cost_usd, max_latency_ms, k, answer_type, "
          "pool and explain");
    }
  }
  return true;
}

}  // namespace http
