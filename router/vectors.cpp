#include "router/vectors.h"

namespace router {

std::string_view encoded_part(std::string_view text) {
  if (text.size() <= kEncodedBytesMax) return text;
  std::size_t end = kEncodedBytesMax;
  for (int i = 0; i < 3 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80; ++i) --end;
  return text.substr(0, end);
}

bool is_same_encoder(std::string_view a, std::string_view b) {
  constexpr double kCosineMin = 0.99;
  if (a.size() != b.size()) return false;
  double both = 0, left = 0, right = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto x = static_cast<signed char>(a[i]), y = static_cast<signed char>(b[i]);
    both += x * y, left += x * x, right += y * y;
  }
  return both > 0 && both * both >= kCosineMin * kCosineMin * left * right;
}

}  // namespace router
