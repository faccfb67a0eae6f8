#include "store/keep.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "store/writer.h"
#include "tests/store/rows.h"

namespace {

using store::Expired;
using store::Retention;
using store_test::decision;
using store_test::kStartUs;
using store_test::Scratch;

constexpr std::int64_t kSecond = 1'000'000;
constexpr Retention kNothing = {.age_s_max = 0,
                                .text_age_s_max = 0,
                                .outcome_age_s_max = 0,
                                .rows_max = 0,
                                .bytes_max = 0,
                                .step_rows = 100};

/// 1,000 decisions, one a second, each with a text and a word of feedback.
class Keep : public ::testing::Test {
 protected:
  Keep() : writer_(options()) {
    store::Batch batch;
    for (std::uint64_t i = 0; i < 1'000; ++i) {
      store::Decision row = decision(i);
      row.unix_us = kStartUs + static_cast<std::int64_t>(i) * kSecond;
      batch.feedback.push_back({.decision_id = row.id, .unix_us = row.unix_us, .score = 1});
      batch.outcomes.push_back(
          {.decision_id = row.id, .unix_us = row.unix_us, .expert = "e", .kind = "exact"});
      batch.decisions.push_back(std::move(row));
    }
    EXPECT_EQ(writer_.commit(batch), 3'000u);
  }

  store::Options options() const {
    store::Options options;
    options.path = scratch_.file();
    options.keep_text = true;
    return options;
  }

  std::int64_t count(const std::string& what) {
    return writer_.db().integer("SELECT count(*) FROM " + what);
  }

  /// Steps until nothing is left to do; at most `steps_max`.
  Expired expire_all(const Retention& retention, std::int64_t now_us, int steps_max = 100) {
    Expired sum;
    sum.more = true;
    while (sum.more && steps_max-- > 0) {
      const Expired step = store::expire_step(writer_.db(), retention, now_us);
      EXPECT_LE(step.rows, 100u);
      EXPECT_LE(step.texts, 100u);
      sum.rows += step.rows;
      sum.texts += step.texts;
      sum.outcomes += step.outcomes;
      sum.pages += step.pages;
      sum.more = step.more;
    }
    EXPECT_FALSE(sum.more);
    return sum;
  }

  Scratch scratch_;
  store::Writer writer_;
};

TEST_F(Keep, WithoutLimitsNothingGoes) {
  const Expired expired = expire_all(kNothing, kStartUs + 1'000'000 * kSecond);
  EXPECT_EQ(expired.rows + expired.texts + expired.outcomes, 0u);
  EXPECT_EQ(count("decisions"), 1'000);
}

TEST_F(Keep, AgeTakesTextsBeforeRowsAndFeedbackWithThem) {
  Retention retention = kNothing;
  retention.age_s_max = 600;
  retention.text_age_s_max = 300;
  retention.outcome_age_s_max = 900;
  const std::int64_t now = kStartUs + 1'000 * kSecond;
  const Expired expired = expire_all(retention, now);
  EXPECT_EQ(expired.rows, 400u);  // unix_us < now - 600 s
  EXPECT_EQ(count("decisions"), 600);
  EXPECT_EQ(count("feedback"), 600);
  EXPECT_EQ(count("texts"), 300);
  EXPECT_EQ(count("decisions WHERE unix_us < " + std::to_string(now - 600 * kSecond)), 0);
  EXPECT_EQ(expired.outcomes, 100u);
  EXPECT_EQ(count("outcomes"), 900) << "an outcome outlives its decision";
  EXPECT_EQ(count("outcomes WHERE decision_id IS NULL"), 300);
}

TEST_F(Keep, RowsMaxKeepsTheNewest) {
  Retention retention = kNothing;
  retention.rows_max = 250;
  EXPECT_EQ(expire_all(retention, kStartUs).rows, 750u);
  EXPECT_EQ(store::decision_count(writer_.db()), 250);
  EXPECT_EQ(count("decisions WHERE id >= '" + store_test::id_of(750) + "'"), 250);
}

TEST_F(Keep, BytesMaxIsReachedAndTheFileShrinks) {
  const std::int64_t before = store::bytes_in_use(writer_.db());
  Retention retention = kNothing;
  retention.bytes_max = before / 2;
  const Expired expired = expire_all(retention, kStartUs);
  EXPECT_LE(store::bytes_in_use(writer_.db()), before / 2);
  EXPECT_GT(count("decisions"), 100) << "and not much more than needed went";
  EXPECT_GT(expired.pages, 0u);
  EXPECT_LE(writer_.db().integer("PRAGMA freelist_count"),
            writer_.db().integer("PRAGMA page_count") / 10)
      << "the next rows' pages stay";
  writer_.db().exec("PRAGMA wal_checkpoint(TRUNCATE)");
  EXPECT_LT(static_cast<std::int64_t>(std::filesystem::file_size(scratch_.file())), before * 2 / 3);
}

TEST_F(Keep, OneStepIsBounded) {
  Retention retention = kNothing;
  retention.rows_max = 1;
  retention.step_pages = 2;
  const Expired step = store::expire_step(writer_.db(), retention, kStartUs);
  EXPECT_EQ(step.rows, 100u);
  EXPECT_LE(step.pages, 2u);
  EXPECT_TRUE(step.more);
}

// The words of an expired query are not in the file any more, not even in its unused parts.
TEST_F(Keep, ExpiredTextsAreOverwritten) {
  const auto words_in_file = [&] {
    writer_.db().exec("PRAGMA wal_checkpoint(TRUNCATE)");
    std::ifstream file(scratch_.file(), std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(file)), {});
    return bytes.find("What is 7 squared?") != std::string::npos;
  };
  EXPECT_TRUE(words_in_file());
  Retention retention = kNothing;
  retention.text_age_s_max = 10;
  retention.step_pages = 0;  // the page stays in the file
  store::expire_step(writer_.db(), retention, kStartUs + 60 * kSecond);
  EXPECT_EQ(count("texts"), 950);
  EXPECT_FALSE(words_in_file());
}

}  // namespace
