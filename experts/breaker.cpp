#include "experts/breaker.h"

#include <algorithm>

namespace experts {
namespace {

constexpr std::uint32_t kOne = 1u << 16;

std::int64_t ticks_of(Clock::time_point time) {
  return time.time_since_epoch().count();
}

std::int64_t ticks_of_ms(std::int64_t ms) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::milliseconds(ms)).count();
}

}  // namespace

BreakerState Breaker::state(Clock::time_point now) const {
  const std::int64_t until = open_until_.load(kRelaxed);
  if (until == 0) return BreakerState::closed;
  return ticks_of(now) < until ? BreakerState::open : BreakerState::half_open;
}

Admission Breaker::admit(Clock::time_point now) {
  switch (state(now)) {
    case BreakerState::closed:
      return Admission::normal;
    case BreakerState::open:
      return Admission::refused;
    case BreakerState::half_open:
      break;
  }
  return probing_.exchange(true) ? Admission::refused : Admission::probe;
}

bool Breaker::record(Admission admission, bool failed, Clock::time_point now) {
  if (admission == Admission::probe) {
    if (failed) {
      open(now);
    } else {
      failed_share_.store(0, kRelaxed);
      trips_.store(0, kRelaxed);
      open_until_.store(0, kRelaxed);
    }
    probing_.store(false);
    return failed;
  }
  if (options_.memory_calls <= 0) return false;
  std::uint32_t share = failed_share_.load(kRelaxed);
  if (share == 0 && !failed) return false;  // the common case writes nothing
  std::uint32_t next;
  do {
    const std::uint32_t memory = static_cast<std::uint32_t>(options_.memory_calls);
    next = share - share / memory + (failed ? kOne / memory : 0);
    if (!failed && next == share) next = 0;  // the integer share stops falling at memory - 1
  } while (!failed_share_.compare_exchange_weak(share, next, kRelaxed));
  if (!failed || next <= kOne / 2 || open_until_.load(kRelaxed) != 0) return false;
  open(now);
  return true;
}

void Breaker::give_up(Admission admission) {
  if (admission == Admission::probe) probing_.store(false);
}

void Breaker::shorten(Clock::time_point now) {
  std::int64_t until = open_until_.load(kRelaxed);
  if (until > ticks_of(now)) open_until_.compare_exchange_strong(until, ticks_of(now), kRelaxed);
}

bool Breaker::claim_health_check(Clock::time_point now) {
  if (!options_.probe_models || state(now) != BreakerState::open) return false;
  std::int64_t after = check_after_.load(kRelaxed);
  if (ticks_of(now) < after) return false;
  const std::int64_t next = ticks_of(now) + ticks_of_ms(std::max(options_.open_ms / 2, 100));
  return check_after_.compare_exchange_strong(after, next, kRelaxed);
}

void Breaker::open(Clock::time_point now) {
  const std::uint32_t trips = trips_.fetch_add(1, kRelaxed);
  const std::int64_t doubled = std::int64_t{options_.open_ms} << std::min(trips, 16u);
  const std::int64_t ms = std::min<std::int64_t>(doubled, options_.open_ms_max);
  check_after_.store(ticks_of(now) + ticks_of_ms(std::max(options_.open_ms / 2, 100)), kRelaxed);
  open_until_.store(ticks_of(now) + ticks_of_ms(ms), kRelaxed);
}

bool counts_as_failure(Outcome outcome) {
  switch (outcome) {
    case Outcome::overloaded:
    case Outcome::failed:
    case Outcome::credentials:
    case Outcome::unreachable:
    case Outcome::timed_out:
    case Outcome::cut:
    case Outcome::malformed:
      return true;
    case Outcome::ok:
    case Outcome::refused:
    case Outcome::filtered:
    case Outcome::limited:
    case Outcome::cancelled:
    case Outcome::open_circuit:
      return false;
  }
  return true;
}

}  // namespace experts
