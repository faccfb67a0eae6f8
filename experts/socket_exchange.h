// Transport for plain http:// experts: HTTP/1.1 with keep-alive on Asio sockets, two system calls a
// request. Why not libcurl here: a transfer of libcurl 7.88 costs more instructions than everything
// else that this service does for a request (README.md, decisions).
#pragma once

#include <array>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <memory>
#include <optional>
#include <vector>

#include "experts/exchange.h"
#include "experts/net_thread.h"
#include "experts/response_parser.h"
#include "experts/roster.h"
#include "experts/sweep.h"

namespace experts {

/// One TCP connection and the bytes that were read from it and not yet parsed.
struct Connection {
  using Socket = boost::asio::basic_stream_socket<boost::asio::ip::tcp,
                                                  boost::asio::io_context::executor_type>;

  explicit Connection(boost::asio::io_context& io) : socket(io) {}

  std::string_view unread() const { return {buffer.data() + begin, end - begin}; }

  Socket socket;
  std::array<char, kHeaderBytesMax> buffer;
  std::size_t begin = 0, end = 0;
  std::optional<ResponseParser> parser;
  bool unfinished = false;  // the last response lacks its final framing bytes
  bool used = false;        // has carried an exchange before
  Clock::time_point idle_since;
};

/// The connections of one net thread to one expert that wait for work, the youngest first out, and
/// the resolved addresses. Outlives its exchanges.
class Connections final : private Waiting {
 public:
  Connections(NetThread& thread, Entry entry);

  std::unique_ptr<Exchange> start(const Request& request, bool streamed);

 private:
  friend class SocketExchange;
  using Endpoint = boost::asio::ip::tcp::endpoint;

  /// A kept connection that looks alive, or null.
  std::unique_ptr<Connection> take(Clock::time_point now);
  void keep(std::unique_ptr<Connection> connection);
  void expire() override;

  NetThread& thread_;
  const Entry entry_;
  std::vector<std::unique_ptr<Connection>> idle_;  // oldest first
  std::vector<Endpoint> endpoints_;                // of the expert's host
  Clock::time_point endpoints_until_{};
};

}  // namespace experts
