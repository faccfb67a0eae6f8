// What all net threads know about one expert together: breaker, load, estimates, counters.
// Shared by shared_ptr from the Roster; everything in it is atomic, nothing blocks. Counters are
// written relaxed: each is right by itself, a reader may see two of them from different moments.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "experts/breaker.h"
#include "experts/call.h"

namespace experts {

inline constexpr std::size_t kOutcomes = static_cast<std::size_t>(Outcome::open_circuit) + 1;

using Counter = std::atomic<std::uint64_t>;

struct alignas(64) Standing {
  explicit Standing(const ExpertOptions& options)
      : breaker(options.breaker), retry_tokens_milli(1000 * options.retries.budget_tokens) {}

  Breaker breaker;
  std::atomic<std::int64_t> cooling_until{0};  // ticks of Clock: after a 429 with Retry-After
  std::atomic<std::int32_t> retry_tokens_milli;

  std::atomic<std::int32_t> inflight{0};
  std::atomic<std::int32_t> queued{0};

  // Where not all experts fit in memory (residents.h); kAlwaysThere elsewhere.
  static constexpr std::uint8_t kAlwaysThere = 255;
  std::atomic<std::uint8_t> load_state{kAlwaysThere};  // LoadState
  std::atomic<std::int64_t> load_wait_us{0};           // expected, of a call that would come now

  // Exponentially weighted means over the last 16 or so good calls; 0: none yet.
  std::atomic<std::int64_t> first_byte_us{0};  // streamed calls
  std::atomic<std::int64_t> total_us{0};       // all calls
  std::atomic<std::int64_t> tokens_out{0};     // calls whose usage is known

  std::array<Counter, kOutcomes> outcomes{};  // calls by how they ended
  Counter attempts{0};
  Counter retries{0};
  Counter retries_withheld{0};   // by the retry budget
  Counter stale_connections{0};  // a kept connection had died; sent again on a fresh one
  Counter connections_opened{0};
  Counter queue_full{0};
  Counter queue_timeouts{0};
  Counter breaker_openings{0};
  Counter oversize{0};  // replies or events over their limit
  Counter prompt_tokens{0};
  Counter cached_tokens{0};
  Counter completion_tokens{0};
  Counter cost_microusd{0};
};

/// Well enough to be chosen: breaker not open, not cooling down after a 429.
bool is_healthy(const Standing& standing, Clock::time_point now);

/// Adds a finished call to the counters and estimates.
void count(Standing& standing, const Reply& reply, bool streamed);

/// The retry budget: note how an attempt went, and whether another one may follow a failed one.
void note_attempt(Standing& standing, bool failed, int budget_tokens);
bool may_retry(const Standing& standing, int budget_tokens);

}  // namespace experts
