#include "experts/standing.h"

#include <algorithm>

namespace experts {
namespace {

constexpr std::int64_t kCallsRemembered = 16;

/// Two threads at once may lose one of the two samples: an estimate can afford it.
void mix_in(std::atomic<std::int64_t>& mean, std::int64_t sample) {
  const std::int64_t old = mean.load(kRelaxed);
  mean.store(old == 0 ? sample : old + (sample - old) / kCallsRemembered, kRelaxed);
}

void add(Counter& counter, std::int64_t amount) {
  if (amount > 0) counter.fetch_add(static_cast<std::uint64_t>(amount), kRelaxed);
}

}  // namespace

bool is_healthy(const Standing& standing, Clock::time_point now) {
  return standing.breaker.state(now) != BreakerState::open &&
         now.time_since_epoch().count() >= standing.cooling_until.load(kRelaxed);
}

void count(Standing& standing, const Reply& reply, bool streamed) {
  standing.outcomes[static_cast<std::size_t>(reply.outcome)].fetch_add(1, kRelaxed);
  if (reply.usage.known) {
    add(standing.prompt_tokens, reply.usage.prompt_tokens);
    add(standing.cached_tokens, reply.usage.cached_tokens);
    add(standing.completion_tokens, reply.usage.completion_tokens);
    add(standing.cost_microusd, reply.cost_microusd);
  }
  if (reply.outcome != Outcome::ok) return;
  // Waiting for a load is not the expert's pace: load_wait_us tells of it when it is to be
  // expected.
  const std::int64_t loading_us = reply.timings.load_us;
  mix_in(standing.total_us, std::max<std::int64_t>(reply.timings.total_us - loading_us, 1));
  if (streamed && reply.timings.first_byte_us > 0) {
    mix_in(standing.first_byte_us,
           std::max<std::int64_t>(reply.timings.first_byte_us - loading_us, 1));
  }
  if (reply.usage.known) mix_in(standing.tokens_out, reply.usage.completion_tokens);
}

void note_attempt(Standing& standing, bool failed, int budget_tokens) {
  if (budget_tokens <= 0) return;
  const std::int32_t full = 1000 * budget_tokens;
  std::int32_t tokens = standing.retry_tokens_milli.load(kRelaxed);
  if (!failed && tokens >= full) return;
  std::int32_t next;
  do {
    next = std::clamp(tokens + (failed ? -1000 : 100), 0, full);
  } while (!standing.retry_tokens_milli.compare_exchange_weak(tokens, next, kRelaxed));
}

bool may_retry(const Standing& standing, int budget_tokens) {
  return budget_tokens <= 0 ||
         standing.retry_tokens_milli.load(kRelaxed) > 1000 * budget_tokens / 2;
}

}  // namespace experts
