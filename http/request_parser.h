// Bytes of a connection -> Requests, one after the other (RFC 9110, RFC 9112).
//
// Boost.Beast's push parser does the grammar; on top of it this class refuses every shape that a
// proxy in front could read differently: a second Content-Length or Transfer-Encoding, both
// together, a transfer coding other than exactly `chunked`, folded header lines, a second or
// missing Host. Used on one thread; allocates once per connection.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>

#include "http/options.h"
#include "http/problem.h"
#include "http/request.h"

namespace http {

class RequestParser {
 public:
  explicit RequestParser(const Options& options);
  ~RequestParser();

  /// A new message begins; `into` is cleared and filled by the next feeds, and outlives them.
  void start(Request& into);

  /// Takes as much as belongs to this message and returns how many bytes that was; what is left
  /// must be offered again, with more behind it when it was less than a whole element (a header
  /// line, a chunk size line). Nothing is taken once the message is done() or a problem() is known.
  std::size_t feed(std::string_view bytes);

  bool header_done() const;
  bool done() const;

  /// The caller must close the connection after telling the client.
  const std::optional<Problem>& problem() const;

  /// Content-Length, or 0 when it is not known; after header_done().
  std::size_t body_bytes_announced() const;

 private:
  struct Grammar;
  std::unique_ptr<Grammar> grammar_;
};

}  // namespace http
