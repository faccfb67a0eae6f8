#include "experts/socket_exchange.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/write.hpp>
#include <charconv>
#include <cstring>

namespace experts {

namespace asio = boost::asio;
using boost::system::error_code;
using std::chrono::milliseconds;

namespace {

/// Idle for longer than this, a connection is looked at before it is used again: one system call
/// against a request that would have to be sent twice.
constexpr milliseconds kTrustedIdle{200};

/// With more exchanges than this at once, requests are sent together at the end of a turn of the
/// loop, and responses are read a turn later: a server that is awake for the first request need not
/// be woken for the others, which costs more than sending, and reading at once would be in vain.
constexpr int kCrowd = 8;

/// Reads what is there without waiting. False: closed, or bytes that nobody asked for.
bool is_still_good(Connection& connection) {
  for (;;) {
    error_code ec;
    const auto room = asio::buffer(connection.buffer) + connection.end;
    const std::size_t size = connection.socket.read_some(room, ec);
    if (ec == asio::error::would_block) return !connection.unfinished;
    if (ec || !connection.unfinished) return false;
    connection.end += size;
    std::string body;
    std::size_t taken = 0;
    const auto fed = connection.parser->feed(connection.unread(), taken, body);
    connection.begin += taken;
    if (fed == ResponseParser::Fed::more) continue;
    const bool all_read = connection.begin == connection.end;
    if (fed == ResponseParser::Fed::broken || !all_read || !connection.parser->keep_alive()) {
      return false;
    }
    connection.unfinished = false;
    connection.begin = connection.end = 0;
  }
}

/// The one address of a host that is written as an address.
std::vector<asio::ip::tcp::endpoint> literal_address(const Target& target) {
  error_code ec;
  const auto address = asio::ip::make_address(target.host, ec);
  if (ec) return {};
  return {asio::ip::tcp::endpoint(address, target.port)};
}

/// getaddrinfo cannot be interrupted, so nobody waits for it directly: the lookup fills this and
/// wakes the waiter, if there still is one.
struct Lookup {
  explicit Lookup(asio::io_context& io) : resolver(io), gate(io, Clock::time_point::max()) {}

  asio::ip::tcp::resolver resolver;
  asio::basic_waitable_timer<Clock> gate;
  std::vector<asio::ip::tcp::endpoint> endpoints;
  error_code error;
  bool done = false;
};

std::shared_ptr<Lookup> start_lookup(asio::io_context& io, const Target& target) {
  auto lookup = std::make_shared<Lookup>(io);
  lookup->resolver.async_resolve(target.host, std::to_string(target.port),
                                 [lookup](const error_code& ec, const auto& found) {
                                   lookup->error = ec;
                                   for (const auto& entry : found)
                                     lookup->endpoints.push_back(entry.endpoint());
                                   lookup->done = true;
                                   lookup->gate.cancel();
                                 });
  return lookup;
}

}  // namespace

class SocketExchange final : public Exchange, private Waiting {
 public:
  SocketExchange(Connections& home, const Request& request, bool streamed);
  ~SocketExchange() override;

  asio::awaitable<Got> read(std::string& into) override;
  void finish_early() override;

 private:
  void expire() override;
  void arm(int ms_max);
  void disarm();
  asio::awaitable<bool> resolve();
  asio::awaitable<bool> connect();
  asio::awaitable<bool> open();
  void write_head();
  std::array<asio::const_buffer, 3> request_buffers() const;
  bool send_now();
  asio::awaitable<bool> send_rest();
  std::optional<Got> parse(std::string& into);
  bool accept_informational();
  Got end_response();
  bool may_resend(const error_code& ec) const;
  Got lose_connection(const error_code& ec);
  Got fail(Outcome outcome, std::string what);
  Got fail(const error_code& ec, const std::string& doing);

  Connections& home_;
  const Request request_;
  const bool streamed_;
  std::string head_;  // of the request, up to and with the body's lead
  std::unique_ptr<Connection> connection_;
  std::shared_ptr<Lookup> lookup_;  // while waiting for one
  const Clock::time_point total_due_;
  std::size_t sent_ = 0;   // bytes of the request
  int informational_ = 0;  // 1xx responses so far
  bool asked_ = false;     // the request is on its way
  bool answered_ = false;  // a byte of the response came
  bool timed_out_ = false;
};

SocketExchange::SocketExchange(Connections& home, const Request& request, bool streamed)
    : home_(home),
      request_(request),
      streamed_(streamed),
      total_due_(std::min(Clock::now() + milliseconds(home.entry_.options.timeouts.total_ms_max),
                          request.by)) {
  ++home_.thread_.exchanges;
}

SocketExchange::~SocketExchange() {
  --home_.thread_.exchanges;
}

asio::awaitable<Got> SocketExchange::read(std::string& into) {
  const Timeouts& timeouts = home_.entry_.options.timeouts;
  if (!asked_) {
    write_head();
    const bool crowded = home_.thread_.exchanges > kCrowd;
    const auto loop = home_.thread_.io.get_executor();
    if (crowded) co_await asio::post(loop, asio::deferred);
    connection_ = home_.take(Clock::now());
    const bool sent = connection_ && send_now();
    if (!sent && !co_await open()) co_return Got::fault;
    if (crowded) co_await asio::post(loop, asio::deferred);
  }
  const std::size_t before = into.size();
  for (;;) {
    if (const auto got = parse(into)) co_return *got;
    if (into.size() > before) co_return Got::data;
    const auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) {
      co_return fail(Outcome::cancelled, "cancelled");
    }
    Connection& connection = *connection_;
    arm(answered_ ? timeouts.idle_ms_max : timeouts.first_byte_ms_max);
    const auto room = asio::buffer(connection.buffer) + connection.end;
    const auto [ec, size] =
        co_await connection.socket.async_read_some(room, asio::as_tuple(asio::deferred));
    disarm();
    connection.end += size;
    answered_ = answered_ || size > 0;
    if (!ec) continue;
    if (!may_resend(ec)) co_return lose_connection(ec);
    home_.entry_.standing->stale_connections.fetch_add(1, std::memory_order_relaxed);
    connection_.reset();
    if (!co_await open()) co_return Got::fault;
  }
}

void SocketExchange::expire() {
  timed_out_ = true;
  error_code ignored;
  if (connection_) connection_->socket.cancel(ignored);
  if (lookup_) lookup_->gate.cancel();
}

void SocketExchange::arm(int ms_max) {
  due = std::min(Clock::now() + milliseconds(ms_max), total_due_);
  home_.thread_.sweep.add(*this);
}

void SocketExchange::disarm() {
  if (is_linked()) unlink();
}

// ---- connecting -------------------------------------------------------------------------------

asio::awaitable<bool> SocketExchange::resolve() {
  if (!home_.endpoints_.empty() && Clock::now() < home_.endpoints_until_) co_return true;
  const Target& target = *home_.entry_.target;
  home_.endpoints_ = literal_address(target);
  if (home_.endpoints_.empty()) {
    lookup_ = start_lookup(home_.thread_.io, target);
    co_await lookup_->gate.async_wait(asio::as_tuple(asio::deferred));
    const std::shared_ptr<Lookup> lookup = std::move(lookup_);
    error_code ec = lookup->error;
    if (lookup->endpoints.empty() && !ec) ec = asio::error::host_not_found;
    if (!lookup->done) ec = asio::error::operation_aborted;
    if (ec) {
      fail(ec, "looking up the name " + target.host);
      co_return false;
    }
    home_.endpoints_ = lookup->endpoints;
  }
  home_.endpoints_until_ = Clock::now() + milliseconds(home_.thread_.limits.resolve_ms_kept);
  co_return true;
}

asio::awaitable<bool> SocketExchange::connect() {
  retryable = true;
  arm(home_.entry_.options.timeouts.connect_ms_max);
  if (!co_await resolve()) co_return false;
  const auto endpoints = home_.endpoints_;  // another exchange may renew them meanwhile
  error_code last = asio::error::host_not_found;
  for (const auto& endpoint : endpoints) {
    connection_ = std::make_unique<Connection>(home_.thread_.io);
    const auto [ec] =
        co_await connection_->socket.async_connect(endpoint, asio::as_tuple(asio::deferred));
    last = ec;
    if (!ec || timed_out_ || ec == asio::error::operation_aborted) break;
  }
  disarm();
  if (!last) connection_->socket.set_option(asio::ip::tcp::no_delay(true), last);
  if (!last) connection_->socket.non_blocking(true, last);
  if (last) {
    home_.endpoints_until_ = {};
    fail(last, "connecting to " + home_.entry_.target->origin);
    co_return false;
  }
  home_.entry_.standing->connections_opened.fetch_add(1, std::memory_order_relaxed);
  retryable = false;
  co_return true;
}

/// Connects if there is no connection, and sends what has not been sent.
asio::awaitable<bool> SocketExchange::open() {
  if (!connection_) {
    sent_ = 0;
    asked_ = false;
    if (!co_await connect()) co_return false;
    if (send_now()) co_return true;
  }
  const bool sent = co_await send_rest();
  co_return sent;
}

// ---- sending ----------------------------------------------------------------------------------

void SocketExchange::write_head() {
  const Target& target = *home_.entry_.target;
  if (request_.to == Request::To::models) {
    head_ = target.models_head;
    return;
  }
  const std::string& fixed =
      request_.to == Request::To::embeddings ? target.embeddings_head : target.chat_head;
  std::array<char, 20> digits;
  const std::size_t body_size = request_.lead.size() + request_.wire.size() + 1;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), body_size).ptr;
  head_.reserve(fixed.size() + request_.request_id.size() + request_.lead.size() + 48);
  head_.append(fixed).append(digits.data(), end);
  if (request_.sends_id()) {
    head_.append("\r\nx-request-id: ").append(request_.request_id);
  }
  head_.append("\r\n\r\n").append(request_.lead);
}

std::array<asio::const_buffer, 3> SocketExchange::request_buffers() const {
  const std::string_view tail = request_.to == Request::To::models ? "" : "}";
  std::array<asio::const_buffer, 3> buffers = {asio::buffer(head_), asio::buffer(request_.wire),
                                               asio::buffer(tail)};
  std::size_t done = sent_;
  for (auto& buffer : buffers) {
    const std::size_t skipped = std::min(done, buffer.size());
    buffer += skipped;
    done -= skipped;
  }
  return buffers;
}

/// Nearly always the socket takes everything at once. False: the rest must wait.
bool SocketExchange::send_now() {
  Connection& connection = *connection_;
  connection.begin = connection.end = 0;
  connection.parser.emplace(
      streamed_ ? 0 : static_cast<std::uint64_t>(home_.entry_.options.reply_bytes_max));
  asked_ = true;
  const auto buffers = request_buffers();
  error_code ec;
  sent_ = connection.socket.write_some(buffers, ec);
  if (ec == asio::error::would_block) return false;
  return ec || sent_ == asio::buffer_size(buffers);  // an error shows again when we read
}

asio::awaitable<bool> SocketExchange::send_rest() {
  arm(home_.entry_.options.timeouts.first_byte_ms_max);
  const auto buffers = request_buffers();
  const auto [ec, size] =
      co_await asio::async_write(connection_->socket, buffers, asio::as_tuple(asio::deferred));
  disarm();
  sent_ += size;
  if (timed_out_ || ec == asio::error::operation_aborted) {
    fail(ec, "sending the request");
    co_return false;
  }
  co_return true;  // a server may answer (413, say) and hang up without reading all: go and read
}

// ---- receiving --------------------------------------------------------------------------------

/// Parses what was read. Nothing: more bytes are needed.
std::optional<Got> SocketExchange::parse(std::string& into) {
  Connection& connection = *connection_;
  while (connection.begin < connection.end) {
    std::size_t taken = 0;
    const auto fed = connection.parser->feed(connection.unread(), taken, into);
    connection.begin += taken;
    if (connection.parser->is_header_done()) head = connection.parser->head;
    if (fed == ResponseParser::Fed::done) {
      if (head.status >= 200) return end_response();
      if (!accept_informational()) return Got::fault;
    } else if (fed == ResponseParser::Fed::broken) {
      if (connection.parser->oversize) {
        home_.entry_.standing->oversize.fetch_add(1, std::memory_order_relaxed);
      }
      return fail(Outcome::malformed, "bad HTTP response: " + connection.parser->error);
    } else {
      break;
    }
  }
  // What is left is the beginning of something: make room behind it.
  const std::string_view left = connection.unread();
  if (left.size() == connection.buffer.size()) {
    return fail(Outcome::malformed, "bad HTTP response: a line or header longer than " +
                                        std::to_string(kHeaderBytesMax) + " bytes");
  }
  std::memmove(connection.buffer.data(), left.data(), left.size());
  connection.begin = 0;
  connection.end = left.size();
  return std::nullopt;
}

/// A 1xx response is over: the real one follows.
bool SocketExchange::accept_informational() {
  if (head.status == 101 || ++informational_ > home_.thread_.limits.informational_max) {
    fail(Outcome::malformed, "bad HTTP response: unexpected " + std::to_string(head.status));
    return false;
  }
  head = {};
  connection_->parser.emplace(
      streamed_ ? 0 : static_cast<std::uint64_t>(home_.entry_.options.reply_bytes_max));
  return true;
}

Got SocketExchange::end_response() {
  const bool all_sent = asio::buffer_size(request_buffers()) == 0;
  const bool all_read = connection_->begin == connection_->end;
  if (all_sent && all_read && connection_->parser->keep_alive()) home_.keep(std::move(connection_));
  connection_.reset();
  return Got::end;
}

void SocketExchange::finish_early() {
  if (!connection_) return;
  connection_->unfinished = true;  // take() looks whether the rest is only framing
  home_.keep(std::move(connection_));
}

/// A kept connection that dies before the first byte was most likely closed while it was idle.
bool SocketExchange::may_resend(const error_code& ec) const {
  return connection_->used && !answered_ && !timed_out_ && ec != asio::error::operation_aborted;
}

Got SocketExchange::lose_connection(const error_code& ec) {
  if (ec == asio::error::eof && connection_->parser->feed_end() == ResponseParser::Fed::done) {
    head = connection_->parser->head;
    connection_.reset();
    return Got::end;
  }
  const std::string doing = answered_ ? "reading the response" : "waiting for the response";
  return fail(ec, doing);
}

Got SocketExchange::fail(Outcome outcome, std::string what) {
  disarm();
  connection_.reset();
  fault = outcome;
  error = std::move(what);
  return Got::fault;
}

Got SocketExchange::fail(const error_code& ec, const std::string& doing) {
  if (timed_out_) return fail(Outcome::timed_out, "timed out " + doing);
  if (ec == asio::error::operation_aborted) return fail(Outcome::cancelled, "cancelled");
  return fail(asked_ ? Outcome::cut : Outcome::unreachable, doing + ": " + ec.message());
}

// ---- Connections ------------------------------------------------------------------------------

Connections::Connections(NetThread& thread, Entry entry)
    : thread_(thread), entry_(std::move(entry)) {}

std::unique_ptr<Exchange> Connections::start(const Request& request, bool streamed) {
  return std::make_unique<SocketExchange>(*this, request, streamed);
}

std::unique_ptr<Connection> Connections::take(Clock::time_point now) {
  while (!idle_.empty()) {
    std::unique_ptr<Connection> connection = std::move(idle_.back());
    idle_.pop_back();
    const bool trusted = !connection->unfinished && now - connection->idle_since < kTrustedIdle;
    if (trusted || is_still_good(*connection)) return connection;
  }
  return nullptr;
}

void Connections::keep(std::unique_ptr<Connection> connection) {
  const auto now = Clock::now();
  connection->used = true;
  connection->idle_since = now;
  idle_.push_back(std::move(connection));
  if (idle_.size() > static_cast<std::size_t>(entry_.options.connections_idle_max)) {
    idle_.erase(idle_.begin());
  }
  if (!is_linked()) {
    due = now + milliseconds(entry_.options.connection_idle_ms_max);
    thread_.sweep.add(*this);
  }
}

/// Closes what has been idle for too long and comes again for the rest.
void Connections::expire() {
  const milliseconds limit(entry_.options.connection_idle_ms_max);
  const auto now = Clock::now();
  std::erase_if(idle_,
                [&](const auto& connection) { return connection->idle_since + limit <= now; });
  if (idle_.empty()) return;
  due = idle_.front()->idle_since + limit;
  thread_.sweep.add(*this);
}

}  // namespace experts
