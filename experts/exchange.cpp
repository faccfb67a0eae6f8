#include "experts/exchange.h"

#include <time.h>

#include <algorithm>
#include <charconv>

namespace experts {

int parse_retry_after(std::string_view value, std::int64_t unix_now_s) {
  constexpr std::int64_t kLongest = 24 * 3600;
  std::int64_t seconds = -1;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), seconds);
  if (error == std::errc::result_out_of_range) return static_cast<int>(kLongest);
  if (error == std::errc{} && seconds >= 0) {
    const bool whole = end == value.data() + value.size() || *end == '.';  // some send `1.5`
    return whole ? static_cast<int>(std::min(seconds, kLongest)) : -1;
  }
  std::tm date{};
  const std::string text(value.substr(0, 64));
  if (::strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &date) == nullptr) return -1;
  const std::int64_t at = ::timegm(&date);
  return static_cast<int>(std::clamp<std::int64_t>(at - unix_now_s, 0, kLongest));
}

}  // namespace experts
