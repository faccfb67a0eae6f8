#include "http/net_thread.h"

#include <spdlog/spdlog.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <ctime>

namespace http {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 5.6.7).
std::string http_date(std::time_t now) {
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[40];
  return {text, std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts)};
}

/// The address family of a bound socket, for Asio's assign().
tcp family_of(int listener) {
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  ::getsockname(listener, reinterpret_cast<sockaddr*>(&bound), &size);
  return bound.ss_family == AF_INET6 ? tcp::v6() : tcp::v4();
}

}  // namespace

NetThread::NetThread(const Options& options, Metrics& metrics, int index, int listener,
                     const Certificate* certificate, const MakeDoors& make_doors)
    : options_(options),
      metrics_(metrics),
      shard_(metrics.shard(static_cast<std::size_t>(index))),
      certificate_(certificate),
      acceptor_(loop_.get_executor()),
      timer_(loop_),
      doors_(make_doors(loop_, index)),
      chat_reader_(options),
      chance_(std::random_device()()),
      date_(http_date(std::time(nullptr))),
      connections_max_(std::max<std::size_t>(
          1, options.connections_max / static_cast<std::size_t>(options.net_threads))) {
  acceptor_.assign(family_of(listener), listener);
  accept_next();
  sweep();
}

NetThread::~NetThread() = default;

void NetThread::run() {
  loop_.run();
}

void NetThread::accept_next() {
  accepting_ = true;
  acceptor_.async_accept([this](const error_code& error, Socket socket) {
    if (draining_ || error == asio::error::operation_aborted) return;
    if (error) {
      // Out of descriptors or memory: the sweep asks again, the kernel's queue holds who waits.
      if (!starved_) spdlog::warn("no connection can be accepted: {}", error.message());
      starved_ = true;
      accepting_ = false;
      return;
    }
    starved_ = false;
    if (sessions_.size() >= connections_max_) {
      turn_away(std::move(socket));
    } else {
      admit(std::move(socket));
    }
    accept_next();
  });
}

void NetThread::admit(Socket socket) {
  error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  const auto session = sessions_.emplace(sessions_.end(), *this, std::move(socket));
  auto gone = [this, session](const std::exception_ptr& failure) {
    if (failure) spdlog::error("a connection ended with an exception");
    sessions_.erase(session);
    stop_when_empty();
  };
  asio::co_spawn(loop_, session->run(),
                 asio::bind_cancellation_slot(session->slot(), std::move(gone)));
}

/// One more than the limit: a short answer, without waiting for a request or for a handshake.
void NetThread::turn_away(Socket socket) {
  shard_.count_limit(Limit::connections);
  if (certificate_ != nullptr) return;
  Problem problem;
  problem.fault = Fault::connections_full;
  problem.message = "too many connections at this moment";
  const std::string body = body_of(problem);
  std::string reply = "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n";
  reply.append("content-length: ").append(std::to_string(body.size()));
  reply.append("\r\nretry-after: 1\r\nconnection: close\r\n\r\n").append(body);
  ::send(socket.native_handle(), reply.data(), reply.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  error_code ignored;
  socket.shutdown(asio::socket_base::shutdown_send, ignored);
}

void NetThread::sweep() {
  date_ = http_date(std::time(nullptr));
  const auto now = Session::Clock::now();
  for (Session& session : sessions_) session.sweep(now);
  if (!accepting_ && !draining_) accept_next();
  timer_.expires_after(std::chrono::milliseconds(options_.sweep_ms));
  timer_.async_wait([this](const error_code& error) {
    if (!error) sweep();
  });
}

bool NetThread::hold_body(std::size_t bytes) {
  if (body_bytes_ + bytes > options_.bodies_bytes_max) return false;
  body_bytes_ += bytes;
  return true;
}

void NetThread::drain() {
  asio::post(loop_, [this] {
    draining_ = true;
    error_code ignored;
    acceptor_.close(ignored);
    for (Session& session : sessions_) session.drain();
    stop_when_empty();
  });
}

void NetThread::cancel() {
  asio::post(loop_, [this] {
    for (Session& session : sessions_) session.cancel();
  });
}

void NetThread::stop_when_empty() {
  if (draining_ && sessions_.empty()) loop_.stop();
}

}  // namespace http
