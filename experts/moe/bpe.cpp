#include "experts/moe/bpe.h"

#include <algorithm>
#include <bit>
#include <stdexcept>

#include "experts/moe/unicode.h"

namespace moe {
namespace {

constexpr bool prints_as_itself(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

// GPT-2's alphabet: printable Latin-1 as itself, the 68 other bytes as U+0100 and on.
constexpr std::array<char32_t, 256> make_alphabet() {
  std::array<char32_t, 256> alphabet{};
  char32_t next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    alphabet[static_cast<std::size_t>(byte)] =
        prints_as_itself(byte) ? static_cast<char32_t>(byte) : next++;
  }
  return alphabet;
}

constexpr std::array<char32_t, 256> kAlphabet = make_alphabet();

constexpr std::array<std::int16_t, 0x144> make_bytes() {
  std::array<std::int16_t, 0x144> bytes{};
  for (auto& byte : bytes) byte = -1;
  for (std::size_t byte = 0; byte < 256; ++byte) {
    bytes[kAlphabet[byte]] = static_cast<std::int16_t>(byte);
  }
  return bytes;
}

constexpr std::array<std::int16_t, 0x144> kBytes = make_bytes();

}  // namespace

std::string byte_character(std::uint8_t byte) {
  std::string text;
  append_utf8(text, kAlphabet[byte]);
  return text;
}

std::string bytes_of_text(std::string_view token_text) {
  std::string bytes;
  const std::string valid = with_valid_utf8(token_text);
  for (const Scalar& c : decode_utf8(valid)) {
    if (c.code < kBytes.size() && kBytes[c.code] >= 0) {
      bytes.push_back(static_cast<char>(kBytes[c.code]));
    } else {
      append_utf8(bytes, c.code);
    }
  }
  return bytes;
}

Bpe::Bpe(const Vocabulary& vocabulary) : tokens_(vocabulary.texts.size()) {
  symbols_.reserve(tokens_ + 256);
  for (std::size_t id = 0; id < tokens_; ++id) {
    const std::string& text = vocabulary.texts[id];
    if (text.empty() || !symbols_.emplace(text, static_cast<Symbol>(id)).second) {
      throw std::runtime_error("tokenizer: the token \"" + text + "\" is repeated or empty");
    }
  }
  for (std::size_t byte = 0; byte < 256; ++byte) {
    byte_symbols_[byte] = intern(byte_character(static_cast<std::uint8_t>(byte)));
  }
  const std::size_t slots = std::bit_ceil(2 * vocabulary.merges.size() + 2);
  merges_.resize(slots);
  shift_ = 64 - std::countr_zero(slots);
  std::uint32_t rank = 0;
  Symbol next = 0;
  for (const std::string& line : vocabulary.merges) {
    next = add_merge(vocabulary, line, rank++, next) + 1;
  }
}

Bpe::Symbol Bpe::intern(std::string_view text) {
  if (const auto it = symbols_.find(text); it != symbols_.end()) return it->second;
  extra_texts_.emplace_back(text);
  const auto symbol = static_cast<Symbol>(tokens_ + extra_texts_.size() - 1);
  symbols_.emplace(extra_texts_.back(), symbol);
  return symbol;
}

// Vocabularies list their tokens in the order of the merges that make them: `next` is what the one
// after the last merge's token is likely to be. Returns the merged symbol.
Bpe::Symbol Bpe::add_merge(const Vocabulary& vocabulary, std::string_view line, std::uint32_t rank,
                           Symbol next) {
  const std::size_t space = line.find(' ', 1);  // from 1: a word may begin with a space
  if (space == std::string_view::npos || space + 1 == line.size()) {
    throw std::runtime_error("tokenizer: merge " + std::to_string(rank) + " is \"" +
                             std::string(line) + "\", expected two words");
  }
  const Symbol left = intern(line.substr(0, space));
  const Symbol right = intern(line.substr(space + 1));
  std::string joined(line.substr(0, space));
  joined += line.substr(space + 1);
  const bool guessed = next < tokens_ && vocabulary.texts[next] == joined;
  const Symbol merged = guessed ? next : intern(joined);
  const std::uint64_t pair = (std::uint64_t{left} << 32) | right;
  Merge& merge = merges_[slot_of(pair)];
  if (merge.pair == kEmpty) merge = {pair, rank, merged};  // the first of equal lines counts
  return merged;
}

// Where `pair` is, or the free slot where it would go. Fibonacci hashing.
std::size_t Bpe::slot_of(std::uint64_t pair) const {
  std::size_t slot = (pair * 0x9E3779B97F4A7C15ULL) >> shift_;
  while (merges_[slot].pair != kEmpty && merges_[slot].pair != pair) {
    slot = (slot + 1) & (merges_.size() - 1);
  }
  return slot;
}

const Bpe::Merge* Bpe::find(Symbol left, Symbol right) const {
  const Merge& merge = merges_[slot_of((std::uint64_t{left} << 32) | right)];
  return merge.pair == kEmpty ? nullptr : &merge;
}

void Bpe::propose(const std::vector<Node>& nodes, std::vector<Candidate>& heap,
                  std::int32_t left) const {
  if (left < 0) return;
  const Node& a = nodes[static_cast<std::size_t>(left)];
  if (a.next < 0) return;
  const Node& b = nodes[static_cast<std::size_t>(a.next)];
  const Merge* merge = find(a.symbol, b.symbol);
  if (merge == nullptr) return;
  heap.push_back({merge->rank, left, a.next, a.symbol, b.symbol, merge->merged});
}

void Bpe::encode(std::string_view piece, bool whole_words, std::vector<TokenId>& ids) const {
  if (whole_words) {
    std::string text;
    for (const char byte : piece) append_utf8(text, kAlphabet[static_cast<std::uint8_t>(byte)]);
    const auto it = symbols_.find(text);
    if (it != symbols_.end() && it->second < tokens_) {
      ids.push_back(static_cast<TokenId>(it->second));
      return;
    }
  }
  constexpr Symbol kGone = ~Symbol{0};
  const auto later = [](const Candidate& a, const Candidate& b) {
    return a.rank != b.rank ? a.rank > b.rank : a.left > b.left;
  };
  thread_local std::vector<Node> nodes;
  thread_local std::vector<Candidate> heap;
  nodes.clear();
  heap.clear();
  const auto length = static_cast<std::int32_t>(piece.size());
  for (std::int32_t i = 0; i < length; ++i) {
    const auto byte = static_cast<std::uint8_t>(piece[static_cast<std::size_t>(i)]);
    nodes.push_back({byte_symbols_[byte], i - 1, i + 1 < length ? i + 1 : -1});
  }
  for (std::int32_t i = 0; i + 1 < length; ++i) propose(nodes, heap, i);
  std::make_heap(heap.begin(), heap.end(), later);
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), later);
    const Candidate best = heap.back();
    heap.pop_back();
    Node& left = nodes[static_cast<std::size_t>(best.left)];
    Node& right = nodes[static_cast<std::size_t>(best.right)];
    if (left.symbol != best.left_symbol || right.symbol != best.right_symbol) continue;  // outdated
    left.symbol = best.merged;
    left.next = right.next;
    right.symbol = kGone;
    if (right.next >= 0) nodes[static_cast<std::size_t>(right.next)].previous = best.left;
    for (const std::int32_t at : {left.previous, best.left}) {
      const std::size_t before = heap.size();
      propose(nodes, heap, at);
      if (heap.size() > before) std::push_heap(heap.begin(), heap.end(), later);
    }
  }
  for (std::int32_t i = length > 0 ? 0 : -1; i >= 0; i = nodes[static_cast<std::size_t>(i)].next) {
    append_symbol(nodes[static_cast<std::size_t>(i)].symbol, ids);
  }
}

// A merge whose result is no token falls back to its bytes; a byte without a token is left out.
void Bpe::append_symbol(Symbol symbol, std::vector<TokenId>& ids) const {
  if (symbol < tokens_) {
    ids.push_back(static_cast<TokenId>(symbol));
    return;
  }
  for (const char byte : bytes_of_text(extra_texts_[symbol - tokens_])) {
    const Symbol alone = byte_symbols_[static_cast<std::uint8_t>(byte)];
    if (alone < tokens_) ids.push_back(static_cast<TokenId>(alone));
  }
}

}  // namespace moe
