// The test of aggregating experts, on planted answers and scripted candidates.
#include "router/learn/reader_bench.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

namespace router {
namespace {

namespace fs = std::filesystem;

class ReaderBench : public ::testing::Test {
 protected:
  ReaderBench() {
    std::string pattern = (fs::temp_directory_path() / "reader_bench_XXXXXX").string();
    folder = mkdtemp(pattern.data());
    path = (folder / "outcomes.jsonl").string();
    options.items.files = {path};
    options.candidates = {{"good"}, {"first"}, {"mute"}, {"stranger"}};
  }

  ~ReaderBench() override { fs::remove_all(folder); }

  /// Three experts of equal worth, right half of the time each.
  void plant(std::size_t rows) {
    std::ofstream out(path);
    std::mt19937_64 engine(1);
    for (std::size_t r = 0; r < rows; ++r) {
      out << R"({"id":"q)" << r << R"(","text":"Question )" << r
          << R"(?\nA. one\nB. two\nC. three\nD. four","gold":"A","outcomes":{)";
      for (const char* name : {"x", "y", "z"}) {
        const bool right = engine() % 2 == 0;
        const char wrong = static_cast<char>('B' + engine() % 3);
        out << (*name == 'x' ? "" : ",") << '"' << name << R"(":{"score":)" << right
            << R"(,"answer":")" << (right ? 'A' : wrong) << "\"}";
      }
      out << "}}\n";
    }
  }

  /// The text of the n-th answer that was shown.
  static std::string answer_shown(const experts::Call& call, int number) {
    const std::string& shown = call.messages.back().text;
    const auto mark = shown.find("<answer " + std::to_string(number) + " ");
    const auto begin = shown.find('\n', mark) + 1;
    return shown.substr(begin, shown.find('\n', begin) - begin);
  }

  static std::vector<experts::Reply> ask(const std::string& name,
                                         const std::vector<experts::Call>& calls) {
    std::vector<experts::Reply> replies(calls.size());
    for (std::size_t i = 0; i < calls.size(); ++i) {
      replies[i].outcome = experts::Outcome::ok;
      replies[i].cost_microusd = 100;
      replies[i].timings.total_us = 2'000;
      if (name == "good") replies[i].text = "Answer: A";
      if (name == "first") replies[i].text = "Answer: " + answer_shown(calls[i], 1);
      if (name == "stranger") replies[i].text = "Answer: expert x";
      if (name == "broken") replies[i].outcome = experts::Outcome::timed_out;
    }
    return replies;
  }

  const ReaderResult& result_of(const ReaderBenchReport& report, const std::string& name) const {
    for (const auto& one : report.results)
      if (one.name == name) return one;
    throw std::runtime_error(name);
  }

  fs::path folder;
  std::string path;
  ReaderBenchOptions options;
};

TEST_F(ReaderBench, DrawsEveryStratumAndCountsThemAsTheyOccur) {
  plant(600);
  const ReaderItems drawn = draw_items(options.items);
  EXPECT_EQ(drawn.rows_usable, 600u);
  ASSERT_EQ(drawn.strata.size(), 4u);
  EXPECT_EQ(drawn.items.size(), 200u);
  std::size_t by_stratum[4] = {};
  for (const auto& item : drawn.items) ++by_stratum[item.right_count];
  for (const std::size_t count : by_stratum) EXPECT_EQ(count, 50u);
  EXPECT_NEAR(static_cast<double>(drawn.strata[0]) / 600, 0.125, 0.05);
  EXPECT_EQ(draw_items(options.items).items[7].text, drawn.items[7].text) << "the seed decides";
}

TEST_F(ReaderBench, PicksTheGoodOneAndTellsWhoHangsOnTheOrder) {
  plant(600);
  const ReaderBenchPlan plan = plan_readers(options);
  EXPECT_GT(plan.calls, 350u) << "two orders of most items";
  const ReaderBenchReport report = run_readers(options, plan, ask);
  EXPECT_EQ(report.results[0].name, kVote);
  EXPECT_EQ(report.pick, "good");
  EXPECT_EQ(report.mode, aggregator::Mode::synthesised);
  const ReaderResult &good = result_of(report, "good"), &first = result_of(report, "first");
  EXPECT_DOUBLE_EQ(good.accuracy.mean, 1);
  EXPECT_DOUBLE_EQ(good.by_stratum[0], 1) << "solved with nothing to copy from";
  EXPECT_DOUBLE_EQ(good.order_sensitive, 0);
  EXPECT_NEAR(good.cost_usd, 1e-4, 1e-12);
  EXPECT_GT(first.order_sensitive, 0.2);
  EXPECT_DOUBLE_EQ(first.by_stratum[0], 0);
  EXPECT_NEAR(first.accuracy.mean, 0.5, 0.08) << "as good as any one of the three";
  EXPECT_LT(first.gain.hi, good.gain.lo);
}

TEST_F(ReaderBench, SilenceAndStrangersLeaveTheFirstSeatsAnswer) {
  plant(400);
  options.candidates = {{"mute"}, {"stranger"}, {"broken"}};
  const ReaderBenchReport report = run_readers(options, plan_readers(options), ask);
  EXPECT_EQ(report.pick, kVote);
  for (const char* name : {"mute", "stranger", "broken"}) {
    EXPECT_DOUBLE_EQ(result_of(report, name).mute, 1) << name;
    EXPECT_NEAR(result_of(report, name).accuracy.mean, 0.5, 0.08) << name;
  }
}

TEST_F(ReaderBench, AnIncumbentThatIsAsGoodStays) {
  plant(400);
  options.candidates = {{"first"}, {"good"}};
  options.incumbent = "good";
  const ReaderBenchReport report = run_readers(options, plan_readers(options), ask);
  EXPECT_EQ(report.results[0].name, "good");
  EXPECT_EQ(report.pick, "good");
  options.incumbent = "nobody";
  EXPECT_THROW(run_readers(options, plan_readers(options), ask), std::runtime_error);
}

TEST_F(ReaderBench, ChoosingIsReadAsStrictlyAsInService) {
  plant(400);
  options.task = aggregator::Task::choose;
  options.candidates = {{"one"}, {"beyond"}};
  const auto choose = [](const std::string& name, const std::vector<experts::Call>& calls) {
    std::vector<experts::Reply> replies(calls.size());
    for (auto& reply : replies) {
      reply.outcome = experts::Outcome::ok;
      reply.text = name == "one" ? "Answer: 1" : "Answer: 9";
    }
    return replies;
  };
  const ReaderBenchReport report = run_readers(options, plan_readers(options), choose);
  EXPECT_GT(result_of(report, "one").order_sensitive, 0.2);
  EXPECT_DOUBLE_EQ(result_of(report, "beyond").mute, 1);
}

TEST_F(ReaderBench, ThePriceIsToldFirstAndTakenOff) {
  plant(400);
  options.candidates = {{"good", 1'000'000, 2'000'000}};
  options.value_usd = 1e-5;  // a reading costs ten right answers
  const ReaderBenchPlan plan = plan_readers(options);
  EXPECT_GT(plan.cost_usd[0], static_cast<double>(plan.calls) * 256 * 2e-6);
  std::ostringstream told;
  print(options, plan, told);
  EXPECT_NE(told.str().find("calls to each of 1 experts"), std::string::npos);
  EXPECT_EQ(run_readers(options, plan, ask).pick, kVote);
}

TEST_F(ReaderBench, WhatCannotBeUsedIsSaid) {
  std::ofstream(path)
      << R"({"id":"1","text":"Explain rain.","outcomes":{"x":{"score":1,"answer":"a"},"y":{"score":0,"answer":"b"}}})"
      << "\n";
  EXPECT_THROW(draw_items(options.items), std::runtime_error);
  plant(20);
  options.items.panel = {"x", "nobody"};
  EXPECT_THROW(draw_items(options.items), std::runtime_error);
}

}  // namespace
}  // namespace router
