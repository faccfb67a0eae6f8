// Threads for what blocks for long and is asked for seldom, so that a net thread need not wait.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>
#include <functional>

namespace http {

class Workers {
 public:
  explicit Workers(int threads) : pool_(static_cast<std::size_t>(threads)) {}

  /// Waits for the jobs that run.
  ~Workers() { pool_.join(); }

  /// Runs `job` on a worker and resumes on the caller's thread when it has ended, so that it may
  /// use the caller's frame. Throws what the job throws.
  boost::asio::awaitable<void> run(std::function<void()> job);

 private:
  static boost::asio::awaitable<void> call(std::function<void()> job);

  boost::asio::thread_pool pool_;
};

}  // namespace http
