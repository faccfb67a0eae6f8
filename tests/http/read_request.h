// A request body as a Query, or what is wrong with it.
#pragma once

#include <simdjson.h>

#include <optional>
#include <string>

#include "http/openai.h"

namespace http {

struct Read {
  router::Query query;
  std::optional<Problem> problem;
};

inline Read read_request(std::string body, const Options& options = {},
                         decltype(&ChatReader::read) reading = &ChatReader::read) {
  ChatReader reader(options);
  Read result;
  body.reserve(body.size() + simdjson::SIMDJSON_PADDING);
  result.problem = (reader.*reading)(body, result.query);
  return result;
}

}  // namespace http
