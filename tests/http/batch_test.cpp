// The runner of batches with fake doors: lines that are answered at once, later, or not at all.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "http/batch_runner.h"
#include "tests/http/rig.h"

namespace http {
namespace {

namespace fs = std::filesystem;

constexpr int kLines = 300;

struct BatchRig : ::testing::Test {
  fs::path path = fs::path(::testing::TempDir()) / ("batch_" + std::to_string(::getpid()) + ".db");
  store::Batches store{path.string()};
  Options options = quick_options();
  std::atomic<int> asked{0};

  BatchRig() {
    options.batches.flush_ms = 5;
    options.batches.tries_max = 1;
  }

  ~BatchRig() override {
    for (const char* end : {"", "-wal", "-shm"}) fs::remove(path.string() + end);
  }

  /// A third of the questions is answered without any wait, a third later, a third never.
  asio::awaitable<aggregator::Answer> answer(const router::Query& query) {
    const int number = std::stoi(query.call.messages.front().text);
    ++asked;
    if (number % 3 == 1)
      co_await pause(20 + number % 7);  // beyond a flush: a stop finds it waiting
    const auto outcome = number % 3 == 2 ? experts::Outcome::unreachable : experts::Outcome::ok;
    aggregator::Answer answer = answer_of(reply_of(outcome));
    co_return answer;
  }

  Doors doors() {
    Doors doors;
    doors.answer = [this](const router::Query& query, experts::Sink*) { return answer(query); };
    doors.route = [](const router::Query&) { return router::LoggedRoute(); };
    doors.knows_expert = [](std::string_view) { return true; };
    doors.knows_pool = [](std::string_view) { return true; };
    doors.models = [] { return std::vector<Model>(); };
    return doors;
  }

  void begin(const std::string& id) {
    std::string text;
    for (int i = 0; i < kLines; ++i) {
      const std::string number = std::to_string(i);
      text += R"({"custom_id":"q)" + number +
              R"(","method":"POST","url":"/v1/chat/completions","body":{"model":"alpha",)" +
              R"("messages":[{"role":"user","content":")" + number + "\"}]}}\n";
    }
    store.add_file({"file-" + id, "asked", "batch", 1, 0}, text, 1 << 30, 10);
    store::BatchRow batch;
    batch.id = id;
    batch.input_file = "file-" + id;
    batch.endpoint = "/v1/chat/completions";
    batch.window = "24h";
    batch.created_s = 1;
    batch.expires_s = 4'000'000'000;
    store.add_batch(batch);
  }

  store::BatchRow wait_for_end(const std::string& id) {
    const auto until = experts::Clock::now() + std::chrono::seconds(60);
    auto batch = *store.batch(id);
    while (batch.completed_s == 0 && experts::Clock::now() < until) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      batch = *store.batch(id);
    }
    return batch;
  }
};

TEST_F(BatchRig, EveryLineGetsItsOutcomeOnce) {
  begin("batch_1");
  BatchRunner runner(store, options, [this](asio::io_context&, int) { return doors(); });
  const store::BatchRow batch = wait_for_end("batch_1");
  EXPECT_EQ(batch.status, "completed");
  EXPECT_EQ(batch.completed, kLines * 2 / 3);
  EXPECT_EQ(batch.failed, kLines / 3);
  EXPECT_EQ(asked, kLines);
  EXPECT_TRUE(store.open_lines("batch_1").empty());
}

TEST_F(BatchRig, WhatWasStoppedGoesOn) {
  begin("batch_2");
  {
    BatchRunner runner(store, options, [this](asio::io_context&, int) { return doors(); });
    while (asked == 0) std::this_thread::yield();
  }
  BatchRunner again(store, options, [this](asio::io_context&, int) { return doors(); });
  const store::BatchRow batch = wait_for_end("batch_2");
  EXPECT_EQ(batch.completed, kLines * 2 / 3);
  EXPECT_EQ(batch.failed, kLines / 3);
}

}  // namespace
}  // namespace http
