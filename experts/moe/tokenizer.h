// Text <-> token ids of one model.
//
// Ids equal llama.cpp's for the same file (tests/moe/tokenizer_test.cpp). For byte-level BPE
// decode(encode(text)) is text for well-formed UTF-8; bytes outside it count as U+FFFD. For SPM
// the leading space that the model adds is taken off again.
// Read-only after construction, usable from any thread. Not movable: its parts refer to each other.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "experts/moe/vocabulary.h"

namespace moe {

class Bpe;
class Spm;
struct SplitRule;

struct EncodeOptions {
  bool add_special = false;    // bos and eos where the vocabulary says so
  bool parse_special = false;  // texts of control tokens in the text become those tokens; only for
                               // text that the user did not write
  std::string_view mark = {};  // taken out of the text after special tokens were looked for, see
                               // mark_control
};

class Tokenizer {
 public:
  /// Throws std::runtime_error for an unknown split rule or a broken merge list; `vocabulary` has
  /// been completed (see vocabulary.h).
  explicit Tokenizer(Vocabulary vocabulary);
  ~Tokenizer();
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  /// Throws std::length_error for a text of 4 GiB or more.
  std::vector<TokenId> encode(std::string_view text, EncodeOptions options = {}) const;

  /// `text` with `mark` inside the text of every control token, so that encode with that mark makes
  /// plain text of it: how a user's words go through a template that may write control tokens.
  /// `mark` occurs in no token; one that is in `text` already is taken out.
  std::string mark_control(std::string_view text, std::string_view mark) const;

  /// The bytes of one token, maybe not whole UTF-8 characters; control tokens print as nothing
  /// unless `with_special`. Throws std::out_of_range for an id that is no token.
  void append_piece(TokenId id, std::string& out, bool with_special = false) const;

  std::string decode(std::span<const TokenId> ids, bool with_special = false) const;

  /// The token whose text is exactly `text`; kNoToken when there is none.
  TokenId find(std::string_view text) const;

  bool is_end(TokenId id) const;

  const Vocabulary& vocabulary() const { return vocabulary_; }

 private:
  struct Special {
    std::string_view text;
    TokenId id;
    bool in_plain_text;  // user-defined: found whatever parse_special says
  };

  struct Fragment {
    std::size_t begin, end;  // of the text
    TokenId token;           // or kNoToken: plain text
  };

  void encode_text(std::string_view text, std::vector<TokenId>& ids) const;
  std::vector<Fragment> find_special(std::string_view text, bool parse_special) const;
  std::vector<Fragment> match_special(std::string_view text, bool parse_special) const;

  Vocabulary vocabulary_;
  std::unique_ptr<const SplitRule> rule_;  // with bpe_
  std::unique_ptr<const Bpe> bpe_;         // one of these two
  std::unique_ptr<const Spm> spm_;
  std::vector<Special> specials_;  // ascending by text
};

}  // namespace moe
