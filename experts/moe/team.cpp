#include "experts/moe/team.h"

#include <cstdlib>

namespace moe {

namespace {

constexpr int kSpins = 2000;  // about 20 microseconds with a pause each
constexpr std::uint64_t kFieldBits = 20;
constexpr std::uint64_t kFieldMask = (std::uint64_t{1} << kFieldBits) - 1;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

Team::Team(int threads) {
  for (int thread = 1; thread < threads; ++thread) {
    workers_.emplace_back([this, thread] { work(thread); });
  }
}

Team::~Team() {
  stop_.store(true);
  epoch_.fetch_add(1);
  epoch_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

bool Team::take(int thread) {
  std::uint64_t ticket = ticket_.load(std::memory_order_acquire);
  for (;;) {
    const std::uint64_t next = ticket & kFieldMask;
    if (next >= ((ticket >> kFieldBits) & kFieldMask)) return false;
    const Call call = call_.load(std::memory_order_acquire);
    const void* context = context_.load(std::memory_order_acquire);
    if (ticket_.compare_exchange_weak(ticket, ticket + 1, std::memory_order_acq_rel)) {
      call(context, static_cast<std::uint32_t>(next), thread);
      done_.fetch_add(1, std::memory_order_acq_rel);
      return true;
    }
  }
}

void Team::share(std::uint32_t count, Call call, const void* context) {
  if (count > kFieldMask) std::abort();  // no phase of a forward pass comes near
  call_.store(call, std::memory_order_relaxed);
  context_.store(context, std::memory_order_relaxed);
  done_.store(0, std::memory_order_relaxed);
  const std::uint32_t epoch = epoch_.load(std::memory_order_relaxed) + 1;
  ticket_.store((static_cast<std::uint64_t>(epoch) << (2 * kFieldBits)) |
                    (static_cast<std::uint64_t>(count) << kFieldBits),
                std::memory_order_release);
  epoch_.store(epoch, std::memory_order_seq_cst);
  if (sleepers_.load(std::memory_order_seq_cst) > 0) epoch_.notify_all();
  while (take(0)) {
  }
  // Only tasks that a worker has already begun are left.
  for (int spins = 0; done_.load(std::memory_order_acquire) < count; ++spins) {
    if (spins < kSpins) {
      pause();
    } else {
      std::this_thread::yield();
    }
  }
}

void Team::work(int thread) {
  std::uint32_t seen = 0;
  for (;;) {
    while (take(thread)) {
    }
    for (int spins = 0; spins < kSpins && epoch_.load(std::memory_order_acquire) == seen; ++spins) {
      pause();
    }
    if (epoch_.load(std::memory_order_acquire) == seen) {
      sleepers_.fetch_add(1, std::memory_order_seq_cst);
      epoch_.wait(seen, std::memory_order_seq_cst);
      sleepers_.fetch_sub(1, std::memory_order_relaxed);
    }
    seen = epoch_.load(std::memory_order_acquire);
    if (stop_.load(std::memory_order_acquire)) return;
  }
}

}  // namespace moe
