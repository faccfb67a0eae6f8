// Which handler answers which method and path.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <span>
#include <string>
#include <string_view>

#include "http/admission.h"
#include "http/request.h"

namespace http {

class Session;

/// What a request's body is, by its own word: a web page can post anything but these to a local
/// port unasked.
enum class Body : std::uint8_t { none, json, patch /* or JSON */, bytes };

/// Exactly one of `plain` and `waits` is set. A pattern's last part may be `{id}` (one segment) or
/// `{name...}` (the rest of the path, slashes and all); `{id}` may also be followed by more.
struct Endpoint {
  Method method;
  std::string_view pattern;  // also the metrics' label
  std::string_view summary;  // one line, for the OpenAPI document
  Access access = Access::client;
  Body takes = Body::none;
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

/// The public endpoints, or the administrators'.
std::span<const Endpoint> endpoints(bool admin);

/// HEAD finds GET's endpoint.
Match find_endpoint(const Request& request, bool admin);

}  // namespace http
