#include "http/ids.h"

namespace http {

std::string sortable_id(std::int64_t unix_ms, std::mt19937_64& chance) {
  static constexpr char kDigits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  std::string id(26, '0');
  auto time = static_cast<std::uint64_t>(unix_ms);
  for (int i = 9; i >= 0; --i, time >>= 5) id[i] = kDigits[time & 31];
  for (int half = 0; half < 2; ++half) {
    std::uint64_t bits = chance();
    for (int i = 0; i < 8; ++i, bits >>= 5) id[10 + 8 * half + i] = kDigits[bits & 31];
  }
  return id;
}

}  // namespace http
