// rooms: http experts aggregator router
// What do idle keep-alive connections cost, and do 500 streams at once arrive whole?
//
// The server runs in a child process with a corridor that only counts, so that its resident memory
// is its own; this process is the clients. Baseline of the memory: the same server in the same run
// before the first connection.   bench_idle [--connections 10000] [--streams 500] [--smoke]
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "http/serve.h"

namespace {

namespace asio = boost::asio;

constexpr int kEvents = 100;
constexpr int kEventEveryMs = 20;

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

asio::awaitable<aggregator::Answer> count(const router::Query&, experts::Sink* sink) {
  asio::steady_timer timer(co_await asio::this_coro::executor);
  aggregator::Answer answer;
  answer.mode = aggregator::Mode::single;
  answer.replies.resize(1);
  answer.replies[0].outcome = experts::Outcome::ok;
  answer.replies[0].wire = R"({"object":"chat.completion","choices":[]})";
  for (int i = 0; sink != nullptr && i < kEvents; ++i) {
    timer.expires_after(std::chrono::milliseconds(kEventEveryMs));
    co_await timer.async_wait(asio::use_awaitable);
    const std::string event = "data: {\"n\":" + std::to_string(i) + "}\n\n";
    const bool there = co_await sink->write(event);
    if (!there) break;
  }
  co_return answer;
}

/// The child: serves on a free port, whose number it writes to `report`, until it is killed.
[[noreturn]] void serve_until_killed(int report) {
  http::Options options;
  options.port = 0;
  http::Server server(options, [](asio::io_context&, int) {
    http::Doors doors;
    doors.answer = count;
    doors.knows_expert = [](std::string_view) { return true; };
    doors.knows_pool = [](std::string_view) { return true; };
    doors.policy_version = [] { return std::uint64_t{0}; };
    return doors;
  });
  server.start();
  const std::uint16_t port = server.port();
  if (::write(report, &port, sizeof port) != sizeof port) die("write");
  server.wait();
  std::exit(0);
}

double resident_mb(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) return std::atof(line.c_str() + 6) / 1024;
  }
  return 0;
}

int connect_to(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  timeval patience{.tv_sec = 30, .tv_usec = 0};
  if (fd < 0 || ::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) die("connect");
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  return fd;
}

void send_chat(int fd, bool stream) {
  const std::string body =
      std::string(R"({"model":"a","messages":[{"role":"user","content":"hi"}])") +
      (stream ? R"(,"stream":true})" : "}");
  const std::string request =
      "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
      "Content-Length: " +
      std::to_string(body.size()) + "\r\n\r\n" + body;
  if (::send(fd, request.data(), request.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(request.size())) {
    die("send");
  }
}

/// Appends what comes until `text` holds `mark`; false when the connection ends first.
bool read_until(int fd, std::string& text, std::string_view mark) {
  while (text.find(mark) == std::string::npos) {
    char bytes[16384];
    const ssize_t got = ::recv(fd, bytes, sizeof bytes, 0);
    if (got <= 0) return false;
    text.append(bytes, static_cast<std::size_t>(got));
  }
  return true;
}

/// The number of events that are missing or out of order.
int lost_events(const std::string& text) {
  int lost = 0;
  std::size_t at = 0;
  for (int i = 0; i < kEvents; ++i) {
    const std::size_t found = text.find("data: {\"n\":" + std::to_string(i) + "}\n\n", at);
    if (found == std::string::npos) {
      ++lost;
    } else {
      at = found;
    }
  }
  return lost;
}

bool measure_idle(pid_t server, std::uint16_t port, int connections) {
  const double before = resident_mb(server);
  std::vector<int> idle;
  for (int i = 0; i < connections; ++i) {
    idle.push_back(connect_to(port));
    send_chat(idle.back(), false);
    std::string text;
    if (!read_until(idle.back(), text, "chat.completion")) die("an answer");
  }
  const double after = resident_mb(server);
  std::printf("%d idle connections: resident %.1f MB, %.1f MB before them, %.2f KB each\n",
              connections, after, before, (after - before) * 1024 / connections);
  for (const int fd : idle) {  // they must still work
    send_chat(fd, false);
    std::string text;
    if (!read_until(fd, text, "chat.completion")) die("an answer of an idle connection");
    ::close(fd);
  }
  return after < 300;
}

bool measure_streams(pid_t server, std::uint16_t port, int streams) {
  struct Stream {
    int fd;
    std::string text;
  };

  std::vector<Stream> open;
  for (int i = 0; i < streams; ++i) {
    open.push_back({connect_to(port), {}});
    send_chat(open.back().fd, true);
  }
  for (Stream& stream : open) {  // all have begun before any is read further
    if (!read_until(stream.fd, stream.text, "data: {\"n\":0}")) die("a first event");
  }
  int lost = 0, cut = 0;
  for (Stream& stream : open) {
    cut += read_until(stream.fd, stream.text, "data: [DONE]\n\n\r\n0\r\n\r\n") ? 0 : 1;
    lost += lost_events(stream.text);
    ::close(stream.fd);
  }
  std::printf(
      "%d streams of %d events, one every %d ms: %d events lost, %d streams cut, resident %.1f "
      "MB\n",
      streams, kEvents, kEventEveryMs, lost, cut, resident_mb(server));
  return lost == 0 && cut == 0;
}

}  // namespace

int main(int argc, char** argv) {
  int connections = 10'000;
  int streams = 500;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--smoke") == 0) {
      connections = 100;
      streams = 20;
    } else if (std::strcmp(argv[i], "--connections") == 0 && i + 1 < argc) {
      connections = std::atoi(argv[++i]);
    } else if (std::strcmp(argv[i], "--streams") == 0 && i + 1 < argc) {
      streams = std::atoi(argv[++i]);
    } else {
      std::fprintf(stderr, "usage: bench_idle [--connections N] [--streams N] [--smoke]\n");
      return 2;
    }
  }
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < static_cast<rlim_t>(connections) + 100) {
    std::printf("only %lu descriptors are allowed here: fewer connections\n",
                static_cast<unsigned long>(limit.rlim_cur));
    connections = static_cast<int>(limit.rlim_cur) - 100;
  }
  int report[2];
  if (::pipe(report) != 0) die("pipe");
  const pid_t server = ::fork();
  if (server < 0) die("fork");
  if (server == 0) serve_until_killed(report[1]);
  std::uint16_t port = 0;
  if (::read(report[0], &port, sizeof port) != sizeof port) die("the server's port");
  const bool small = measure_idle(server, port, connections);
  const bool whole = measure_streams(server, port, streams);
  ::kill(server, SIGKILL);
  ::waitpid(server, nullptr, 0);
  return small && whole ? 0 : 1;
}
