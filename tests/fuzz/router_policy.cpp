// Any bytes as a policy file, the checksum made right, so that the reader behind it is reached too.
#include <cstdint>
#include <cstring>
#include <stdexcept>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "router/decide.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string bytes("SKYPOLCY");
  const std::uint32_t format = size % 2 == 0 ? router::kPolicyFormat : router::kWordsFormat;
  const std::uint32_t versions[2] = {format, router::kFeaturesVersion};
  const std::uint64_t payload = size;
  bytes.append(reinterpret_cast<const char*>(versions), 8);
  bytes.append(reinterpret_cast<const char*>(&payload), 8);
  bytes.append(reinterpret_cast<const char*>(data), size);
  const std::uint64_t sum = XXH3_64bits(bytes.data(), bytes.size());
  bytes.append(reinterpret_cast<const char*>(&sum), 8);
  try {
    const auto policy = router::decode_policy(bytes, "fuzz");
    router::Extractor extractor;
    router::Features features;
    extractor.extract("a question about something", features);
    features.vector.assign(policy->dense.dimension(), '\x7f');
    router::PoolView pool;
    router::decide(router::Query{}, features, *policy, pool);
  } catch (const std::runtime_error&) {
  }
  return 0;
}
