// Which handler answers which method and path.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>
#include <string_view>

#include "http/request.h"

namespace http {

class Session;

/// Exactly one of `plain` and `waits` is set. A pattern's last part may be `{id}` (one segment) or
/// `{name...}` (the rest of the path, slashes and all); `{id}` may also be followed by more.
struct Endpoint {
  Method method;
  std::string_view pattern;  // also the metrics' label
  void (*plain)(Session&) = nullptr;
  boost::asio::awaitable<void> (*waits)(Session&) = nullptr;
};

struct Match {
  const Endpoint* endpoint = nullptr;
  std::string argument;  // of the pattern's variable part, percent-decoded
  std::string allow;     // the path exists, with these methods: `GET, HEAD`; only when no endpoint
};

/// `%41` becomes `A`; what is not a whole code stays as it is.
std::string percent_decoded(std::string_view text);

/// HEAD finds GET's endpoint.
Match find_endpoint(const Request& request);

}  // namespace http
