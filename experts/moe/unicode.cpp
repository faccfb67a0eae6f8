#include "experts/moe/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>

namespace moe {
namespace {

constexpr char32_t kCodePoints = 0x110000;

bool is_white_space(char32_t code) {
  return (code >= 0x09 && code <= 0x0D) || code == 0x85 || code == 0x20 || code == 0xA0 ||
         code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 ||
         code == 0x202F || code == 0x205F || code == 0x3000;
}

// What Unicode 15.1 added; Debian 12's utf8proc has 15.0, vocabularies' reference tables 15.1.
Category look_up_newer(char32_t code) {
  if (code >= 0x2EBF0 && code <= 0x2EE5D) return Category::letter;
  if ((code >= 0x2FFC && code <= 0x2FFF) || code == 0x31EF) return Category::symbol;
  return Category::other;
}

Category look_up(char32_t code) {
  if (is_white_space(code)) return Category::space;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return Category::letter;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return Category::number;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
      return Category::mark;
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
      return Category::punctuation;
    case UTF8PROC_CATEGORY_SM:
    case UTF8PROC_CATEGORY_SC:
    case UTF8PROC_CATEGORY_SK:
    case UTF8PROC_CATEGORY_SO:
      return Category::symbol;
    default:
      return look_up_newer(code);
  }
}

std::vector<Category> all_categories() {
  std::vector<Category> table(kCodePoints);
  for (char32_t code = 0; code < kCodePoints; ++code) table[code] = look_up(code);
  return table;
}

// Range of the second byte of a well-formed sequence; 0x80..0xBF but for four lead bytes.
bool second_byte_fits(unsigned char lead, unsigned char second) {
  switch (lead) {
    case 0xE0:
      return second >= 0xA0 && second <= 0xBF;
    case 0xED:
      return second >= 0x80 && second <= 0x9F;
    case 0xF0:
      return second >= 0x90 && second <= 0xBF;
    case 0xF4:
      return second >= 0x80 && second <= 0x8F;
    default:
      return (second & 0xC0) == 0x80;
  }
}

bool can_start(unsigned char byte) {
  return byte < 0x80 || (byte >= 0xC2 && byte <= 0xF4);
}

// How many bytes of `text` agree with a well-formed sequence, at most its length.
std::size_t agreeing_bytes(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (!can_start(lead)) return 0;
  const std::size_t length = utf8_length(lead);
  std::size_t n = 1;
  while (n < length && n < text.size()) {
    const auto byte = static_cast<unsigned char>(text[n]);
    const bool fits = n == 1 ? second_byte_fits(lead, byte) : (byte & 0xC0) == 0x80;
    if (!fits) break;
    ++n;
  }
  return n;
}

std::string mapped(std::string_view text, utf8proc_int32_t (*map)(utf8proc_int32_t)) {
  std::string out;
  for (const std::string_view c : characters_of(text)) {
    if (utf8_valid_length(c) == 0) {
      out += c;
    } else {
      const auto code = static_cast<utf8proc_int32_t>(decode_utf8(c)[0].code);
      append_utf8(out, static_cast<char32_t>(map(code)));
    }
  }
  return out;
}

}  // namespace

Category category_of(char32_t code_point) {
  static const std::vector<Category> table = all_categories();
  return code_point < kCodePoints ? table[code_point] : Category::other;
}

std::size_t utf8_length(unsigned char lead) {
  if (lead < 0xC0) return 1;
  if (lead < 0xE0) return 2;
  return lead < 0xF0 ? 3 : 4;
}

std::size_t utf8_valid_length(std::string_view text) {
  if (text.empty()) return 0;
  const std::size_t n = agreeing_bytes(text);
  return n != 0 && n == utf8_length(static_cast<unsigned char>(text[0])) ? n : 0;
}

std::size_t utf8_open_tail(std::string_view text) {
  for (std::size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const std::string_view tail = text.substr(text.size() - back);
    const auto lead = static_cast<unsigned char>(tail[0]);
    if ((lead & 0xC0) == 0x80) continue;  // inside a sequence: look further back
    return agreeing_bytes(tail) == back && back < utf8_length(lead) ? back : 0;
  }
  return 0;
}

std::string with_valid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::size_t n = utf8_valid_length(text);
    if (n == 0) {
      append_utf8(out, 0xFFFD);
      text.remove_prefix(1);
    } else {
      out.append(text.substr(0, n));
      text.remove_prefix(n);
    }
  }
  return out;
}

void append_utf8(std::string& out, char32_t code_point) {
  const auto put = [&out](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code_point < 0x80) {
    put(code_point);
  } else if (code_point < 0x800) {
    put(0xC0 | (code_point >> 6));
    put(0x80 | (code_point & 0x3F));
  } else if (code_point < 0x10000) {
    put(0xE0 | (code_point >> 12));
    put(0x80 | ((code_point >> 6) & 0x3F));
    put(0x80 | (code_point & 0x3F));
  } else {
    put(0xF0 | (code_point >> 18));
    put(0x80 | ((code_point >> 12) & 0x3F));
    put(0x80 | ((code_point >> 6) & 0x3F));
    put(0x80 | (code_point & 0x3F));
  }
}

std::string to_upper(std::string_view text) { return mapped(text, utf8proc_toupper); }

std::string to_lower(std::string_view text) { return mapped(text, utf8proc_tolower); }

std::vector<std::string_view> characters_of(std::string_view text) {
  std::vector<std::string_view> characters;
  while (!text.empty()) {
    const std::size_t length = std::max<std::size_t>(utf8_valid_length(text), 1);
    characters.push_back(text.substr(0, length));
    text.remove_prefix(length);
  }
  return characters;
}

std::vector<Scalar> decode_utf8(std::string_view text) {
  std::vector<Scalar> scalars;
  scalars.reserve(text.size());
  constexpr std::array<unsigned char, 5> kLeadMask = {0, 0x7F, 0x1F, 0x0F, 0x07};
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const std::size_t length = utf8_length(lead);
    char32_t code = lead & kLeadMask[length];
    for (std::size_t k = 1; k < length && i + k < text.size(); ++k) {
      code = (code << 6) | (static_cast<unsigned char>(text[i + k]) & 0x3F);
    }
    scalars.push_back({code, static_cast<std::uint32_t>(i), category_of(code)});
    i += length;
  }
  return scalars;
}

}  // namespace moe
