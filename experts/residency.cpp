#include "experts/residency.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

namespace experts {
namespace {

constexpr std::int64_t kWhole = 60;    // weight of a request; a panel's members share one
constexpr std::size_t kPanelMax = 16;  // members that are weighed together
constexpr std::int64_t kTickUs = 50'000;
constexpr std::int64_t kRetryUs = 1'000'000;  // after a load that failed; doubles
constexpr int kRetryDoublings = 6;
constexpr double kRateMemoryUs = 20e6;
constexpr std::int64_t kMemory = 16;  // of means, in samples

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "experts/residency: %s\n", what);
  std::abort();
}

void mix_in(std::int64_t& mean, std::int64_t sample) {
  mean = mean == 0 ? sample : mean + (sample - mean) / kMemory;
}

}  // namespace

std::string_view name_of(LoadState state) {
  switch (state) {
    case LoadState::unloaded:
      return "unloaded";
    case LoadState::loading:
      return "loading";
    case LoadState::resident:
      return "resident";
    case LoadState::draining:
      return "draining";
  }
  return "";
}

std::string_view sentence_of(Refusal refusal) {
  switch (refusal) {
    case Refusal::none:
      return "";
    case Refusal::queue_full:
      return "too many requests wait for it to be loaded";
    case Refusal::too_late:
      return "it is not in memory and cannot be loaded in time";
    case Refusal::expired:
      return "it was not in memory and was not loaded in time";
    case Refusal::load_failed:
      return "it could not be loaded";
    case Refusal::too_large:
      return "it alone is larger than residency.bytes_max";
    case Refusal::removed:
      return "it was removed from the pool";
  }
  return "";
}

Residency::Residency(const ResidencyOptions& options)
    : options_(options), wait_us_(std::int64_t{options.wait_ms_max} * 1000) {}

int Residency::add(const ResidentSpec& spec) {
  const auto free = std::find_if(slots_.begin(), slots_.end(), [](auto& s) { return !s.known; });
  const int index = static_cast<int>(free - slots_.begin());
  if (free == slots_.end()) slots_.emplace_back();
  Slot& slot = slots_[static_cast<std::size_t>(index)];
  slot = Slot();
  slot.spec = spec;
  slot.spec.load_us = std::max<std::int64_t>(1, spec.load_us);
  return index;
}

void Residency::remove(std::int64_t now, int expert, Actions& out) {
  Slot& slot = slots_[static_cast<std::size_t>(expert)];
  check(slot.known && !slot.removed, "an expert was removed twice");
  slot.removed = true;
  refuse_queue(now, expert, Refusal::removed, out);
  if (slot.state == LoadState::resident) slot.state = LoadState::draining, slot.since = now;
  if (slot.state == LoadState::unloaded) {
    slot.known = false;
    if (target_ == expert) target_ = -1;
  }
  step(now, out);
}

void Residency::restore(std::int64_t now, int expert, Actions& out) {
  Slot& slot = slots_[static_cast<std::size_t>(expert)];
  check(slot.known && slot.removed, "an expert was restored that had not been removed");
  slot.removed = false;
  if (slot.state == LoadState::draining && !slot.unloading) slot.state = LoadState::resident;
  step(now, out);
}

std::uint64_t Residency::arrive(std::int64_t now, const Arrival& arrival, Actions& out) {
  Slot& slot = slots_[static_cast<std::size_t>(arrival.expert)];
  check(slot.known, "a request for an expert that is gone");
  const std::uint64_t request = ++last_request_;
  if (!arrival.batch) note_arrival(now, slot);
  std::int64_t due = kNeverUs;
  if (!arrival.batch) {
    due = std::min(now + wait_us_, arrival.deadline_us - slot.spec.load_us);
    if (slot.state == LoadState::resident) due = std::min(now + wait_us_, arrival.deadline_us);
  }
  const Refusal why = admit(now, arrival, due);
  waiting_[request] = {arrival.expert, due, arrival.batch ? 0 : arrival.panel, 0};
  if (why != Refusal::none) {
    waiting_[request].panel = 0;
    refuse(now, request, why, out);
    return request;
  }
  slot.queue.emplace(due, request);
  if (!arrival.batch) {
    ++slot.urgent;
    waiting_[request].weight = kWhole;
    slot.weight += kWhole;
    if (arrival.panel != 0) {
      Panel& panel = panels_[arrival.panel];
      if (panel.waiting.size() < kPanelMax) panel.waiting.push_back(request);
      weigh(panel);
    }
  }
  step(now, out);
  return request;
}

/// Members of a panel that still wait share the weight of one request: the last one outstanding
/// counts whole, since its dispatch lets the panel finish.
void Residency::weigh(const Panel& panel) {
  const auto share =
      kWhole / static_cast<std::int64_t>(std::max<std::size_t>(1, panel.waiting.size()));
  for (const std::uint64_t request : panel.waiting) {
    Waiting& waiting = waiting_.at(request);
    slots_[static_cast<std::size_t>(waiting.expert)].weight += share - waiting.weight;
    waiting.weight = share;
  }
}

/// Takes a request out of everything that waits.
void Residency::forget(std::uint64_t request) {
  const auto found = waiting_.find(request);
  check(found != waiting_.end(), "a request that does not wait was taken out");
  const Waiting waiting = found->second;
  Slot& slot = slots_[static_cast<std::size_t>(waiting.expert)];
  if (slot.queue.erase({waiting.due, request}) > 0 && waiting.due < kNeverUs) {
    --slot.urgent;
    slot.weight -= waiting.weight;
  }
  if (const auto panel = panels_.find(waiting.panel); panel != panels_.end()) {
    std::erase(panel->second.waiting, request);
    if (panel->second.waiting.empty()) {
      panels_.erase(panel);
    } else {
      weigh(panel->second);
    }
  }
  waiting_.erase(request);
}

void Residency::refuse(std::int64_t now, std::uint64_t request, Refusal why, Actions& out) {
  const int expert = waiting_.at(request).expert;
  const Slot& slot = slots_[static_cast<std::size_t>(expert)];
  std::int64_t after = expected_start(now, expert) - now;
  if (why == Refusal::load_failed) after = std::max<std::int64_t>(0, slot.retry_at - now);
  if (why == Refusal::too_large || why == Refusal::removed) after = 0;
  forget(request);
  out.push_back({Action::Kind::refuse, expert, request, why, std::min(after, kNeverUs)});
}

void Residency::refuse_queue(std::int64_t now, int expert, Refusal why, Actions& out) {
  const Slot& slot = slots_[static_cast<std::size_t>(expert)];
  while (!slot.queue.empty()) refuse(now, slot.queue.begin()->second, why, out);
}

void Residency::cancel(std::int64_t now, std::uint64_t request, Actions& out) {
  if (waiting_.contains(request)) {
    forget(request);
    step(now, out);
  } else {
    end(now, request, false, out);
  }
}

void Residency::finish(std::int64_t now, std::uint64_t request, Actions& out) {
  end(now, request, true, out);
}

void Residency::end(std::int64_t now, std::uint64_t request, bool timed, Actions& out) {
  const auto found = running_.find(request);
  if (found == running_.end()) return;  // it was refused meanwhile
  Slot& slot = slots_[static_cast<std::size_t>(found->second.expert)];
  if (timed) {
    const std::int64_t took = std::max<std::int64_t>(1, now - found->second.since);
    mix_in(slot.service, took);
    mix_in(service_us_, took);
  }
  --slot.inflight;
  slot.inflight_urgent -= found->second.urgent;
  running_.erase(found);
  step(now, out);
}

void Residency::loaded(std::int64_t now, int expert, bool ok, Actions& out) {
  Slot& slot = slots_[static_cast<std::size_t>(expert)];
  check(slot.state == LoadState::loading, "loaded what was not loading");
  const std::int64_t took = std::max<std::int64_t>(1, now - slot.since);
  expire(now, out);
  target_ = -1;
  slot.since = now;
  if (ok) {
    slot.failures = 0;
    if (slot.spec.load_timed) {
      slot.spec.load_us = slot.timed ? (slot.spec.load_us + took) / 2 : took;
      slot.timed = true;
    }
    slot.state = slot.removed ? LoadState::draining : LoadState::resident;
    serve(now, expert, out);
  } else {
    slot.state = LoadState::unloaded;
    bytes_ -= slot.spec.bytes;
    --count_;
    slot.retry_at = now + (kRetryUs << std::min(slot.failures, kRetryDoublings));
    ++slot.failures;
    refuse_queue(now, expert, Refusal::load_failed, out);
    if (slot.removed) slot.known = false;
  }
  step(now, out);
}

void Residency::unloaded(std::int64_t now, int expert, Actions& out) {
  Slot& slot = slots_[static_cast<std::size_t>(expert)];
  check(slot.state == LoadState::draining && slot.unloading, "unloaded what was not unloading");
  slot.state = LoadState::unloaded;
  slot.unloading = false;
  slot.since = now;
  bytes_ -= slot.spec.bytes;
  --count_;
  if (slot.removed) slot.known = false;
  step(now, out);
}

void Residency::tick(std::int64_t now, Actions& out) {
  step(now, out);
}

std::int64_t Residency::wake_us(std::int64_t now) const {
  if (waiting_.empty() && target_ < 0) return kNeverUs;
  std::int64_t wake = now + kTickUs;
  for (const Slot& slot : slots_) {
    if (slot.urgent == 0 || loads_in_time(slot)) continue;
    wake = std::min(wake, std::max(now, slot.queue.begin()->first + slot.spec.load_us));
  }
  return wake;
}

void Residency::expect(std::int64_t now, int expert, double chance, Actions& out) {
  Slot& slot = slots_[static_cast<std::size_t>(expert)];
  slot.expected = std::max(0.0, slot.expected + chance);
  step(now, out);
}

void Residency::note_arrival(std::int64_t now, Slot& slot) {
  const double gone = static_cast<double>(now - slot.rate_at);
  slot.rate = slot.rate * std::exp(-gone / kRateMemoryUs) + 1 / kRateMemoryUs;
  slot.rate_at = now;
}

/// Hands out what waits for an expert that is in memory.
void Residency::serve(std::int64_t now, int expert, Actions& out) {
  Slot& slot = slots_[static_cast<std::size_t>(expert)];
  while (slot.state == LoadState::resident && !slot.queue.empty() &&
         slot.inflight < slot.spec.concurrency_max) {
    const auto [due, request] = *slot.queue.begin();
    const bool urgent = due < kNeverUs;
    forget(request);
    running_[request] = {expert, now, urgent};
    ++slot.inflight;
    slot.inflight_urgent += urgent;
    out.push_back({Action::Kind::dispatch, expert, request, Refusal::none, 0});
  }
}

/// The load that its longest waiting request waits for began when it had to, or before.
bool Residency::loads_in_time(const Slot& slot) const {
  return slot.state == LoadState::loading && slot.queue.begin()->first >= slot.since;
}

/// The bound of the class: whoever waited so long is refused. A load that began in time is waited
/// for, however long it takes.
void Residency::expire(std::int64_t now, Actions& out) {
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    const Slot& slot = slots_[i];
    while (slot.urgent > 0 && slot.queue.begin()->first + slot.spec.load_us <= now) {
      if (loads_in_time(slot)) break;
      refuse(now, slot.queue.begin()->second, Refusal::expired, out);
    }
  }
}

/// Everything that follows from the state and the time, in one order. Each turn of the loop hands
/// out an action of a finite kind, so it ends.
void Residency::step(std::int64_t now, Actions& out) {
  expire(now, out);
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (!slots_[i].queue.empty()) serve(now, static_cast<int>(i), out);
  }
  if (target_ >= 0 && slots_[static_cast<std::size_t>(target_)].state == LoadState::unloaded &&
      slots_[static_cast<std::size_t>(target_)].queue.empty() && !ahead_) {
    // Nobody waits for it any more: what still works instead of it stays.
    target_ = -1;
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      Slot& slot = slots_[i];
      if (slot.state != LoadState::draining || slot.unloading || slot.removed) continue;
      slot.state = LoadState::resident;
      serve(now, static_cast<int>(i), out);
    }
  }
  if (target_ < 0) {
    const Choice choice = choose(now);
    target_ = choice.expert;
    ahead_ = target_ >= 0 && slots_[static_cast<std::size_t>(target_)].queue.empty();
    for (const int victim : choice.victims) {
      slots_[static_cast<std::size_t>(victim)].state = LoadState::draining;
      slots_[static_cast<std::size_t>(victim)].since = now;
    }
  }
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    if (slot.state != LoadState::draining || slot.unloading || slot.inflight > 0) continue;
    slot.unloading = true;
    out.push_back({Action::Kind::unload, static_cast<int>(i), 0, Refusal::none, 0});
  }
  if (target_ < 0) return;
  Slot& next = slots_[static_cast<std::size_t>(target_)];
  if (next.state != LoadState::unloaded || !fits(next)) return;
  next.state = LoadState::loading;
  next.since = now;
  bytes_ += next.spec.bytes;
  ++count_;
  out.push_back({Action::Kind::load, target_, 0, Refusal::none, 0});
}

}  // namespace experts
