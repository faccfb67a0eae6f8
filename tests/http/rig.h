// A server in this process on a free port, with doors that a test fills, and a client that sends
// raw bytes and reads what comes back.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstring>
#include <map>
#include <string>

#include "http/serve.h"

namespace http {

namespace asio = boost::asio;

inline constexpr std::string_view kPong =
    R"({"id":"chatcmpl-1","object":"chat.completion","created":7,"model":"alpha","choices":[)"
    R"({"index":0,"message":{"role":"assistant","content":"pong"},"finish_reason":"stop"}]})";

inline constexpr std::string_view kEvent =
    R"(data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":7,"model":"alpha",)"
    R"("choices":[{"index":0,"delta":{"content":"po"},"finish_reason":null}]})"
    "\n\n";

inline aggregator::Answer answer_of(experts::Reply reply) {
  aggregator::Answer answer;
  const bool ok = reply.outcome == experts::Outcome::ok;
  answer.mode = ok ? aggregator::Mode::single : aggregator::Mode::none;
  answer.usage = reply.usage;
  answer.replies.push_back(std::move(reply));
  return answer;
}

inline experts::Reply reply_of(experts::Outcome outcome) {
  experts::Reply reply;
  reply.expert = "alpha";
  reply.outcome = outcome;
  if (outcome == experts::Outcome::ok) reply.wire = kPong;
  return reply;
}

inline asio::awaitable<void> pause(int ms) {
  asio::steady_timer timer(co_await asio::this_coro::executor);
  timer.expires_after(std::chrono::milliseconds(ms));
  co_await timer.async_wait(asio::use_awaitable);
}

/// The usual corridor: `pong`, or three events of a stream.
inline asio::awaitable<aggregator::Answer> answer_pong(const router::Query&, experts::Sink* sink) {
  experts::Reply reply = reply_of(experts::Outcome::ok);
  reply.usage.prompt_tokens = 11;
  reply.usage.completion_tokens = 3;
  reply.usage.known = true;
  for (int i = 0; sink != nullptr && i < 3; ++i) {
    reply.started = true;
    const bool there = co_await sink->write(kEvent);
    if (!there) reply.outcome = experts::Outcome::cancelled;
  }
  co_return answer_of(std::move(reply));
}

inline Options quick_options() {
  Options options;
  options.port = 0;
  options.sweep_ms = 10;
  options.linger_ms_max = 500;
  options.drain_ms_max = 5'000;
  return options;
}

inline Doors pong_doors() {
  Doors doors;
  doors.answer = answer_pong;
  doors.route = [](const router::Query&) {
    router::LoggedRoute logged;
    logged.skills = {"algebra"};
    logged.experts = {"alpha", "beta"};
    logged.route.skills = {{.skill = 0, .share = 0.75f}};
    logged.route.candidates.resize(2);
    logged.route.candidates[0].expert = 1;
    logged.route.candidates[1].bar = router::Bar::unhealthy;
    logged.route.reason = router::Reason::learned;
    return logged;
  };
  doors.knows_expert = [](std::string_view name) { return name == "alpha" || name == "beta"; };
  doors.knows_pool = [](std::string_view name) { return name == "auto" || name == "small"; };
  doors.models = [] {
    return std::vector<Model>{{.id = "alpha", .owned_by = "us", .created_s = 5},
                              {.id = "skillyard/auto", .owned_by = "skillyard", .created_s = 5}};
  };
  doors.policy_version = [] { return std::uint64_t{42}; };
  doors.unready = [] { return std::string(); };
  return doors;
}

/// A running server; ends with the scope.
class Rig {
 public:
  explicit Rig(const Options& options = quick_options(), const Doors& doors = pong_doors())
      : server_(options, [&doors](asio::io_context&, int) { return doors; }) {
    server_.start();
  }

  std::uint16_t port() const { return server_.port(); }

  Server& server() { return server_; }

 private:
  Server server_;
};

struct Reply {
  int status = 0;                             // 0: the connection closed without one
  std::map<std::string, std::string> fields;  // lower-case names
  std::string body;                           // chunks already joined
};

/// A blocking client; every read gives up after five seconds.
class Client {
 public:
  explicit Client(std::uint16_t port, int receive_bytes = 0)
      : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    if (receive_bytes > 0) {
      ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
    }
    timeval patience{.tv_sec = 5, .tv_usec = 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    const int on = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
  }

  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  ~Client() { close(); }

  bool connected() const { return connected_; }

  int fd() const { return fd_; }

  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

  void close_sending_side() { ::shutdown(fd_, SHUT_WR); }

  /// False when the server has closed.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  /// The next reply; `bodiless` for the reply to a HEAD.
  Reply read(bool bodiless = false) {
    Reply reply;
    std::size_t end = 0;
    while ((end = input_.find("\r\n\r\n")) == std::string::npos) {
      if (!fill()) return reply;
    }
    reply.status = std::atoi(input_.c_str() + 9);
    for (std::size_t at = input_.find("\r\n") + 2; at < end;) {
      const std::size_t line_end = input_.find("\r\n", at);
      const std::size_t colon = input_.find(": ", at);
      reply.fields[input_.substr(at, colon - at)] = input_.substr(colon + 2, line_end - colon - 2);
      at = line_end + 2;
    }
    input_.erase(0, end + 4);
    if (reply.status == 100) return reply;
    if (bodiless) return reply;
    if (reply.fields.contains("content-length")) {
      const auto length = std::stoul(reply.fields["content-length"]);
      while (input_.size() < length && fill()) {
      }
      reply.body = input_.substr(0, length);
      input_.erase(0, length);
    } else if (reply.fields.contains("transfer-encoding")) {
      whole_ = false;
      while (auto chunk = read_chunk()) {
        if (chunk->empty()) {
          whole_ = true;
          break;
        }
        reply.body += *chunk;
      }
    } else {
      while (fill()) {
      }
      reply.body = std::move(input_);
      input_.clear();
    }
    return reply;
  }

  /// The next chunk of a chunked body, "" for the last one, nothing when the connection closed
  /// first.
  std::optional<std::string> read_chunk() {
    std::size_t line = 0;
    while ((line = input_.find("\r\n")) == std::string::npos) {
      if (!fill()) return std::nullopt;
    }
    const auto size = std::stoul(input_.substr(0, line), nullptr, 16);
    while (input_.size() < line + 2 + size + 2) {
      if (!fill()) return std::nullopt;
    }
    std::string chunk = input_.substr(line + 2, size);
    input_.erase(0, line + 2 + size + 2);
    return chunk;
  }

  /// True when the last chunked body came with its end.
  bool whole() const { return whole_; }

  /// True when the server closed the connection and nothing more came.
  bool at_end() { return input_.empty() && !fill(); }

  Reply ask(std::string_view bytes) {
    send(bytes);
    return read();
  }

 private:
  bool fill() {
    char bytes[65536];
    const ssize_t got = ::recv(fd_, bytes, sizeof bytes, 0);
    if (got <= 0) return false;
    input_.append(bytes, static_cast<std::size_t>(got));
    return true;
  }

  int fd_;
  bool connected_ = false;
  bool whole_ = false;
  std::string input_;
};

inline std::string post(std::string_view path, std::string_view body, std::string_view more = "") {
  std::string request = "POST ";
  request.append(path).append(" HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n");
  request.append(more).append("Content-Length: ").append(std::to_string(body.size()));
  return request.append("\r\n\r\n").append(body);
}

inline std::string chat(std::string_view body, std::string_view more = "") {
  return post("/v1/chat/completions", body, more);
}

inline constexpr std::string_view kPing =
    R"({"model":"alpha","messages":[{"role":"user","content":"ping"}]})";
inline constexpr std::string_view kPingStream =
    R"({"model":"skillyard/auto","stream":true,"messages":[{"role":"user","content":"ping"}]})";

}  // namespace http
