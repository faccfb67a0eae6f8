// The column `calls` as it may stand in a damaged database: any bytes, and any bytes under a
// checksum that fits (else the fuzzer would not get past it). What decodes must encode to the same
// meaning.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "store/calls_blob.h"

namespace {

void check(const std::string& bytes) {
  std::vector<store::CallRow> calls;
  if (!store::decode_calls(bytes, calls)) {
    if (!calls.empty()) std::abort();
    return;
  }
  std::string again;
  store::encode_calls(calls, again);
  std::vector<store::CallRow> back;
  if (!store::decode_calls(again, back) || back != calls) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  std::string input(reinterpret_cast<const char*>(bytes), size);
  check(input);
  const std::uint32_t checksum = store::checksum_of(input);
  for (int i = 0; i < 4; ++i) input.push_back(static_cast<char>(checksum >> (8 * i)));
  check(input);
  return 0;
}
