// The batch API's back: its database, the thread that reads and writes it for the net threads, and
// the runner. Shared by all net threads; made before them, and outlives them.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>
#include <functional>
#include <string>

#include "http/batch_runner.h"

namespace http {

class BatchDesk {
 public:
  /// Opens or creates `path`; `make_doors` makes the runner's own doors.
  BatchDesk(const std::string& path, const Options& options, const MakeDoors& make_doors);
  ~BatchDesk();

  /// Runs `job` on the worker thread and resumes on the caller's when it has ended. Throws what the
  /// store throws.
  boost::asio::awaitable<void> ask(std::function<void(store::Batches&)> job);

  store::Batches& store() { return store_; }  // blocks on the disk: not for net threads

  BatchRunner& runner() { return runner_; }

 private:
  boost::asio::awaitable<void> run(std::function<void(store::Batches&)> job);

  store::Batches store_;
  boost::asio::thread_pool worker_{1};
  BatchRunner runner_;
};

}  // namespace http
