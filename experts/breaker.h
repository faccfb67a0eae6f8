// Circuit breaker of one expert, shared by all net threads. Lock-free; every method takes the time.
//
// closed -> open: the exponentially weighted share of failed calls passes one half.
// open -> half open: the open time is over; one caller at a time is let through as the probe.
// half open -> closed: the probe succeeded; -> open, twice as long: it failed.
#pragma once

#include <atomic>
#include <cstdint>

#include "experts/call.h"
#include "experts/options.h"

namespace experts {

inline constexpr auto kRelaxed = std::memory_order_relaxed;  // counters, each right by itself

enum class BreakerState : std::uint8_t { closed, half_open, open };

enum class Admission : std::uint8_t { refused, normal, probe };

class Breaker {
 public:
  explicit Breaker(BreakerOptions options) : options_(options) {}

  BreakerState state(Clock::time_point now) const;

  /// May this call go out? `probe` occupies the only probe place until record() or give_up().
  Admission admit(Clock::time_point now);

  /// How an admitted call ended. Returns true when this call opened the breaker.
  bool record(Admission admission, bool failed, Clock::time_point now);

  /// An admitted call that says nothing about the expert (cancelled, refused, own deadline).
  void give_up(Admission admission);

  /// The health probe found the expert well again: the next call may try at once.
  void shorten(Clock::time_point now);

  /// True for one caller per half open time while the breaker is open: that one asks GET /models.
  bool claim_health_check(Clock::time_point now);

 private:
  void open(Clock::time_point now);

  const BreakerOptions options_;
  std::atomic<std::uint32_t> failed_share_{0};  // 0 .. 65536
  std::atomic<std::int64_t> open_until_{0};     // ticks of Clock; 0: closed
  std::atomic<std::int64_t> check_after_{0};    // ticks of Clock
  std::atomic<std::uint32_t> trips_{0};         // openings since it was last closed
  std::atomic<bool> probing_{false};
};

/// Whether an outcome counts against the expert. What the client did, or what says only that the
/// expert is busy with a good reason (429), does not.
bool counts_as_failure(Outcome outcome);

}  // namespace experts
