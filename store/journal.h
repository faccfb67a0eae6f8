// The log's way in: a bounded queue, one writer thread, many rows per transaction (group commit).
//
// put() is for any thread, never blocks on the disk, never throws: what does not fit is dropped and
// counted, and the gap is recorded in the table `losses`. A database that is full, locked or broken
// costs log rows, never an answer: the writer warns, tries again, and goes on by itself when it
// can.
//
// Durable means: the transaction was synced to disk (WAL, synchronous=FULL); it survives kill -9
// and, as far as the disk keeps its word, a power cut. committed() says up to where that holds.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "store/options.h"
#include "store/rows.h"
#include "store/writer.h"

namespace store {

/// The place of a row in the log of this run: 1, 2, 3 ...; 0: the row was dropped.
using Ticket = std::uint64_t;

/// Since the start, except where it says "now".
struct JournalCounts {
  std::uint64_t accepted = 0;
  std::uint64_t committed = 0;        // accepted rows that are durable
  std::uint64_t refused = 0;          // by a constraint: id twice, feedback on an unknown decision
  std::uint64_t lost = 0;             // accepted, and given up by stop()
  std::uint64_t dropped_full = 0;     // the queue's rows or bytes were at their limit
  std::uint64_t dropped_stopped = 0;  // after stop()
  std::uint64_t dropped_malformed = 0;  // no id, an id over 64 bytes
  std::uint64_t dropped_memory = 0;
  std::uint64_t texts_shed = 0;  // rows that went on without their text
  std::uint64_t clipped = 0;     // rows with a part over its limit
  std::uint64_t commits = 0;
  std::uint64_t failures = 0;      // tries of a commit that failed
  std::uint64_t rows_expired = 0;  // deleted by retention
  std::uint64_t texts_expired = 0;
  std::uint64_t outcomes_expired = 0;
  std::uint64_t queue_rows = 0;   // now, not yet committed
  std::uint64_t queue_bytes = 0;  // now
  std::uint64_t wal_bytes = 0;    // size of the write-ahead log, seen every Retention::every_ms
  bool degraded = false;          // now: the last try of a commit failed

  std::uint64_t dropped() const {
    return dropped_full + dropped_stopped + dropped_malformed + dropped_memory;
  }
};

class Journal {
 public:
  /// Called on the writer thread, at most once in Options::warn_every_s and once more when it is
  /// over. Must not throw.
  using Warn = std::function<void(std::string_view sentence)>;

  /// Opens the database (created and migrated where needed) and starts the writer.
  /// Throws std::runtime_error: cannot be opened, belongs to another program or a newer build.
  Journal(const Options& options, Warn warn);
  ~Journal();  // stop()

  /// A Decision's text is stored; otherwise put() drops it, and need not be given it.
  bool keeps_text() const noexcept { return options_.keep_text; }

  Ticket put(Decision&& row) noexcept;
  Ticket put(Feedback&& row) noexcept;
  Ticket put(Outcome&& row) noexcept;
  Ticket put(PolicyRow&& row) noexcept;

  /// Every accepted row up to this ticket is durable, or was refused.
  Ticket committed() const noexcept { return committed_.load(std::memory_order_acquire); }

  /// Commits now what was put before, and waits for it. False: not durable by the deadline.
  /// Blocks: not for net threads.
  bool flush(std::chrono::steady_clock::time_point deadline);

  /// Commits what waits (at most Options::stop_wait_ms_max) and ends the writer. Further rows are
  /// dropped. Called by the owner, once or again.
  void stop();

  JournalCounts counts() const;

 private:
  using Steady = std::chrono::steady_clock;

  using Lock = std::unique_lock<std::mutex>;

  template <typename Row>
  Ticket admit(Lock& lock, Row&& row, std::size_t bytes, std::int64_t unix_us,
               std::vector<Row> Batch::*rows) noexcept;
  // With mutex_ held.
  Ticket drop(std::uint64_t JournalCounts::*reason, std::int64_t unix_us) noexcept;
  bool has_room(std::size_t bytes) const;

  // The writer thread.
  void run();
  bool take(Batch& batch);
  void write(Batch& batch);
  bool try_commit(const Batch& batch);
  bool wait_for_retry(int wait_ms);
  void note_failure(const std::string& what);
  void note_recovery();
  void settle(Batch& batch, bool durable);
  void expire();
  bool may_warn();
  void warn_of_drops();

  // Constant after construction.
  const Options options_;
  const Warn warn_;

  // Guarded by mutex_.
  mutable std::mutex mutex_;
  std::condition_variable wake_writer_;
  std::condition_variable settled_;
  Batch queue_;
  JournalCounts counts_;
  std::size_t rows_in_hand_ = 0;  // of the batch that the writer has taken
  std::size_t bytes_in_hand_ = 0;
  Ticket last_ticket_ = 0;
  bool hurry_ = false;
  bool stopping_ = false;
  Steady::time_point stop_deadline_{};

  std::atomic<Ticket> committed_{0};  // written under mutex_

  // The writer thread's own.
  std::unique_ptr<Writer> writer_;  // null after a failure that needs a fresh connection
  std::size_t stored_in_batch_ = 0;
  std::uint64_t dropped_warned_ = 0;
  bool trouble_warned_ = false;
  Steady::time_point quiet_until_{};
  Steady::time_point expire_at_{};

  std::thread thread_;  // last: runs on everything above
};

}  // namespace store
