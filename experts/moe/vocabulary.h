// What a model file says about its tokens: plain data, checked, before any table is built.
//
// Source of the keys: the GGUF specification (tokenizer.ggml.*); of the defaults and of the tokens
// that are recognised by their text: llama.cpp's src/llama-vocab.cpp, whose ids are the reference.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace moe {

using TokenId = std::int32_t;
constexpr TokenId kNoToken = -1;

/// tokenizer.ggml.token_type
enum class TokenKind : std::uint8_t {
  normal = 1,
  unknown = 2,
  control = 3,       // never made from text unless special tokens are parsed; prints as nothing
  user_defined = 4,  // found in the text before anything else; prints as its text
  unused = 5,
  byte = 6  // "<0xHH>"
};

enum class TokenizerModel : std::uint8_t { spm, bpe };

struct Vocabulary {
  TokenizerModel model = TokenizerModel::spm;
  std::string pre = "default";      // split rule of bpe
  std::vector<std::string> texts;   // [tokens], distinct and not empty (the tokenizer checks)
  std::vector<float> scores;        // [tokens] for spm, may be empty for bpe
  std::vector<TokenKind> kinds;     // [tokens]
  std::vector<std::string> merges;  // bpe: "left right", best first

  TokenId bos = kNoToken;
  TokenId eos = kNoToken;
  TokenId unknown = kNoToken;
  std::vector<TokenId> ends;  // tokens that end a generation, ascending

  bool add_bos = false;
  bool add_eos = false;
  bool add_space_prefix =
      false;  // spm: a space before a text that starts or follows a special token
  std::vector<bool> strips_after;  // [tokens] or empty: white space after the token is dropped

  std::string chat_template;  // tokenizer.chat_template, empty when there is none
};

class Gguf;

/// Reads the tokenizer.ggml.* keys and completes them. Throws std::runtime_error with an operator's
/// sentence for a tokenizer that this engine does not have and for contradictory metadata.
Vocabulary read_vocabulary(const Gguf& file);

/// Finds the tokens that models end a turn with, by their texts, and makes those and the
/// fill-in-the-middle marks control tokens; adds to `ends`, sets `strips_after`. `model_name` is
/// general.name. Throws std::runtime_error when the parts contradict each other: sizes that differ,
/// an id out of range.
void complete(Vocabulary& vocabulary, std::string_view model_name);

}  // namespace moe
