// Skills that an expert names: reading, agreement, one vocabulary, and a whole annotation.
#include "router/learn/skill_names.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>

#include "experts/roster.h"
#include "experts/stub.h"
#include "router/interview_names.h"
#include "router/learn/outcomes.h"

namespace router {
namespace {

using Names = std::vector<std::string>;

TEST(SkillNames, AreReadFromWhatModelsSay) {
  const NamingRules rules;
  const Names two = {"algebra", "linear equations"};
  EXPECT_EQ(read_names("Algebra, Linear Equations", rules), two);
  EXPECT_EQ(read_names("Keywords: algebra; linear  equations.", rules), two);
  EXPECT_EQ(read_names("1. **Algebra**\n2) \"linear_equations\"\n", rules), two);
  EXPECT_EQ(read_names("- algebra\n- Algebra\n- linear equations", rules), two);
  EXPECT_EQ(read_names("2d geometry", rules), Names{"2d geometry"});
  EXPECT_EQ(read_names("算法, algebra", rules), (Names{"算法", "algebra"}));
  EXPECT_TRUE(read_names("", rules).empty());
  EXPECT_TRUE(read_names("42, 17.5, ---", rules).empty());
  EXPECT_TRUE(
      read_names("The question asks how many apples are left in the basket", rules).empty());
  EXPECT_EQ(read_names("a,b,c,d,e,f,g", rules).size(), rules.names_max);
}

TEST(SkillNames, CountWhenTheyComeBack) {
  const NamingRules rules;
  const std::vector<Names> passes = {
      {"algebra", "logic"}, {"algebra", "sums"}, {"sums", "algebra"}};
  EXPECT_EQ(agree(passes, rules), (Names{"algebra", "sums"}));
  EXPECT_TRUE(agree({}, rules).empty());
}

TEST(SkillNames, AreAsNearAsTheirLetters) {
  EXPECT_NEAR(name_similarity("algebra", "algebra"), 1, 1e-12);
  EXPECT_GT(name_similarity("linear equation", "linear equations"), 0.8);
  EXPECT_EQ(name_similarity("algebra", "biology"), 0);
}

TEST(SkillNames, BecomeOneVocabulary) {
  NamingRules rules;
  rules.rows_min = 3;
  std::vector<Names> rows = {{"algebra"}, {"algebra", "dates"}, {"algebra", "algebras"}, {"dates"},
                             {"dates"},   {"astrology"},        {"calendar dates"}};
  EXPECT_EQ(settle_names(rows, rules), (Names{"algebra", "dates"}));
  EXPECT_EQ(rows[2], Names{"algebra"}) << "a rare name joins the skill that it nearly is";
  EXPECT_EQ(rows[6], Names{"dates"});
  EXPECT_TRUE(rows[5].empty()) << "and none that it is not";
  rules.skills_max = 1;
  EXPECT_EQ(settle_names(rows, rules), Names{"dates"}) << "four rows have it now";
}

class Annotation : public ::testing::Test {
 protected:
  void SetUp() override {
    std::vector<experts::ExpertOptions> options(1);
    options[0].name = "namer";
    options[0].kind = experts::Kind::stub;
    options[0].prices = {1'000'000, 1'000'000, -1};
    options[0].breaker.memory_calls = 0;
    board_ = std::make_unique<experts::RosterBoard>(experts::make_roster(options, nullptr));
    task_.expert = "namer";
    task_.passes = 3;
    for (int i = 0; i < 30; ++i)
      task_.texts.push_back((i % 2 == 0 ? "What is the sum of " : "Which day follows ") +
                            std::to_string(i) + "?");
  }

  void TearDown() override { std::filesystem::remove(path_); }

  NamingReport ask() {
    const auto maker = experts::stub_maker([this](std::string_view, const experts::Call& call) {
      experts::StubAnswer answer;
      const bool sum = call.messages[0].text.find("the sum of") != std::string::npos;
      answer.content = sum ? "Arithmetic, " : "Calendar, ";
      answer.content += "whim " + std::to_string(*call.sampling.seed);  // another one each time
      if (fails_ && sum) answer.outcome = experts::Outcome::unreachable;
      return answer;
    });
    return name_skills(task_, {*board_, maker, {}}, {});
  }

  std::unique_ptr<experts::RosterBoard> board_;
  NamingTask task_;
  bool fails_ = false;
  std::string path_ = ::testing::TempDir() + "names_" + std::to_string(::getpid()) + ".jsonl";
};

TEST_F(Annotation, KeepsWhatThePassesAgreeOn) {
  const auto report = ask();
  EXPECT_EQ(report.calls, 90u);
  ASSERT_EQ(report.names.size(), 30u);
  EXPECT_EQ(report.names[0], Names{"arithmetic"});
  EXPECT_EQ(report.names[1], Names{"calendar"});
  EXPECT_GT(naming_cost_usd_max(task_, *board_->current()), 0);
}

TEST_F(Annotation, LeavesRowsOutWhoseCallsFail) {
  fails_ = true;
  const auto report = ask();
  EXPECT_EQ(report.failed, 45u);
  EXPECT_NE(report.error.find("unreachable"), std::string::npos) << report.error;
  EXPECT_TRUE(report.names[0].empty());
  EXPECT_EQ(report.names[1], Names{"calendar"});
  task_.expert = "nobody";
  EXPECT_THROW(ask(), std::runtime_error);
}

TEST_F(Annotation, GoesIntoAFileThatTrainingReads) {
  std::ofstream(path_)
      << R"({"id":"a","text":"one","domain":"old","outcomes":{"x":{"score":1,"cost":0.5}},"gold":"1"})"
      << "\n"
      << R"({"id":"b","text":"two","domain":"old"})"
      << "\n";
  std::ofstream(path_ + ".new") << annotated_lines(path_, {{"sums", "dates"}, {}});
  std::filesystem::rename(path_ + ".new", path_);
  OutcomeReader reader(path_);
  reader.take_ungraded();
  OutcomeRow row;
  ASSERT_TRUE(reader.next(row));
  EXPECT_EQ(row.skills, (Names{"sums", "dates"}));
  EXPECT_EQ(row.gold, "1");
  ASSERT_EQ(row.outcomes.size(), 1u);
  EXPECT_FLOAT_EQ(row.outcomes[0].cost_usd, 0.5F);
  ASSERT_TRUE(reader.next(row));
  EXPECT_TRUE(row.skills.empty());
  EXPECT_EQ(reader.faults_total(), 0u);
}

}  // namespace
}  // namespace router
