// The server: binds the port, runs the net threads, drains them.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <semaphore>
#include <thread>
#include <vector>

#include "http/metrics.h"
#include "http/net_thread.h"
#include "http/options.h"

namespace http {

class Server {
 public:
  /// Binds and listens; throws std::runtime_error with an operator's sentence when it cannot. Calls
  /// `make_doors` once per net thread, on the calling thread.
  Server(const Options& options, const MakeDoors& make_doors);

  /// Drains without patience: what still runs is cancelled. What ignores that, as in serve().
  ~Server();

  std::uint16_t port() const { return port_; }

  /// Any thread: reads the certificate again. One that cannot be used changes nothing, and the log
  /// says why.
  void reload_certificate();

  void start();

  /// Any thread, any number of times: no new connections; what runs is finished within
  /// drain_ms_max, then cancelled. Returns at once.
  void drain();

  /// Until drain() was called and every net thread ended. One caller. False: some requests ignored
  /// their cancellation and hold on to what is behind their doors for ever.
  bool wait();

 private:
  /// True when every net thread ended within `patience`.
  bool ended_within(std::chrono::milliseconds patience);

  const Options options_;
  Metrics metrics_;
  std::optional<Certificate> certificate_;
  std::uint16_t port_ = 0;
  std::vector<std::unique_ptr<NetThread>> nets_;
  std::vector<std::thread> threads_;
  std::atomic_flag drain_asked_;
  std::counting_semaphore<> ended_{0};  // one release per net thread
  int ended_count_ = 0;                 // of them, seen by wait()
};

/// What happens around serving.
struct Hooks {
  std::function<void()> reload;  // SIGHUP
  std::function<void()> flush;   // after the last request, on a thread of its own
};

/// Starts the server and serves until SIGTERM or SIGINT has drained and flushed it; a second one
/// ends the process at once with status 1. Where requests ignore their cancellation, it ends with
/// status 1 after the flush, and nothing is destroyed. Call from main's thread, before other
/// threads block these signals.
void serve(Server& server, const Hooks& hooks);

}  // namespace http
