// Private to openai*.cpp: the state of reading one request, and checks that several fields share.
#pragma once

#include <simdjson.h>

#include <cstdint>
#include <optional>
#include <span>
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

/// A member that a request object may have.
struct Field {
  std::string_view name;
  bool (*read)(Reading&, std::string_view, simdjson::dom::element);
  bool ours = false;  // not part of Call::wire
};

/// Steps through the members of `object`, which is what `text` says: each by its field (null is no
/// value, but for those in `never_null`, bits), unknown ones as they are unless strict. What is not
/// ours goes to Call::wire as it is written. `seen` gets a bit for each field that is there.
bool read_members(Reading& reading, simdjson::dom::object object, std::string_view text,
                  std::span<const Field> fields, std::uint64_t never_null, std::uint64_t& seen);

constexpr std::uint64_t bit_of(std::span<const Field> fields, std::string_view name) {
  for (std::size_t i = 0; i < fields.size(); ++i)
    if (fields[i].name == name) return std::uint64_t{1} << i;
  return 0;
}

// Each returns false after it has set `problem`.
bool read_model(Reading& reading, std::string_view param, simdjson::dom::element value);
bool read_bool(Reading& reading, std::string_view param, simdjson::dom::element value, bool& into);
bool read_number(Reading& reading, std::string_view param, simdjson::dom::element value, double low,
                 double high, std::optional<double>& into);
bool read_integer(Reading& reading, std::string_view param, simdjson::dom::element value,
                  std::int64_t low, std::int64_t high, std::int64_t& into);
bool check_string(Reading& reading, std::string_view param, simdjson::dom::element value,
                  std::size_t bytes_max);

/// The members of an embeddings request.
bool read_embeddings(Reading& reading, simdjson::dom::object object, std::string_view text);

bool read_messages(Reading& reading, std::string_view param, simdjson::dom::element value);
bool read_tools(Reading& reading, std::string_view param, simdjson::dom::element value);
bool read_knobs(Reading& reading, std::string_view param, simdjson::dom::element value);

}  // namespace http
