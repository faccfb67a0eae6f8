// Any bytes as a file of probes: a list, or every fault with its line.
#include <cstdint>
#include <sstream>
#include <stdexcept>

#include "router/learn/probes.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::istringstream in(std::string(reinterpret_cast<const char*>(data), size));
  try {
    (void)router::read_probes(in, "fuzz");
  } catch (const std::runtime_error&) {
  }
  return 0;
}
