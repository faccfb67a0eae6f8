#include "store/journal.h"

#include <gtest/gtest.h>

#include <thread>

#include "store/reader.h"
#include "tests/store/rows.h"

namespace {

using namespace std::chrono_literals;
using store::Journal;
using store::JournalCounts;
using store::Reader;
using store_test::decision;
using store_test::id_of;
using store_test::Scratch;

store::Options plain_options(const std::string& path) {
  store::Options options;
  options.path = path;
  options.keep_text = true;
  options.retention = {.age_s_max = 0, .text_age_s_max = 0, .rows_max = 0, .bytes_max = 0};
  return options;
}

std::chrono::steady_clock::time_point soon() {
  return std::chrono::steady_clock::now() + 20s;
}

TEST(Journal, WhatIsPutIsReadBackEqual) {
  const Scratch scratch;
  Journal journal(plain_options(scratch.file()), {});
  Reader reader(scratch.file());
  for (std::uint64_t i = 0; i < 50; ++i) EXPECT_EQ(journal.put(decision(i)), i + 1);
  ASSERT_TRUE(journal.flush(soon()));
  EXPECT_EQ(journal.committed(), 50u);
  for (std::uint64_t i = 0; i < 50; ++i) {
    const auto found = reader.decision(id_of(i));
    ASSERT_TRUE(found) << i;
    EXPECT_EQ(found->fault, "");
    EXPECT_EQ(found->row, decision(i)) << i;
  }
  EXPECT_FALSE(reader.decision("dec_unknown"));
}

TEST(Journal, WithoutKeepTextNoWordReachesTheDisk) {
  const Scratch scratch;
  store::Options options = plain_options(scratch.file());
  options.keep_text = false;
  Journal journal(options, {});
  journal.put(decision(1));
  ASSERT_TRUE(journal.flush(soon()));
  Reader reader(scratch.file());
  EXPECT_EQ(reader.decision(id_of(1))->row.text, "");
  EXPECT_EQ(reader.counts().texts, 0);
}

TEST(Journal, RefusedRowsAreCountedAndTheirNeighboursStored) {
  const Scratch scratch;
  Journal journal(plain_options(scratch.file()), {});
  journal.put(decision(1));
  store::Decision twin = decision(2);
  twin.id = id_of(1);
  journal.put(std::move(twin));
  journal.put(decision(3));
  journal.put(store::Feedback{.decision_id = id_of(3), .score = 1});
  journal.put(store::Feedback{.decision_id = id_of(77), .score = 1});   // unknown decision
  journal.put(store::Feedback{.decision_id = id_of(3), .score = 1.5});  // beyond 0..1
  journal.put(store::Outcome{.decision_id = id_of(78), .kind = "human"});
  journal.put(store::PolicyRow{.version = 1, .status = "active"});
  ASSERT_TRUE(journal.flush(soon()));
  Reader reader(scratch.file());
  EXPECT_EQ(reader.decision(id_of(1))->row, decision(1)) << "the first of two stays";
  EXPECT_TRUE(reader.decision(id_of(3)));
  EXPECT_EQ(reader.feedback_of(id_of(3)).size(), 1u);
  EXPECT_EQ(reader.counts().outcomes, 0);
  EXPECT_EQ(reader.counts().policies, 1);
  const JournalCounts counts = journal.counts();
  EXPECT_EQ(counts.accepted, 8u);
  EXPECT_EQ(counts.committed, 4u);
  EXPECT_EQ(counts.refused, 4u);
  EXPECT_EQ(counts.dropped(), 0u);
}

TEST(Journal, MalformedIdsAreDropped) {
  const Scratch scratch;
  Journal journal(plain_options(scratch.file()), {});
  store::Decision row = decision(1);
  row.id.clear();
  EXPECT_EQ(journal.put(std::move(row)), 0u);
  row = decision(1);
  row.id.assign(65, 'x');
  EXPECT_EQ(journal.put(std::move(row)), 0u);
  EXPECT_EQ(journal.put(store::Feedback{.comment = "about nothing"}), 0u);
  EXPECT_EQ(journal.counts().dropped_malformed, 3u);
}

TEST(Journal, LongPartsAreClipped) {
  const Scratch scratch;
  store::Options options = plain_options(scratch.file());
  options.text_bytes_max = 10;
  options.route_bytes_max = 10;
  options.calls_max = 1;
  Journal journal(options, {});
  store::Decision row = decision(1);
  row.text = "123456789\xc3\xa4 and more";  // the tenth byte begins a character of two
  row.route.assign(11, 'r');
  journal.put(std::move(row));
  row = decision(2);
  row.text = "123456789.";
  row.route.assign(10, 'r');
  row.calls.resize(1);
  journal.put(std::move(row));
  ASSERT_TRUE(journal.flush(soon()));
  Reader reader(scratch.file());
  const store::Decision clipped = reader.decision(id_of(1))->row;
  EXPECT_EQ(clipped.text, "123456789");
  EXPECT_EQ(clipped.route, "");
  EXPECT_EQ(clipped.calls.size(), 1u);
  const store::Decision whole = reader.decision(id_of(2))->row;
  EXPECT_EQ(whole.text, "123456789.");
  EXPECT_EQ(whole.route.size(), 10u);
  EXPECT_EQ(journal.counts().clipped, 1u);
}

TEST(Journal, StopCommitsWhatWaitsAndDropsWhatComesLater) {
  const Scratch scratch;
  store::Options options = plain_options(scratch.file());
  options.group_wait_ms = 60'000;  // nothing is written before stop()
  Journal journal(options, {});
  for (std::uint64_t i = 0; i < 10; ++i) journal.put(decision(i));
  journal.stop();
  EXPECT_EQ(journal.committed(), 10u);
  EXPECT_EQ(journal.put(decision(11)), 0u);
  EXPECT_EQ(journal.counts().dropped_stopped, 1u);
  EXPECT_EQ(Reader(scratch.file()).counts().decisions, 10);
}

TEST(Journal, RetentionRunsBetweenBatches) {
  const Scratch scratch;
  store::Options options = plain_options(scratch.file());
  options.retention.rows_max = 20;
  options.retention.every_ms = 1;
  Journal journal(options, {});
  for (std::uint64_t i = 0; i < 100; ++i) journal.put(decision(i));
  ASSERT_TRUE(journal.flush(soon()));
  const auto deadline = soon();
  while (journal.counts().rows_expired < 80 && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(2ms);
  }
  Reader reader(scratch.file());
  EXPECT_EQ(reader.counts().decisions, 20);
  EXPECT_TRUE(reader.decision(id_of(99)));
  EXPECT_GT(journal.counts().wal_bytes, 0u);
}

// Four threads put, three read, all at once: every accepted row is there in the end, and a reader
// never sees a row that committed() does not vouch for soon after. Run under ThreadSanitizer.
TEST(Journal, ManyWritersAndReaders) {
  const Scratch scratch;
  store::Options options = plain_options(scratch.file());
  options.group_rows = 64;
  options.group_wait_ms = 2;
  Journal journal(options, {});
  constexpr std::uint64_t kThreads = 4;
  constexpr std::uint64_t kRows = 500;
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (std::uint64_t i = 0; i < kRows; ++i) {
        ASSERT_NE(journal.put(decision(t * kRows + i)), 0u);
        if (i % 50 == 0) journal.put(store::Feedback{.decision_id = id_of(t * kRows + i)});
      }
    });
  }
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      Reader reader(scratch.file());
      std::size_t seen = 0;
      while (seen < 200) {
        const auto page = reader.decisions({.limit = 200});
        ASSERT_GE(page.rows.size(), seen) << "rows do not vanish";
        seen = page.rows.size();
        for (const store::Stored& stored : page.rows) ASSERT_EQ(stored.fault, "");
        std::this_thread::sleep_for(1ms);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_TRUE(journal.flush(soon()));
  EXPECT_EQ(journal.committed(), kThreads * (kRows + kRows / 50));
  Reader reader(scratch.file());
  EXPECT_EQ(reader.counts().decisions, static_cast<std::int64_t>(kThreads * kRows));
  EXPECT_EQ(reader.counts().feedback, static_cast<std::int64_t>(kThreads * kRows / 50));
}

}  // namespace
