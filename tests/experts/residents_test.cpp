// Experts that share a memory, through the Pool: synthesised GGUF models that do not all fit, and
// remote experts of one swap group.
#include "experts/residents.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "experts/moe/tools/synth.h"
#include "experts/native.h"
#include "tests/experts/rig.h"

namespace experts::testing {
namespace {

namespace fs = std::filesystem;
namespace asio = boost::asio;

/// A model file of its own for every expert, gone with the test.
std::string synthesise(const std::string& name, const std::string& shape, int layers = 0) {
  moe::tools::SynthOptions options;
  options.shape = shape;
  options.type = shape == "tiny" ? "Q8_0" : "Q4_K_M";
  options.layers = layers;
  options.out = fs::temp_directory_path() / ("residents_" + std::to_string(::getpid()) + name);
  moe::tools::synth(options);
  return options.out.string();
}

std::size_t rss_bytes() {
  std::ifstream in("/proc/self/statm");
  std::size_t pages = 0, resident = 0;
  in >> pages >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

class ResidentsRig : public ::testing::Test {
 protected:
  ~ResidentsRig() override {
    pool_.reset();
    io.restart();
    io.run_for(std::chrono::milliseconds(1));
    residents_.reset();
    std::error_code fault;
    for (const auto& options : experts) fs::remove(options.url, fault);
  }

  void add(const std::string& name, const std::string& file) {
    ExpertOptions options;
    options.name = name;
    options.kind = Kind::native;
    options.url = file;
    options.capabilities = kNativeCapabilities;
    options.native.threads = 1;
    options.native.kv_bytes_max = 4 << 20;
    options.load_ms = 50;
    experts.push_back(options);
  }

  Pool& pool() {
    if (!pool_) {
      residents_ = std::make_unique<Residents>(limits, models_);
      board_ = std::make_unique<RosterBoard>(make_roster(experts, nullptr));
      pool_ = std::make_unique<Pool>(io, *board_, PoolOptions{}, make_native_maker(models_),
                                     residents_->wrapper());
    }
    return *pool_;
  }

  void publish(const std::vector<ExpertOptions>& list) {
    board_->publish(make_roster(list, board_->current().get()));
    pool().describe();
  }

  /// Asks all at once; resumes when all have ended.
  std::vector<Reply> ask(const std::vector<std::string>& names) {
    calls_.clear();
    for (std::size_t i = 0; i < names.size(); ++i) calls_.push_back(call);
    std::vector<Reply> replies(names.size());
    std::size_t ended = 0;
    for (std::size_t i = 0; i < names.size(); ++i) {
      asio::co_spawn(io, pool().ask(names[i], calls_[i], nullptr),
                     [&, i](std::exception_ptr error, Reply reply) {
                       EXPECT_FALSE(error);
                       replies[i] = std::move(reply);
                       ++ended;
                     });
    }
    run_until([&] { return ended == names.size(); });
    return replies;
  }

  template <class Done>
  void run_until(Done done) {
    io.restart();
    const auto work = asio::make_work_guard(io);
    const auto until = Clock::now() + std::chrono::seconds(60);
    while (!done() && Clock::now() < until) io.run_one_for(std::chrono::milliseconds(5));
    EXPECT_TRUE(done()) << "it hangs";
  }

  ResidentStatus status(const std::string& end_of_name) {
    for (const auto& status : residents_->describe()) {
      if (status.name.ends_with(end_of_name)) return status;
    }
    return {};
  }

  asio::io_context io;
  Upstream upstream{io};  // outlives what the destructor runs
  std::vector<ExpertOptions> experts;
  ResidencyOptions limits = {.experts_max = 1, .wait_ms_max = 20'000, .min_resident_ms = 0};
  Call call = make_call();
  std::unique_ptr<Residents> residents_;

 private:
  static Call make_call() {
    Call call;
    call.wire = R"("messages":[{"role":"user","content":"Once"}])";
    call.messages = {{Role::user, "Once upon a time"}};
    call.sampling.tokens_max = 4;
    call.sampling.seed = 7;
    return call;
  }

  NativeModels models_;
  std::vector<Call> calls_;
  std::unique_ptr<RosterBoard> board_;
  std::unique_ptr<Pool> pool_;
};

TEST_F(ResidentsRig, CallsAreCollatedByModel) {
  for (const char* name : {"a", "b", "c"}) add(name, synthesise(name, "tiny"));
  std::vector<std::string> names;
  for (int i = 0; i < 30; ++i) names.push_back(std::string(1, "abc"[i % 3]));
  for (const Reply& reply : ask(names)) EXPECT_EQ(reply.outcome, Outcome::ok) << reply.error;
  std::uint64_t loads = 0;
  int resident = 0;
  for (const auto& one : residents_->describe()) {
    loads += one.loads;
    resident += one.now.state == LoadState::resident;
    EXPECT_EQ(one.waits, 10U);
    EXPECT_EQ(one.now.inflight, 0);
  }
  EXPECT_LE(loads, 4U);  // one by one in this order it would be 30
  EXPECT_EQ(resident, 1);
  std::string metrics;
  append_metrics(*residents_, metrics);
  EXPECT_NE(metrics.find("skillyard_resident_loads_total{group=\"\",name="), std::string::npos);
}

TEST_F(ResidentsRig, MemoryIsReturned) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "AddressSanitizer keeps freed memory";
#endif
  const std::string first = synthesise("first", "mid", 2), second = synthesise("second", "mid", 2);
  const std::size_t size = fs::file_size(first);
  add("first", first);
  add("second", second);
  limits.experts_max = 0;
  limits.bytes_max = static_cast<std::int64_t>(size + size / 2);
  const std::size_t before = rss_bytes();
  EXPECT_EQ(ask({"first"})[0].outcome, Outcome::ok);
  const std::size_t one = rss_bytes();
  EXPECT_GT(one, before + size * 8 / 10) << "a load pays for all pages";
  EXPECT_EQ(ask({"second"})[0].outcome, Outcome::ok);
  EXPECT_LT(rss_bytes(), one + size / 4) << "the second came beside the first";
  publish({});
  run_until([&] { return residents_->describe().empty(); });
  EXPECT_LT(rss_bytes(), before + size / 4);
}

TEST_F(ResidentsRig, AModelThatCannotBeLoadedIsAnOutcome) {
  add("good", synthesise("good", "tiny"));
  add("bad", synthesise("bad", "tiny"));
  std::ofstream(experts[1].url, std::ios::trunc) << "not a model";
  const auto replies = ask({"bad", "good"});
  EXPECT_EQ(replies[0].outcome, Outcome::overloaded);
  EXPECT_NE(replies[0].error.find("could not be loaded"), std::string::npos) << replies[0].error;
  EXPECT_GT(replies[0].retry_after_s, 0);
  EXPECT_EQ(replies[1].outcome, Outcome::ok);
  EXPECT_EQ(ask({"bad"})[0].outcome, Outcome::overloaded);
  EXPECT_EQ(status("bad").load_failures, 1U) << "tried again too early";
}

TEST_F(ResidentsRig, ADeadlineThatCannotBeMetIsRefusedAtOnce) {
  add("a", synthesise("a", "tiny"));
  experts[0].load_ms = 60'000;  // as declared; nothing was timed yet
  call.deadline = Clock::now() + std::chrono::seconds(30);
  const auto begin = Clock::now();
  const Reply reply = ask({"a"})[0];
  EXPECT_EQ(reply.outcome, Outcome::overloaded);
  EXPECT_GE(reply.retry_after_s, 1);
  EXPECT_LT(Clock::now() - begin, std::chrono::seconds(10));
  EXPECT_EQ(status("a").loads, 0U);
}

TEST_F(ResidentsRig, AnExpertLargerThanTheMemoryIsRefusedAndTheOthersServe) {
  add("small", synthesise("small", "tiny"));
  add("large", synthesise("large", "tiny"));
  experts[1].resident_bytes = 1LL << 40;
  limits.experts_max = 0;
  limits.bytes_max = 64 << 20;
  const auto replies = ask({"large", "small"});
  EXPECT_EQ(replies[0].outcome, Outcome::overloaded);
  EXPECT_NE(replies[0].error.find("larger than residency.bytes_max"), std::string::npos);
  EXPECT_EQ(replies[1].outcome, Outcome::ok) << replies[1].error;
}

TEST_F(ResidentsRig, WithoutABudgetNothingIsScheduled) {
  add("a", synthesise("a", "tiny"));
  limits = {};
  EXPECT_EQ(ask({"a"})[0].outcome, Outcome::ok);
  EXPECT_TRUE(residents_->describe().empty());
}

TEST_F(ResidentsRig, AnExpertThatIsRemovedWithAFullQueueAnswersItAndGoes) {
  add("a", synthesise("a", "tiny", 24));
  add("b", synthesise("b", "tiny"));
  limits.queue_max = 4;
  EXPECT_EQ(ask({"a"})[0].outcome, Outcome::ok);
  Call holding = call;  // keeps a, the only one that there is room for, until b's queue is full
  holding.sampling.tokens_max = 400;
  int ended = 0, ok = 0, full = 0;
  bool held = false;
  asio::co_spawn(io, pool().ask("a", holding, nullptr),
                 [&](std::exception_ptr, const Reply&) { held = true; });
  for (int i = 0; i < 7; ++i) {
    asio::co_spawn(io, pool().ask("b", call, nullptr), [&](std::exception_ptr, const Reply& reply) {
      ++ended;
      ok += reply.outcome == Outcome::ok;
      full += reply.error.find("too many requests wait") != std::string::npos;
    });
  }
  run_until([&] { return full == 3; });
  publish({experts[0]});
  EXPECT_EQ(ask({"b"})[0].outcome, Outcome::unreachable);
  EXPECT_EQ(ask({"a"})[0].outcome, Outcome::ok);
  run_until([&] { return ended == 7 && held; });
  EXPECT_EQ(ok, 4);
  run_until([&] { return residents_->describe().size() == 1; });
}

TEST_F(ResidentsRig, WhatIsLikelyToBeAskedIsLoadedAhead) {
  add("a", synthesise("a", "tiny"));
  add("b", synthesise("b", "tiny"));
  limits.experts_max = 2;
  EXPECT_EQ(ask({"a"})[0].outcome, Outcome::ok);
  {
    const Foresight next(pool(), "b", 0.8);
    run_until([&] { return status("b").now.state == LoadState::resident; });
  }
  EXPECT_EQ(ask({"b"})[0].outcome, Outcome::ok);
  EXPECT_EQ(status("b").loads, 1U) << "it was there";
  const Foresight nobody(pool(), "nobody", 0.8);
}

TEST_F(ResidentsRig, WhoIsGoneNoLongerWaitsAndWhoIsRemovedLeaves) {
  add("a", synthesise("a", "tiny"));
  add("b", synthesise("b", "tiny"));
  EXPECT_EQ(ask({"a"})[0].outcome, Outcome::ok);
  asio::cancellation_signal stop;
  bool ended = false;
  Call waiting = call;
  asio::co_spawn(io, pool().ask("b", waiting, nullptr),
                 asio::bind_cancellation_slot(stop.slot(), [&](std::exception_ptr, Reply reply) {
                   EXPECT_EQ(reply.outcome, Outcome::cancelled);
                   ended = true;
                 }));
  stop.emit(asio::cancellation_type::all);
  run_until([&] { return ended; });
  EXPECT_EQ(status("b").now.waiting, 0);
  EXPECT_EQ(ask({"a", "b", "a"})[1].outcome, Outcome::ok);
  const ExpertOptions b = experts[1];
  publish({experts[0]});
  run_until([&] { return residents_->describe().size() == 1; });
  publish({experts[0], b});
  EXPECT_EQ(ask({"b"})[0].outcome, Outcome::ok) << "an expert that came back is loaded again";
}

TEST_F(ResidentsRig, ASwapGroupIsAskedOneModelAtATime) {
  upstream.play({{send(with_length(completion()))}});
  for (const char* name : {"small", "large"}) {
    ExpertOptions options;
    options.name = name;
    options.url = upstream.url();
    options.swap_group = "gpu";
    options.concurrency_max = 4;
    experts.push_back(options);
  }
  std::vector<std::string> names;
  for (int i = 0; i < 24; ++i) names.push_back(i % 2 == 0 ? "small" : "large");
  for (const Reply& reply : ask(names)) EXPECT_EQ(reply.outcome, Outcome::ok) << reply.error;
  ASSERT_EQ(upstream.requests.size(), 24U);
  const auto is_small = [](const std::string& request) {
    return request.find("\"small\"") != std::string::npos;
  };
  int swaps = 0;
  for (std::size_t i = 1; i < 24; ++i) {
    swaps += is_small(upstream.requests[i]) != is_small(upstream.requests[i - 1]);
  }
  EXPECT_LE(swaps, 8);  // in order of arrival it would be 23
}

}  // namespace
}  // namespace experts::testing
