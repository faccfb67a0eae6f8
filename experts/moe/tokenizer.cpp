#include "experts/moe/tokenizer.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <limits>
#include <stdexcept>
#include <tuple>

#include "experts/moe/bpe.h"
#include "experts/moe/pretokenize.h"
#include "experts/moe/spm.h"
#include "experts/moe/unicode.h"

namespace moe {
namespace {

std::string join(const std::vector<std::string_view>& names) {
  std::string text;
  for (const auto name : names) text += (text.empty() ? "" : ", ") + std::string(name);
  return text;
}

void append_replaced(std::string& out, std::string_view text, std::string_view from,
                     std::string_view to) {
  while (true) {
    const std::size_t at = text.find(from);
    out += text.substr(0, at);
    if (at == std::string_view::npos) return;
    out += to;
    text.remove_prefix(at + from.size());
  }
}

// "<0xHH>"; anything else that claims to be a byte token prints as its text.
void append_byte_token(std::string& out, std::string_view text) {
  unsigned byte = 0;
  const bool framed = text.size() == 6 && text.starts_with("<0x") && text.ends_with(">");
  const char* const end = text.data() + std::min<std::size_t>(5, text.size());
  if (framed && std::from_chars(text.data() + 3, end, byte, 16).ptr == end) {
    out.push_back(static_cast<char>(byte));
  } else {
    out += text;
  }
}

bool is_ascii_space(char c) {
  return std::isspace(static_cast<unsigned char>(c)) != 0;
}

}  // namespace

Tokenizer::Tokenizer(Vocabulary vocabulary) : vocabulary_(std::move(vocabulary)) {
  if (vocabulary_.model == TokenizerModel::bpe) {
    const auto rule = find_split_rule(vocabulary_.pre);
    if (!rule) {
      throw std::runtime_error("tokenizer: tokenizer.ggml.pre \"" + vocabulary_.pre +
                               "\" is not known; known are " + join(split_rule_names()));
    }
    rule_ = std::make_unique<SplitRule>(*rule);
    bpe_ = std::make_unique<Bpe>(vocabulary_);
  } else {
    spm_ = std::make_unique<Spm>(vocabulary_);
  }
  for (std::size_t id = 0; id < vocabulary_.texts.size(); ++id) {
    const TokenKind kind = vocabulary_.kinds[id];
    if (kind == TokenKind::control || kind == TokenKind::user_defined ||
        kind == TokenKind::unknown) {
      specials_.push_back(
          {vocabulary_.texts[id], static_cast<TokenId>(id), kind == TokenKind::user_defined});
    }
  }
  std::sort(specials_.begin(), specials_.end(),
            [](const Special& a, const Special& b) { return a.text < b.text; });
}

Tokenizer::~Tokenizer() = default;

std::vector<TokenId> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  if (text.size() >= std::numeric_limits<std::uint32_t>::max()) {
    throw std::length_error("tokenizer: a text of 4 GiB or more");
  }
  std::vector<TokenId> ids;
  if (options.add_special && vocabulary_.add_bos) ids.push_back(vocabulary_.bos);
  bool after_special = true;  // the start of the text counts
  for (const Fragment& part : find_special(text, options.parse_special)) {
    if (part.token != kNoToken) {
      ids.push_back(part.token);
      after_special = true;
      continue;
    }
    std::string_view plain = text.substr(part.begin, part.end - part.begin);
    std::string unmarked;
    if (!options.mark.empty() && plain.find(options.mark) != std::string_view::npos) {
      append_replaced(unmarked, plain, options.mark, "");
      plain = unmarked;
    }
    if (spm_) {
      std::string marked(vocabulary_.add_space_prefix && after_special ? kSpaceMark : "");
      append_replaced(marked, plain, " ", kSpaceMark);
      spm_->encode(marked, ids);
    } else {
      encode_text(plain, ids);
    }
    after_special = false;
  }
  if (options.add_special && vocabulary_.add_eos) ids.push_back(vocabulary_.eos);
  return ids;
}

void Tokenizer::encode_text(std::string_view text, std::vector<TokenId>& ids) const {
  const std::string valid = with_valid_utf8(text);
  const std::vector<Scalar> scalars = decode_utf8(valid);
  std::size_t begin = 0;
  for (const std::size_t end : split(*rule_, scalars)) {
    const std::size_t stop = end < scalars.size() ? scalars[end].offset : valid.size();
    bpe_->encode(std::string_view(valid).substr(begin, stop - begin), rule_->whole_words, ids);
    begin = stop;
  }
}

// Every place where a special token's text is, overlapping ones too.
std::vector<Tokenizer::Fragment> Tokenizer::match_special(std::string_view text,
                                                          bool parse_special) const {
  std::vector<Fragment> found;
  for (std::size_t at = 0; at < text.size(); ++at) {
    // [low, high) are the special tokens that agree with the text on `length` characters.
    auto low = specials_.begin();
    auto high = specials_.end();
    for (std::size_t length = 0; low != high && at + length < text.size();) {
      const auto wanted = static_cast<unsigned char>(text[at + length]);
      const auto byte = [length](const Special& s) {  // -1: shorter, hence first
        return s.text.size() > length ? static_cast<unsigned char>(s.text[length]) : -1;
      };
      low = std::partition_point(low, high, [&](const Special& s) { return byte(s) < wanted; });
      high = std::partition_point(low, high, [&](const Special& s) { return byte(s) <= wanted; });
      ++length;
      if (low == high || low->text.size() != length) continue;
      if (parse_special || low->in_plain_text) found.push_back({at, at + length, low->id});
    }
  }
  return found;
}

// Longer special tokens are found before shorter ones, each from left to right, and never inside
// what was found already.
std::vector<Tokenizer::Fragment> Tokenizer::find_special(std::string_view text,
                                                         bool parse_special) const {
  std::vector<Fragment> found = match_special(text, parse_special);
  std::sort(found.begin(), found.end(), [](const Fragment& a, const Fragment& b) {
    return std::make_tuple(b.end - b.begin, a.token, a.begin) <
           std::make_tuple(a.end - a.begin, b.token, b.begin);
  });
  std::vector<bool> taken(found.empty() ? 0 : text.size(), false);
  std::vector<Fragment> parts;
  for (const Fragment& match : found) {
    const auto from = taken.begin() + static_cast<std::ptrdiff_t>(match.begin);
    const auto to = taken.begin() + static_cast<std::ptrdiff_t>(match.end);
    if (std::find(from, to, true) != to) continue;
    std::fill(from, to, true);
    Fragment part = match;
    if (!vocabulary_.strips_after.empty() &&
        vocabulary_.strips_after[static_cast<std::size_t>(match.token)]) {
      while (part.end < text.size() && !taken[part.end] && is_ascii_space(text[part.end])) {
        taken[part.end++] = true;
      }
    }
    parts.push_back(part);
  }
  std::sort(parts.begin(), parts.end(),
            [](const Fragment& a, const Fragment& b) { return a.begin < b.begin; });
  std::vector<Fragment> all;
  std::size_t begin = 0;
  for (const Fragment& part : parts) {
    if (part.begin > begin) all.push_back({begin, part.begin, kNoToken});
    all.push_back(part);
    begin = part.end;
  }
  if (begin < text.size()) all.push_back({begin, text.size(), kNoToken});
  return all;
}

std::string Tokenizer::mark_control(std::string_view text, std::string_view mark) const {
  std::string clean;
  append_replaced(clean, text, mark, "");
  std::string marked;
  std::size_t copied = 0;
  for (const Fragment& match : match_special(clean, true)) {  // ascending by where they begin
    if (vocabulary_.kinds[static_cast<std::size_t>(match.token)] == TokenKind::user_defined)
      continue;
    if (match.begin + 1 <= copied) continue;  // another token that begins here
    marked.append(clean, copied, match.begin + 1 - copied).append(mark);
    copied = match.begin + 1;
  }
  return marked.append(clean, copied, std::string::npos);
}

void Tokenizer::append_piece(TokenId id, std::string& out, bool with_special) const {
  const std::string& text = vocabulary_.texts.at(static_cast<std::size_t>(id));
  switch (vocabulary_.kinds[static_cast<std::size_t>(id)]) {
    case TokenKind::control:
    case TokenKind::unknown:
      if (with_special) out += text;
      return;
    case TokenKind::user_defined:
      out += text;
      return;
    case TokenKind::byte:
      append_byte_token(out, text);
      return;
    case TokenKind::normal:
      if (spm_) {
        append_replaced(out, text, kSpaceMark, " ");
      } else {
        out += bytes_of_text(text);
      }
      return;
    case TokenKind::unused:
      return;
  }
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool with_special) const {
  std::string out;
  for (const TokenId id : ids) append_piece(id, out, with_special);
  if (vocabulary_.add_space_prefix && !out.empty() && out.front() == ' ') out.erase(0, 1);
  return out;
}

TokenId Tokenizer::find(std::string_view text) const {
  const auto& texts = vocabulary_.texts;
  const auto it = std::find(texts.begin(), texts.end(), text);
  return it == texts.end() ? kNoToken : static_cast<TokenId>(it - texts.begin());
}

bool Tokenizer::is_end(TokenId id) const {
  return std::binary_search(vocabulary_.ends.begin(), vocabulary_.ends.end(), id);
}

}  // namespace moe
