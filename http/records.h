// The way from a net thread to the log and back: one worker thread with one store::Reader (reads
// block on the disk), and the journal for what is written. Shared by all net threads.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <string>

#include "http/workers.h"
#include "store/journal.h"
#include "store/reader.h"

namespace http {

class Records {
 public:
  /// The journal outlives this object and has opened `path` before.
  Records(std::string path, store::Journal& journal);

  /// Runs `job` on the worker thread and resumes on the caller's when it has ended, so that it may
  /// use the caller's frame. Throws what the store throws.
  boost::asio::awaitable<void> ask(std::function<void(store::Reader&)> job);

  store::Journal& journal() { return journal_; }

 private:
  const std::string path_;
  store::Journal& journal_;
  std::unique_ptr<store::Reader> reader_;  // the worker's own
  Workers worker_{1};                      // last: finishes what it was given
};

}  // namespace http
