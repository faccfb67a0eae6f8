// The disk misbehaves: full, failing, locked, slow; the process is killed.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <thread>

#include "store/journal.h"
#include "store/reader.h"
#include "tests/store/rows.h"

namespace {

std::atomic<int> write_errno{0};  // every write to a file of SQLite fails with it; 0: none does
std::atomic<int> syncs{0};

ssize_t faulty_pwrite(int file, const void* bytes, std::size_t size, off_t offset) {
  const int error = write_errno.load();
  if (error == 0) return ::pwrite(file, bytes, size, offset);
  errno = error;
  return -1;
}

}  // namespace

// SQLite's calls land here instead of in libc: the executable comes first.
extern "C" int fdatasync(int file) {
  ++syncs;
  return static_cast<int>(syscall(SYS_fdatasync, file));
}

namespace {

using namespace std::chrono_literals;
using store::Access;
using store::Db;
using store::Journal;
using store::JournalCounts;
using store::Reader;
using store_test::decision;
using store_test::id_of;
using store_test::Scratch;
using Steady = std::chrono::steady_clock;

constexpr int kPatientMs = 10'000;  // for a lock that the journal holds for a moment

/// While it lives, SQLite's writes go through faulty_pwrite (a test door of its VFS,
/// sqlite.org/vfs.html).
class FaultyDisk {
 public:
  FaultyDisk() : vfs_(sqlite3_vfs_find("unix")) { install(faulty_pwrite); }

  ~FaultyDisk() {
    write_errno = 0;
    install(nullptr);
  }

  FaultyDisk(const FaultyDisk&) = delete;
  FaultyDisk& operator=(const FaultyDisk&) = delete;

 private:
  using Write = ssize_t (*)(int, const void*, std::size_t, off_t);

  void install(Write write) {
    for (const char* name : {"pwrite", "pwrite64"}) {
      vfs_->xSetSystemCall(vfs_, name, reinterpret_cast<sqlite3_syscall_ptr>(write));
    }
  }

  sqlite3_vfs* vfs_;
};

class Warnings {
 public:
  Journal::Warn sink() {
    return [this](std::string_view sentence) {
      const std::lock_guard lock(mutex_);
      sentences_.emplace_back(sentence);
    };
  }

  std::vector<std::string> take() {
    const std::lock_guard lock(mutex_);
    return std::move(sentences_);
  }

 private:
  std::mutex mutex_;
  std::vector<std::string> sentences_;
};

store::Options options_at(const std::string& path) {
  store::Options options;
  options.path = path;
  options.keep_text = true;
  options.group_wait_ms = 1;
  options.busy_wait_ms = 5;
  options.retry_wait_ms_min = 1;
  options.retry_wait_ms_max = 10;
  options.retention = {.age_s_max = 0, .text_age_s_max = 0, .rows_max = 0, .bytes_max = 0};
  options.retention.every_ms = 3'600'000;  // the faults below meet commits, not retention
  return options;
}

Steady::time_point in(std::chrono::milliseconds time) {
  return Steady::now() + time;
}

template <typename Condition>
bool wait_until(Condition condition) {
  const auto deadline = in(20s);
  while (!condition() && Steady::now() < deadline) std::this_thread::sleep_for(1ms);
  return condition();
}

/// The log while something keeps it from the disk, and after `mend`.
void expect_degrades_and_recovers(Journal& journal, Warnings& warnings, const std::string& path,
                                  const std::string& said, const std::function<void()>& mend) {
  for (std::uint64_t i = 100; i < 130; ++i) EXPECT_NE(journal.put(decision(i)), 0u);
  EXPECT_TRUE(wait_until([&] { return journal.counts().failures >= 3; }));
  EXPECT_FALSE(journal.flush(in(30ms)));
  EXPECT_TRUE(journal.counts().degraded);
  EXPECT_LT(journal.committed(), 31u);
  const auto first = warnings.take();
  ASSERT_EQ(first.size(), 1u) << "one warning, however many tries failed";
  EXPECT_NE(first[0].find(said), std::string::npos) << first[0];
  mend();
  EXPECT_TRUE(journal.flush(in(20s)));
  EXPECT_FALSE(journal.counts().degraded);
  journal.stop();  // after it, all that will be said was said
  const auto second = warnings.take();
  ASSERT_EQ(second.size(), 1u);
  EXPECT_NE(second[0].find("writes again"), std::string::npos) << second[0];
  Reader reader(path);
  for (std::uint64_t i = 100; i < 130; ++i) EXPECT_TRUE(reader.decision(id_of(i))) << i;
  EXPECT_EQ(journal.counts().dropped(), 0u);
}

TEST(Faults, FullDisk) {
  const Scratch scratch;
  FaultyDisk disk;
  Warnings warnings;
  Journal journal(options_at(scratch.file()), warnings.sink());
  journal.put(decision(1));
  ASSERT_TRUE(journal.flush(in(20s)));
  write_errno = ENOSPC;
  expect_degrades_and_recovers(journal, warnings, scratch.file(), "disk is full",
                               [] { write_errno = 0; });
}

TEST(Faults, FailingDisk) {
  const Scratch scratch;
  FaultyDisk disk;
  Warnings warnings;
  Journal journal(options_at(scratch.file()), warnings.sink());
  journal.put(decision(1));
  ASSERT_TRUE(journal.flush(in(20s)));
  write_errno = EIO;
  expect_degrades_and_recovers(journal, warnings, scratch.file(), "I/O error",
                               [] { write_errno = 0; });
}

TEST(Faults, LockedDatabase) {
  const Scratch scratch;
  Warnings warnings;
  Journal journal(options_at(scratch.file()), warnings.sink());
  journal.put(decision(1));
  ASSERT_TRUE(journal.flush(in(20s)));
  Db other(scratch.file(), Access::read_write, kPatientMs);
  other.exec("BEGIN EXCLUSIVE");
  expect_degrades_and_recovers(journal, warnings, scratch.file(), "locked",
                               [&] { other.exec("ROLLBACK"); });
}

TEST(Faults, QueueOverflowDropsAndRecordsTheGap) {
  const Scratch scratch;
  store::Options options = options_at(scratch.file());
  options.queue_rows_max = 50;
  Warnings warnings;
  Journal journal(options, warnings.sink());
  Db other(scratch.file(), Access::read_write, kPatientMs);
  other.exec("BEGIN EXCLUSIVE");
  std::uint64_t accepted = 0;
  for (std::uint64_t i = 0; i < 80; ++i) accepted += journal.put(decision(i)) != 0 ? 1 : 0;
  EXPECT_EQ(accepted, 50u);
  EXPECT_EQ(journal.counts().dropped_full, 30u);
  EXPECT_EQ(journal.counts().queue_rows, 50u);
  ASSERT_TRUE(wait_until([&] { return journal.counts().failures > 0; }));
  other.exec("ROLLBACK");
  ASSERT_TRUE(journal.flush(in(20s)));
  journal.stop();
  Reader reader(scratch.file());
  EXPECT_EQ(reader.counts().decisions, 50);
  EXPECT_EQ(reader.counts().rows_lost, 30);
  std::int64_t since = INT64_MAX;
  std::int64_t until = 0;
  for (const store::Loss& loss : reader.losses()) {
    since = std::min(since, loss.since_us);
    until = std::max(until, loss.until_us);
  }
  EXPECT_EQ(since, decision(50).unix_us);
  EXPECT_EQ(until, decision(79).unix_us);
}

TEST(Faults, TextsGoBeforeRows) {
  const Scratch scratch;
  store::Options options = options_at(scratch.file());
  options.queue_bytes_max = 100'000;
  Journal journal(options, {});
  Db other(scratch.file(), Access::read_write, kPatientMs);
  other.exec("BEGIN EXCLUSIVE");
  std::uint64_t accepted = 0;
  for (std::uint64_t i = 0; i < 40; ++i) {
    store::Decision row = decision(i);
    row.text.assign(9'000, 't');
    accepted += journal.put(std::move(row)) != 0 ? 1 : 0;
  }
  const JournalCounts counts = journal.counts();
  EXPECT_GT(counts.texts_shed, 20u);
  EXPECT_GT(accepted, 25u) << "with their texts, 10 rows fill the queue";
  EXPECT_LE(counts.queue_bytes, options.queue_bytes_max);
  other.exec("ROLLBACK");
  ASSERT_TRUE(journal.flush(in(20s)));
  EXPECT_EQ(Reader(scratch.file()).counts().decisions, static_cast<std::int64_t>(accepted));
}

TEST(Faults, StopGivesUpABrokenDisk) {
  const Scratch scratch;
  store::Options options = options_at(scratch.file());
  options.stop_wait_ms_max = 50;
  Journal journal(options, {});
  Db other(scratch.file(), Access::read_write, kPatientMs);
  other.exec("BEGIN EXCLUSIVE");
  for (std::uint64_t i = 0; i < 7; ++i) journal.put(decision(i));
  journal.stop();
  EXPECT_EQ(journal.committed(), 0u);
  EXPECT_EQ(journal.counts().lost, 7u);
  EXPECT_FALSE(journal.flush(in(20s))) << "and says so at once";
}

TEST(Faults, NothingIsCalledCommittedBeforeASync) {
  const Scratch scratch;
  Journal journal(options_at(scratch.file()), {});
  for (std::uint64_t i = 0; i < 20; ++i) {
    const int before = syncs.load();
    const store::Ticket ticket = journal.put(decision(i));
    ASSERT_TRUE(journal.flush(in(20s)));
    ASSERT_GE(journal.committed(), ticket);
    ASSERT_GT(syncs.load(), before);
  }
}

// A child logs and reports each ticket that committed() vouches for; it is killed in the middle,
// again and again over the same file. Every reported row must be there, whole.
TEST(Faults, CommittedRowsSurviveKill) {
  const Scratch scratch;
  std::uint64_t first = 0;
  for (int round = 0; round < 5; ++round) {
    int channel[2];
    ASSERT_EQ(pipe(channel), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      close(channel[0]);
      store::Options options = options_at(scratch.file());
      options.wal_bytes = 256 << 10;  // checkpoints among the commits
      Journal journal(options, {});
      for (std::uint64_t i = first;; ++i) {
        journal.put(decision(i));
        const store::Ticket ticket = journal.committed();
        if (write(channel[1], &ticket, sizeof ticket) != sizeof ticket) _exit(1);
        if (journal.counts().queue_rows > 200) std::this_thread::sleep_for(1ms);
      }
    }
    close(channel[1]);
    store::Ticket ticket = 0;
    store::Ticket reported = 0;
    const store::Ticket enough = 100 + 517 * static_cast<store::Ticket>(round);
    while (reported < enough && read(channel[0], &ticket, sizeof ticket) == sizeof ticket) {
      reported = ticket;
    }
    kill(child, SIGKILL);
    while (read(channel[0], &ticket, sizeof ticket) == sizeof ticket) reported = ticket;
    close(channel[0]);
    waitpid(child, nullptr, 0);
    ASSERT_GE(reported, enough);

    Reader reader(scratch.file());
    for (std::uint64_t i = first; i < first + reported; ++i) {
      const auto found = reader.decision(id_of(i));
      ASSERT_TRUE(found) << "round " << round << ", row " << i << " of " << reported;
      ASSERT_EQ(found->row, decision(i));
    }
    first += 1'000'000;
  }
  Db db(scratch.file(), Access::read_only, 0);
  EXPECT_EQ(db.integer("SELECT integrity_check = 'ok' FROM pragma_integrity_check"), 1);
  EXPECT_EQ(db.integer("SELECT count(*) FROM pragma_foreign_key_check"), 0);
}

}  // namespace
