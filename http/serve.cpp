#include "http/serve.h"

#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/ip/address.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <cstring>
#include <stdexcept>

namespace http {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

constexpr std::chrono::seconds kCancelPatience{5};

[[noreturn]] void cannot_listen(const Options& options, std::string_view why) {
  std::string sentence = "cannot listen on ";
  sentence.append(options.address).append(":").append(std::to_string(options.port));
  sentence.append(": ").append(why);
  throw std::runtime_error(sentence);
}

tcp::endpoint endpoint_of(const Options& options) {
  boost::system::error_code error;
  const auto address = asio::ip::make_address(options.address, error);
  if (error) cannot_listen(options, "the address must be a numeric IPv4 or IPv6 address");
  return {address, options.port};
}

/// A bound socket. `shared`: several sockets of this process take connections of the same port.
int bound_socket(const Options& options, const tcp::endpoint& endpoint, bool shared) {
  const int fd = ::socket(endpoint.data()->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) cannot_listen(options, std::strerror(errno));
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (shared) ::setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  const auto size = static_cast<socklen_t>(endpoint.size());
  if (::bind(fd, endpoint.data(), size) != 0) {
    const int why = errno;
    ::close(fd);
    cannot_listen(options,
                  why == EADDRINUSE ? "another program listens there" : std::strerror(why));
  }
  return fd;
}

std::uint16_t port_of(int fd) {
  tcp::endpoint endpoint;
  auto size = static_cast<socklen_t>(endpoint.capacity());
  ::getsockname(fd, endpoint.data(), &size);
  endpoint.resize(size);
  return endpoint.port();
}

/// One listening socket per net thread, all on one port.
std::vector<int> listeners_of(const Options& options) {
  tcp::endpoint endpoint = endpoint_of(options);
  const bool shared = options.net_threads > 1;
  if (shared && endpoint.port() != 0) {
    // SO_REUSEPORT would let a second server of the same user share the port in silence.
    ::close(bound_socket(options, endpoint, false));
  }
  std::vector<int> listeners;
  for (int i = 0; i < options.net_threads; ++i) {
    listeners.push_back(bound_socket(options, endpoint, shared));
    endpoint.port(port_of(listeners.front()));
  }
  for (const int fd : listeners) {
    if (::listen(fd, SOMAXCONN) != 0) cannot_listen(options, std::strerror(errno));
  }
  return listeners;
}

/// As many descriptors as the system allows: each connection needs one.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

Server::Server(const Options& options, const MakeDoors& make_doors)
    : options_(options),
      metrics_(static_cast<std::size_t>(std::max(1, options.net_threads)), options.series_max) {
  if (options.net_threads < 1 || options.net_threads > 256) {
    throw std::runtime_error("net_threads must be 1 to 256");
  }
  if (!options_.tls.certificate.empty()) certificate_.emplace(options_.tls);
  raise_descriptor_limit();
  const std::vector<int> listeners = listeners_of(options_);
  port_ = port_of(listeners.front());
  for (int i = 0; i < options_.net_threads; ++i) {
    nets_.push_back(
        std::make_unique<NetThread>(options_, metrics_, i, listeners[static_cast<std::size_t>(i)],
                                    certificate_ ? &*certificate_ : nullptr, make_doors));
  }
}

Server::~Server() {
  if (threads_.empty()) return;
  drain();
  for (const auto& net : nets_) net->cancel();
  if (!wait()) std::_Exit(1);
}

void Server::reload_certificate() {
  if (!certificate_) return;
  try {
    certificate_->reload();
  } catch (const std::runtime_error& error) {
    spdlog::error("the running certificate is kept: {}", error.what());
  }
}

void Server::start() {
  for (const auto& net : nets_) {
    threads_.emplace_back([this, &net] {
      net->run();
      ended_.release();
    });
  }
}

void Server::drain() {
  if (drain_asked_.test_and_set()) return;
  for (const auto& net : nets_) net->drain();
  drain_asked_.notify_all();
}

bool Server::ended_within(std::chrono::milliseconds patience) {
  const auto until = std::chrono::steady_clock::now() + patience;
  while (ended_count_ < static_cast<int>(threads_.size())) {
    if (!ended_.try_acquire_until(until)) return false;
    ++ended_count_;
  }
  return true;
}

bool Server::wait() {
  drain_asked_.wait(false);
  bool stuck = false;
  if (!ended_within(std::chrono::milliseconds(options_.drain_ms_max))) {
    spdlog::warn("some requests did not end within {} ms and are cancelled", options_.drain_ms_max);
    for (const auto& net : nets_) net->cancel();
    if (!ended_within(kCancelPatience)) {
      spdlog::error("some requests ignore their cancellation; the process ends without them");
      for (const auto& net : nets_) net->stop();
      stuck = true;
    }
  }
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  // A suspended coroutine may hold on to what its thread owns, in no known order: leave both.
  if (stuck) {
    for (auto& net : nets_) static_cast<void>(net.release());
  }
  return !stuck;
}

void serve(Server& server, const Hooks& hooks) {
  asio::io_context control(1);
  asio::signal_set endings(control, SIGTERM, SIGINT);
  asio::signal_set reloads(control, SIGHUP);
  std::signal(SIGPIPE, SIG_IGN);
  endings.async_wait([&](const boost::system::error_code& error, int) {
    if (error) return;
    spdlog::info("draining: requests that run are finished, new ones are refused");
    server.drain();
    endings.async_wait([](const boost::system::error_code& second, int) {
      if (!second) std::_Exit(1);
    });
  });
  std::function<void()> await_reload = [&] {
    reloads.async_wait([&](const boost::system::error_code& error, int) {
      if (error) return;
      if (hooks.reload) hooks.reload();
      await_reload();
    });
  };
  await_reload();
  server.start();
  bool whole = false;
  std::thread waiter([&] {
    whole = server.wait();
    if (hooks.flush) hooks.flush();
    control.stop();
  });
  control.run();  // hears the second signal until all is flushed
  waiter.join();
  if (!whole) std::_Exit(1);
}

}  // namespace http
