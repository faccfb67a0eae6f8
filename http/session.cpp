#include "http/session.h"

#include <spdlog/spdlog.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <cerrno>
#include <charconv>

#include "http/ids.h"
#include "http/keys.h"
#include "http/net_thread.h"
#include "http/routes.h"

namespace http {

namespace asio = boost::asio;

namespace {

constexpr auto kAsTuple = asio::as_tuple(asio::deferred);
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
constexpr std::string_view kHeartbeat = ": keep-alive\n\n";
constexpr std::array<std::string_view, 8> kMethods = {  // as Method
    "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "other method"};
constexpr std::string_view kStreamEnd = "0\r\n\r\n";
constexpr std::string_view kSchemaVersion =
    "1";  // of the x-skillyard-* fields and `skillyard` object

iovec part_of(std::string_view text) {
  return {const_cast<char*>(text.data()), text.size()};
}

std::chrono::milliseconds ms(int count) {
  return std::chrono::milliseconds(count);
}

std::optional<Limit> limit_of(Fault fault) {
  switch (fault) {
    case Fault::header_too_large:
      return Limit::header;
    case Fault::target_too_long:
      return Limit::target;
    case Fault::body_too_large:
      return Limit::body;
    case Fault::bodies_full:
      return Limit::bodies;
    default:
      return std::nullopt;
  }
}

/// A line of the log that concerns a request begins with its id in brackets; the JSON log makes a
/// field of it. What this service or its experts failed at is a warning, the rest is for debugging.
/// An open endpoint says by its status how the service is, and is asked again and again.
void log_answer(Session& session, const Endpoint* endpoint, int status) {
  const bool open = endpoint != nullptr && endpoint->access == Access::open;
  const auto level = status >= 500 && !open ? spdlog::level::warn : spdlog::level::debug;
  if (!spdlog::should_log(level)) return;
  const bool decided = session.response().fields.find("x-skillyard-decision") != std::string::npos;
  const auto took = Session::Clock::now() - session.began();
  spdlog::log(level, "[{}] {} {}: {} after {} ms{}{}", session.request_id(),
              kMethods[static_cast<std::size_t>(session.request().method)],
              session.request().path(), status,
              std::chrono::duration_cast<std::chrono::milliseconds>(took).count(),
              decided ? ", decision dec_" : "", decided ? session.sortable() : "");
}

}  // namespace

Session::Session(NetThread& thread, Socket socket)
    : thread_(thread),
      socket_(std::move(socket)),
      tls_(thread.begin_tls()),
      parser_(thread.options()) {
  thread_.metrics().count_connection(+1);
}

Session::~Session() {
  thread_.release_body(body_counted_);
  thread_.metrics().count_connection(-1);
}

asio::awaitable<void> Session::run() {
  const auto loop = socket_.get_executor();
  do {
    begin_request();
    while (!take_input()) {
      if (tls_ != nullptr && open_sealed()) continue;
      if (!unsent_.empty()) co_await flush();
      const auto [error, bytes] = co_await socket_.async_read_some(room(), kAsTuple);
      take_read(error, bytes);
    }
    if (gone_) break;
    std::string failure;
    const Endpoint* endpoint = begin_answer();
    if (endpoint != nullptr) {
      try {
        if (endpoint->plain != nullptr) {
          endpoint->plain(*this);
        } else {
          co_await endpoint->waits(*this);
        }
      } catch (const std::exception& error) {
        failure = error.what();
      }
      if (stopped_) {
        const asio::enable_terminal_cancellation fresh;
        co_await asio::this_coro::reset_cancellation_state(fresh);
        stopped_ = false;
      }
    }
    const bool crowded = thread_.crowded();
    end_answer(endpoint, failure);
    if (crowded) co_await asio::post(loop, asio::deferred);
    if (!begun_) push_response();
    if (!unsent_.empty()) co_await flush();
    if (crowded && !gone_) co_await asio::post(loop, asio::deferred);
  } while (keep_ && !closing_ && !gone_);
  if (!gone_) co_await linger();
}

void Session::begin_request() {
  thread_.release_body(body_counted_);
  body_counted_ = 0;
  parser_.start(request_);
  response_.clear();
  refusal_.reset();
  visitor_.reset();
  argument_.clear();
  overdue_ = announced_ = begun_ = ended_ = continued_ = slim_ = false;
  phase_ = Phase::idle;
  if (input_begin_ == input_end_ && input_.size() != thread_.options().read_bytes) {
    input_ = std::vector<char>(thread_.options().read_bytes);
    input_begin_ = input_end_ = 0;
  }
  // A connection that says nothing at all is on the shorter leash.
  const int patience =
      requests_ == 0 ? thread_.options().head_ms_max : thread_.options().idle_ms_max;
  deadline_ = Clock::now() + ms(patience);
}

/// True when the request is complete or there is nothing more to read for it.
bool Session::take_input() {
  if (input_begin_ < input_end_) {
    input_begin_ += parser_.feed({input_.data() + input_begin_, input_end_ - input_begin_});
    if (input_begin_ == input_end_) input_begin_ = input_end_ = 0;
  }
  if (gone_ || refusal_) return true;
  if (parser_.problem()) {
    refusal_ = parser_.problem();
    return true;
  }
  count_body();
  if (refusal_ || parser_.done()) return true;
  note_progress();
  return refusal_.has_value();
}

void Session::count_body() {
  const std::size_t fresh = request_.body.size() - body_counted_;
  if (fresh == 0) return;
  if (!thread_.hold_body(fresh)) {
    return refuse(Fault::bodies_full, "too many request bodies are being read at this moment");
  }
  body_counted_ += fresh;
}

/// The request is not complete: moves the phase and its deadline on.
void Session::note_progress() {
  const Options& options = thread_.options();
  const bool any = input_begin_ < input_end_ || parser_.header_done();
  if (phase_ == Phase::idle && any) {
    phase_ = Phase::head;
    deadline_ = Clock::now() + ms(options.head_ms_max);
  }
  if (phase_ == Phase::head && parser_.header_done()) {
    phase_ = Phase::body;
    deadline_ = Clock::now() + ms(options.body_ms_max);
  }
  if (phase_ == Phase::body && request_.continue_wanted && !continued_) {
    continued_ = true;
    const iovec part = part_of(kContinue);
    if (request_.body.empty()) send({&part, 1});
  }
  const std::size_t input_max = std::max(options.read_bytes_max, options.header_bytes_max + 1);
  if (input_end_ - input_begin_ >= input_max) {
    refuse(Fault::bad_http, "a line of the request is too long");
  }
}

asio::mutable_buffer Session::room() {
  if (input_begin_ > 0) {
    std::copy(input_.begin() + static_cast<std::ptrdiff_t>(input_begin_),
              input_.begin() + static_cast<std::ptrdiff_t>(input_end_), input_.begin());
    input_end_ -= input_begin_;
    input_begin_ = 0;
  }
  const Options& options = thread_.options();
  const std::size_t size_max = std::max(options.read_bytes_max, options.header_bytes_max + 1);
  const std::size_t announced = parser_.body_bytes_announced();
  if (announced > request_.body.size() + input_.size()) {
    input_.resize(std::max(input_.size(), options.read_bytes_max));
  } else if (input_end_ == input_.size()) {
    input_.resize(std::min(2 * input_.size(), size_max));
  }
  return asio::buffer(input_.data() + input_end_, input_.size() - input_end_);
}

void Session::take_read(const boost::system::error_code& error, std::size_t bytes) {
  if (tls_ != nullptr) {
    tls_->feed({input_.data() + input_end_, bytes});
  } else {
    input_end_ += bytes;
  }
  if (!error) return;
  if (phase_ == Phase::idle) {
    gone_ = true;
  } else if (overdue_) {
    refuse(Fault::request_timeout, phase_ == Phase::head
                                       ? "the request header did not arrive in time"
                                       : "the request body did not arrive in time");
  } else if (error == asio::error::eof) {
    refuse(Fault::incomplete, "the connection was closed in the middle of a request");
  } else {
    gone_ = true;
  }
}

/// Reads on in what the peer sent over TLS. False: that takes more bytes from the socket.
bool Session::open_sealed() {
  const auto into = room();
  const auto bytes = tls_->open({static_cast<char*>(into.data()), into.size()});
  input_end_ += bytes;
  if (!tls_->outgoing().empty()) send_sealed();
  if (tls_->ended()) {
    take_read(asio::error::eof, 0);
  } else if (tls_->failed()) {
    thread_.metrics().count_limit(Limit::handshake);
    gone_ = !tls_->spoke_http();
    if (tls_->spoke_http()) {
      tls_.reset();  // so that the client can read why
      refuse(Fault::bad_http, "this port speaks TLS: the address begins with https://");
    }
  }
  return bytes > 0 || gone_ || refusal_;
}

void Session::refuse(Fault fault, std::string message) {
  refusal_.emplace();
  refusal_->fault = fault;
  refusal_->message = std::move(message);
}

Session::Clock::time_point Session::deadline() const {
  return began_ + ms(thread_.options().total_ms_max);
}

/// The endpoint that has to answer, or null when the response is already known.
const Endpoint* Session::begin_answer() {
  phase_ = Phase::running;
  thread_.count_running(+1);
  began_ = Clock::now();
  sent_ = began_;
  deadline_ = deadline();
  const auto unix_now = std::chrono::system_clock::now().time_since_epoch();
  began_unix_us_ = std::chrono::duration_cast<std::chrono::microseconds>(unix_now).count();
  sortable_ = sortable_id(began_unix_us_ / 1000, thread_.chance());
  request_id_ = request_.request_id;
  if (request_id_.empty()) request_id_.append("req_").append(sortable_);
  keep_ = request_.keep_alive && !closing_ && !refusal_;
  if (refusal_) {
    if (const auto limit = limit_of(refusal_->fault)) thread_.metrics().count_limit(*limit);
    if (refusal_->fault == Fault::bodies_full) refusal_->retry_after_s = 1;
    fill(response_, *refusal_);
    return nullptr;
  }
  Match match = find_endpoint(request_, thread_.doors().admin != nullptr);
  if (match.endpoint == nullptr) {
    Problem problem;
    problem.fault = match.allow.empty() ? Fault::not_found : Fault::method_not_allowed;
    problem.message = match.allow.empty() ? "there is nothing at this path"
                                          : "this path is there for " + match.allow;
    if (!match.allow.empty()) response_.add("allow", match.allow);
    fill(response_, problem);
    return nullptr;
  }
  argument_ = std::move(match.argument);
  if (!authorize(*this, match.endpoint->access)) return nullptr;
  if (match.endpoint->takes != Body::none && !check_media_type(match.endpoint->takes))
    return nullptr;
  return match.endpoint;
}

/// Bodies are JSON by their own word: a web page can post anything else to a local port unasked.
bool Session::check_media_type(Body wanted) {
  Problem problem;
  const std::string& type = request_.content_type;
  std::string_view essence = std::string_view(type).substr(0, type.find(';'));
  essence = essence.substr(0, essence.find_last_not_of(" \t") + 1);
  const bool merge = wanted == Body::patch && same_word(essence, "application/merge-patch+json");
  const std::string_view type_wanted =
      wanted == Body::bytes ? "application/octet-stream" : "application/json";
  if (!same_word(essence, type_wanted) && !merge) {
    problem.fault = Fault::media_type;
    problem.message = "send the body as `content-type: ";
    problem.message.append(type_wanted).append("`");
  } else if (!request_.content_encoding.empty() &&
             !same_word(request_.content_encoding, "identity")) {
    problem.fault = Fault::content_coding;
    problem.message = "compressed request bodies are not read";
  } else {
    return true;
  }
  fill(response_, problem);
  return false;
}

void Session::end_answer(const Endpoint* endpoint, const std::string& failure) {
  if (!failure.empty()) {
    spdlog::error("[{}] {} failed: {}", request_id_, request_.path(), failure);
    Problem problem;
    problem.fault = Fault::internal;
    problem.message = "an internal fault; the service's log has it under this request id";
    if (begun_ && !ended_) {
      finish("data: " + body_of(problem) + "\n\n");
    } else if (!begun_) {
      response_.clear();
      fill(response_, problem);
    }
  }
  const std::string_view unmatched = refusal_ ? "refused" : "unmatched";
  const int status = gone_ ? status_of(Fault::cancelled) : response_.status;
  thread_.metrics().count_request(endpoint != nullptr ? endpoint->pattern : unmatched, status);
  log_answer(*this, endpoint, status);
  phase_ = Phase::replying;
  thread_.count_running(-1);
  ++requests_;
}

void Session::append_head(std::string& out, std::optional<std::size_t> length) const {
  char digits[24];
  const auto number = [&digits](std::size_t value) {
    const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
    return std::string_view(digits, static_cast<std::size_t>(end - digits));
  };
  out.append(request_.version == 10 ? "HTTP/1.0 " : "HTTP/1.1 ");
  out.append(number(static_cast<std::size_t>(response_.status))).append(" ");
  out.append(reason_of(response_.status))
      .append("\r\ncontent-type: ")
      .append(response_.content_type);
  if (length) {
    out.append("\r\ncontent-length: ").append(number(*length));
  } else if (request_.version != 10) {
    out.append("\r\ntransfer-encoding: chunked");
  }
  out.append("\r\ndate: ").append(thread_.date());
  out.append("\r\nx-request-id: ").append(request_id_);
  out.append("\r\nx-skillyard-schema: ").append(kSchemaVersion).append("\r\n");
  out.append(response_.fields);
  if (!keep_) {
    out.append("connection: close\r\n");
  } else if (request_.version == 10) {
    out.append("connection: keep-alive\r\n");
  }
  out.append("\r\n");
}

void Session::push_response() {
  keep_ = keep_ && !closing_;
  std::string& head = thread_.scratch();
  head.clear();
  append_head(head, response_.body.size());
  const bool bodiless = request_.method == Method::head;
  const iovec parts[] = {part_of(head), part_of(bodiless ? std::string_view() : response_.body)};
  send(parts);
}

bool Session::push_chunk(std::string_view piece, bool last) {
  if (gone_ || ended_) return false;
  const bool chunked = request_.version != 10;
  std::string& head = thread_.scratch();
  head.clear();
  if (!begun_) {
    begun_ = true;
    keep_ = keep_ && !closing_ && chunked;
    append_head(head, std::nullopt);
  }
  if (chunked && !piece.empty()) {
    char digits[20];
    const auto end = std::to_chars(digits, digits + sizeof digits, piece.size(), 16).ptr;
    head.append(digits, end).append("\r\n");
  }
  std::string_view tail = chunked && !piece.empty() ? "\r\n" : "";
  if (last) {
    ended_ = true;
    tail = !chunked ? "" : piece.empty() ? kStreamEnd : "\r\n0\r\n\r\n";
  }
  const iovec parts[] = {part_of(head), part_of(piece), part_of(tail)};
  sent_ = Clock::now();
  return send(parts);
}

/// Sends `parts`, sealed where the connection is. True: the kernel took all of it.
bool Session::send(std::span<const iovec> parts) {
  if (tls_ == nullptr) return send_raw(parts);
  gone_ = gone_ || !tls_->seal(parts);
  return send_sealed();
}

bool Session::send_sealed() {
  const iovec part = part_of(tls_->outgoing());
  const bool taken = send_raw({&part, 1});
  tls_->clear_outgoing();
  return taken;
}

/// Offers `parts` to the kernel at once and keeps what it does not take. True: all taken.
bool Session::send_raw(std::span<const iovec> parts) {
  if (gone_) return false;
  std::size_t taken = 0;
  if (unsent_.empty()) {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(parts.data());
    message.msg_iovlen = parts.size();
    const ssize_t sent = ::sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
      gone_ = true;
      return false;
    }
    taken = static_cast<std::size_t>(std::max<ssize_t>(sent, 0));
  }
  for (const iovec& part : parts) {
    const std::size_t skipped = std::min(taken, part.iov_len);
    taken -= skipped;
    unsent_.append(static_cast<const char*>(part.iov_base) + skipped, part.iov_len - skipped);
  }
  return unsent_.empty();
}

asio::awaitable<bool> Session::flush() {
  while (!gone_ && !stopped_ && unsent_begin_ < unsent_.size()) {
    write_deadline_ = Clock::now() + ms(thread_.options().write_ms_max);
    const auto rest = asio::buffer(unsent_.data() + unsent_begin_, unsent_.size() - unsent_begin_);
    const auto [error, bytes] = co_await socket_.async_write_some(rest, kAsTuple);
    unsent_begin_ += bytes;
    if (error) gone_ = true;
  }
  write_deadline_ = Clock::time_point::max();
  unsent_ = std::string();
  unsent_begin_ = 0;
  co_return !gone_ && !stopped_;
}

/// Closes so that the client can still read the reply: a close with unread input would reset it.
asio::awaitable<void> Session::linger() {
  boost::system::error_code ignored;
  if (tls_ != nullptr) {
    tls_->close();
    send_sealed();
    if (!unsent_.empty()) co_await flush();
  }
  socket_.shutdown(asio::socket_base::shutdown_send, ignored);
  phase_ = Phase::lingering;
  deadline_ = Clock::now() + ms(thread_.options().linger_ms_max);
  std::size_t swallowed = 0;
  input_.resize(std::max(input_.size(), thread_.options().read_bytes));
  while (swallowed < thread_.options().linger_bytes_max) {
    const auto whole = asio::buffer(input_.data(), input_.size());
    const auto [error, bytes] = co_await socket_.async_read_some(whole, kAsTuple);
    if (error) break;
    swallowed += bytes;
  }
}

void Session::sweep(Clock::time_point now) {
  if (now >= write_deadline_) {
    thread_.metrics().count_limit(Limit::write_time);
    return abandon();
  }
  boost::system::error_code ignored;
  switch (phase_) {
    case Phase::idle:
      if (now < deadline_) return slim();
      thread_.metrics().count_limit(tls_ != nullptr && !tls_->ready() ? Limit::handshake
                                                                      : Limit::idle_time);
      socket_.close(ignored);
      return;
    case Phase::replying:
      return;  // the write deadline is enough
    case Phase::lingering:
      if (now >= deadline_) socket_.close(ignored);
      return;
    case Phase::head:
    case Phase::body:
      if (now < deadline_ || overdue_) return;
      overdue_ = true;
      thread_.metrics().count_limit(phase_ == Phase::head ? Limit::head_time : Limit::body_time);
      socket_.cancel(ignored);
      return;
    case Phase::running:
      if (gone_ || stopped_) return;
      if (peer_closed()) return abandon();
      if (now >= deadline_) {
        thread_.metrics().count_limit(Limit::total_time);
        return cancel();
      }
      const bool silent = now - sent_ >= ms(thread_.options().heartbeat_ms);
      if (announced_ && !ended_ && silent && unsent_.empty()) push(kHeartbeat);
      return;
  }
}

/// Between two requests: gives back what the last one needed, once per pause.
void Session::slim() {
  if (slim_) return;
  slim_ = true;
  request_.body = std::string();
  response_.body = std::string();
  response_.fields = std::string();
}

bool Session::peer_closed() {
  // Over TLS a goodbye is a record among others, so they are taken, as far as the limit goes.
  const bool takes = tls_ != nullptr && tls_->waiting() < thread_.options().read_bytes_max;
  char bytes[4096];
  const ssize_t got = takes ? ::recv(socket_.native_handle(), bytes, sizeof bytes, MSG_DONTWAIT)
                            : ::recv(socket_.native_handle(), bytes, 1, MSG_PEEK | MSG_DONTWAIT);
  if (got == 0) return true;
  if (got < 0) return errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR;
  if (!takes) return false;
  tls_->feed({bytes, static_cast<std::size_t>(got)});
  return tls_->peek_end();
}

void Session::abandon() {
  thread_.metrics().count_client_gone();
  gone_ = stopped_ = true;
  cancel_.emit(asio::cancellation_type::terminal);
}

void Session::drain() {
  closing_ = true;
  if (phase_ != Phase::idle || input_begin_ < input_end_) return;
  boost::system::error_code ignored;
  socket_.close(ignored);
}

void Session::cancel() {
  boost::system::error_code ignored;
  if (phase_ != Phase::running) {
    socket_.close(ignored);
  } else if (!stopped_) {
    overdue_ = stopped_ = true;
    cancel_.emit(asio::cancellation_type::terminal);
  }
}

}  // namespace http
