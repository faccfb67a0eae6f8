// One connection: reads requests, has each answered, writes the replies, in order, until one side
// closes. One coroutine; lives and dies on its net thread.
//
// There is no timer per request: the session keeps its deadlines and the net thread's sweep
// compares them a few times a second. The same sweep finds clients that left while their request
// runs (RFC 9110 9.2.1 leaves it open; a closed sending side counts as gone, as in nginx and
// Envoy), sends heartbeats into silent streams, and cancels.
#pragma once

#include <sys/uio.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "experts/call.h"
#include "http/problem.h"
#include "http/request.h"
#include "http/request_parser.h"
#include "http/tls.h"

namespace http {

class NetThread;
struct Endpoint;
enum class Body : std::uint8_t;
struct Key;

/// A concrete executor: Asio then erases no type in the socket's own operations.
using Socket =
    boost::asio::basic_stream_socket<boost::asio::ip::tcp, boost::asio::io_context::executor_type>;

class Session {
 public:
  using Clock = experts::Clock;

  Session(NetThread& thread, Socket socket);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// The connection's life. Never throws but for cancellation of the whole program.
  boost::asio::awaitable<void> run();

  // What a handler works with. The request is complete; the response is sent when the handler
  // returns, unless a stream was begun.
  NetThread& thread() { return thread_; }

  const Request& request() const { return request_; }

  Response& response() { return response_; }

  /// The variable part of the path, percent-decoded.
  const std::string& argument() const { return argument_; }

  /// The client's x-request-id, or `req_` and 26 characters.
  const std::string& request_id() const { return request_id_; }

  /// The 26 characters that also name the decision about this request.
  std::string_view sortable() const { return sortable_; }

  Clock::time_point began() const { return began_; }

  Clock::time_point deadline() const;

  std::int64_t began_unix_us() const { return began_unix_us_; }

  /// The key that was presented and is good; null: none.
  const Key* visitor() const { return visitor_.get(); }

  void admit(std::shared_ptr<const Key> visitor) { visitor_ = std::move(visitor); }

  bool client_gone() const { return gone_; }

  bool overdue() const { return overdue_; }

  /// The response will be a stream: while the handler has nothing to send, the sweep sends
  /// heartbeats.
  void announce_stream() { announced_ = true; }

  /// The response head has left; its status and fields cannot change any more.
  bool stream_begun() const { return begun_; }

  /// Sends a piece of the stream, the head before the first one. True: the kernel took it all.
  /// False: the rest waits for flush(), or the client is gone.
  bool push(std::string_view piece) { return push_chunk(piece, false); }

  /// The last piece, and the end of the stream.
  bool finish(std::string_view piece) { return push_chunk(piece, true); }

  /// Until the client took everything pushed; false: it is gone.
  boost::asio::awaitable<bool> flush();

  // What the net thread does to a session.
  void sweep(Clock::time_point now);
  void drain();   // finish what runs, take no more
  void cancel();  // the drain deadline passed

  boost::asio::cancellation_slot slot() { return cancel_.slot(); }

 private:
  enum class Phase : std::uint8_t { idle, head, body, running, replying, lingering };

  void begin_request();
  bool take_input();
  void note_progress();
  void count_body();
  void take_read(const boost::system::error_code& error, std::size_t bytes);
  boost::asio::mutable_buffer room();
  const Endpoint* begin_answer();
  void end_answer(const Endpoint* endpoint, const std::string& failure);
  bool check_media_type(Body wanted);
  boost::asio::awaitable<void> linger();
  void refuse(Fault fault, std::string message);

  void push_response();
  bool push_chunk(std::string_view piece, bool last);
  void append_head(std::string& out, std::optional<std::size_t> length) const;
  bool send(std::span<const iovec> parts);
  bool send_raw(std::span<const iovec> parts);
  bool send_sealed();
  bool open_sealed();
  void slim();
  bool peer_closed();
  void abandon();

  NetThread& thread_;
  Socket socket_;
  std::unique_ptr<Tls> tls_;  // null: the connection is plain
  boost::asio::cancellation_signal cancel_;
  RequestParser parser_;
  Request request_;
  Response response_;
  std::string argument_, request_id_, sortable_;
  std::vector<char> input_;
  std::size_t input_begin_ = 0, input_end_ = 0;  // unread bytes of input_
  std::string unsent_;                           // what the kernel did not take yet
  std::size_t unsent_begin_ = 0;
  std::optional<Problem> refusal_;
  std::shared_ptr<const Key> visitor_;
  std::size_t body_counted_ = 0;  // of this request, in the thread's sum
  std::int64_t began_unix_us_ = 0;
  Clock::time_point began_{};                              // of the request: its last byte was read
  Clock::time_point sent_{};                               // last piece of the stream
  Clock::time_point deadline_ = Clock::time_point::max();  // of the phase
  Clock::time_point write_deadline_ = Clock::time_point::max();  // while a flush waits
  std::uint64_t requests_ = 0;                                   // answered on this connection
  Phase phase_ = Phase::idle;
  bool keep_ = true;      // the connection stays open after this reply
  bool closing_ = false;  // drain: this reply is the last
  bool gone_ = false;     // the client left, or nothing can be sent any more
  bool overdue_ = false;  // the phase's deadline passed
  bool stopped_ = false;  // cancellation was emitted: awaiting anything would throw
  bool announced_ = false;
  bool begun_ = false;      // the head of a stream left
  bool ended_ = false;      // and its end
  bool slim_ = false;       // idle, and its memory given back
  bool continued_ = false;  // 100 Continue was sent
};

}  // namespace http
