// Byte-level byte-pair encoding (Sennrich et al. 2016; byte alphabet of GPT-2, Radford et al.
// 2019).
//
// A piece starts as its bytes, each written as one printable character; the adjacent pair with the
// best rank is merged, leftmost first, until no pair has a rank. Read-only after construction,
// usable from any thread; the Vocabulary must outlive it and stay where it is.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "experts/moe/vocabulary.h"

namespace moe {

/// The character that stands for `byte` in token texts, as UTF-8.
std::string byte_character(std::uint8_t byte);

/// The bytes that a token text in that alphabet stands for; other characters are kept as they are.
std::string bytes_of_text(std::string_view token_text);

class Bpe {
 public:
  /// Throws std::runtime_error for a repeated or empty token and for a merge that is not two words
  /// separated by a space.
  explicit Bpe(const Vocabulary& vocabulary);
  Bpe(const Bpe&) = delete;
  Bpe& operator=(const Bpe&) = delete;

  /// Appends the tokens of one piece. With `whole_words` a piece that is a token is that token.
  void encode(std::string_view piece, bool whole_words, std::vector<TokenId>& ids) const;

 private:
  // Texts that occur in tokens or merges are numbered: a token has its id, others follow.
  using Symbol = std::uint32_t;

  struct Merge {
    std::uint64_t pair = kEmpty;
    std::uint32_t rank = 0;
    Symbol merged = 0;
  };

  struct Node {  // of the list of symbols of a piece
    Symbol symbol;
    std::int32_t previous, next;
  };

  struct Candidate {
    std::uint32_t rank;
    std::int32_t left, right;
    Symbol left_symbol, right_symbol, merged;
  };

  static constexpr std::uint64_t kEmpty = ~std::uint64_t{0};

  Symbol intern(std::string_view text);
  Symbol add_merge(const Vocabulary& vocabulary, std::string_view line, std::uint32_t rank,
                   Symbol next);
  std::size_t slot_of(std::uint64_t pair) const;
  const Merge* find(Symbol left, Symbol right) const;
  void propose(const std::vector<Node>& nodes, std::vector<Candidate>& heap,
               std::int32_t left) const;
  void append_symbol(Symbol symbol, std::vector<TokenId>& ids) const;

  std::size_t tokens_;
  std::unordered_map<std::string_view, Symbol> symbols_;
  std::deque<std::string> extra_texts_;  // of symbols that are no token
  std::array<Symbol, 256> byte_symbols_{};
  std::vector<Merge> merges_;  // open addressing, linear probing, a power of two, at most half full
  int shift_ = 0;
};

}  // namespace moe
