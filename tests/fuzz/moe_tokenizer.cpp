// Any bytes as a text: every split rule covers it, byte-level ids give the text back.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <vector>

#include "experts/moe/bpe.h"
#include "experts/moe/pretokenize.h"
#include "experts/moe/tokenizer.h"
#include "experts/moe/unicode.h"

namespace {

moe::Vocabulary small_vocabulary(std::string_view pre) {
  moe::Vocabulary v;
  v.model = moe::TokenizerModel::bpe;
  v.pre = pre;
  for (int byte = 0; byte < 256; ++byte) {
    v.texts.push_back(moe::byte_character(static_cast<std::uint8_t>(byte)));
  }
  for (const char* text : {"th", "the", "in", "ing", "ĠĠ", "<|eot_id|>", "  "})
    v.texts.emplace_back(text);
  v.merges = {"t h", "i n", "th e", "Ġ Ġ", "in g"};
  v.kinds.assign(v.texts.size(), moe::TokenKind::normal);
  v.kinds.back() = moe::TokenKind::user_defined;
  moe::complete(v, "");
  return v;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  static const auto tokenizers = [] {
    std::vector<std::unique_ptr<moe::Tokenizer>> all;
    for (const auto name : moe::split_rule_names()) {
      all.push_back(std::make_unique<moe::Tokenizer>(small_vocabulary(name)));
    }
    return all;
  }();
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  const moe::Tokenizer& tokenizer = *tokenizers[data[0] % tokenizers.size()];
  const auto plain = tokenizer.encode(text);
  if (tokenizer.decode(plain) != moe::with_valid_utf8(text)) std::abort();
  tokenizer.encode(text, {.add_special = true, .parse_special = true});
  return 0;
}
