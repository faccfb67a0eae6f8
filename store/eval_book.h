// Evaluation runs: what was asked, how it went, and the reports. In the log's file, on a connection
// of its own.
//
// Requests and reports are text to this room. Every call blocks on the disk and returns after what
// it wrote was synced. Any thread: calls are serialised. Throws DbError when SQLite refuses.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "store/db.h"

namespace store {

inline constexpr std::int64_t kEvalRunsMax = 500;  // kept; the oldest go

struct EvalRun {
  std::string id;      // `eval_` and 26 characters, sortable by time
  std::string status;  // queued, running, done, failed, cancelled
  std::int64_t created_us = 0;
  std::int64_t started_us = 0;   // 0: not yet
  std::int64_t finished_us = 0;  // 0: not yet
  std::string request;           // JSON, as it is run
  std::string error;             // of a failed run: an operator's sentence
  std::string report;            // JSON; empty in lists
  std::string html;              // one page; empty in lists
};

class EvalBook {
 public:
  /// Opens, creates and migrates as Journal does. Runs that a service left unfinished have failed.
  EvalBook(const std::string& path, std::int64_t now_us);

  /// Inserts, or replaces the run of the same id.
  void put(const EvalRun& run);

  std::optional<EvalRun> find(const std::string& id);

  /// Newest first, without their reports.
  std::vector<EvalRun> list(int limit);

 private:
  std::mutex mutex_;
  Db db_;
};

}  // namespace store
