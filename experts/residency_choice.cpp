// What to load next, and instead of whom; and what may still be promised. The rules, in order:
//
// - The loads that must come are ordered by their latest start. While all of them can start in
//   time, another load may go first: the one with the most to gain for its cost.
// - An expert in memory gives way to a greater gain when nothing of its own waits, and to a load
//   that must start now when its shortest stay is over. The one with the least to lose goes.
// - Batches come when nobody else waits to be loaded, and an expert keeps its place until its part
//   of the batch is done.
// - With nothing waiting, an expert that is more likely wanted soon than not (recent traffic, the
//   next wave of a panel) is loaded where there is room, or instead of one that is wanted far less.
#include <algorithm>

#include "experts/residency.h"

namespace experts {
namespace {

constexpr double kWholeRequest = 60;  // as in residency.cpp
constexpr double kMargin = 1.5;       // gain over loss, before a load is worth it
constexpr double kAheadMargin = 3;    // nobody waits: the switch must be clearer
constexpr double kAheadMin = 0.5;     // requests that make a load more likely used than not
constexpr double kAgeGain = 8;        // a request counts this much more at the end of its wait
constexpr std::int64_t kGuardUs = 100'000;  // how much earlier than at the last moment

std::int64_t later(std::int64_t now, std::int64_t us) {
  return std::min(kNeverUs, now + us);
}

}  // namespace

double Residency::arrivals(const Slot& slot, std::int64_t now, std::int64_t within) const {
  // The decay since the last arrival, without a second exp(): 1 / (1 + t) bounds it well enough.
  const double gone = static_cast<double>(now - slot.rate_at) / 20e6;
  return slot.rate / (1 + gone * (1 + gone / 2)) * static_cast<double>(within);
}

bool Residency::may_load(const Slot& slot, std::int64_t now) const {
  return slot.known && !slot.removed && slot.state == LoadState::unloaded && now >= slot.retry_at &&
         (options_.bytes_max <= 0 || slot.spec.bytes <= options_.bytes_max);
}

bool Residency::fits(const Slot& slot) const {
  return (options_.bytes_max <= 0 || bytes_ + slot.spec.bytes <= options_.bytes_max) &&
         (options_.experts_max <= 0 || count_ < options_.experts_max);
}

bool Residency::fits_all() const {
  std::int64_t bytes = 0;
  int count = 0;
  for (const Slot& slot : slots_) {
    if (!slot.known) continue;
    bytes += slot.spec.bytes;
    ++count;
  }
  return (options_.bytes_max <= 0 || bytes <= options_.bytes_max) &&
         (options_.experts_max <= 0 || count <= options_.experts_max);
}

/// Between two loads: an idle expert goes at once, a busy one ends what it has begun.
std::int64_t Residency::turnaround() const {
  const bool idle = std::any_of(slots_.begin(), slots_.end(), [](const Slot& slot) {
    return slot.state == LoadState::resident && slot.inflight == 0 && slot.queue.empty();
  });
  return idle ? 0 : service_us_;
}

std::int64_t Residency::loader_free(std::int64_t now) const {
  if (target_ < 0) return now;
  const Slot& slot = slots_[static_cast<std::size_t>(target_)];
  if (slot.state == LoadState::loading) return std::max(now, slot.since + slot.spec.load_us);
  return now + turnaround() + slot.spec.load_us;
}

/// Experts that somebody waits for and that are not coming yet, by the latest start of their load.
std::vector<Residency::Due> Residency::dues(std::int64_t now, int without) const {
  std::vector<Due> order;
  for (int i = 0; i < static_cast<int>(slots_.size()); ++i) {
    const Slot& slot = slots_[static_cast<std::size_t>(i)];
    const bool coming = i == target_ || i == without || slot.state == LoadState::resident ||
                        slot.state == LoadState::loading;
    if (slot.urgent == 0 || coming || now < slot.retry_at) continue;
    order.push_back({slot.queue.begin()->first, i});
  }
  std::sort(order.begin(), order.end(), [](const Due& a, const Due& b) {
    return a.at != b.at ? a.at < b.at : a.expert < b.expert;
  });
  return order;
}

bool Residency::in_time(const std::vector<Due>& order, std::int64_t from) const {
  const std::int64_t between = turnaround();
  for (const Due& due : order) {
    from += between;
    if (from > due.at) return false;
    from += slots_[static_cast<std::size_t>(due.expert)].spec.load_us;
  }
  return true;
}

/// How long `before` requests keep a loaded expert's places busy.
std::int64_t Residency::queue_wait(const Slot& slot, std::size_t before) const {
  const auto places = static_cast<std::size_t>(slot.spec.concurrency_max);
  const auto busy = static_cast<std::size_t>(slot.inflight) + before;
  const std::int64_t service = slot.service > 0 ? slot.service : service_us_;
  return static_cast<std::int64_t>(busy / places) * service;
}

std::int64_t Residency::expected_start(std::int64_t now, int expert) const {
  const Slot& slot = slots_[static_cast<std::size_t>(expert)];
  const std::int64_t queued = queue_wait(slot, static_cast<std::size_t>(slot.urgent));
  if (slot.state == LoadState::resident) return later(now, queued);
  std::int64_t start = std::max(loader_free(now), slot.retry_at);
  if (expert != target_) {
    const std::int64_t due = slot.urgent > 0 ? slot.queue.begin()->first : now + wait_us_;
    const std::int64_t between = turnaround();
    for (const Due& other : dues(now, expert)) {
      if (other.at > due) break;
      start += between + slots_[static_cast<std::size_t>(other.expert)].spec.load_us;
    }
    start += between + slot.spec.load_us;
  }
  return later(start, queued);
}

Refusal Residency::admit(std::int64_t now, const Arrival& arrival, std::int64_t due) const {
  const Slot& slot = slots_[static_cast<std::size_t>(arrival.expert)];
  if (slot.removed) return Refusal::removed;
  if (!arrival.batch && slot.urgent >= slot.spec.queue_max) return Refusal::queue_full;
  if (options_.bytes_max > 0 && slot.spec.bytes > options_.bytes_max) return Refusal::too_large;
  if (slot.state == LoadState::unloaded && now < slot.retry_at) return Refusal::load_failed;
  if (arrival.batch) return Refusal::none;
  if (due < now) return Refusal::too_late;
  const std::int64_t queued = queue_wait(slot, static_cast<std::size_t>(slot.urgent));
  const std::int64_t load = slot.state == LoadState::resident ? 0 : slot.spec.load_us;
  if (slot.state == LoadState::resident || slot.state == LoadState::loading) {
    return expected_start(now, arrival.expert) > due + load ? Refusal::too_late : Refusal::none;
  }
  // It rides on a load that is coming anyway, or needs a place of its own among those that must
  // come, which no earlier promise may lose by.
  if (now + queued > due) return Refusal::too_late;
  if (arrival.expert == target_ || (slot.urgent > 0 && slot.queue.begin()->first <= due)) {
    return expected_start(now, arrival.expert) > due + load ? Refusal::too_late : Refusal::none;
  }
  const std::int64_t from = loader_free(now);
  std::vector<Due> order = dues(now, arrival.expert);
  const bool kept = in_time(order, from);
  const auto place =
      std::find_if(order.begin(), order.end(), [&](const Due& d) { return d.at > due; });
  const auto at = order.insert(place, {due, arrival.expert});
  if (in_time(order, from)) return Refusal::none;
  if (kept) return Refusal::too_late;
  order.erase(at + 1, order.end());  // somebody is late already: what comes before it counts
  return in_time(order, from) ? Refusal::none : Refusal::too_late;
}

/// Experts whose leaving makes room for `expert`, those first that lose least. False: not enough of
/// them may go now. Not `forced`: only where nothing waits that the newcomer should not go before.
bool Residency::find_victims(std::int64_t now, int expert, bool forced, Choice& choice,
                             double& loss) const {
  const Slot& next = slots_[static_cast<std::size_t>(expert)];
  std::int64_t bytes = bytes_ + next.spec.bytes;
  int count = count_ + 1;

  struct Victim {
    double loss = 0;
    double order = 0;  // with what may come: that decides who goes, but holds no real request up
    int expert = 0;
  };

  std::vector<Victim> victims;
  for (int i = 0; i < static_cast<int>(slots_.size()); ++i) {
    const Slot& slot = slots_[static_cast<std::size_t>(i)];
    if (slot.state == LoadState::draining) {
      bytes -= slot.spec.bytes;
      --count;
    }
    if (slot.state != LoadState::resident) continue;
    if (now - slot.since < std::int64_t{options_.min_resident_ms} * 1000) continue;
    const bool batch_waits = static_cast<int>(slot.queue.size()) > slot.urgent;
    if (!forced && (slot.urgent > 0 || (batch_waits && next.urgent == 0))) continue;
    const std::int64_t horizon = slot.spec.load_us + next.spec.load_us;
    const int inflight = next.urgent > 0 ? slot.inflight_urgent : slot.inflight;
    const double lost = static_cast<double>(slot.weight) / kWholeRequest + inflight / 2.0 +
                        arrivals(slot, now, horizon);
    victims.push_back({lost, lost + slot.expected, i});
  }
  std::sort(victims.begin(), victims.end(), [](const Victim& a, const Victim& b) {
    return a.order != b.order ? a.order < b.order : a.expert < b.expert;
  });
  const auto short_of_room = [&] {
    return (options_.bytes_max > 0 && bytes > options_.bytes_max) ||
           (options_.experts_max > 0 && count > options_.experts_max);
  };
  choice = {expert, {}};
  loss = 0;
  for (const Victim& victim : victims) {
    if (!short_of_room()) break;
    bytes -= slots_[static_cast<std::size_t>(victim.expert)].spec.bytes;
    --count;
    loss += victim.loss;
    choice.victims.push_back(victim.expert);
  }
  return !short_of_room();
}

Residency::Choice Residency::choose(std::int64_t now) const {
  const std::vector<Due> order = dues(now);
  int first = -1, best = -1;
  double most = 0, gain = 0;
  for (const Due& due : order) {
    const Slot& slot = slots_[static_cast<std::size_t>(due.expert)];
    if (!may_load(slot, now)) continue;
    if (first < 0) first = due.expert;
    const auto age = std::clamp<std::int64_t>(now - (due.at - wait_us_), 0, wait_us_);
    const double aged = 1 + kAgeGain * static_cast<double>(age) / static_cast<double>(wait_us_ + 1);
    const double here = static_cast<double>(slot.weight) / kWholeRequest * aged + slot.expected +
                        arrivals(slot, now, slot.spec.load_us);
    const double per_cost = here / static_cast<double>(slot.spec.load_us);
    if (best >= 0 && per_cost <= most) continue;
    best = due.expert;
    most = per_cost;
    gain = here;
  }
  if (best < 0) {
    if (!order.empty()) return {};
    const Choice batch = choose_batch(now);
    return batch.expert >= 0 ? batch : choose_ahead(now);
  }
  const bool forced = !in_time(order, now + kGuardUs);
  if (best != first) {
    const std::int64_t load = slots_[static_cast<std::size_t>(best)].spec.load_us;
    if (forced || !in_time(dues(now, best), now + turnaround() + load + kGuardUs)) best = first;
  }
  Choice choice;
  double loss = 0;
  if (find_victims(now, best, false, choice, loss) &&
      (choice.victims.empty() || gain > kMargin * loss || forced)) {
    return choice;
  }
  if (forced && find_victims(now, best, true, choice, loss)) return choice;
  return {};
}

Residency::Choice Residency::choose_batch(std::int64_t now) const {
  int best = -1;
  double most = 0;
  for (int i = 0; i < static_cast<int>(slots_.size()); ++i) {
    const Slot& slot = slots_[static_cast<std::size_t>(i)];
    if (slot.queue.empty() || !may_load(slot, now)) continue;
    const double per_cost =
        static_cast<double>(slot.queue.size()) / static_cast<double>(slot.spec.load_us);
    if (best >= 0 && per_cost <= most) continue;
    best = i;
    most = per_cost;
  }
  Choice choice;
  double loss = 0;
  if (best < 0 || !find_victims(now, best, false, choice, loss)) return {};
  const auto gain = static_cast<double>(slots_[static_cast<std::size_t>(best)].queue.size());
  return choice.victims.empty() || gain > kMargin * loss ? choice : Choice();
}

Residency::Choice Residency::choose_ahead(std::int64_t now) const {
  int best = -1;
  double most = kAheadMin;
  for (int i = 0; i < static_cast<int>(slots_.size()); ++i) {
    const Slot& slot = slots_[static_cast<std::size_t>(i)];
    if (!may_load(slot, now)) continue;
    const double wanted = slot.expected + arrivals(slot, now, 2 * slot.spec.load_us);
    if (wanted <= most) continue;
    best = i;
    most = wanted;
  }
  Choice choice;
  double loss = 0;
  if (best < 0 || !find_victims(now, best, false, choice, loss)) return {};
  for (const int victim : choice.victims) loss += slots_[static_cast<std::size_t>(victim)].expected;
  return choice.victims.empty() || most > kAheadMargin * loss ? choice : Choice();
}

ResidentView Residency::view(std::int64_t now, int expert) const {
  const Slot& slot = slots_[static_cast<std::size_t>(expert)];
  ResidentView view;
  view.state = slot.state;
  view.waiting = static_cast<int>(slot.queue.size());
  view.inflight = slot.inflight;
  view.bytes = slot.spec.bytes;
  view.load_us = slot.spec.load_us;
  view.expected_wait_us = std::max<std::int64_t>(0, expected_start(now, expert) - now);
  return view;
}

}  // namespace experts
