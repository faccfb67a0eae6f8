// Learning from the log: what was graded moves the policy, and what is worse is not written.
#include "router/learn/learn_log.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "store/journal.h"

namespace router {
namespace {

namespace fs = std::filesystem;

/// Rows about two topics; `left` is right on the first, `right` on the second.
std::string make_rows(int rows) {
  std::string out;
  std::uint64_t state = 11;
  for (int i = 0; i < rows; ++i) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    const bool first = state >> 63;
    const bool noise = (state >> 40) % 10 == 0;
    out += "{\"id\":\"r" + std::to_string(i) + "\",\"text\":\"" +
           (first ? "integral of a matrix " : "statute of a contract ") +
           std::to_string(state % 97) + "\",\"domain\":\"" + (first ? "maths" : "law") +
           "\",\"outcomes\":{\"left\":{\"score\":" + (first != noise ? "1" : "0") +
           "},\"right\":{\"score\":" + (first != noise ? "0" : "1") + "}}}\n";
  }
  return out;
}

struct Learning : ::testing::Test {
  fs::path folder = fs::path(::testing::TempDir()) / ("learn_log_" + std::to_string(::getpid()));
  LearnOptions options;

  Learning() {
    fs::create_directories(folder);
    options.log = (folder / "log.db").string();
    options.policy = (folder / "old").string();
    options.files = {(folder / "rows.jsonl").string()};
    options.out = (folder / "new").string();
    std::ofstream(options.files.front()) << make_rows(500);
    TrainOptions training;
    training.files = options.files;
    training.share = 0.6;
    training.out = options.policy;
    train(training);
  }

  ~Learning() override { fs::remove_all(folder); }

  /// Decisions on maths, all answered by `expert` and graded alike.
  void log_decisions(int rows, const std::string& expert, double score, double days_ago = 0) {
    store::Options stored;
    stored.path = options.log;
    stored.keep_text = true;
    store::Journal journal(stored, [](std::string_view) {});
    const auto now = std::chrono::duration_cast<std::chrono::microseconds>(
                         std::chrono::system_clock::now().time_since_epoch())
                         .count() -
                     static_cast<std::int64_t>(days_ago * 86'400e6);
    for (int i = 0; i < rows; ++i) {
      store::Decision row;
      row.id = "dec_" + expert + std::to_string(i);
      row.unix_us = now;
      row.pool = "auto";
      row.expert = expert;
      row.text = "integral of a matrix " + std::to_string(i % 97);
      store::Feedback said;
      said.decision_id = row.id;
      said.unix_us = now;
      said.score = score;
      journal.put(std::move(row));
      journal.put(std::move(said));
    }
    ASSERT_TRUE(journal.flush(std::chrono::steady_clock::now() + std::chrono::seconds(10)));
  }

  std::string message() const {
    try {
      learn_from_log(options);
    } catch (const std::runtime_error& error) {
      return error.what();
    }
    return "no error";
  }
};

TEST_F(Learning, PromotesWhatIsNotWorseAndGivesTheSameBytes) {
  log_decisions(40, "left", 1);
  log_decisions(5, "stranger", 1);
  const LearnReport report = learn_from_log(options);
  EXPECT_EQ(report.graded, 40u);
  EXPECT_EQ(report.left_out, 5u);
  EXPECT_TRUE(report.promoted) << report.why;
  const PolicyPtr fresh = load_policy(options.out);
  EXPECT_NE(fresh->version, load_policy(options.policy)->version);
  options.out += "2";
  learn_from_log(options);
  EXPECT_EQ(load_policy(options.out)->version, fresh->version);
  EXPECT_FALSE(fs::exists(options.out + ".learning"));
}

TEST_F(Learning, OldDecisionsFade) {
  log_decisions(400, "left", 1, 3);
  log_decisions(20, "right", 1);
  EXPECT_EQ(learn_from_log(options).graded, 420u);
  options.half_life_days = 3;
  const LearnReport report = learn_from_log(options);
  EXPECT_EQ(report.graded + report.faded, 420u);
  EXPECT_NEAR(static_cast<double>(report.faded), 200, 40);
  options.half_life_days = 0.1;
  EXPECT_EQ(learn_from_log(options).graded, 20u);  // 2^-30 of 400: nothing
}

// Grades that contradict the outcome files turn the policy round: the replay sees it.
TEST_F(Learning, WritesNothingThatIsWorse) {
  log_decisions(1200, "left", 0);
  log_decisions(1200, "right", 1);
  const LearnReport report = learn_from_log(options);
  EXPECT_FALSE(report.promoted) << report.why;
  EXPECT_LT(report.diff.replay->gain.hi, 0);
  EXPECT_FALSE(fs::exists(options.out));
}

TEST_F(Learning, SaysWhatIsMissing) {
  log_decisions(3, "stranger", 1);
  EXPECT_NE(message().find("3 graded ones lack"), std::string::npos) << message();
  fs::copy_file(options.policy, options.out);
  options.policy = options.out;
  EXPECT_NE(message().find("another file"), std::string::npos);
  TrainOptions all;
  all.files = options.files;
  all.out = options.policy;
  train(all);
  EXPECT_NE(message().find("--share 0.8"), std::string::npos);
}

}  // namespace
}  // namespace router
