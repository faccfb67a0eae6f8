#include "experts/moe/vocabulary.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <set>
#include <stdexcept>
#include <string>

#include "experts/moe/gguf.h"
#include "experts/moe/pretokenize.h"

namespace moe {
namespace {

constexpr std::array<std::string_view, 17> kEndTexts = {
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<end_of_turn>",
    "</s>",
    "<|endoftext|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<eos>",
    "<|end_of_text|>",
    "<|eom_id|>",
    "<end_of_utterance>",
    "<\xEF\xBD\x9C"
    "end\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>"};  // DeepSeek

// Marks of fill-in-the-middle prompts; a model that writes one of the second group has finished.
constexpr std::array<std::string_view, 9> kFillTexts = {
    "<|fim_prefix|>", "<fim_prefix>",   "<fim-prefix>", "<|fim_suffix|>", "<fim_suffix>",
    "<fim-suffix>",   "<|fim_middle|>", "<fim_middle>", "<fim-middle>"};
constexpr std::array<std::string_view, 7> kFillEndTexts = {
    "<|fim_pad|>",   "<fim_pad>",  "<fim-pad>",   "<|fim_repo|>",
    "<|repo_name|>", "<reponame>", "<|file_sep|>"};

// gpt-oss frames its channels with these; who reads them needs to see them.
constexpr std::array<std::string_view, 4> kHarmonyTexts = {"<|start|>", "<|channel|>",
                                                           "<|message|>", "<|constrain|>"};

template <std::size_t n>
bool has(const std::array<std::string_view, n>& texts, std::string_view text) {
  return std::find(texts.begin(), texts.end(), text) != texts.end();
}

[[noreturn]] void refuse(const std::string& what) {
  throw std::runtime_error("tokenizer: " + what);
}

void check_id(const Vocabulary& v, TokenId id, const char* key) {
  if (id != kNoToken && (id < 0 || static_cast<std::size_t>(id) >= v.texts.size())) {
    refuse(std::string(key) + " is " + std::to_string(id) + ", but the vocabulary has " +
           std::to_string(v.texts.size()) + " tokens");
  }
}

void check(const Vocabulary& v) {
  if (v.texts.empty()) refuse("tokenizer.ggml.tokens is empty");
  if (v.kinds.size() != v.texts.size()) {
    refuse("tokenizer.ggml.token_type has " + std::to_string(v.kinds.size()) + " entries for " +
           std::to_string(v.texts.size()) + " tokens");
  }
  if (v.model == TokenizerModel::spm && v.scores.size() != v.texts.size()) {
    refuse("tokenizer.ggml.scores has " + std::to_string(v.scores.size()) + " entries for " +
           std::to_string(v.texts.size()) + " tokens");
  }
  check_id(v, v.bos, "tokenizer.ggml.bos_token_id");
  check_id(v, v.eos, "tokenizer.ggml.eos_token_id");
  check_id(v, v.unknown, "tokenizer.ggml.unknown_token_id");
  for (const TokenId id : v.ends) check_id(v, id, "tokenizer.ggml.eot_token_id");
  if (v.add_bos && v.bos == kNoToken) refuse("add_bos_token is set without a bos_token_id");
  if (v.add_eos && v.eos == kNoToken) refuse("add_eos_token is set without an eos_token_id");
}

// Phi-3's tokenizer drops white space after its special tokens; GGUF has no key that says so.
void find_stripping_tokens(Vocabulary& v, std::string_view model_name) {
  std::string name(model_name);
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (name.find("phi-3") == std::string::npos && name.find("phi3") == std::string::npos) return;
  v.strips_after.assign(v.texts.size(), false);
  for (std::size_t id = 0; id < v.texts.size(); ++id) {
    const TokenKind kind = v.kinds[id];
    const bool special = kind == TokenKind::control || kind == TokenKind::user_defined;
    const std::string& text = v.texts[id];
    v.strips_after[id] = special && text != "<s>" && text != "<|endoftext|>";
  }
}

TokenKind kind_of(std::int64_t number) {
  return number >= 1 && number <= 6 ? static_cast<TokenKind>(number) : TokenKind::unused;
}

TokenId id_or(const Gguf& file, std::string_view key, TokenId otherwise) {
  const auto id = file.integer(key);
  if (!id) return otherwise;
  // Out of range of TokenId is as wrong as out of the vocabulary; complete() says so.
  return static_cast<TokenId>(std::clamp<std::int64_t>(*id, -1, INT32_MAX));
}

// What holds for each kind of tokenizer unless the file says otherwise.
void set_defaults(Vocabulary& v, std::string_view model, std::string_view pre) {
  if (model == "llama") {
    v.model = TokenizerModel::spm;
    v.bos = 1;
    v.eos = 2;
    v.unknown = 0;
    v.add_bos = true;
    v.add_space_prefix = true;
  } else if (model == "gpt2") {
    v.model = TokenizerModel::bpe;
    if (!pre.empty()) v.pre = pre;
    if (const auto rule = find_split_rule(v.pre)) v.add_bos = rule->adds_bos;
  } else {
    refuse("tokenizer.ggml.model \"" + std::string(model) +
           "\" is not supported; \"llama\" (SPM) and \"gpt2\" (byte-level BPE) are");
  }
}

}  // namespace

Vocabulary read_vocabulary(const Gguf& file) {
  const auto model = file.string("tokenizer.ggml.model");
  if (!model) throw std::runtime_error(file.name() + ": no tokenizer.ggml.model");
  Vocabulary v;
  set_defaults(v, *model, file.string("tokenizer.ggml.pre").value_or(""));
  for (const auto text :
       file.strings("tokenizer.ggml.tokens").value_or(std::vector<std::string_view>())) {
    // An empty token can never be matched; it gets a text so that the others keep their ids.
    v.texts.emplace_back(text.empty() ? "[EMPTY_" + std::to_string(v.texts.size()) + "]"
                                      : std::string(text));
  }
  if (const auto scores = file.numbers("tokenizer.ggml.scores")) {
    v.scores.assign(scores->begin(), scores->end());
  } else {
    v.scores.assign(v.texts.size(), 0.0F);
  }
  if (const auto kinds = file.integers("tokenizer.ggml.token_type")) {
    for (const std::int64_t kind : *kinds) v.kinds.push_back(kind_of(kind));
  } else {
    v.kinds.assign(v.texts.size(), TokenKind::normal);
  }
  if (const auto merges = file.strings("tokenizer.ggml.merges")) {
    v.merges.assign(merges->begin(), merges->end());
  } else if (v.model == TokenizerModel::bpe) {
    refuse("a gpt2 vocabulary without tokenizer.ggml.merges");
  }
  v.bos = id_or(file, "tokenizer.ggml.bos_token_id", v.bos);
  v.eos = id_or(file, "tokenizer.ggml.eos_token_id", v.eos);
  v.unknown = id_or(file, "tokenizer.ggml.unknown_token_id", v.unknown);
  v.add_bos = file.boolean("tokenizer.ggml.add_bos_token").value_or(v.add_bos);
  v.add_eos = file.boolean("tokenizer.ggml.add_eos_token").value_or(v.add_eos);
  v.add_space_prefix = file.boolean("tokenizer.ggml.add_space_prefix").value_or(v.add_space_prefix);
  for (const auto* key : {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"}) {
    if (const TokenId id = id_or(file, key, kNoToken); id != kNoToken) v.ends.push_back(id);
  }
  v.chat_template = file.string("tokenizer.chat_template").value_or("");
  complete(v, file.string("general.name").value_or(""));
  return v;
}

void complete(Vocabulary& v, std::string_view model_name) {
  check(v);
  std::set<TokenId> ends(v.ends.begin(), v.ends.end());
  TokenId end = kNoToken;  // "<|end|>"
  bool harmony_return = false, harmony_call = false;
  for (std::size_t i = 0; i < v.texts.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    const std::string& text = v.texts[i];
    const bool ends_turn = has(kEndTexts, text) || has(kFillEndTexts, text);
    if (ends_turn) ends.insert(id);
    if (ends_turn || has(kFillTexts, text)) v.kinds[i] = TokenKind::control;
    if (has(kHarmonyTexts, text)) v.kinds[i] = TokenKind::user_defined;
    if (text == "<|end|>") end = id;
    harmony_return |= text == "<|return|>";
    harmony_call |= text == "<|call|>";
  }
  if (v.eos != kNoToken) ends.insert(v.eos);
  if (harmony_return && harmony_call && end != kNoToken) {
    ends.erase(end);  // gpt-oss: <|end|> only ends a channel
    v.kinds[static_cast<std::size_t>(end)] = TokenKind::user_defined;
  }
  v.ends.assign(ends.begin(), ends.end());
  find_stripping_tokens(v, model_name);
}

}  // namespace moe
