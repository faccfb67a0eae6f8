// The retrieval gate learned from the log.
#include "router/learn/gate_log.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <sstream>

#include "router/gate_record.h"
#include "store/journal.h"

namespace router {
namespace {

namespace fs = std::filesystem;

struct GateLog : ::testing::Test {
  fs::path folder = fs::path(::testing::TempDir()) / ("gate_log_" + std::to_string(::getpid()));
  GateLearnOptions options;

  GateLog() {
    fs::create_directories(folder);
    options.log = (folder / "log.db").string();
    options.out = (folder / "gate.json").string();
  }

  ~GateLog() override { fs::remove_all(folder); }

  /// Decisions whose passages were found well and did harm every time.
  void log_harm(int passages, double propensity, RetrievalMode mode = RetrievalMode::gated) {
    store::Options stored;
    stored.path = options.log;
    store::Journal journal(stored, [](std::string_view) {});
    const auto now = std::chrono::duration_cast<std::chrono::microseconds>(
                         std::chrono::system_clock::now().time_since_epoch())
                         .count();
    for (int i = 0; i < 200; ++i) {
      GateRecord record;
      record.mode = mode;
      record.lookup = "found";
      record.probe = {.top = 0.9, .margin = 0.5, .covered = 0.9, .found = 5};
      record.choice.c0 = 0.6;
      record.choice.passages = passages;
      record.choice.propensity = propensity;
      store::Decision row;
      row.id = "dec_" + std::to_string(passages) + "_" + std::to_string(i);
      row.unix_us = now;
      row.gate = encode(record);
      store::Feedback said;
      said.decision_id = row.id;
      said.unix_us = now;
      said.score = 0;
      journal.put(std::move(row));
      journal.put(std::move(said));
    }
    ASSERT_TRUE(journal.flush(std::chrono::steady_clock::now() + std::chrono::seconds(10)));
  }
};

TEST_F(GateLog, AnArmThatNothingButTheGateChoseStaysAsItWas) {
  log_harm(1, 1);
  log_harm(5, 0.99);
  const GateLearnReport report = learn_gate(options);
  EXPECT_EQ(report.rows[0], 200u);
  EXPECT_EQ(report.drawn[0], 0u);
  EXPECT_EQ(report.after.arms[0].spoils, report.before.arms[0].spoils);
  EXPECT_EQ(report.after.arms[0].weight, report.before.arms[0].weight);
  EXPECT_EQ(report.drawn[1], 200u);
  EXPECT_GT(report.after.arms[1].spoils, report.before.arms[1].spoils + 0.2);
  std::ostringstream told;
  print(report, told);
  EXPECT_NE(told.str().find("1 shown: kept as before"), std::string::npos) << told.str();
}

TEST_F(GateLog, PassagesThatARequestAskedForTeach) {
  log_harm(5, 1, RetrievalMode::always);
  const GateLearnReport report = learn_gate(options);
  EXPECT_EQ(report.drawn[1], 200u);
  EXPECT_GT(report.after.arms[1].spoils, report.before.arms[1].spoils + 0.2);
}

}  // namespace
}  // namespace router
