// The engine against single runs of the same model: a small random Mixtral built here, so that the
// tests need no data.
#include "experts/moe/engine.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <mutex>
#include <random>

#include "tests/moe/planted.h"
#include "tests/moe/runner.h"

namespace moe {
namespace {

using testing::Planted;
using testing::Runner;

std::int32_t best_of(std::span<const float> logits) {
  return static_cast<std::int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

struct Outcome {
  std::vector<std::int32_t> tokens;
  std::vector<std::vector<float>> logits;
  Ending ending;
};

/// Greedy decoding; fulfils the promise when the engine says the request ended.
Request greedy(std::vector<std::int32_t> prompt, int tokens_max, std::shared_ptr<Outcome> outcome,
               std::shared_ptr<std::promise<void>> done) {
  Request request;
  request.prompt = std::move(prompt);
  request.tokens_max = tokens_max;
  request.choose = [outcome](std::span<const float> logits) {
    outcome->logits.emplace_back(logits.begin(), logits.end());
    outcome->tokens.push_back(best_of(logits));
    return outcome->tokens.back();
  };
  request.finish = [outcome, done](const Ending& ending) {
    outcome->ending = ending;
    done->set_value();
  };
  return request;
}

struct Pending {
  std::shared_ptr<Outcome> outcome = std::make_shared<Outcome>();
  std::shared_ptr<std::promise<void>> done = std::make_shared<std::promise<void>>();
  Ticket ticket;

  Outcome& wait() {
    EXPECT_EQ(done->get_future().wait_for(std::chrono::seconds(60)), std::future_status::ready);
    return *outcome;
  }
};

Pending start(Engine& engine, std::vector<std::int32_t> prompt, int tokens_max) {
  Pending pending;
  pending.ticket =
      engine.submit(greedy(std::move(prompt), tokens_max, pending.outcome, pending.done));
  return pending;
}

std::vector<std::int32_t> random_prompt(std::size_t size, std::mt19937& random) {
  std::vector<std::int32_t> prompt(size);
  for (auto& token : prompt) token = static_cast<std::int32_t>(random() % 64);
  return prompt;
}

TEST(Engine, LogitsAreTheSameBitsAloneInABatchAndFromThePrefixCache) {
  const Planted planted;
  std::mt19937 random(1);
  const auto system = random_prompt(70, random);
  std::vector<std::vector<std::int32_t>> prompts;
  for (int i = 0; i < 12; ++i) {
    prompts.push_back(i % 2 == 0 ? system : std::vector<std::int32_t>());
    const auto rest = random_prompt(1 + static_cast<std::size_t>(i) * 5, random);
    prompts.back().insert(prompts.back().end(), rest.begin(), rest.end());
  }
  EngineOptions options;
  options.threads = 2;
  options.rows_per_step_max = 24;  // forces prompts into pieces
  options.sequences_max = 8;
  Engine engine(planted.model, options);
  for (int round = 0; round < 2; ++round) {
    std::vector<Pending> pending;
    for (const auto& prompt : prompts) pending.push_back(start(engine, prompt, 9));
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      const Outcome& outcome = pending[i].wait();
      EXPECT_EQ(outcome.ending.reason, EndReason::length);
      EXPECT_EQ(outcome.ending.completion_tokens, 9);
      EXPECT_GE(outcome.ending.cached_tokens, round == 1 && i % 2 == 0 ? 64 : 0);
      std::vector<int> sequence(prompts[i].begin(), prompts[i].end());
      sequence.insert(sequence.end(), outcome.tokens.begin(), outcome.tokens.end() - 1);
      const auto alone = Runner(planted.model, kPortable, 1).run({sequence}, 1000)[0];
      for (std::size_t t = 0; t < outcome.logits.size(); ++t) {
        ASSERT_TRUE(outcome.logits[t] == alone[prompts[i].size() - 1 + t]) << "request " << i;
      }
    }
  }
  EXPECT_GT(engine.stats().cached_tokens, 0u);
}

TEST(Engine, AFullCacheQueuesAndEveryoneIsServed) {
  const Planted planted;
  EngineOptions options;
  options.threads = 1;
  options.kv_bytes_max = 3 * KvCache::Shape::of(planted.model.config).page_bytes();
  options.queue_max = 20;
  Engine engine(planted.model, options);
  std::mt19937 random(2);
  std::vector<Pending> pending;
  for (int i = 0; i < 15; ++i) pending.push_back(start(engine, random_prompt(20, random), 30));
  for (Pending& p : pending) {
    ASSERT_EQ(p.ticket.refusal, Refusal::none);
    EXPECT_EQ(p.wait().ending.reason, EndReason::length);
  }
  const EngineStats stats = engine.stats();
  EXPECT_EQ(stats.pages, 3u);
  EXPECT_EQ(stats.pages_free, 3u);
  EXPECT_EQ(stats.finished, 15u);
}

/// Starts requests of these kin, one token each, behind a request that holds the engine until all
/// are there; the order in which they ended.
std::vector<int> order_of(const std::vector<std::uint64_t>& kin, std::uint64_t first_kin) {
  const Planted planted;
  EngineOptions options;
  options.threads = 1;
  options.sequences_max = 2;
  Engine engine(planted.model, options);
  std::promise<void> ready;
  const auto all_there = ready.get_future().share();
  std::mutex mutex;
  std::vector<int> order;
  std::promise<void> last;
  const auto one = [&](int index, std::uint64_t its_kin, int tokens) {
    Request request;
    request.prompt = {1, 2, 3};
    request.tokens_max = tokens;
    request.kin = its_kin;
    request.choose = [all_there](std::span<const float> logits) {
      all_there.wait();
      return best_of(logits);
    };
    request.finish = [&, index](const Ending&) {
      const std::scoped_lock lock(mutex);
      order.push_back(index);
      if (order.size() == kin.size() + 1) last.set_value();
    };
    EXPECT_EQ(engine.submit(std::move(request)).refusal, Refusal::none);
  };
  one(-1, first_kin, 60);
  for (std::size_t i = 0; i < kin.size(); ++i) one(static_cast<int>(i), kin[i], 1);
  ready.set_value();
  EXPECT_EQ(last.get_future().wait_for(std::chrono::seconds(60)), std::future_status::ready);
  const std::scoped_lock lock(mutex);
  std::erase(order, -1);
  return order;
}

TEST(Engine, AdmitsTheKinOfWhatRunsFirst) {
  EXPECT_EQ(order_of({7, 5, 7, 5, 7}, 7), (std::vector<int>{0, 2, 4, 1, 3}));
  EXPECT_EQ(order_of({0, 0, 5, 0}, 0), (std::vector<int>{0, 1, 2, 3}));
}

TEST(Engine, PassesNobodyOverForEver) {
  std::vector<std::uint64_t> kin(kPassedOverMax + 6, 7);
  kin[1] = 5;
  const std::vector<int> order = order_of(kin, 7);
  ASSERT_EQ(order.size(), kin.size());
  EXPECT_EQ(order[kPassedOverMax + 1], 1);
}

TEST(Engine, RefusesWhatCannotBeServed) {
  const Planted planted;
  EngineOptions options;
  options.threads = 1;
  options.kv_bytes_max = 2 * KvCache::Shape::of(planted.model.config).page_bytes();
  Engine engine(planted.model, options);
  EXPECT_EQ(start(engine, {}, 1).ticket.refusal, Refusal::malformed);
  EXPECT_EQ(start(engine, {-1}, 1).ticket.refusal, Refusal::malformed);
  EXPECT_EQ(start(engine, {64}, 1).ticket.refusal, Refusal::malformed);
  EXPECT_EQ(start(engine, {1}, 0).ticket.refusal, Refusal::malformed);
  EXPECT_EQ(start(engine, {1}, 64).ticket.refusal, Refusal::too_long);
  EXPECT_EQ(engine.stats().refused, 5u);
}

TEST(Engine, CancelsBetweenStepsAndOnShutdown) {
  const Planted planted;
  auto engine = std::make_unique<Engine>(planted.model, EngineOptions{.threads = 2});
  std::mt19937 random(3);
  Pending kept = start(*engine, random_prompt(5, random), 400);
  Pending cancelled = start(*engine, random_prompt(5, random), 400);
  engine->cancel(cancelled.ticket.id);
  engine->cancel(12345);
  EXPECT_EQ(cancelled.wait().ending.reason, EndReason::cancelled);
  engine.reset();
  const Outcome& outcome = kept.wait();
  EXPECT_EQ(outcome.ending.completion_tokens, static_cast<int>(outcome.tokens.size()));
}

TEST(Engine, AChooserThatStopsOrThrowsEndsItsOwnRequestOnly) {
  const Planted planted;
  Engine engine(planted.model, EngineOptions{.threads = 1});
  std::promise<Ending> stopped, thrown;
  Request request;
  request.prompt = {1, 2};
  request.tokens_max = 5;
  request.choose = [](std::span<const float>) { return kStop; };
  request.finish = [&](const Ending& ending) { stopped.set_value(ending); };
  engine.submit(request);
  request.choose = [](std::span<const float>) -> std::int32_t {
    throw std::runtime_error("no token");
  };
  request.finish = [&](const Ending& ending) { thrown.set_value(ending); };
  engine.submit(request);
  Pending other = start(engine, {3}, 4);
  EXPECT_EQ(stopped.get_future().get().reason, EndReason::stopped);
  const Ending ending = thrown.get_future().get();
  EXPECT_EQ(ending.reason, EndReason::failed);
  EXPECT_EQ(ending.error, "no token");
  EXPECT_EQ(other.wait().ending.completion_tokens, 4);
}

TEST(Contrast, HandMadeLogits) {
  const std::vector<float> weak = {1, 3, 0, 2};
  std::vector<float> strong = {2, 3, -9, 2.9f};
  apply_contrast({.beta = 0.5f, .alpha = 0.1f}, weak, strong);
  EXPECT_FLOAT_EQ(strong[0], 1.5f * 2 - 0.5f) << "log 0.1 is -2.3: within reach";
  EXPECT_FLOAT_EQ(strong[1], 3);
  EXPECT_EQ(strong[2], kOutOfPlay);
  EXPECT_FLOAT_EQ(strong[3], 1.5f * 2.9f - 1);
  strong = {2, 3, -9, 2.9f};
  apply_contrast({.beta = 0.5f, .alpha = 1}, weak, strong);
  EXPECT_EQ(best_of(strong), 1) << "alpha 1 leaves the strong row's best";
}

Pending start_contrast(Engine& engine, std::vector<std::int32_t> prompt, float beta) {
  Pending pending;
  Request request = greedy(std::move(prompt), 12, pending.outcome, pending.done);
  request.contrast = Contrast{.beta = beta, .alpha = 0.001f};
  pending.ticket = engine.submit(std::move(request));
  return pending;
}

TEST(Contrast, TwoRowsOfABatchGiveWhatTwoRunsGive) {
  const Planted planted;
  EngineOptions options{.threads = 2, .kv_bytes_max = 1 << 21, .sequences_max = 5};
  options.rows_per_step_max = 7;
  Engine engine(planted.model, options);
  std::mt19937 random(3);
  const auto prompt = random_prompt(40, random);
  Outcome alone = start_contrast(engine, prompt, 0.5f).wait();
  ASSERT_EQ(alone.tokens.size(), 12u);

  std::vector<int> sequence(prompt.begin(), prompt.end());
  sequence.insert(sequence.end(), alone.tokens.begin(), alone.tokens.end() - 1);
  Runner runner(planted.model, pick_kernels());
  const auto both = runner.run({sequence, sequence}, 5, 0, {GatePolicy{}, Contrast{}.weak});
  for (std::size_t i = 0; i < 12; ++i) {
    std::vector<float> strong = both[0][prompt.size() - 1 + i];
    apply_contrast({.beta = 0.5f, .alpha = 0.001f}, both[1][prompt.size() - 1 + i], strong);
    EXPECT_TRUE(strong == alone.logits[i]) << "token " << i;
  }

  // Among others, and more of them than have room at once.
  std::vector<Pending> crowd;
  for (int i = 0; i < 6; ++i) {
    crowd.push_back(start_contrast(engine, prompt, 0.5f));
    crowd.push_back(start(engine, random_prompt(20, random), 9));
  }
  for (std::size_t i = 0; i < crowd.size(); ++i) {
    const Outcome& outcome = crowd[i].wait();
    EXPECT_EQ(outcome.ending.reason, EndReason::length);
    if (i % 2 == 0) {
      EXPECT_TRUE(outcome.logits == alone.logits);
    }
  }
  EXPECT_EQ(start_contrast(engine, prompt, 0).wait().tokens,
            start(engine, prompt, 12).wait().tokens)
      << "beta 0 is the strong row's own choice";
  const EngineStats stats = engine.stats();
  EXPECT_EQ(stats.pages_free, stats.pages);
}

}  // namespace
}  // namespace moe
