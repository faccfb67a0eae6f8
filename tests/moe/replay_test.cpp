// Traces survive a file, hostile ones are refused, and replay counts what a hand count gives.
#include "experts/moe/replay.h"

#include <gtest/gtest.h>

#include <future>
#include <random>
#include <sstream>

#include "experts/moe/engine.h"
#include "experts/moe/routing_trace.h"
#include "tests/moe/planted.h"
#include "tests/moe/runner.h"

namespace moe {
namespace {

/// One layer; each step needs the experts listed.
AccessLog log_of(const std::vector<std::vector<std::uint32_t>>& steps, std::uint32_t experts) {
  Trace trace;
  trace.shape = {1, experts};
  for (std::uint32_t i = 0; i < steps.size(); ++i) {
    TraceRow row;
    row.step = i;
    row.first = {0, static_cast<std::uint32_t>(steps[i].size())};
    for (const std::uint32_t expert : steps[i]) row.picks.push_back({expert, 1});
    trace.rows.push_back(row);
  }
  return AccessLog::of(trace);
}

TEST(Replay, CountsHitsAsByHand) {
  const AccessLog scan = log_of({{0}, {1}, {2}, {0}, {1}, {2}, {0}, {1}, {2}}, 3);
  EXPECT_DOUBLE_EQ(hit_ratio(scan, 2, Evict::lru), 0) << "a scan one too long";
  // 0 1 | 2 takes 1's place | 0 hit | 1 takes 0's | 2 hit | 0 takes 2's | 1 hit ...
  EXPECT_DOUBLE_EQ(hit_ratio_belady(scan, 2), 3.0 / 9);
  EXPECT_DOUBLE_EQ(hit_ratio_static(scan, 2), 6.0 / 9);
  EXPECT_DOUBLE_EQ(hit_ratio(scan, 3, Evict::lfu), 6.0 / 9) << "room for all";

  const AccessLog skewed = log_of({{0}, {0}, {1}, {2}, {0}, {3}, {4}, {0}}, 5);
  EXPECT_DOUBLE_EQ(hit_ratio(skewed, 2, Evict::lru), 1.0 / 8);
  EXPECT_DOUBLE_EQ(hit_ratio(skewed, 2, Evict::lfu), 3.0 / 8) << "0 is worth keeping";

  const AccessLog together = log_of({{0, 1}, {1, 2}, {0, 1}}, 3);
  EXPECT_DOUBLE_EQ(hit_ratio_belady(together, 2), 2.0 / 6) << "what is needed at once stays";
}

TEST(Replay, NothingBeatsBelady) {
  std::mt19937 random(1);
  for (int round = 0; round < 20; ++round) {
    std::vector<std::vector<std::uint32_t>> steps(200);
    for (auto& step : steps) {
      const auto first = static_cast<std::uint32_t>(random() % 8 * (random() % 2));
      step = {first, first + 1 + static_cast<std::uint32_t>(random() % 4)};
    }
    const AccessLog log = log_of(steps, 12);
    for (const std::size_t slots : {2, 4, 8}) {
      const double best = hit_ratio_belady(log, slots);
      EXPECT_GE(best, hit_ratio(log, slots, Evict::lru));
      EXPECT_GE(best, hit_ratio(log, slots, Evict::lfu));
    }
  }
}

TEST(Replay, CalibratedNullsKeepTheLoadThatWasAsked) {
  std::mt19937 random(2);
  Trace trace;
  trace.shape = {2, 8};
  for (std::uint32_t i = 0; i < 1000; ++i) {
    TraceRow row{i, 0, i, 0, {0, 4, 8}, {}};
    for (std::uint32_t p = 0; p < 8; ++p) {
      const auto units = static_cast<float>(1 + random() % (p < 4 ? 8000 : 900));
      row.picks.push_back({p % 4, units * kTraceWeightUnit});
    }
    trace.rows.push_back(row);
  }
  for (const double load : {0.0, 0.3, 0.75, 1.0}) {
    const NullWeights nulls = calibrate_nulls(trace, load);
    for (std::uint32_t layer = 0; layer < 2; ++layer) {
      double kept = 0;
      for (const TraceRow& row : trace.rows) {
        for (std::uint32_t p = row.first[layer]; p < row.first[layer + 1]; ++p) {
          kept += row.picks[p].weight >= nulls.least[layer];
        }
      }
      EXPECT_NEAR(kept / 4000, load, 0.02) << "layer " << layer;
    }
  }
}

TEST(RoutingTrace, SaysWhatTheModelChoseAndForgetsTheOldest) {
  const testing::Planted planted;
  KvCache cache(KvCache::Shape::of(planted.model.config), 1);
  const std::uint32_t page = cache.take();
  Team team(1);
  Forward forward(planted.model, cache, team, kPortable, 4);
  std::vector<LayerRoute> routes;
  forward.trace_into(&routes);
  const TraceShape shape = TraceShape::of(planted.model.config);
  RoutingTrace whole(shape, 1 << 20), short_one(shape, 100);
  std::vector<std::vector<LayerRoute>> expected;
  for (int position = 0; position < 9; ++position) {
    const BatchRow row{position * 3, position, &page, nullptr, false};
    const std::uint32_t sequence = 7;
    forward.run({&row, 1});
    expected.push_back(routes);
    whole.record({&row, 1}, {&sequence, 1}, routes);
    short_one.record({&row, 1}, {&sequence, 1}, routes);
  }
  EXPECT_EQ(whole.steps_dropped(), 0u);
  EXPECT_GT(short_one.steps_dropped(), 3u);
  const auto parse = [&](RoutingTrace& trace) {
    std::ostringstream file;
    write_trace_header(shape, file);
    const std::vector<std::byte> rows = trace.take();
    file.write(reinterpret_cast<const char*>(rows.data()),
               static_cast<std::streamsize>(rows.size()));
    const std::string text = file.str();
    return Trace::parse(std::as_bytes(std::span(text)), "test");
  };
  const Trace trace = parse(whole), newest = parse(short_one);
  ASSERT_EQ(trace.rows.size(), 9u);
  for (std::size_t i = 0; i < 9; ++i) {
    const TraceRow& row = trace.rows[i];
    EXPECT_EQ(row.sequence, 7u);
    EXPECT_EQ(row.position, i);
    EXPECT_EQ(row.token, i * 3);
    for (std::size_t layer = 0; layer < 2; ++layer) {
      const auto& picks = expected[i][layer].picks;
      ASSERT_EQ(row.first[layer + 1] - row.first[layer], picks.size());
      for (std::size_t p = 0; p < picks.size(); ++p) {
        EXPECT_EQ(row.picks[row.first[layer] + p].expert, picks[p].expert);
        EXPECT_NEAR(row.picks[row.first[layer] + p].weight, picks[p].weight, kTraceWeightUnit);
      }
    }
  }
  ASSERT_FALSE(newest.rows.empty());
  EXPECT_EQ(newest.rows.back().token, 24u);
  EXPECT_GT(newest.rows.front().token, 0u);
  EXPECT_TRUE(whole.take().empty());
}

TEST(RoutingTrace, EngineKeepsItAndCountsExperts) {
  const testing::Planted planted;
  EngineOptions options{.threads = 1, .kv_bytes_max = 1 << 20};
  options.trace_bytes_max = 1 << 20;
  Engine engine(planted.model, options);
  std::promise<void> done;
  Request request;
  request.prompt = {1, 2, 3};
  request.tokens_max = 5;
  request.choose = [](std::span<const float>) { return 4; };
  request.finish = [&](const Ending&) { done.set_value(); };
  const Ticket ticket = engine.submit(std::move(request));
  done.get_future().wait();
  std::ostringstream file;
  write_trace_header(TraceShape::of(planted.model.config), file);
  const std::vector<std::byte> rows = engine.take_trace();
  file.write(reinterpret_cast<const char*>(rows.data()), static_cast<std::streamsize>(rows.size()));
  const std::string text = file.str();
  const Trace trace = Trace::parse(std::as_bytes(std::span(text)), "test");
  ASSERT_EQ(trace.rows.size(), 3u + 4u) << "the last token is chosen, not computed";
  std::vector<std::uint64_t> counted(16, 0);
  for (const TraceRow& row : trace.rows) {
    EXPECT_EQ(row.sequence, ticket.id);
    for (std::size_t layer = 0; layer < 2; ++layer) {
      for (std::uint32_t p = row.first[layer]; p < row.first[layer + 1]; ++p) {
        ++counted[layer * 8 + row.picks[p].expert];
      }
    }
  }
  const std::vector<ExpertUse> uses = engine.expert_uses();
  ASSERT_EQ(uses.size(), counted.size());
  double weight = 0;
  for (std::size_t e = 0; e < uses.size(); ++e) {
    EXPECT_EQ(uses[e].rows, counted[e]);
    weight += uses[e].weight;
  }
  EXPECT_NEAR(weight, 7 * 2, 1e-4) << "renormalised weights sum to 1 in each row and layer";
}

TEST(RoutingTrace, RefusesWhatIsNoTrace) {
  std::ostringstream file;
  write_trace_header({2, 4}, file);
  std::string good = file.str();
  good.append(16, '\0');
  good += '\1';
  good.append({'\3', '\0', '\0', '\1'});
  good += '\0';
  const auto parse = [](const std::string& text) {
    return Trace::parse(std::as_bytes(std::span(text)), "test");
  };
  EXPECT_EQ(parse(good).rows.size(), 1u);
  for (std::size_t size = 0; size < good.size(); ++size) {
    if (size == 16) continue;  // a trace of no rows
    EXPECT_THROW(parse(good.substr(0, size)), std::runtime_error) << size;
  }
  std::string bad = good;
  bad[33] = 4;  // expert 4 of 4
  EXPECT_THROW(parse(bad), std::runtime_error);
  bad = good;
  bad[0] = 'X';
  EXPECT_THROW(parse(bad), std::runtime_error);
}

}  // namespace
}  // namespace moe
