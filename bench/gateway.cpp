// rooms: skillyard_flags
// What does one request cost the whole service: HTTP in, learned route, HTTP to an expert, durable
// log row? Baselines in the same run: the expert asked directly, and nginx as a plain proxy in
// front of it where nginx is installed. Read the ratio to nginx; microseconds depend on the
// machine.
//
//   bench_gateway [--service build/release/skillyard] [--connections 64] [--seconds 1] [--rounds 7]
//   bench_gateway --streams 8       that many connections stream 100 events a reply: cost an event
//   bench_gateway --instructions    user instructions a request, by valgrind (which must be there);
//                                   with --streams 8: an event
//   bench_gateway --soak 100000     that many requests at 256 connections: memory and latency on
//   the way
//
// The experts are one made-up server, the policy is trained on 4,000 made-up rows of 9 experts.
// With two CPUs or more the expert and the clients have the first one, what is measured the second.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr int kExperts = 9;
constexpr std::size_t kEvents = 100;  // of a streamed reply
constexpr std::string_view kStreamEnd = "\r\n0\r\n\r\n";

/// Three ports of this run: two benches at once should not meet.
const auto kPorts = static_cast<std::uint16_t>(10'000 + 3 * (::getpid() % 7'000));
const std::uint16_t kExpertPort = kPorts;
const auto kNginxPort = static_cast<std::uint16_t>(kPorts + 1);
const auto kServicePort = static_cast<std::uint16_t>(kPorts + 2);

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "bench_gateway: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

void pin(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sysconf(_SC_NPROCESSORS_ONLN) > 1) ::sched_setaffinity(0, sizeof set, &set);
}

sockaddr_in at_port(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

/// The end of the first whole HTTP message in `bytes`; 0: not there yet.
std::size_t end_of_message(std::string_view bytes) {
  const auto head = bytes.find("\r\n\r\n");
  if (head == std::string_view::npos) return 0;
  std::size_t body = 0;
  for (const char* name : {"ontent-Length: ", "ontent-length: "}) {
    const auto at = bytes.substr(0, head).find(name);
    if (at != std::string_view::npos) body = std::strtoul(bytes.data() + at + 15, nullptr, 10);
  }
  return bytes.size() < head + 4 + body ? 0 : head + 4 + body;
}

// ---- the expert: answers every request with the same completion ---------------------------------

std::string as_chunk(const std::string& bytes) {
  char size[20];
  std::snprintf(size, sizeof size, "%zx\r\n", bytes.size());
  return size + bytes + "\r\n";
}

/// The head of a streamed reply, its events, its end: each is sent by itself.
std::vector<std::string> make_stream() {
  std::vector<std::string> pieces = {
      "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"};
  for (std::size_t i = 0; i < kEvents; ++i) {
    pieces.push_back(as_chunk(
        R"(data: {"id":"chatcmpl-0000000000000000000000001","object":"chat.completion.chunk",)"
        R"("created":1760000000,"model":"m","system_fingerprint":"fp_0","choices":[{"index":0,)"
        R"("delta":{"content":" word)" +
        std::to_string(i) + R"("},"logprobs":null,"finish_reason":null}]})" + "\n\n"));
  }
  pieces.push_back(
      as_chunk(R"(data: {"id":"c-1","object":"chat.completion.chunk","created":1,"model":"m",)"
               R"("choices":[{"index":0,"delta":{},"finish_reason":"stop"}]})"
               "\n\ndata: [DONE]\n\n"));
  pieces.back().append("0\r\n\r\n");
  return pieces;
}

void send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0) return;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

[[noreturn]] void serve_as_expert() {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  pin(0);
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0), yes = 1;
  ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  const sockaddr_in address = at_port(kExpertPort);
  if (::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    die("bind");
  ::listen(listener, 4096);
  const std::string body =
      R"({"id":"c-1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,)"
      R"("finish_reason":"stop","message":{"role":"assistant","content":")" +
      std::string(600, 'x') +
      R"("}}],"usage":{"prompt_tokens":250,"completion_tokens":150,"total_tokens":400}})";
  const std::string reply =
      "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: " +
      std::to_string(body.size()) + "\r\n\r\n" + body;
  const std::vector<std::string> stream = make_stream();
  const int poll = ::epoll_create1(0);
  epoll_event listening{.events = EPOLLIN, .data = {.fd = listener}};
  ::epoll_ctl(poll, EPOLL_CTL_ADD, listener, &listening);
  std::map<int, std::string> unread;
  std::array<epoll_event, 256> events;
  for (;;) {
    const int count = ::epoll_wait(poll, events.data(), events.size(), -1);
    for (int i = 0; i < count; ++i) {
      const int fd = events[static_cast<std::size_t>(i)].data.fd;
      if (fd == listener) {
        const int client = ::accept(listener, nullptr, nullptr);
        epoll_event reading{.events = EPOLLIN, .data = {.fd = client}};
        ::setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        ::epoll_ctl(poll, EPOLL_CTL_ADD, client, &reading);
        continue;
      }
      char bytes[16'384];
      const ssize_t got = ::recv(fd, bytes, sizeof bytes, 0);
      if (got <= 0) {
        ::close(fd);
        unread.erase(fd);
        continue;
      }
      std::string& text = unread[fd].append(bytes, static_cast<std::size_t>(got));
      while (const std::size_t end = end_of_message(text)) {
        const bool streamed = text.substr(0, end).find("\"stream\":true") != std::string::npos;
        text.erase(0, end);
        if (!streamed) send_all(fd, reply);
        if (streamed)
          std::ranges::for_each(stream, [&](const auto& piece) { send_all(fd, piece); });
      }
    }
  }
}

// ---- processes ----------------------------------------------------------------------------------

pid_t start(const std::vector<std::string>& words, const fs::path& log) {
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // nothing stays behind when this program fails
  pin(1);
  const int out = ::open(log.c_str(), O_CREAT | O_WRONLY | O_TRUNC, 0644);
  ::dup2(out, 1);
  ::dup2(out, 2);
  std::vector<char*> arguments;
  for (const auto& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  ::execvp(arguments[0], arguments.data());
  ::_exit(127);
}

int stop(pid_t pid) {
  int status = 0;
  ::kill(pid, SIGTERM);
  ::waitpid(pid, &status, 0);
  return status;
}

int connect_to(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0), yes = 1;
  const sockaddr_in to = at_port(port);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) {
    ::close(fd);
    return -1;
  }
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  return fd;
}

void wait_for(std::uint16_t port, pid_t pid) {
  for (int i = 0; i < 1200; ++i) {
    const int fd = connect_to(port);
    if (fd >= 0) {
      ::close(fd);
      return;
    }
    if (::waitpid(pid, nullptr, WNOHANG) == pid) break;
    ::usleep(50'000);
  }
  die("a server did not come up on port " + std::to_string(port));
}

/// CPU time of all threads, with nanoseconds where /proc/PID/stat has hundredths of a second.
double cpu_us(pid_t pid) {
  double us = 0;
  for (const auto& task : fs::directory_iterator("/proc/" + std::to_string(pid) + "/task")) {
    std::ifstream file(task.path() / "schedstat");
    double ns = 0;
    file >> ns;
    us += ns / 1000;
  }
  return us;
}

double resident_mb(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) return std::atof(line.c_str() + 6) / 1024;
  }
  return 0;
}

// ---- the clients --------------------------------------------------------------------------------

struct Load {
  std::size_t good = 0, bad = 0;
  std::vector<double> latency_us;

  double percentile(double share) {
    if (latency_us.empty()) return 0;
    const auto at = latency_us.begin() +
                    static_cast<std::ptrdiff_t>(share * static_cast<double>(latency_us.size() - 1));
    std::nth_element(latency_us.begin(), at, latency_us.end());
    return *at;
  }
};

std::string make_text(std::mt19937& chance, std::size_t bytes) {
  std::string text;
  while (text.size() < bytes) text += "word" + std::to_string(chance() % 900) + " ";
  return text;
}

std::vector<std::string> make_requests(bool streams) {
  std::mt19937 chance(3);
  std::vector<std::string> requests;
  for (int i = 0; i < 64; ++i) {
    const std::string body = R"({"model":"skillyard/auto","messages":[{"role":"user","content":")" +
                             make_text(chance, 900) + R"("}],"temperature":0.2,"max_tokens":256)" +
                             (streams ? R"(,"stream":true})" : "}");
    requests.push_back(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        "Content-Length: " +
        std::to_string(body.size()) + "\r\n\r\n" + body);
  }
  return requests;
}

bool is_whole(const std::string& answer, bool streams) {
  return streams ? answer.ends_with(kStreamEnd) : end_of_message(answer) != 0;
}

/// The body of a chunked message; chunks may end anywhere inside an event.
std::string joined_chunks(std::string_view message) {
  std::string body;
  std::size_t at = message.find("\r\n\r\n") + 4;
  while (at < message.size()) {
    const std::size_t size = std::strtoul(message.data() + at, nullptr, 16);
    at = message.find("\r\n", at) + 2;
    body.append(message.substr(at, size));
    at += size + 2;
  }
  return body;
}

bool is_good(const std::string& answer, bool streams) {
  if (!answer.starts_with("HTTP/1.1 200")) return false;
  if (!streams) return answer.find("chat.completion") != std::string::npos;
  const std::string body = joined_chunks(answer);
  std::size_t events = 0;
  for (auto at = body.find(" word"); at != body.npos; at = body.find(" word", at + 1)) ++events;
  return events == kEvents && body.ends_with("data: [DONE]\n\n");
}

/// Each connection sends its next request when the answer to the last is there, until the time or
/// the number of requests is over.
Load run_load(std::uint16_t port, int connections, double seconds, std::size_t requests_max,
              bool streams = false) {
  static const std::vector<std::string> plain = make_requests(false),
                                        streamed = make_requests(true);
  const std::vector<std::string>& requests = streams ? streamed : plain;

  struct Client {
    int fd;
    std::string answer;
    Clock::time_point sent;
  };

  Load load;
  std::vector<Client> clients(static_cast<std::size_t>(connections));
  const int poll = ::epoll_create1(0);
  std::size_t sent = 0;
  const auto send_next = [&](Client& client) {
    const std::string& request = requests[sent++ % requests.size()];
    client.answer.clear();
    client.sent = Clock::now();
    if (::send(client.fd, request.data(), request.size(), MSG_NOSIGNAL) < 0) die("send");
  };
  for (std::size_t i = 0; i < clients.size(); ++i) {
    clients[i].fd = connect_to(port);
    if (clients[i].fd < 0) die("connect");
    epoll_event reading{.events = EPOLLIN, .data = {.u64 = i}};
    ::epoll_ctl(poll, EPOLL_CTL_ADD, clients[i].fd, &reading);
  }
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  const auto goes_on = [&] { return Clock::now() < end && sent < requests_max; };
  for (Client& client : clients) send_next(client);
  std::array<epoll_event, 256> events;
  for (std::size_t waiting = clients.size(); waiting > 0;) {
    const int count = ::epoll_wait(poll, events.data(), events.size(), 30'000);
    if (count <= 0) die("no answer for 30 seconds");
    for (int i = 0; i < count; ++i) {
      Client& client = clients[events[static_cast<std::size_t>(i)].data.u64];
      char bytes[16'384];
      const ssize_t got = ::recv(client.fd, bytes, sizeof bytes, 0);
      if (got <= 0) die("a connection was closed");
      client.answer.append(bytes, static_cast<std::size_t>(got));
      if (!is_whole(client.answer, streams)) continue;
      ++(is_good(client.answer, streams) ? load.good : load.bad);
      const std::chrono::duration<double, std::micro> took = Clock::now() - client.sent;
      load.latency_us.push_back(took.count());
      if (goes_on()) {
        send_next(client);
      } else {
        --waiting;
      }
    }
  }
  for (const Client& client : clients) ::close(client.fd);
  ::close(poll);
  return load;
}

// ---- what is measured ---------------------------------------------------------------------------

struct Bench {
  fs::path service, folder;
  int connections = 64, rounds = 7;
  double seconds = 1;
  bool streams = false;

  double units() const { return streams ? kEvents : 1; }  // of a reply, what is counted

  const char* unit() const { return streams ? "event" : "request"; }
};

/// A policy for nine experts, each better than the others at some of the words.
void train_policy(const Bench& bench, std::size_t rows) {
  std::ofstream out(bench.folder / "outcomes.jsonl");
  std::mt19937 chance(1);
  for (std::size_t i = 0; i < rows; ++i) {
    out << R"({"id":"r)" << i << R"(","text":")" << make_text(chance, 400) << R"(","domain":"d)"
        << i % 5 << R"(","outcomes":{)";
    for (std::size_t e = 0; e < kExperts; ++e) {
      const bool right = chance() % 100 < (i % 5 == e % 5 ? 85U : 40U + 3 * e);
      out << (e ? "," : "") << R"("e)" << e << R"(":{"score":)" << right << "}";
    }
    out << "}}\n";
  }
  out.close();
  const pid_t pid = start({bench.service, "train", "--outcomes", bench.folder / "outcomes.jsonl",
                           "--out", bench.folder / "policy"},
                          bench.folder / "train.log");
  int status = 0;
  ::waitpid(pid, &status, 0);
  if (status != 0) die("training failed, see " + (bench.folder / "train.log").string());
}

pid_t start_service(const Bench& bench, std::vector<std::string> before = {}) {
  std::vector<std::string> words = std::move(before);
  const std::vector<std::string> serve = {
      bench.service, "serve",
      "--listen",    "127.0.0.1:" + std::to_string(kServicePort),
      "--data",      bench.folder / "data",
      "--policy",    bench.folder / "policy"};
  words.insert(words.end(), serve.begin(), serve.end());
  for (int e = 0; e < kExperts; ++e) {
    words.insert(words.end(), {"--expert", "e" + std::to_string(e) + "=http://127.0.0.1:" +
                                               std::to_string(kExpertPort) + "/v1,model=m"});
  }
  const pid_t pid = start(words, bench.folder / "service.log");
  wait_for(kServicePort, pid);
  return pid;
}

pid_t start_nginx(const Bench& bench) {
  const fs::path binary = "/usr/sbin/nginx";
  if (!fs::exists(binary)) return 0;
  const std::string here = bench.folder.string();
  std::ofstream(bench.folder / "nginx.conf")
      << "daemon off; master_process off; pid " << here << "/nginx.pid; error_log " << here
      << "/nginx.err;\nevents { worker_connections 4096; }\nhttp { access_log off; "
         "keepalive_requests 1000000000; client_body_buffer_size 64k;\n"
      << "client_body_temp_path " << here << "/n1; proxy_temp_path " << here
      << "/n2; fastcgi_temp_path " << here << "/n3; uwsgi_temp_path " << here
      << "/n4; scgi_temp_path " << here
      << "/n5;\nupstream expert { server 127.0.0.1:" << kExpertPort
      << "; keepalive 1024; keepalive_requests 1000000000; }\n"
      << "server { listen 127.0.0.1:" << kNginxPort
      << "; location / { proxy_pass http://expert; proxy_http_version 1.1; proxy_set_header "
         "Connection \"\"; proxy_buffering off; } } }\n";
  const pid_t pid = start({binary, "-p", here, "-c", here + "/nginx.conf"}, here + "/nginx.log");
  wait_for(kNginxPort, pid);
  return pid;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[values.size() / 2];
}

int compare(const Bench& bench, pid_t expert) {
  struct Peer {
    const char* name;
    std::uint16_t port;
    pid_t pid;
    std::vector<double> us{}, ratio{}, p50{};
    std::size_t bad = 0;
  };

  std::vector<Peer> peers = {{"expert asked directly", kExpertPort, expert}};
  if (const pid_t nginx = start_nginx(bench)) peers.push_back({"nginx", kNginxPort, nginx});
  peers.push_back({"skillyard", kServicePort, start_service(bench)});
  for (Peer& peer : peers) run_load(peer.port, bench.connections, 0.3, ~0UL, bench.streams);
  for (int round = 0; round < bench.rounds; ++round) {
    for (Peer& peer : peers) {
      const double before = cpu_us(peer.pid);
      Load load = run_load(peer.port, bench.connections, bench.seconds, ~0UL, bench.streams);
      peer.us.push_back((cpu_us(peer.pid) - before) / static_cast<double>(load.good) /
                        bench.units());
      peer.p50.push_back(load.percentile(0.5));
      peer.bad += load.bad;
    }
    for (Peer& peer : peers) peer.ratio.push_back(peers[1].us.back() / peer.us.back());
  }
  std::printf("%d connections, %d rounds of %.1f s, medians\n", bench.connections, bench.rounds,
              bench.seconds);
  std::size_t bad = 0;
  for (Peer& peer : peers) {
    std::printf(
        "%-22s %6.2f us CPU per %s, %.2f times nginx's %ss a CPU-second, "
        "p50 %5.0f us, %5.1f MB, %zu bad\n",
        peer.name, median(peer.us), bench.unit(), median(peer.ratio), bench.unit(),
        median(peer.p50), resident_mb(peer.pid), peer.bad);
    bad += peer.bad;
    if (peer.pid != expert) stop(peer.pid);
  }
  if (peers.size() < 3) std::printf("nginx is not installed: the ratios are to skillyard itself\n");
  return bad == 0 ? 0 : 1;
}

/// Of all requests of a run under callgrind, starting and stopping included.
double count_instructions(const Bench& bench, std::size_t requests) {
  const fs::path out = bench.folder / "callgrind.out";
  const pid_t pid = start_service(
      bench, {"valgrind", "--tool=callgrind", "--callgrind-out-file=" + out.string()});
  run_load(kServicePort, bench.connections, 600, requests, bench.streams);
  stop(pid);
  std::ifstream file(out);
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("totals:")) return std::atof(line.c_str() + 7);
  }
  die("callgrind left no total in " + out.string());
}

int count_per_request(const Bench& bench) {
  const std::size_t some = bench.streams ? 100 : 1'000;
  const double few = count_instructions(bench, some), many = count_instructions(bench, 5 * some);
  std::printf("%.0f user instructions per %s (AVX2 paths: valgrind knows no AVX-512)\n",
              (many - few) / static_cast<double>(4 * some) / bench.units(), bench.unit());
  return 0;
}

int soak(const Bench& bench, std::size_t requests) {
  const pid_t pid = start_service(bench);
  constexpr std::size_t kParts = 10;
  std::size_t bad = 0;
  for (std::size_t part = 1; part <= kParts; ++part) {
    Load load = run_load(kServicePort, 256, 600, requests / kParts);
    bad += load.bad;
    std::printf("%7zu requests: p50 %6.1f ms, p99 %6.1f ms, %5.1f MB resident, %zu bad\n",
                part * requests / kParts, load.percentile(0.5) / 1000, load.percentile(0.99) / 1000,
                resident_mb(pid), load.bad);
  }
  return stop(pid) == 0 && bad == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Bench bench;
  bench.service = fs::absolute(argv[0]).parent_path().parent_path() / "skillyard";
  bool instructions = false, smoke = false;
  std::size_t soaked = 0;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const char* value = i + 1 < argc ? argv[i + 1] : "";
    if (word == "--smoke") smoke = true;
    if (word == "--instructions") instructions = true;
    if (word == "--service") bench.service = fs::absolute(value);
    if (word == "--connections") bench.connections = std::atoi(value);
    if (word == "--seconds") bench.seconds = std::atof(value);
    if (word == "--rounds") bench.rounds = std::atoi(value);
    if (word == "--streams") bench.streams = true, bench.connections = std::atoi(value);
    if (word == "--soak") soaked = std::strtoul(value, nullptr, 10);
  }
  if (smoke) bench.connections = 4, bench.rounds = 1, bench.seconds = 0.1;
  if (!fs::exists(bench.service)) {
    std::printf("skipped: there is no %s (--service names it)\n", bench.service.c_str());
    return smoke ? 0 : 2;
  }
  std::string folder = fs::temp_directory_path() / "bench_gateway.XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr) die("mkdtemp");
  bench.folder = folder;
  const pid_t expert = ::fork();
  if (expert == 0) serve_as_expert();
  wait_for(kExpertPort, expert);
  train_policy(bench, smoke ? 300 : 4'000);
  pin(0);
  int result = 0;
  if (instructions) {
    result = count_per_request(bench);
  } else if (soaked > 0) {
    result = soak(bench, soaked);
  } else {
    result = compare(bench, expert);
  }
  ::kill(expert, SIGKILL);
  ::waitpid(expert, nullptr, 0);
  fs::remove_all(bench.folder);
  return result;
}
