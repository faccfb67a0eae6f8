// One HTTP request and its response, whatever carries them: the seam between the behaviour of a
// remote expert (remote.cpp) and its two transports (socket_exchange.cpp, curl_exchange.cpp).
//
// Bytes come when they are asked for: a reader that does not ask is the backpressure. Destroying an
// exchange that has not ended closes its connection, so that the server sees the cancellation.
// One thread; an exchange is used by one coroutine.
#pragma once

#include <algorithm>
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>
#include <string_view>

#include "experts/call.h"
#include "experts/options.h"
#include "experts/target.h"

namespace experts {

/// What to send. Views outlive the exchange.
struct Request {
  enum class To : std::uint8_t { chat, embeddings, models /* a GET, without a body */ };

  To to = To::chat;
  std::string_view lead;  // the body is lead + wire + "}"
  std::string_view wire;
  std::string_view request_id;  // sent as x-request-id when it is made of visible ASCII
  Clock::time_point by = Clock::time_point::max();  // over by then, whatever the Timeouts say

  bool sends_id() const {
    const auto visible = [](char c) { return c > 0x20 && c < 0x7f; };
    return !request_id.empty() && std::all_of(request_id.begin(), request_id.end(), visible);
  }
};

struct ResponseHead {
  int status = 0;             // 0: nothing came yet
  bool event_stream = false;  // Content-Type: text/event-stream
  bool encoded = false;       // a Content-Encoding that we did not ask for
  int retry_after_s = -1;
};

enum class Got : std::uint8_t { data, end, fault };

class Exchange {
 public:
  virtual ~Exchange() = default;

  /// The first call sends the request. Appends what came of the body to `into`: at least one byte
  /// (data), the last bytes or none (end), or nothing that could be used any more (fault). `head`
  /// is complete from the first data or end on. Never throws for what the network does.
  virtual boost::asio::awaitable<Got> read(std::string& into) = 0;

  /// The reader saw the end of what it wants (`[DONE]`) although the response has not ended: keep
  /// the connection if the rest is only framing.
  virtual void finish_early() = 0;

  ResponseHead head;
  Outcome fault = Outcome::failed;  // unreachable, timed_out, cut, malformed or cancelled
  bool retryable = false;           // after a fault: the server cannot have started to answer
  std::string error;                // after a fault: what happened, in words
};

/// `Retry-After` in seconds: a number, or an HTTP date (RFC 9110, 10.2.3); -1 when it is neither.
int parse_retry_after(std::string_view value, std::int64_t unix_now_s);

}  // namespace experts
