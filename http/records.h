// The way from a net thread to the log and back: one worker thread with one store::Reader (reads
// block on the disk), and the journal for what is written. Shared by all net threads.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <functional>
#include <memory>
#include <string>

#include "store/journal.h"
#include "store/reader.h"

namespace http {

class Records {
 public:
  /// The journal outlives this object and has opened `path` before.
  Records(std::string path, store::Journal& journal) : path_(std::move(path)), journal_(journal) {}

  /// Waits for the worker, which finishes what it was given.
  ~Records() { worker_.join(); }

  /// Runs `job` on the worker thread and resumes on the caller's with its result. `job` owns what
  /// it uses. Throws what the store throws.
  template <typename Result>
  boost::asio::awaitable<Result> ask(std::function<Result(store::Reader&)> job) {
    boost::asio::awaitable<Result> work = run<Result>(std::move(job));
    co_return co_await boost::asio::co_spawn(worker_, std::move(work), boost::asio::use_awaitable);
  }

  store::Journal& journal() { return journal_; }

 private:
  template <typename Result>
  boost::asio::awaitable<Result> run(std::function<Result(store::Reader&)> job) {
    if (!reader_) reader_ = std::make_unique<store::Reader>(path_);
    co_return job(*reader_);
  }

  const std::string path_;
  store::Journal& journal_;
  std::unique_ptr<store::Reader> reader_;  // the worker's own
  boost::asio::thread_pool worker_{1};
};

}  // namespace http
