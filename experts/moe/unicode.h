// Code points, and the few Unicode properties that pre-tokenizers split by.
//
// Categories are General_Category and White_Space as utf8proc has them. Pure functions of their
// arguments, safe on any thread; the first call builds a table of 1.1 MB.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace moe {

/// What a split rule may ask of a code point; `space` (the property White_Space) goes first.
enum class Category : std::uint8_t {
  other,        // C*, unassigned, and what is no white space of Z*
  space,        // White_Space
  letter,       // L*
  number,       // N*
  punctuation,  // P*
  symbol,       // S*
  mark          // M*
};

Category category_of(char32_t code_point);

/// Length of the UTF-8 sequence that starts with `lead`, 1 to 4; 1 for a byte that cannot start
/// one.
std::size_t utf8_length(unsigned char lead);

/// Length of the well-formed UTF-8 sequence (Unicode 15, table 3-7) at the start of `text`; 0:
/// none.
std::size_t utf8_valid_length(std::string_view text);

/// Bytes at the end of `text` that begin a sequence which more bytes could make whole, 0 to 3.
std::size_t utf8_open_tail(std::string_view text);

/// `text` with every byte outside a well-formed sequence replaced by U+FFFD.
std::string with_valid_utf8(std::string_view text);

void append_utf8(std::string& out, char32_t code_point);

/// Simple case mappings, code point by code point; bytes outside UTF-8 stay.
std::string to_upper(std::string_view text);
std::string to_lower(std::string_view text);

/// The characters of a text as views into it; a byte outside UTF-8 counts as one.
std::vector<std::string_view> characters_of(std::string_view text);

/// One code point of a text.
struct Scalar {
  char32_t code = 0;
  std::uint32_t offset = 0;  // of its first byte
  Category category = Category::other;
};

/// `text` must be well-formed and shorter than 4 GiB.
std::vector<Scalar> decode_utf8(std::string_view text);

}  // namespace moe
