// Probing: the plan and its price, grading, and interviews of scripted experts.
#include "router/interview.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <numeric>
#include <set>

#include "experts/roster.h"
#include "experts/stub.h"
#include "router/learn/outcomes.h"
#include "router/splitmix.h"

namespace router {
namespace {

std::vector<GradedQuestion> questions_of(const std::vector<std::string>& skills, int each) {
  std::vector<GradedQuestion> questions;
  for (int i = 0; i < each; ++i)
    for (const auto& skill : skills)
      questions.push_back({skill + std::to_string(i), "What is " + std::to_string(i) + " + 1?",
                           skill, std::to_string(i + 1)});
  return questions;
}

TEST(InterviewPlan, PutsTheSameQuestionsToEverybody) {
  const auto questions = questions_of({"sum", "sort"}, 30);
  InterviewOptions options;
  options.experts = {"a", "b", "c"};
  options.per_skill = 7;
  options.seed = 3;
  InterviewPlan plan(questions, options);
  EXPECT_EQ(plan.calls(), 3u * 2 * 7);
  std::map<std::uint32_t, std::set<std::uint32_t>> asked;
  const auto asks = plan.next_round();
  for (const auto& ask : asks) asked[ask.expert].insert(ask.question);
  EXPECT_EQ(asks.size(), plan.calls());
  EXPECT_EQ(asked[0], asked[1]);
  EXPECT_EQ(asked[0], asked[2]);
  EXPECT_TRUE(plan.next_round().empty());
  options.seed = 4;
  std::set<std::uint32_t> others;
  for (const auto& ask : InterviewPlan(questions, options).next_round())
    others.insert(ask.question);
  EXPECT_NE(others, asked[0]);
}

TEST(InterviewPlan, TellsCallsAndTheDearestPrice) {
  const auto questions = questions_of({"sum"}, 4);
  InterviewOptions options;
  options.experts = {"cheap", "dear"};
  options.per_skill = 100;  // there are four
  InterviewPlan plan(questions, options);
  EXPECT_EQ(plan.calls(), 8u);
  // "What is 0 + 1?" is 14 bytes, about 4 tokens.
  const double dear = 4 * (4 * 2'000'000 + 10 * 4'000'000) / 1e12;
  EXPECT_NEAR(plan.cost_usd_max({{0, 0}, {2'000'000, 4'000'000}}, 10), dear, 1e-12);
}

TEST(InterviewPlan, HalvesTheFieldWithinItsBudget) {
  const auto questions = questions_of({"sum", "sort", "date"}, 200);
  InterviewOptions options;
  options.experts = {"a", "b", "c", "d", "e", "f", "g"};
  options.calls_max = 3 * 7 * 5;
  InterviewPlan plan(questions, options);
  EXPECT_LE(plan.calls(), options.calls_max);
  EXPECT_GT(plan.calls(), options.calls_max / 2);
  std::vector<std::set<std::uint32_t>> fields;
  std::size_t calls = 0;
  for (auto asks = plan.next_round(); !asks.empty(); asks = plan.next_round()) {
    fields.emplace_back();
    for (const auto& ask : asks) {
      fields.back().insert(ask.expert);
      plan.add(ask, ask.expert == 5 ? 1.F : 0.F);
      ++calls;
    }
  }
  EXPECT_EQ(calls, plan.calls());
  ASSERT_EQ(fields.size(), 3u);
  EXPECT_EQ(fields[0].size(), 7u);
  EXPECT_EQ(fields[1].size(), 4u);
  EXPECT_EQ(fields[2].size(), 2u);
  for (const auto& field : fields) EXPECT_TRUE(field.contains(5));
}

TEST(InterviewPlan, RefusesWhatCannotBe) {
  const auto questions = questions_of({"sum", "sort"}, 4);
  InterviewOptions options;
  EXPECT_THROW(InterviewPlan(questions, options), std::runtime_error);
  options.experts = {"a", "b"};
  options.calls_max = 3;  // four are the least
  EXPECT_THROW(InterviewPlan(questions, options), std::runtime_error);
  options.skills = {"nothing"};
  EXPECT_THROW(InterviewPlan(questions, options), std::runtime_error);
}

/// Accuracies of 20 experts on 15 tasks: LLMRouterBench, table 6.
const std::vector<std::vector<double>> kBench = {
    {0.00, 29.80, 38.67, 54.00, 51.22, 13.08, 31.92, 15.57, 49.07, 36.66, 27.78, 49.96, 57.58,
     38.16, 47.16},
    {68.33, 94.20, 90.00, 35.01, 25.00, 64.74, 56.00, 60.86, 89.44, 70.83, 60.61, 70.36, 81.62,
     38.74, 51.06},
    {40.00, 88.40, 88.00, 53.59, 45.12, 41.14, 45.36, 50.86, 69.17, 47.75, 35.86, 63.30, 34.80,
     27.55, 34.90},
    {11.67, 75.40, 66.67, 68.99, 77.44, 6.82, 33.20, 19.00, 61.57, 48.65, 27.27, 68.70, 63.24,
     34.72, 50.41},
    {61.67, 94.60, 95.33, 62.94, 60.37, 61.52, 53.84, 47.57, 84.26, 67.33, 56.06, 68.70, 71.01,
     35.01, 45.86},
    {76.67, 91.40, 64.67, 44.05, 43.29, 26.26, 58.16, 79.43, 83.06, 56.04, 48.99, 70.36, 68.42,
     36.87, 50.41},
    {8.33, 49.80, 46.67, 60.68, 61.59, 16.78, 24.16, 13.71, 58.70, 46.65, 26.26, 52.92, 68.26,
     33.72, 48.05},
    {0.00, 42.40, 25.33, 53.90, 56.10, 13.36, 14.32, 15.43, 38.06, 40.26, 23.23, 54.58, 68.50,
     31.71, 42.21},
    {45.00, 90.80, 50.00, 61.50, 62.80, 46.07, 29.52, 22.86, 26.20, 41.46, 33.84, 31.12, 41.48,
     29.41, 38.80},
    {0.00, 26.60, 11.33, 56.78, 52.44, 6.45, 29.84, 4.00, 29.91, 20.78, 4.04, 17.00, 29.38, 28.12,
     39.69},
    {68.33, 93.40, 95.33, 34.09, 32.93, 63.70, 30.96, 62.71, 88.06, 69.93, 52.02, 67.22, 65.36,
     35.72, 51.30},
    {70.00, 93.60, 94.67, 42.09, 48.17, 65.50, 56.80, 70.71, 86.48, 70.13, 52.02, 71.23, 74.71,
     39.02, 46.75},
    {41.67, 85.60, 62.67, 11.81, 7.32, 44.17, 11.04, 17.29, 42.50, 42.06, 31.82, 61.55, 52.08,
     22.81, 33.44},
    {1.67, 65.20, 67.33, 75.98, 77.44, 27.87, 34.24, 20.43, 57.04, 45.35, 32.32, 63.21, 48.78,
     37.02, 52.60},
    {76.67, 93.60, 95.33, 54.72, 62.20, 67.68, 53.92, 77.00, 83.98, 69.13, 57.58, 74.46, 79.18,
     38.74, 54.22},
    {1.67, 51.20, 56.00, 51.95, 69.51, 17.25, 42.96, 24.14, 69.44, 57.04, 35.35, 61.64, 65.75,
     37.45, 54.95},
    {1.67, 48.20, 54.67, 62.42, 64.63, 17.25, 34.64, 9.71, 60.74, 52.95, 27.78, 64.60, 63.79, 39.74,
     52.60},
    {1.67, 49.80, 49.33, 62.83, 74.39, 16.87, 37.28, 12.43, 46.94, 47.05, 23.23, 57.28, 62.14,
     39.02, 55.28},
    {6.67, 69.00, 59.33, 36.55, 51.22, 14.22, 32.00, 21.71, 31.39, 44.66, 31.82, 62.34, 61.19,
     36.59, 50.32},
    {6.67, 69.00, 60.00, 60.47, 65.85, 21.23, 33.84, 25.86, 61.94, 55.14, 33.84, 61.99, 67.24,
     36.87, 50.97}};

/// Probes of simulated experts, five calls for each and skill; the accuracy of who then looks best.
double worth_of_probing(std::size_t calls_max, std::uint64_t& chance) {
  std::vector<std::string> skills;
  for (int s = 0; s < 15; ++s) skills.push_back(std::string(1, static_cast<char>('a' + s)));
  const auto questions = questions_of(skills, 60);
  InterviewOptions options;
  for (std::size_t e = 0; e < kBench.size(); ++e) options.experts.push_back(std::to_string(e));
  options.per_skill = 5;
  options.calls_max = calls_max;
  InterviewPlan plan(questions, options);
  std::map<std::pair<std::size_t, std::uint32_t>, std::pair<double, double>> seen;
  for (auto asks = plan.next_round(); !asks.empty(); asks = plan.next_round()) {
    for (const auto& ask : asks) {
      const auto skill = static_cast<std::size_t>(questions[ask.question].skill[0] - 'a');
      const bool right = draw_unit(chance) < kBench[ask.expert][skill] / 100;
      plan.add(ask, right ? 1.F : 0.F);
      auto& cell = seen[{skill, ask.expert}];
      cell.first += right, cell.second += 1;
    }
  }
  double sum = 0;
  for (std::size_t s = 0; s < 15; ++s) {
    std::uint32_t best = 0;
    double top = -1;
    for (std::uint32_t e = 0; e < kBench.size(); ++e) {
      const auto& [right, count] = seen[{s, e}];
      const double shrunken = (right + 5 * 0.5) / (count + 5);
      if (shrunken > top) top = shrunken, best = e;
    }
    sum += kBench[best][s] / 15;
  }
  return sum;
}

TEST(InterviewPlan, HalvingFindsBetterExpertsThanEqualShares) {
  std::uint64_t chance = 1;
  double halving = 0, equal = 0;
  constexpr int kRuns = 200;
  for (int i = 0; i < kRuns; ++i) {
    halving += worth_of_probing(5 * 15 * kBench.size(), chance) / kRuns;
    equal += worth_of_probing(0, chance) / kRuns;
  }
  EXPECT_GT(halving, equal + 1);
  EXPECT_GE(halving, 68.0);
}

TEST(Questions, AreGradedByWhatTheyMean) {
  const GradedQuestion sum{"1", "What is 347 + 588?", "sum", "935"};
  EXPECT_EQ(grade(sum, "347 + 588 = 935").score, 1.F);
  EXPECT_EQ(grade(sum, "7 + 8 = 15, carry 1. The answer is 935.").answer, "935");
  EXPECT_EQ(grade(sum, "The answer is 936.").score, 0.F);
  EXPECT_EQ(grade(sum, "I cannot say.").score, 0.F);
  const GradedQuestion word{"2", "Reverse the word apple.", "text", "elppa"};
  EXPECT_EQ(grade(word, "elppa").score, 1.F);
  EXPECT_EQ(grade(word, "The answer is elppa").score, 1.F);
  EXPECT_EQ(grade(word, "apple").score, 0.F);
  // Nothing in these says what kind of answer is wanted; the right one does.
  const GradedQuestion plain{"3", "Take 71 away from 339.", "sum", "268"};
  EXPECT_EQ(grade(plain, "9-1=8 3-7=6 3-1=2 The answer is 268.").score, 1.F);
  EXPECT_EQ(grade(plain, "9-1=8 3-7=6 3-1=2 The answer is 278.").score, 0.F);
}

/// Yes and true are one answer, no and false another.
std::string as_truth(const std::string& gold) {
  return gold == "true" ? "yes" : gold == "false" ? "no" : gold;
}

TEST(Questions, OfTheEmbeddedPoolAreGradedAsTheyAreMeant) {
  const auto file = read_questions(SOURCE_DIR "/experts/embedded/questions.jsonl.gz");
  EXPECT_GT(file.questions.size(), 2'000u);
  std::map<std::string, std::string> golds;  // by skill, of another question
  for (const auto& question : file.questions) {
    EXPECT_EQ(grade(question, "The answer is " + question.gold + ".").score, 1.F)
        << question.id << ": " << question.text << " " << question.gold;
    std::string& other = golds[question.skill];
    const bool same = as_truth(other) == as_truth(question.gold);
    if (!other.empty() && !same) {
      EXPECT_EQ(grade(question, "The answer is " + other + ".").score, 0.F)
          << question.id << ": " << question.text << " " << other;
    }
    other = question.gold;
  }
}

class Interviews : public ::testing::Test {
 protected:
  void SetUp() override {
    std::vector<experts::ExpertOptions> options(3);
    const char* names[] = {"good", "poor", "dead"};
    for (std::size_t i = 0; i < options.size(); ++i) {
      options[i].name = names[i];
      options[i].kind = experts::Kind::stub;
    }
    options[0].prices = {1'000'000, 2'000'000, -1};
    board_ = std::make_unique<experts::RosterBoard>(experts::make_roster(options, nullptr));
    task_.questions = questions_of({"sum", "more"}, 6);
    task_.options.experts = {"good", "poor", "dead"};
    task_.options.per_skill = 4;
  }

  void TearDown() override { std::filesystem::remove(path_); }

  experts::StubAnswer answer(std::string_view name, const experts::Call& call) {
    most_ = std::max(most_, ++running_);
    experts::StubAnswer answer;
    if (name == "dead") answer.outcome = experts::Outcome::unreachable;
    const auto from = call.messages[0].text.substr(8);  // "What is 3 + 1?"
    answer.delay_ms = delay_ms_;
    answer.content = std::to_string(std::stoi(from) + (name == "good" ? 1 : 2));
    --running_;
    return answer;
  }

  InterviewReport ask(const GoOn& go_on = {}) {
    const auto maker = experts::stub_maker(
        [this](std::string_view name, const experts::Call& call) { return answer(name, call); });
    return interview(task_, {*board_, maker, {}}, go_on);
  }

  std::unique_ptr<experts::RosterBoard> board_;
  InterviewTask task_;
  int running_ = 0, most_ = 0, delay_ms_ = 0;
  std::string path_ = ::testing::TempDir() + "interview_" + std::to_string(::getpid()) + ".jsonl";
};

TEST_F(Interviews, GradeEverybodyOnTheSameQuestions) {
  std::size_t told = 0;
  const auto report = ask([&](std::size_t done, std::size_t calls) {
    EXPECT_EQ(calls, 24u);
    EXPECT_TRUE(done == told || done == told + 1) << done;  // it also asks between two calls
    told = done;
    return true;
  });
  EXPECT_EQ(told, 24u);
  EXPECT_EQ(report.calls, quote(task_, *board_->current()).calls);
  EXPECT_EQ(report.said.size(), 16u);
  EXPECT_EQ(report.failed, (std::vector<std::size_t>{0, 0, 8}));
  EXPECT_NE(report.errors[2].find("unreachable"), std::string::npos) << report.errors[2];
  EXPECT_EQ(report.cost_microusd, 8 * (10 + 2 * 5));
  for (const auto& said : report.said)
    EXPECT_EQ(said.graded.score, said.expert == 0 ? 1.F : 0.F) << said.graded.answer;
}

TEST_F(Interviews, BecomeOutcomeFilesThatTrainingReads) {
  task_.options.experts = {"good"};
  const auto first = ask();
  std::ofstream(path_) << outcome_lines(task_, first);
  task_.options.experts = {"poor"};
  task_.options.per_skill = 6;  // two further questions of each skill
  const auto both = merged_lines(path_, task_, ask());
  std::ofstream(path_) << both;
  OutcomeReader reader(path_, true);
  OutcomeRow row;
  std::map<std::size_t, int> rows;  // by outcomes
  while (reader.next(row)) {
    ++rows[row.outcomes.size()];
    EXPECT_EQ(row.skills.size(), 1u);
    EXPECT_FALSE(row.gold.empty());
    for (const auto& outcome : row.outcomes) {
      const bool good = reader.experts()[outcome.expert] == "good";
      EXPECT_EQ(outcome.score, good ? 1.F : 0.F);
      EXPECT_FLOAT_EQ(outcome.cost_usd, good ? 20e-6F : 0.F);
      EXPECT_EQ(outcome.tokens_out, 5);
      EXPECT_FALSE(outcome.answer.empty());
    }
  }
  EXPECT_EQ(reader.faults_total(), 0u) << describe(reader.faults(), reader.faults_total());
  EXPECT_EQ(rows, (std::map<std::size_t, int>{{2, 8}, {1, 4}}));
}

TEST_F(Interviews, StopWhenToldAndWhenTheMoneyIsSpent) {
  const auto report = ask([](std::size_t done, std::size_t) { return done < 5; });
  EXPECT_TRUE(report.stopped);
  EXPECT_LT(report.calls, 5u + static_cast<unsigned>(task_.concurrency_max));
  task_.options.experts = {"good"};
  task_.concurrency_max = 1;
  task_.cost_microusd_max = 60;  // three calls of 20
  const auto dear = ask();
  EXPECT_TRUE(dear.stopped);
  EXPECT_EQ(dear.calls, 3u);
}

TEST_F(Interviews, CancelCallsThatRunWhenTold) {
  delay_ms_ = 600'000;
  const auto report = ask([](std::size_t, std::size_t) { return false; });
  EXPECT_TRUE(report.stopped);
  EXPECT_EQ(report.calls, static_cast<unsigned>(task_.concurrency_max));
  EXPECT_TRUE(report.said.empty());
  EXPECT_EQ(report.failed, (std::vector<std::size_t>{0, 0, 0})) << "nobody failed";
}

TEST_F(Interviews, NameAnExpertThatIsNotThere) {
  task_.options.experts = {"good", "gone"};
  EXPECT_THROW(quote(task_, *board_->current()), std::runtime_error);
  EXPECT_THROW(ask(), std::runtime_error);
}

TEST_F(Interviews, ReadQuestionsWithoutOutcomes) {
  std::ofstream(path_) << R"({"id":"a","text":"What is 1 + 1?","domain":"sum","gold":"2"})"
                       << "\n"
                       << R"({"id":"b","text":"Tell me a story.","domain":"outside"})"
                       << "\n";
  const auto file = read_questions(path_);
  ASSERT_EQ(file.questions.size(), 1u);
  EXPECT_EQ(file.questions[0].skill, "sum");
  EXPECT_EQ(file.without_gold, 1u);
  std::ofstream(path_) << R"({"id":"a","text":"What is 1 + 1?","gold":"2"})"
                       << "\n[]\n";
  EXPECT_THROW(read_questions(path_), std::runtime_error);
}

}  // namespace
}  // namespace router
