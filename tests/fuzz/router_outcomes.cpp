// Any bytes as an outcome file: rows or faults, never a crash.
#include <unistd.h>
#include <cstdint>
#include <cstdio>

#include "router/learn/outcomes.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::string path = "/tmp/fuzz_router_outcomes_" + std::to_string(::getpid());
  std::FILE* file = std::fopen(path.c_str(), "wb");
  std::fwrite(data, 1, size, file);
  std::fclose(file);
  router::OutcomeReader reader(path, true);
  router::OutcomeRow row;
  while (reader.next(row)) {
    for (const auto& outcome : row.outcomes) {
      if (!(outcome.score >= 0 && outcome.score <= 1)) __builtin_trap();
    }
  }
  return 0;
}
