// Any bytes as a routing trace: refused, or replayed.
#include <cstdint>
#include <stdexcept>

#include "experts/moe/replay.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const auto* bytes = reinterpret_cast<const std::byte*>(data);
    const moe::Trace trace = moe::Trace::parse({bytes, size}, "fuzz");
    if (trace.shape.layers * trace.shape.experts > 4096 || trace.rows.size() > 64) return 0;
    const moe::AccessLog log = moe::AccessLog::of(trace);
    for (const std::size_t slots : {log.together_max, log.together_max + 1}) {
      const double best = moe::hit_ratio_belady(log, slots);
      if (moe::hit_ratio(log, slots, moe::Evict::lfu) > best) __builtin_trap();
    }
  } catch (const std::runtime_error&) {
  }
  return 0;
}
