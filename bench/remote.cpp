// rooms: experts http
// What one call of a remote expert costs: instructions and system calls of Pool::ask over the
// socket transport, against a bare write and read of the same bytes on the same kind of connection.
//
//   bench_remote [--smoke] [--calls N] [--streams] [--curl] [--bare]
//
// Prints microseconds of CPU per call. For instructions of our own code run it twice under
// `valgrind --tool=callgrind` with different --calls and divide the difference.
#include <sys/resource.h>

#include <atomic>
#include <boost/asio.hpp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

#include "experts/pool.h"

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

constexpr int kEvents = 100;

std::string reply_bytes() {
  const std::string body =
      R"({"id":"chatcmpl-1","object":"chat.completion","created":1760000000,"model":"mock-1","choices":[)"
      R"({"index":0,"message":{"role":"assistant","content":")" +
      std::string(600, 'x') +
      R"(","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":220,)"
      R"("completion_tokens":130,"total_tokens":350},"system_fingerprint":"fp_1"})";
  return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::string chunk_of(const std::string& bytes) {
  char size[20];
  std::snprintf(size, sizeof size, "%zx\r\n", bytes.size());
  return size + bytes + "\r\n";
}

std::string event_bytes() {
  return chunk_of(
      R"(data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1760000000,"model":"mock-1",)"
      R"("system_fingerprint":"fp_1","choices":[{"index":0,"delta":{"content":" token"},"logprobs":null,)"
      R"("finish_reason":null}]})"
      "\n\n");
}

/// A server thread: answers every request it sees with the same bytes, events one write each.
class Server {
 public:
  explicit Server(bool streams)
      : streams_(streams), acceptor_(io_, {asio::ip::address_v4::loopback(), 0}) {
    thread_ = std::thread([this] { serve(); });
  }

  ~Server() {
    done_ = true;
    {
      asio::io_context io;
      tcp::socket knock(io);  // wakes accept(); the client's connections are closed by now
      boost::system::error_code ignored;
      knock.connect(endpoint(), ignored);
    }
    thread_.join();
  }

  tcp::endpoint endpoint() const { return acceptor_.local_endpoint(); }

 private:
  void serve() {
    while (!done_) {
      tcp::socket socket = acceptor_.accept();
      socket.set_option(tcp::no_delay(true));
      answer_all(socket);
    }
  }

  void answer_all(tcp::socket& socket) {
    const std::string reply = reply_bytes(), event = event_bytes();
    const std::string head =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    const std::string tail = chunk_of("data: [DONE]\n\n") + "0\r\n\r\n";
    std::string in(65536, '\0');
    boost::system::error_code ec;
    for (;;) {
      const std::size_t size = socket.read_some(asio::buffer(in), ec);
      if (ec || size == 0) return;
      if (!streams_) {
        asio::write(socket, asio::buffer(reply), ec);
        continue;
      }
      asio::write(socket, asio::buffer(head), ec);
      for (int i = 0; i < kEvents && !ec; ++i) asio::write(socket, asio::buffer(event), ec);
      asio::write(socket, asio::buffer(tail), ec);
    }
  }

  const bool streams_;
  asio::io_context io_;
  tcp::acceptor acceptor_;
  std::atomic<bool> done_{false};
  std::thread thread_;
};

class Counter final : public experts::Sink {
 public:
  asio::awaitable<bool> write(std::string_view events) override {
    bytes += events.size();
    co_return true;
  }

  std::size_t bytes = 0;
};

double thread_cpu_us() {
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  const auto us = [](const timeval& time) {
    return 1e6 * static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec);
  };
  return us(usage.ru_utime) + us(usage.ru_stime);
}

experts::Call make_call(bool stream) {
  experts::Call call;
  call.wire = "\"messages\":[{\"role\":\"user\",\"content\":\"" + std::string(1000, 'q') + "\"}]";
  call.stream = stream;
  return call;
}

asio::awaitable<void> ask_many(experts::Pool& pool, const experts::Call& call, Counter& sink,
                               int calls, int& good) {
  for (int i = 0; i < calls; ++i) {
    const experts::Reply reply = co_await pool.ask("mock", call, &sink);
    good += reply.outcome == experts::Outcome::ok;
  }
}

double run_pool(const Server& server, bool stream, bool curl, int calls) {
  asio::io_context io(1);
  const std::string origin = "http://127.0.0.1:" + std::to_string(server.endpoint().port());
  experts::ExpertOptions options;
  options.name = "mock";
  options.url = origin + "/v1";
  if (curl) options.proxy = origin;
  const experts::RosterBoard board(experts::make_roster({options}, nullptr));
  experts::Pool pool(io, board, {});
  const experts::Call call = make_call(stream);
  Counter sink;
  int good = 0;
  const double begin = thread_cpu_us();
  asio::co_spawn(io, ask_many(pool, call, sink, calls, good),
                 [&](std::exception_ptr) { io.stop(); });
  io.run();
  const double spent = thread_cpu_us() - begin;
  if (good != calls) {
    std::fprintf(stderr, "only %d of %d calls were answered\n", good, calls);
    std::exit(1);
  }
  return spent / calls;
}

/// The floor: the same request bytes written, the same reply bytes read, nothing understood.
double run_bare(const Server& server, int calls) {
  asio::io_context io(1);
  tcp::socket socket(io);
  socket.connect(server.endpoint());
  socket.set_option(tcp::no_delay(true));
  const std::string request(1200, 'q');
  const std::size_t reply_size = reply_bytes().size();
  std::string in(65536, '\0');
  const double begin = thread_cpu_us();
  for (int i = 0; i < calls; ++i) {
    asio::write(socket, asio::buffer(request));
    for (std::size_t got = 0; got < reply_size;) got += socket.read_some(asio::buffer(in));
  }
  return (thread_cpu_us() - begin) / calls;
}

}  // namespace

int main(int argc, char** argv) {
  int calls = 20'000;
  bool streams = false, curl = false, bare = false;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--smoke") == 0) calls = 50;
    if (std::strcmp(argv[i], "--streams") == 0) streams = true;
    if (std::strcmp(argv[i], "--curl") == 0) curl = true;
    if (std::strcmp(argv[i], "--bare") == 0) bare = true;
    if (std::strcmp(argv[i], "--calls") == 0 && i + 1 < argc) calls = std::atoi(argv[++i]);
  }
  const Server server(streams);
  if (bare) {
    std::printf("bare write and read   %8.2f us CPU a call\n", run_bare(server, calls));
    return 0;
  }
  const double us = run_pool(server, streams, curl, calls);
  std::printf("%s %s  %8.2f us CPU a call", curl ? "libcurl" : "sockets",
              streams ? "stream" : "plain ", us);
  if (streams) std::printf(", %.2f an event", us / kEvents);
  std::printf("\n");
}
