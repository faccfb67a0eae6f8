// Names of requests and decisions: 26 characters that sort by time (ULID: 48 bits of Unix
// milliseconds, 80 random bits, Crockford's base 32; https://github.com/ulid/spec).
#pragma once

#include <cstdint>
#include <random>
#include <string>

namespace http {

/// `chance` is the net thread's own generator.
std::string sortable_id(std::int64_t unix_ms, std::mt19937_64& chance);

}  // namespace http
