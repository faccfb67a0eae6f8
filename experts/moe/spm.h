// SentencePiece BPE as Llama's tokenizer runs it (Kudo & Richardson 2018): the characters of a text
// merge into tokens, best score first, leftmost of equals; a character that is no token becomes its
// bytes. Read-only after construction, usable from any thread; the Vocabulary must outlive it and
// stay where it is.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "experts/moe/vocabulary.h"

namespace moe {

inline constexpr std::string_view kSpaceMark = "\xE2\x96\x81";  // U+2581, SentencePiece's space

class Spm {
 public:
  /// Throws std::runtime_error for a repeated or empty token.
  explicit Spm(const Vocabulary& vocabulary);
  Spm(const Spm&) = delete;
  Spm& operator=(const Spm&) = delete;

  /// Appends the tokens of `text`, in which spaces are already U+2581. Need not be valid UTF-8.
  void encode(std::string_view text, std::vector<TokenId>& ids) const;

 private:
  TokenId find(std::string_view text) const;
  void encode_word(std::string_view text, std::vector<TokenId>& ids) const;
  void append_character(std::string_view text, std::vector<TokenId>& ids) const;

  const Vocabulary& vocabulary_;
  std::unordered_map<std::string_view, TokenId> ids_;
  bool words_apart_ = true;              // no token has a space mark after another character
  std::array<TokenId, 256> byte_ids_{};  // kNoToken: the vocabulary has no such byte token
};

}  // namespace moe
