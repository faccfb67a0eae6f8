// A policy's version as text, wherever it leaves the program: 16 hex digits, 0 for no policy. As a
// JSON number it would lose digits in every client that reads numbers as doubles (RFC 8259, 6).
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>

namespace router {

inline std::string version_text(std::uint64_t version) {
  char text[20];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(version));
  return text;
}

}  // namespace router
