// The residency scheduler on random traces: whatever comes, the memory holds, nobody is lost, and
// nobody waits longer than the bound. A small machine carries the actions out and keeps its own
// books of what is loaded.
#include "experts/residency.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <queue>
#include <random>
#include <tuple>

namespace experts {
namespace {

constexpr std::int64_t kMs = 1000;
using Step = Action::Kind;

struct Machine {
  struct Ending {
    int expert = 0;
    std::int64_t arrived = 0;
    std::int64_t ended = -1;  // dispatched or refused
    Refusal why = Refusal::none;
    bool batch = false;
    bool cancelled = false;
  };

  struct Event {
    std::int64_t at = 0;
    std::uint64_t order = 0;

    enum { loaded, unloaded, finish, cancel } what = loaded;

    std::uint64_t subject = 0;

    bool operator>(const Event& other) const {
      return std::tie(at, order) > std::tie(other.at, other.order);
    }
  };

  ResidencyOptions options;
  Residency residency;
  std::vector<ResidentSpec> specs;
  std::vector<bool> in_memory, serving;
  std::vector<std::int64_t> loaded_at;
  std::vector<int> inflight;
  std::vector<int> fails;  // loads of it that fail from now on
  std::map<std::uint64_t, Ending> requests;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events;
  std::vector<std::tuple<std::int64_t, Step, int, std::uint64_t>> log;
  std::uint64_t order = 0;
  std::int64_t now = 0, bytes = 0, service = 200 * kMs;
  int count = 0, loads = 0;

  Machine(const ResidencyOptions& from, std::vector<ResidentSpec> experts)
      : options(from), residency(from), specs(std::move(experts)) {
    for (const auto& spec : specs) residency.add(spec);
    in_memory.resize(specs.size());
    serving.resize(specs.size());
    loaded_at.resize(specs.size());
    inflight.resize(specs.size());
    fails.resize(specs.size());
  }

  void at(std::int64_t when, decltype(Event::what) what, std::uint64_t subject) {
    events.push({when, ++order, what, subject});
  }

  void carry_out(const Actions& actions) {
    for (const Action& action : actions) {
      log.emplace_back(now, action.kind, action.expert, action.request);
      const auto e = static_cast<std::size_t>(action.expert);
      if (action.kind == Step::load) {
        ASSERT_FALSE(in_memory[e]);
        in_memory[e] = true;
        bytes += specs[e].bytes;
        ++count;
        ++loads;
        ASSERT_TRUE(options.bytes_max == 0 || bytes <= options.bytes_max);
        ASSERT_TRUE(options.experts_max == 0 || count <= options.experts_max);
        at(now + specs[e].load_us, Event::loaded, e);
      } else if (action.kind == Step::unload) {
        ASSERT_TRUE(in_memory[e]);
        ASSERT_EQ(inflight[e], 0);
        ASSERT_GE(now - loaded_at[e], options.min_resident_ms * kMs);
        serving[e] = false;
        at(now + 5 * kMs, Event::unloaded, e);
      } else {
        Ending& ending = requests[action.request];
        ASSERT_EQ(ending.ended, -1) << "answered twice";
        ending.ended = now;
        ending.why = action.why;
        if (action.kind == Step::refuse) continue;
        ASSERT_TRUE(serving[e]);
        ASSERT_LE(++inflight[e], specs[e].concurrency_max);
        at(now + service, Event::finish, action.request);
      }
    }
  }

  std::uint64_t arrive(Arrival arrival) {
    Actions out;
    const std::uint64_t request = residency.arrive(now, arrival, out);
    requests[request] = {arrival.expert, now, -1, Refusal::none, arrival.batch, false};
    carry_out(out);
    return request;
  }

  void happen(const Event& event) {
    Actions out;
    const auto e = static_cast<std::size_t>(event.subject);
    switch (event.what) {
      case Event::loaded: {
        const bool ok = fails[e] == 0;
        if (!ok) --fails[e];
        if (!ok) in_memory[e] = false, bytes -= specs[e].bytes, --count;
        serving[e] = ok;
        loaded_at[e] = now;
        residency.loaded(now, static_cast<int>(e), ok, out);
        break;
      }
      case Event::unloaded:
        in_memory[e] = false;
        bytes -= specs[e].bytes;
        --count;
        residency.unloaded(now, static_cast<int>(e), out);
        break;
      case Event::finish:
        --inflight[static_cast<std::size_t>(requests[event.subject].expert)];
        residency.finish(now, event.subject, out);
        break;
      case Event::cancel:
        if (requests[event.subject].ended < 0) {
          requests[event.subject].cancelled = true;
          requests[event.subject].ended = now;
          residency.cancel(now, event.subject, out);
        }
        break;
    }
    carry_out(out);
  }

  /// Lets time pass to `until`, ticking when the scheduler wants it.
  void pass(std::int64_t until) {
    while (now < until && !::testing::Test::HasFatalFailure()) {
      const std::int64_t wake = residency.wake_us(now);
      const std::int64_t next = events.empty() ? until : std::min(until, events.top().at);
      now = std::min(next, std::max(wake, now));
      if (!events.empty() && events.top().at <= now) {
        const Event event = events.top();
        events.pop();
        happen(event);
      } else {
        Actions out;
        residency.tick(now, out);
        carry_out(out);
      }
    }
  }

  std::int64_t waited_beyond(const Ending& ending) const {
    const auto e = static_cast<std::size_t>(ending.expert);
    return ending.ended - ending.arrived - options.wait_ms_max * kMs - specs[e].load_us;
  }
};

std::vector<ResidentSpec> equal_experts(int count, std::int64_t load_us = 500 * kMs) {
  return std::vector<ResidentSpec>(static_cast<std::size_t>(count),
                                   {.bytes = 10, .load_us = load_us, .concurrency_max = 8});
}

ResidencyOptions four_of_them() {
  return {.bytes_max = 40, .wait_ms_max = 10'000, .min_resident_ms = 300};
}

/// A trace drawn from `seed`: sizes, loads, skew, bursts, panels, deadlines, batches, cancellations
/// and loads that fail.
Machine run_random(std::uint64_t seed) {
  std::mt19937_64 chance(seed);
  const auto draw = [&](int from, int to) {
    return std::uniform_int_distribution<int>(from, to)(chance);
  };
  std::vector<ResidentSpec> specs(static_cast<std::size_t>(draw(2, 20)));
  for (auto& spec : specs) {
    spec.bytes = draw(1, 30);
    spec.load_us = draw(10, 1500) * kMs;
    spec.concurrency_max = draw(1, 16);
    spec.queue_max = draw(1, 200);
  }
  ResidencyOptions options;
  if (draw(0, 2) > 0) options.bytes_max = draw(30, 90);
  if (draw(0, 2) > 0 || options.bytes_max == 0) options.experts_max = draw(1, 5);
  options.wait_ms_max = draw(500, 15'000);
  options.min_resident_ms = draw(0, 500);
  Machine machine(options, specs);
  machine.service = draw(1, 400) * kMs;
  if (draw(0, 3) == 0) machine.fails[0] = draw(1, 4);
  const double skew = draw(0, 3) / 2.0;
  std::vector<double> weights;
  for (std::size_t i = 0; i < specs.size(); ++i) weights.push_back(1 / std::pow(i + 1.0, skew));
  std::discrete_distribution<int> pick(weights.begin(), weights.end());
  const int gap_ms = draw(1, 200);
  for (int i = 0; i < 600 && !::testing::Test::HasFatalFailure(); ++i) {
    const bool burst = draw(0, 9) < 7 && i % 50 < 25;
    machine.pass(machine.now + (burst ? 0 : draw(0, 2 * gap_ms) * kMs));
    const int seats = draw(0, 4) == 0 ? draw(2, 4) : 1;
    for (int seat = 0; seat < seats; ++seat) {
      Arrival arrival;
      arrival.expert = pick(chance);
      arrival.panel = seats > 1 ? static_cast<std::uint64_t>(i) + 1 : 0;
      arrival.batch = draw(0, 9) == 0;
      if (draw(0, 3) == 0) arrival.deadline_us = machine.now + draw(1, 20'000) * kMs;
      const auto request = machine.arrive(arrival);
      if (draw(0, 9) == 0) {
        machine.at(machine.now + draw(0, 5000) * kMs, Machine::Event::cancel, request);
      }
    }
  }
  machine.pass(machine.now + 1'000'000 * kMs);
  return machine;
}

TEST(Residency, HoldsItsBoundsOnRandomTraces) {
  std::size_t dispatched = 0, refused = 0, expired = 0, evictions = 0;
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    const Machine machine = run_random(seed);
    ASSERT_FALSE(HasFatalFailure()) << "seed " << seed;
    ASSERT_EQ(machine.residency.waiting(), 0U) << "somebody waits for ever; seed " << seed;
    for (const auto& [request, ending] : machine.requests) {
      ASSERT_GE(ending.ended, 0) << "request " << request << " was lost; seed " << seed;
      if (ending.batch) continue;
      ASSERT_LE(machine.waited_beyond(ending), 0) << "request " << request << " of seed " << seed;
      dispatched += ending.why == Refusal::none && !ending.cancelled;
      refused += ending.why != Refusal::none;
      expired += ending.why == Refusal::expired;
    }
    evictions += static_cast<std::size_t>(machine.loads);
  }
  // Many traces ask for more than can be served. What is promised is kept nearly always: what is
  // refused is refused at once.
  EXPECT_GT(dispatched, refused / 2);
  EXPECT_LT(expired, dispatched / 10);
  EXPECT_GT(evictions, 1000U);
}

TEST(Residency, IsDeterministic) {
  for (const std::uint64_t seed : {3U, 17U, 40U})
    EXPECT_EQ(run_random(seed).log, run_random(seed).log);
}

TEST(Residency, CollatesAnAdversarialTrace) {
  Machine machine(four_of_them(), equal_experts(16));
  for (int i = 0; i < 2000; ++i) {
    machine.pass(machine.now + 50 * kMs);
    machine.arrive({.expert = i % 16});
  }
  machine.pass(machine.now + 60'000 * kMs);
  EXPECT_LT(machine.loads, 400);  // on demand it would be one each
  for (const auto& [request, ending] : machine.requests) EXPECT_EQ(ending.why, Refusal::none);
}

TEST(Residency, EverythingFitsAndNothingWaitsTwice) {
  Machine machine(four_of_them(), equal_experts(4));
  EXPECT_TRUE(machine.residency.fits_all());
  for (int i = 0; i < 400; ++i) {
    machine.pass(machine.now + 100 * kMs);
    const auto request = machine.arrive({.expert = i % 4});
    const bool at_once = machine.requests[request].ended == machine.now;
    EXPECT_TRUE(at_once || i < 40);
  }
  EXPECT_EQ(machine.loads, 4);
  Machine more(four_of_them(), equal_experts(5));
  EXPECT_FALSE(more.residency.fits_all());
}

TEST(Residency, RefusesAtOnceWhatCannotBeInTime) {
  Machine machine(four_of_them(), equal_experts(16));
  const auto hopeless = machine.arrive({.expert = 0, .deadline_us = 100 * kMs});
  EXPECT_EQ(machine.requests[hopeless].why, Refusal::too_late);
  EXPECT_EQ(machine.requests[hopeless].ended, machine.now);
  const auto fine = machine.arrive({.expert = 0, .deadline_us = 900 * kMs});
  machine.pass(2000 * kMs);
  EXPECT_EQ(machine.requests[fine].why, Refusal::none);
  // Twenty-one loads of half a second do not start within ten seconds; those refused are told when.
  Machine full({.experts_max = 1, .wait_ms_max = 10'000, .min_resident_ms = 0}, equal_experts(40));
  int refused = 0;
  for (int e = 0; e < 40; ++e) {
    Actions out;
    full.residency.arrive(0, {.expert = e}, out);
    for (const Action& action : out) {
      if (action.kind != Step::refuse) continue;
      ++refused;
      EXPECT_EQ(action.why, Refusal::too_late);
      EXPECT_GT(action.retry_after_us, 9'000 * kMs);
    }
  }
  EXPECT_GE(refused, 18);
  EXPECT_LE(refused, 21);
}

TEST(Residency, LoadsWhatFinishesAPanel) {
  // Two experts wait; the one whose panel has its other votes already goes first, though younger.
  Machine machine({.experts_max = 1, .wait_ms_max = 60'000, .min_resident_ms = 0},
                  equal_experts(4));
  machine.arrive({.expert = 0, .panel = 7});
  machine.arrive({.expert = 1, .panel = 8});  // half of a panel whose other half waits too
  machine.arrive({.expert = 3, .panel = 8});
  machine.arrive({.expert = 2, .panel = 7});
  machine.pass(1500 * kMs);
  const auto second = std::find_if(machine.log.begin(), machine.log.end(), [](const auto& entry) {
    return std::get<1>(entry) == Step::load && std::get<2>(entry) != 0;
  });
  ASSERT_NE(second, machine.log.end());
  EXPECT_EQ(std::get<2>(*second), 2);
}

TEST(Residency, LoadsTheNextWaveAheadWhereItPays) {
  Machine machine({.experts_max = 2, .wait_ms_max = 60'000, .min_resident_ms = 0},
                  equal_experts(4));
  const auto expect = [&](int expert, double chance) {
    Actions out;
    machine.residency.expect(machine.now, expert, chance, out);
    machine.carry_out(out);
  };
  machine.service = 10'000 * kMs;
  machine.arrive({.expert = 0, .panel = 7});
  machine.pass(600 * kMs);
  expect(1, 0.3);
  EXPECT_EQ(machine.loads, 1) << "most likely nobody asks it";
  expect(1, 0.3);
  EXPECT_EQ(machine.loads, 2) << "two panels may: there is room";
  machine.pass(1'200 * kMs);
  const auto second = machine.arrive({.expert = 1, .panel = 7});
  EXPECT_EQ(machine.requests[second].ended, machine.now) << "it is there already";
  expect(2, 0.9);
  EXPECT_EQ(machine.loads, 2) << "both work: neither goes for what may never be asked";
  // What may come keeps an expert: the other one goes when both are idle.
  expect(2, -0.9);
  expect(1, -0.6);
  expect(0, 0.9);
  machine.pass(12'000 * kMs);
  machine.arrive({.expert = 3});
  machine.pass(13'000 * kMs);
  EXPECT_TRUE(machine.in_memory[0]);
  EXPECT_FALSE(machine.in_memory[1]);
}

TEST(Residency, WhatMayComeHoldsNobodyUp) {
  Machine machine({.experts_max = 1, .wait_ms_max = 60'000, .min_resident_ms = 0},
                  equal_experts(2));
  machine.arrive({.expert = 0});
  machine.pass(1'000 * kMs);
  Actions out;
  machine.residency.expect(machine.now, 0, 50, out);  // of panels that wait for expert 1
  machine.carry_out(out);
  const auto real = machine.arrive({.expert = 1, .batch = true});
  machine.pass(2'000 * kMs);
  EXPECT_GE(machine.requests[real].ended, 0);
}

TEST(Residency, BatchesYieldAndKeepTheirExpert) {
  Machine machine({.experts_max = 1, .wait_ms_max = 5'000, .min_resident_ms = 100},
                  equal_experts(3));
  for (int i = 0; i < 300; ++i) machine.arrive({.expert = i % 2, .batch = true});
  machine.pass(2000 * kMs);
  const auto guest = machine.arrive({.expert = 2});
  machine.pass(400'000 * kMs);
  EXPECT_LE(machine.requests[guest].ended - machine.requests[guest].arrived, 1200 * kMs);
  EXPECT_LE(machine.loads, 4) << "a batch needs each expert once, and once more after the guest";
  for (const auto& [request, ending] : machine.requests) EXPECT_EQ(ending.why, Refusal::none);
}

TEST(Residency, AFailedLoadIsToldAndTriedAgain) {
  Machine machine(four_of_them(), equal_experts(2));
  machine.fails[0] = 1;
  const auto first = machine.arrive({.expert = 0});
  machine.pass(600 * kMs);
  EXPECT_EQ(machine.requests[first].why, Refusal::load_failed);
  const auto soon = machine.arrive({.expert = 0});
  EXPECT_EQ(machine.requests[soon].why, Refusal::load_failed) << "too early for another try";
  machine.pass(3000 * kMs);
  const auto later = machine.arrive({.expert = 0});
  machine.pass(5000 * kMs);
  EXPECT_EQ(machine.requests[later].why, Refusal::none);
}

TEST(Residency, OddExperts) {
  auto specs = equal_experts(3);
  specs[1].bytes = 41;  // larger than all memory
  specs[2].queue_max = 5;
  ResidencyOptions options = four_of_them();
  options.min_resident_ms = 0;
  Machine machine(options, specs);
  const auto large = machine.arrive({.expert = 1});
  EXPECT_EQ(machine.requests[large].why, Refusal::too_large);
  std::vector<std::uint64_t> queued;
  for (int i = 0; i < 7; ++i) queued.push_back(machine.arrive({.expert = 2}));
  EXPECT_EQ(machine.requests[queued[6]].why, Refusal::queue_full);
  Actions out;
  machine.residency.remove(machine.now, 2, out);  // while it loads, with its queue full
  machine.carry_out(out);
  for (const auto request : queued) EXPECT_NE(machine.requests[request].why, Refusal::none);
  machine.pass(10'000 * kMs);
  EXPECT_FALSE(machine.in_memory[2]);
  EXPECT_EQ(machine.residency.add(specs[0]), 2) << "its place is free";
}

TEST(Residency, NobodyWaitsAnyMore) {
  Machine machine({.experts_max = 1, .wait_ms_max = 5'000, .min_resident_ms = 0}, equal_experts(2));
  machine.service = 3000 * kMs;
  machine.arrive({.expert = 0});
  machine.pass(600 * kMs);  // expert 0 answers until 3500
  const auto other = machine.arrive({.expert = 1});
  machine.pass(5'000 * kMs / 2);
  machine.at(machine.now, Machine::Event::cancel, other);
  machine.pass(machine.now + kMs);
  const auto again = machine.arrive({.expert = 0});
  EXPECT_EQ(machine.requests[again].why, Refusal::none);
  machine.pass(20'000 * kMs);
  EXPECT_EQ(machine.loads, 1) << "the load that nobody wanted any more was not made";
}

}  // namespace
}  // namespace experts
