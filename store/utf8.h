// Well-formed UTF-8 (Unicode 15, table 3-7), as the tables promise to hold.
#pragma once

#include <cstddef>
#include <string_view>

namespace store {

/// No overlong forms, no surrogates, nothing above U+10FFFF, nothing cut off.
bool is_utf8(std::string_view text);

/// The last place at or before `place` where a code point of well-formed `text` begins, or its end.
std::size_t code_point_at(std::string_view text, std::size_t place);

}  // namespace store
