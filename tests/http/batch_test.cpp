// The runner of batches with fake doors: lines that are answered at once, later, or not at all.
#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/asio/post.hpp>
#include <filesystem>
#include <memory>
#include <thread>

#include "http/batch_runner.h"
#include "http/keys.h"
#include "store/db.h"
#include "tests/http/rig.h"

namespace http {
namespace {

namespace fs = std::filesystem;

constexpr int kLines = 300;
constexpr std::int64_t kCost = 300;  // micro-USD of an answer

struct BatchRig : ::testing::Test {
  fs::path path = fs::path(::testing::TempDir()) / ("batch_" + std::to_string(::getpid()) + ".db");
  store::Batches store{path.string()};
  Options options = quick_options();
  std::atomic<int> asked{0};
  int later_ms = 20;

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
      co_await pause(later_ms + number % 7);  // beyond a flush: a stop finds it waiting
    const auto outcome = number % 3 == 2 ? experts::Outcome::unreachable : experts::Outcome::ok;
    experts::Reply reply = reply_of(outcome);
    reply.usage.known = true;
    aggregator::Answer answer = answer_of(std::move(reply));
    if (answer.ok()) answer.cost_microusd = kCost;
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

  void begin(const std::string& id, const std::string& owner = "") {
    std::string text;
    for (int i = 0; i < kLines; ++i) {
      const std::string number = std::to_string(i);
      text += R"({"custom_id":"q)" + number +
              R"(","method":"POST","url":"/v1/chat/completions","body":{"model":"alpha",)" +
              R"("messages":[{"role":"user","content":")" + number + "\"}]}}\n";
    }
    store.add_file({"file-" + id, "asked", "batch", 1, 0, owner}, text, {1 << 30, 10, 1 << 30});
    auto batch = batch_of(id, "file-" + id);
    batch.owner = owner;
    ASSERT_TRUE(store.add_batch(batch, {1 << 30, 10, 1 << 30}));
  }

  static store::BatchRow batch_of(const std::string& id, const std::string& file) {
    store::BatchRow batch;
    batch.id = id;
    batch.input_file = file;
    batch.endpoint = "/v1/chat/completions";
    batch.window = "24h";
    batch.created_s = 1;
    batch.expires_s = 4'000'000'000;
    return batch;
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

TEST_F(BatchRig, ABatchIsTakenWhileThereIsRoomForItsFiles) {
  ASSERT_TRUE(store.add_file({"file-a", "asked", "batch", 1, 0, "ann"}, "12345", {9, 9, 9}));
  auto batch = batch_of("batch_a", "file-a");
  batch.owner = "ann";
  EXPECT_FALSE(store.add_batch(batch, {.bytes_max = 5, .files_max = 4, .owner_bytes_max = 6}));
  EXPECT_FALSE(store.add_batch(batch, {.bytes_max = 6, .files_max = 4, .owner_bytes_max = 5}));
  const store::FileLimits limits = {.bytes_max = 6, .files_max = 4, .owner_bytes_max = 6};
  EXPECT_TRUE(store.add_batch(batch, limits));
  EXPECT_TRUE(store.add_batch(batch_of("batch_b", "file-a"), limits));
  EXPECT_FALSE(store.add_batch(batch_of("batch_c", "file-a"), limits));
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

/// Something behind the doors that always waits for something.
struct Restless {
  asio::io_context& loop;
  std::atomic<int>& late;
  std::shared_ptr<std::atomic<bool>> gone = std::make_shared<std::atomic<bool>>(false);

  ~Restless() { *gone = true; }

  void wait() {
    asio::post(loop, [this, &late_turns = late, is_gone = gone] {
      if (*is_gone) {
        ++late_turns;
      } else {
        wait();
      }
    });
  }
};

TEST_F(BatchRig, NoHandlerRunsAfterWhatIsBehindTheDoorsHasGone) {
  std::atomic<int> late{0};
  begin("batch_3");
  {
    BatchRunner runner(store, options, [&](asio::io_context& loop, int) {
      const auto behind = std::make_shared<Restless>(loop, late);
      behind->wait();
      Doors made = doors();
      made.unready = [behind] { return std::string(); };
      return made;
    });
    while (asked == 0) std::this_thread::yield();
  }
  EXPECT_EQ(late, 0);
}

TEST_F(BatchRig, NothingIsAskedAfterAStopWhileTheDatabaseIsFull) {
  begin("batch_4");
  options.batches.lines_inflight_max = 4;
  later_ms = 1'500;  // a stop finds it being asked
  {
    store::Db other(path.string(), store::Access::read_write, 1'000);
    // No row fits behind the last rowid: SQLITE_FULL, as on a full disk.
    other.exec(
        "CREATE TABLE brim(id INTEGER PRIMARY KEY AUTOINCREMENT);"
        "INSERT INTO brim VALUES(9223372036854775807);"
        "CREATE TRIGGER full BEFORE UPDATE ON lines BEGIN INSERT INTO brim VALUES(NULL); END");
  }
  BatchRunner runner(store, options, [this](asio::io_context&, int) { return doors(); });
  while (asked == 0) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  const int before = asked;
  runner.stop();
  EXPECT_EQ(asked, before);
}

/// Batches that belong to a key.
struct KeyRig : BatchRig {
  std::string book_path = path.string() + "-book";
  store::AdminBook book{book_path};
  KeyDesk keys{book, false, now_us()};

  ~KeyRig() override {
    for (const char* end : {"", "-wal", "-shm"}) fs::remove(book_path + end);
  }

  static std::int64_t now_us() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::microseconds>(now).count();
  }

  Doors doors() {
    Doors doors = BatchRig::doors();
    doors.keys = &keys;
    doors.cost_bound = [](const router::Query&) { return CostBound{.call_microusd = 400}; };
    return doors;
  }

  store::BatchRow run(const std::string& id) {
    BatchRunner runner(store, options, [this](asio::io_context&, int) { return doors(); });
    return wait_for_end(id);
  }

  std::string errors_of(const store::BatchRow& batch) {
    return store.content(batch.error_file).value_or("");
  }
};

TEST_F(KeyRig, ABudgetIsSpentAndNotPassed) {
  KeyTerms terms;
  terms.microusd_per_month = 10 * kCost + 100;  // what could cost 400 is asked ten times
  const auto key = keys.make(Role::client, terms, 0, now_us()).key;
  begin("batch_3", key->id);
  const store::BatchRow batch = run("batch_3");
  EXPECT_EQ(batch.completed, 10);
  EXPECT_EQ(batch.failed, kLines - 10);
  EXPECT_EQ(key->account->purse.spent_month(now_us()), 10 * kCost);
  EXPECT_EQ(key->account->purse.reserved(), 0);
  EXPECT_NE(errors_of(batch).find("budget"), std::string::npos);
}

TEST_F(KeyRig, ARevokedKeyAsksNobody) {
  const auto key = keys.make(Role::client, {}, 0, now_us()).key;
  begin("batch_4", key->id);
  keys.revoke(key->id, now_us());
  EXPECT_EQ(run("batch_4").failed, kLines);
  EXPECT_EQ(asked, 0);
}

TEST_F(KeyRig, AForeignModelIsRefused) {
  KeyTerms terms;
  terms.models = {"skillyard/auto"};
  begin("batch_5", keys.make(Role::client, terms, 0, now_us()).key->id);
  const store::BatchRow batch = run("batch_5");
  EXPECT_EQ(batch.failed, kLines);
  EXPECT_NE(errors_of(batch).find("may not use the model `alpha`"), std::string::npos);
}

TEST(Batches, OwnersTakeTurnsOldestFirst) {
  std::vector<store::BatchRow> batches(4);
  const char* const owners[] = {"b", "b", "a", "c"};
  for (int i = 0; i < 4; ++i) batches[static_cast<std::size_t>(i)].owner = owners[i];
  EXPECT_EQ(&next_turn(batches, ""), &batches[2]);
  EXPECT_EQ(&next_turn(batches, "a"), &batches[0]);
  EXPECT_EQ(&next_turn(batches, "b"), &batches[3]);
  EXPECT_EQ(&next_turn(batches, "c"), &batches[2]);
}

}  // namespace
}  // namespace http
