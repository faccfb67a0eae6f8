// Private to openai*.cpp: the state of reading one request, and checks that several fields share.
#pragma once

#include <simdjson.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "http/options.h"
#include "http/problem.h"
#include "router/query.h"

namespace http {

inline constexpr std::size_t kPoolBytesMax = 256;

struct Reading {
  const Options& options;
  router::Query& query;
  std::optional<Problem> problem;
  bool options_of_stream = false;  // stream_options is there
  bool logprobs = false;
  int logprobs_top = -1;
  std::string_view pool;          // the `skillyard` object's; empty: not there
  std::string listens_or_speaks;  // the field that carries audio or a file; empty: none

  experts::Call& call() { return query.call; }

  /// Always false, so that a check can `return reading.fail(...)`.
  bool fail(Fault fault, std::string_view param, std::string message);

  /// `param` must be `wanted`.
  bool fail_type(std::string_view param, std::string_view wanted);
};

// Each returns false after it has set `problem`.
bool read_bool(Reading& reading, std::string_view param, simdjson::dom::element value, bool& into);
bool read_number(Reading& reading, std::string_view param, simdjson::dom::element value, double low,
                 double high, std::optional<double>& into);
bool read_integer(Reading& reading, std::string_view param, simdjson::dom::element value,
                  std::int64_t low, std::int64_t high, std::int64_t& into);
bool check_string(Reading& reading, std::string_view param, simdjson::dom::element value,
                  std::size_t bytes_max);

bool read_messages(Reading& reading, std::string_view param, simdjson::dom::element value);
bool read_tools(Reading& reading, std::string_view param, simdjson::dom::element value);
bool read_knobs(Reading& reading, std::string_view param, simdjson::dom::element value);

}  // namespace http
