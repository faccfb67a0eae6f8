// Any bytes as a text: the same features twice, all within their ranges.
#include <cmath>
#include <cstdint>

#include "router/features.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static router::Extractor extractor;
  static router::Features first, second;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  extractor.extract(text, first);
  extractor.extract(text, second);
  if (first.hash != second.hash) __builtin_trap();
  for (std::uint32_t bucket : first.buckets) {
    if (bucket >= router::kBuckets) __builtin_trap();
  }
  for (float value : first.surface) {
    if (!std::isfinite(value)) __builtin_trap();
  }
  return 0;
}
