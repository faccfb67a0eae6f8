#include "store/reader.h"

#include <gtest/gtest.h>

#include <fstream>

#include "store/schema.h"
#include "store/writer.h"
#include "tests/store/rows.h"

namespace {

using store::DecisionFilter;
using store::DecisionPage;
using store::Reader;
using store_test::decision;
using store_test::id_of;
using store_test::Scratch;

class ReaderTest : public ::testing::Test {
 protected:
  ReaderTest() : writer_(options()) {
    store::Batch batch;
    for (std::uint64_t i = 0; i < 300; ++i) batch.decisions.push_back(decision(i));
    writer_.commit(batch);
  }

  store::Options options() const {
    store::Options options;
    options.path = scratch_.file();
    options.keep_text = true;
    return options;
  }

  /// All pages of a filter, one after another.
  std::vector<std::string> ids(Reader& reader, DecisionFilter filter) {
    std::vector<std::string> ids;
    for (int page = 0; page < 1'000; ++page) {
      const DecisionPage found = reader.decisions(filter);
      EXPECT_LE(found.rows.size(), static_cast<std::size_t>(filter.limit));
      for (const store::Stored& stored : found.rows) ids.push_back(stored.row.id);
      if (found.next.empty()) return ids;
      filter.before = found.next;
    }
    ADD_FAILURE() << "the pages do not end";
    return ids;
  }

  Scratch scratch_;
  store::Writer writer_;
};

TEST_F(ReaderTest, PagesAreWhatAFilterOverAllRowsGives) {
  Reader reader(scratch_.file());
  const std::int64_t since = store_test::kStartUs + 120;
  for (const char* pool : {"", "auto", "nobody's"}) {
    for (const char* expert : {"", "expert-3"}) {
      for (const std::int64_t since_us : {std::int64_t{0}, since}) {
        std::vector<std::string> expected;
        for (std::uint64_t i = 300; i-- > 0;) {
          const store::Decision row = decision(i);
          if (*pool != '\0' && row.pool != pool) continue;
          if (*expert != '\0' && row.expert != expert) continue;
          if (row.unix_us >= since_us) expected.push_back(row.id);
        }
        const DecisionFilter filter = {
            .pool = pool, .expert = expert, .since_us = since_us, .before = "", .limit = 7};
        EXPECT_EQ(ids(reader, filter), expected) << pool << ' ' << expert << ' ' << since_us;
      }
    }
  }
}

TEST_F(ReaderTest, ListedRowsAreWhole) {
  Reader reader(scratch_.file());
  const DecisionPage page = reader.decisions({.limit = 3});
  ASSERT_EQ(page.rows.size(), 3u);
  for (std::uint64_t i = 0; i < 3; ++i) EXPECT_EQ(page.rows[i].row, decision(299 - i));
}

TEST_F(ReaderTest, ScanIsBoundedAndGoesOn) {
  // Rows that no filter matches, more than one call looks at, between the match and the newest.
  writer_.db().exec(
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20100) "
      "INSERT INTO decisions SELECT NULL, 'z' || i, unix_us, 'other', expert, model, outcome, "
      "reason, mode, gate, finish_reason, abstained, stream, propensity, policy_version, "
      "query_hash, features_hash, seed, prompt_tokens, completion_tokens, cached_tokens, "
      "cost_microusd, decide_us, first_byte_us, total_us, calls, NULL, confidence, changed "
      "FROM n, decisions "
      "WHERE decisions.seq = 1");
  Reader reader(scratch_.file());
  const DecisionFilter filter = {.pool = "auto", .expert = "", .since_us = 0, .before = ""};
  const DecisionPage first = reader.decisions(filter);
  EXPECT_TRUE(first.rows.empty());
  EXPECT_FALSE(first.next.empty());
  EXPECT_EQ(ids(reader, filter).size(), 150u);
}

TEST_F(ReaderTest, CursorOfAForgottenRowEndsTheList) {
  Reader reader(scratch_.file());
  EXPECT_EQ(ids(reader, {.before = id_of(10), .limit = 4}).size(), 10u);
  writer_.db().exec("DELETE FROM decisions WHERE seq <= 50");
  EXPECT_TRUE(ids(reader, {.before = id_of(10), .limit = 4}).empty());
}

TEST_F(ReaderTest, DamagedColumnIsAValue) {
  writer_.db().exec("UPDATE decisions SET calls = substr(calls, 1, 9) WHERE id = '" + id_of(5) +
                    "'");
  Reader reader(scratch_.file());
  const auto found = reader.decision(id_of(5));
  ASSERT_TRUE(found);
  EXPECT_NE(found->fault.find("calls"), std::string::npos) << found->fault;
  store::Decision expected = decision(5);
  expected.calls.clear();
  EXPECT_EQ(found->row, expected) << "all the rest is there";
  EXPECT_EQ(reader.decision(id_of(6))->fault, "");
}

TEST_F(ReaderTest, DamagedFileIsSaid) {
  writer_.db().exec("PRAGMA wal_checkpoint(TRUNCATE)");
  Reader reader(scratch_.file());
  std::fstream file(scratch_.file(), std::ios::in | std::ios::out | std::ios::binary);
  const std::string rubbish(8'192, '\x5a');
  for (int page = 1; page < 30; ++page) {  // all but the first, which holds the schema
    file.seekp(page * 8'192);
    file.write(rubbish.data(), static_cast<std::streamsize>(rubbish.size()));
  }
  file.close();
  Reader after(scratch_.file());
  try {
    after.decision(id_of(5));
    FAIL() << "rubbish was read";
  } catch (const std::runtime_error& error) {
    EXPECT_NE(std::string(error.what()).find(scratch_.file()), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("malformed"), std::string::npos) << error.what();
  }
}

TEST_F(ReaderTest, TablesThatAreReadAlong) {
  store::Batch batch;
  for (int i = 0; i < 10; ++i) {
    batch.feedback.push_back({.decision_id = id_of(4),
                              .unix_us = i,
                              .score = 0.1 * i,
                              .correct_answer = i % 2 == 0 ? "16" : "",
                              .comment = "no",
                              .user_hash = "u"});
    batch.outcomes.push_back({.decision_id = i == 0 ? "" : id_of(5),
                              .unix_us = i,
                              .query_hash = ~std::uint64_t{0} - static_cast<std::uint64_t>(i),
                              .expert = "e",
                              .score = 0.5,
                              .weight = 0.25,
                              .kind = "judge",
                              .grader = "g"});
  }
  batch.policies = {
      {.version = 3, .status = "active", .created_us = 9, .bytes = std::string(9, '\0')},
      {.version = 4, .parent = 3, .status = "candidate", .path = "p.bin"},
      {.version = 4, .parent = 3, .status = "active", .path = "p.bin", .note = "won"}};
  batch.loss = {.since_us = 1, .until_us = 5, .rows = 12};
  EXPECT_EQ(writer_.commit(batch), 23u);

  Reader reader(scratch_.file());
  EXPECT_EQ(reader.feedback_of(id_of(4)), batch.feedback);
  EXPECT_TRUE(reader.feedback_of(id_of(5)).empty());
  const store::FeedbackPage said = reader.feedback_after(0, 4);
  ASSERT_EQ(said.rows.size(), 4u);
  const store::FeedbackPage later = reader.feedback_after(said.last, 100);
  ASSERT_EQ(later.rows.size(), 6u);
  EXPECT_EQ(later.rows.front(), batch.feedback[4]);
  EXPECT_EQ(reader.feedback_after(later.last, 100).last, later.last);
  EXPECT_EQ(reader.outcomes_after(0, 100).rows, batch.outcomes);
  EXPECT_EQ(reader.outcomes_after(7, 100).rows.size(), 3u);

  const auto policies = reader.policies();
  ASSERT_EQ(policies.size(), 2u);
  EXPECT_EQ(policies[0], batch.policies[2]) << "the later row of a version replaced the earlier";
  EXPECT_EQ(reader.policy(3), batch.policies[0]);
  EXPECT_FALSE(reader.policy(5));

  const store::StoreCounts counts = reader.counts();
  EXPECT_EQ(counts.decisions, 300);
  EXPECT_EQ(counts.texts, 300);
  EXPECT_EQ(counts.feedback, 10);
  EXPECT_EQ(counts.outcomes, 10);
  EXPECT_EQ(counts.policies, 2);
  EXPECT_EQ(counts.rows_lost, 12);
  ASSERT_EQ(reader.losses().size(), 1u);
  EXPECT_EQ(reader.losses()[0].until_us, 5);
}

}  // namespace
