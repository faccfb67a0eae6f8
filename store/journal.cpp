#include "store/journal.h"

#include <algorithm>
#include <filesystem>
#include <new>
#include <utility>

#include "store/keep.h"

namespace store {
namespace {

constexpr std::size_t kIdBytesMax = 64;

bool is_id(const std::string& id) {
  return !id.empty() && id.size() <= kIdBytesMax;
}

std::int64_t now_unix_us() {
  const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::microseconds>(since_epoch).count();
}

bool clip(std::string& text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return false;
  std::size_t end = bytes_max;
  const auto inside_character = [&] { return (text[end] & 0xc0) == 0x80; };  // of UTF-8
  while (end > 0 && inside_character()) --end;
  text.resize(end);
  return true;
}

bool clip(Decision& row, const Options& options) {
  bool clipped = clip(row.text, options.text_bytes_max);
  if (row.route.size() > options.route_bytes_max) {
    row.route.clear();
    clipped = true;
  }
  if (row.calls.size() > options.calls_max) {
    row.calls.resize(options.calls_max);
    clipped = true;
  }
  return clipped;
}

std::size_t bytes_of(const Decision& row) {
  return sizeof(row) + row.id.size() + row.route.size() + row.gate.size() + row.text.size() +
         row.calls.size() * sizeof(CallRow);
}

}  // namespace

Journal::Journal(const Options& options, Warn warn)
    : options_(options), warn_(std::move(warn)), writer_(std::make_unique<Writer>(options_)) {
  thread_ = std::thread([this] { run(); });
}

Journal::~Journal() {
  stop();
}

Ticket Journal::put(Decision&& row) noexcept {
  if (!options_.keep_text) row.text.clear();
  const bool clipped = clip(row, options_);
  const std::int64_t unix_us = row.unix_us;
  std::size_t bytes = bytes_of(row);
  Lock lock(mutex_);
  if (!is_id(row.id)) return drop(&JournalCounts::dropped_malformed, unix_us);
  if (clipped) ++counts_.clipped;
  if (!row.text.empty() && queue_.bytes + bytes_in_hand_ + bytes > options_.queue_bytes_max / 2) {
    bytes -= row.text.size();
    row.text.clear();
    ++counts_.texts_shed;
  }
  return admit(lock, std::move(row), bytes, unix_us, &Batch::decisions);
}

Ticket Journal::put(Feedback&& row) noexcept {
  bool clipped = clip(row.correct_answer, options_.text_bytes_max);
  clipped |= clip(row.comment, options_.text_bytes_max);
  const std::int64_t unix_us = row.unix_us;
  const std::size_t bytes = sizeof(row) + row.correct_answer.size() + row.comment.size();
  Lock lock(mutex_);
  if (!is_id(row.decision_id)) return drop(&JournalCounts::dropped_malformed, unix_us);
  if (clipped) ++counts_.clipped;
  return admit(lock, std::move(row), bytes, unix_us, &Batch::feedback);
}

Ticket Journal::put(Outcome&& row) noexcept {
  const std::int64_t unix_us = row.unix_us;
  Lock lock(mutex_);
  return admit(lock, std::move(row), sizeof(Outcome), unix_us, &Batch::outcomes);
}

Ticket Journal::put(PolicyRow&& row) noexcept {
  const std::int64_t unix_us = row.created_us;
  const std::size_t bytes = sizeof(row) + row.bytes.size() + row.metrics_json.size();
  Lock lock(mutex_);
  return admit(lock, std::move(row), bytes, unix_us, &Batch::policies);
}

bool Journal::has_room(std::size_t bytes) const {
  return queue_.rows() + rows_in_hand_ < options_.queue_rows_max &&
         queue_.bytes + bytes_in_hand_ + bytes <= options_.queue_bytes_max;
}

template <typename Row>
Ticket Journal::admit(Lock& lock, Row&& row, std::size_t bytes, std::int64_t unix_us,
                      std::vector<Row> Batch::*rows) noexcept {
  if (stopping_) return drop(&JournalCounts::dropped_stopped, unix_us);
  if (!has_room(bytes)) return drop(&JournalCounts::dropped_full, unix_us);
  try {
    (queue_.*rows).push_back(std::move(row));
  } catch (const std::bad_alloc&) {
    return drop(&JournalCounts::dropped_memory, unix_us);
  }
  queue_.bytes += bytes;
  queue_.last_ticket = ++last_ticket_;
  ++counts_.accepted;
  const Ticket ticket = last_ticket_;
  // The writer sleeps until the first row, then until the group is full or old enough: all other
  // rows cost no system call.
  const std::size_t waiting = queue_.rows();
  lock.unlock();
  if (waiting == 1 || waiting == options_.group_rows) wake_writer_.notify_one();
  return ticket;
}

Ticket Journal::drop(std::uint64_t JournalCounts::*reason, std::int64_t unix_us) noexcept {
  ++(counts_.*reason);
  Loss& loss = queue_.loss;
  loss.since_us = loss.rows == 0 ? unix_us : std::min(loss.since_us, unix_us);
  loss.until_us = loss.rows == 0 ? unix_us : std::max(loss.until_us, unix_us);
  ++loss.rows;
  return 0;
}

bool Journal::flush(std::chrono::steady_clock::time_point deadline) {
  std::unique_lock lock(mutex_);
  const Ticket target = last_ticket_;
  if (committed() >= target) return true;
  hurry_ = true;
  wake_writer_.notify_one();
  settled_.wait_until(lock, deadline, [&] { return committed() >= target || counts_.lost > 0; });
  return committed() >= target;
}

void Journal::stop() {
  {
    const std::lock_guard lock(mutex_);
    if (!stopping_) {
      stop_deadline_ = Steady::now() + std::chrono::milliseconds(options_.stop_wait_ms_max);
    }
    stopping_ = true;
  }
  wake_writer_.notify_one();
  if (thread_.joinable()) thread_.join();
}

JournalCounts Journal::counts() const {
  const std::lock_guard lock(mutex_);
  JournalCounts now = counts_;
  now.queue_rows = queue_.rows() + rows_in_hand_;
  now.queue_bytes = queue_.bytes + bytes_in_hand_;
  return now;
}

void Journal::run() {
  Batch batch;
  expire_at_ = Steady::now();
  while (take(batch)) {
    if (!batch.empty()) write(batch);
    warn_of_drops();
    expire();
  }
}

/// Waits for a group of rows, or for the next work of retention. False: stopped, nothing left.
bool Journal::take(Batch& batch) {
  std::unique_lock lock(mutex_);
  const auto something = [&] { return queue_.rows() > 0 || hurry_ || stopping_; };
  wake_writer_.wait_until(lock, expire_at_, something);
  if (queue_.rows() > 0) {
    const auto enough = [&] { return queue_.rows() >= options_.group_rows || hurry_ || stopping_; };
    wake_writer_.wait_for(lock, std::chrono::milliseconds(options_.group_wait_ms), enough);
  }
  hurry_ = false;
  if (stopping_ && queue_.empty()) return false;
  std::swap(batch, queue_);  // `batch` was cleared: its memory serves the next rows
  rows_in_hand_ = batch.rows();
  bytes_in_hand_ = batch.bytes;
  return true;
}

void Journal::write(Batch& batch) {
  int wait_ms = options_.retry_wait_ms_min;
  bool durable = try_commit(batch);
  while (!durable && wait_for_retry(wait_ms)) {
    durable = try_commit(batch);
    wait_ms = std::min(2 * wait_ms, options_.retry_wait_ms_max);
  }
  if (durable) note_recovery();
  settle(batch, durable);
}

bool Journal::try_commit(const Batch& batch) {
  try {
    if (writer_ == nullptr) writer_ = std::make_unique<Writer>(options_);
    stored_in_batch_ = writer_->commit(batch);
    return true;
  } catch (const DbError& error) {
    if (!error.passing()) writer_.reset();
    note_failure(error.what());
  } catch (const std::exception& error) {
    writer_.reset();
    note_failure(error.what());
  }
  return false;
}

void Journal::note_failure(const std::string& what) {
  {
    const std::lock_guard lock(mutex_);
    ++counts_.failures;
    counts_.degraded = true;
  }
  if (!may_warn()) return;
  trouble_warned_ = true;
  warn_("decision log degraded, answers go on: " + what + "; will be tried again");
}

void Journal::note_recovery() {
  std::uint64_t dropped = 0;
  {
    const std::lock_guard lock(mutex_);
    if (!std::exchange(counts_.degraded, false)) return;
    dropped = counts_.dropped_full;
  }
  if (!std::exchange(trouble_warned_, false)) return;
  dropped_warned_ = dropped;
  warn_("decision log writes again; rows dropped since the start: " + std::to_string(dropped));
}

/// False: the time that stop() grants is over.
bool Journal::wait_for_retry(int wait_ms) {
  std::unique_lock lock(mutex_);
  auto until = Steady::now() + std::chrono::milliseconds(wait_ms);
  if (!stopping_) wake_writer_.wait_until(lock, until, [&] { return stopping_; });
  if (!stopping_) return true;
  if (Steady::now() >= stop_deadline_) return false;
  until = std::min(Steady::now() + std::chrono::milliseconds(options_.retry_wait_ms_min),
                   stop_deadline_);
  wake_writer_.wait_until(lock, until, [] { return false; });
  return true;
}

void Journal::settle(Batch& batch, bool durable) {
  const std::size_t rows = batch.rows();
  const Ticket ticket = batch.last_ticket;
  batch.clear();
  {
    const std::lock_guard lock(mutex_);
    rows_in_hand_ = 0;
    bytes_in_hand_ = 0;
    if (durable) {
      ++counts_.commits;
      counts_.committed += stored_in_batch_;
      counts_.refused += rows - stored_in_batch_;
      if (ticket != 0) committed_.store(ticket, std::memory_order_release);
    } else {
      counts_.lost += rows;
    }
  }
  settled_.notify_all();
}

void Journal::expire() {
  const auto now = Steady::now();
  if (now < expire_at_) return;
  expire_at_ = now + std::chrono::milliseconds(options_.retention.every_ms);
  try {
    if (writer_ == nullptr) writer_ = std::make_unique<Writer>(options_);
    const Expired expired = expire_step(writer_->db(), options_.retention, now_unix_us());
    note_recovery();
    if (expired.more) expire_at_ = now;
    std::error_code no_file;
    const auto wal_bytes = std::filesystem::file_size(options_.path + "-wal", no_file);
    const std::lock_guard lock(mutex_);
    counts_.rows_expired += expired.rows;
    counts_.texts_expired += expired.texts;
    counts_.outcomes_expired += expired.outcomes;
    counts_.wal_bytes = no_file ? 0 : wal_bytes;
  } catch (const DbError& error) {
    if (!error.passing()) writer_.reset();
    note_failure(error.what());
  } catch (const std::exception& error) {
    writer_.reset();
    note_failure(error.what());
  }
}

bool Journal::may_warn() {
  const auto now = Steady::now();
  if (!warn_ || now < quiet_until_) return false;
  quiet_until_ = now + std::chrono::seconds(options_.warn_every_s);
  return true;
}

void Journal::warn_of_drops() {
  const std::uint64_t dropped = counts().dropped_full;
  if (dropped == dropped_warned_ || !may_warn()) return;
  warn_("decision log: " + std::to_string(dropped - dropped_warned_) +
        " rows dropped, they came faster than the disk took them");
  dropped_warned_ = dropped;
}

}  // namespace store
