// A scripted upstream for the tests: a TCP server on 127.0.0.1 that reads requests and answers each
// with the next script, byte for byte as written, faults included. Runs on the test's own
// io_context.
#pragma once

#include <boost/asio.hpp>
#include <memory>
#include <string>
#include <vector>

namespace experts::testing {

struct Step {
  enum class What { send, pause_ms, close, reset } what = What::send;
  std::string bytes;
  int ms = 0;
};

using Script = std::vector<Step>;

inline Step send(std::string bytes) {
  return {Step::What::send, std::move(bytes), 0};
}

inline Step pause(int ms) {
  return {Step::What::pause_ms, {}, ms};
}

inline Step close() {
  return {Step::What::close, {}, 0};
}

inline Step reset() {
  return {Step::What::reset, {}, 0};
}

inline std::string with_length(const std::string& body, const std::string& status = "200 OK",
                               const std::string& fields = "Content-Type: application/json\r\n") {
  return "HTTP/1.1 " + status + "\r\n" + fields + "Content-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + body;
}

inline std::string as_chunk(const std::string& bytes) {
  char size[20];
  std::snprintf(size, sizeof size, "%zx\r\n", bytes.size());
  return size + bytes + "\r\n";
}

inline const std::string kStreamHead =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

inline std::string as_stream(const std::string& events) {
  return kStreamHead + as_chunk(events) + "0\r\n\r\n";
}

class Upstream {
 public:
  using tcp = boost::asio::ip::tcp;

  explicit Upstream(boost::asio::io_context& io)
      : acceptor_(io, tcp::endpoint(boost::asio::ip::address_v4::loopback(), 0)) {
    boost::asio::co_spawn(io, accept(), boost::asio::detached);
  }

  std::string origin() const { return "http://127.0.0.1:" + std::to_string(port_); }

  std::string url() const { return origin() + "/v1"; }

  /// Scripts for the requests in the order in which they come; the last one is used again and
  /// again.
  void play(std::vector<Script> scripts) {
    scripts_ = std::move(scripts);
    next_ = 0;
  }

  void stop_accepting() { acceptor_.close(); }

  int connections = 0;                // accepted so far
  int hang_ups = 0;                   // connections that the other side closed
  std::vector<std::string> requests;  // head and body as they came
  std::size_t bytes_sent = 0;
  std::string greeting;  // sent as soon as somebody connects

 private:
  boost::asio::awaitable<void> accept() {
    for (;;) {
      auto [ec, socket] =
          co_await acceptor_.async_accept(boost::asio::as_tuple(boost::asio::deferred));
      if (ec) co_return;
      ++connections;
      boost::asio::co_spawn(acceptor_.get_executor(), serve(std::move(socket)),
                            boost::asio::detached);
    }
  }

  boost::asio::awaitable<void> serve(tcp::socket socket) {
    socket.set_option(tcp::no_delay(true));
    if (!greeting.empty()) {
      co_await boost::asio::async_write(socket, boost::asio::buffer(greeting),
                                        boost::asio::as_tuple(boost::asio::deferred));
    }
    std::string in;
    for (;;) {
      std::string request;
      const bool whole = co_await read_request(socket, in, request);
      if (!whole) {
        ++hang_ups;
        co_return;
      }
      requests.push_back(request);
      const Script script =
          scripts_.empty() ? Script{} : scripts_[std::min(next_, scripts_.size() - 1)];
      ++next_;
      for (const Step& step : script) {
        const bool goes_on = co_await perform(socket, step);
        if (!goes_on) co_return;
      }
    }
  }

  boost::asio::awaitable<bool> read_request(tcp::socket& socket, std::string& in,
                                            std::string& request) {
    for (;;) {
      const std::size_t head = in.find("\r\n\r\n");
      if (head != in.npos) {
        const std::size_t field = in.find("Content-Length: ");
        const std::size_t body = field < head ? std::stoul(in.substr(field + 16)) : 0;
        if (in.size() >= head + 4 + body) {
          request = in.substr(0, head + 4 + body);
          in.erase(0, request.size());
          co_return true;
        }
      }
      std::array<char, 65536> bytes;
      const auto [ec, size] = co_await socket.async_read_some(
          boost::asio::buffer(bytes), boost::asio::as_tuple(boost::asio::deferred));
      if (ec) co_return false;
      in.append(bytes.data(), size);
    }
  }

  boost::asio::awaitable<bool> perform(tcp::socket& socket, const Step& step) {
    boost::system::error_code ignored;
    switch (step.what) {
      case Step::What::send: {
        const auto [ec, size] = co_await boost::asio::async_write(
            socket, boost::asio::buffer(step.bytes), boost::asio::as_tuple(boost::asio::deferred));
        bytes_sent += size;
        if (ec) ++hang_ups;
        co_return !ec;
      }
      case Step::What::pause_ms: {
        boost::asio::steady_timer timer(socket.get_executor(), std::chrono::milliseconds(step.ms));
        co_await timer.async_wait(boost::asio::as_tuple(boost::asio::deferred));
        co_return true;
      }
      case Step::What::reset:
        socket.set_option(boost::asio::socket_base::linger(true, 0), ignored);
        [[fallthrough]];
      case Step::What::close:
        socket.close(ignored);
        co_return false;
    }
    co_return true;
  }

  tcp::acceptor acceptor_;
  const unsigned short port_ = acceptor_.local_endpoint().port();
  std::vector<Script> scripts_;
  std::size_t next_ = 0;
};

}  // namespace experts::testing
