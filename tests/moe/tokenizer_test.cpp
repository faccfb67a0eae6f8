// Two roads to one answer: the ids of llama.cpp for five vocabularies (data outside the
// repository), and small vocabularies whose merges are worked out by hand.
#include "experts/moe/tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "experts/moe/bpe.h"
#include "experts/moe/gguf.h"
#include "experts/moe/pretokenize.h"
#include "experts/moe/tools/tokenize.h"
#include "experts/moe/unicode.h"

namespace moe {
namespace {

using Ids = std::vector<TokenId>;

void add(Vocabulary& v, std::string text, TokenKind kind = TokenKind::normal, float score = 0) {
  v.texts.push_back(std::move(text));
  v.kinds.push_back(kind);
  v.scores.push_back(score);
}

// 256 byte tokens in GPT-2's alphabet, no merges.
Vocabulary byte_vocabulary() {
  Vocabulary v;
  v.model = TokenizerModel::bpe;
  v.pre = "gpt-2";
  for (int byte = 0; byte < 256; ++byte) add(v, byte_character(static_cast<std::uint8_t>(byte)));
  return v;
}

Vocabulary small_spm() {
  Vocabulary v;
  v.add_bos = v.add_space_prefix = true;
  v.unknown = 0;
  v.bos = 1;
  v.eos = 2;
  add(v, "<unk>", TokenKind::unknown);
  add(v, "<s>", TokenKind::control);
  add(v, "</s>", TokenKind::control);
  constexpr char kHex[] = "0123456789ABCDEF";
  for (int byte = 0; byte < 256; ++byte) {
    add(v, std::string("<0x") + kHex[byte / 16] + kHex[byte % 16] + ">", TokenKind::byte);
  }
  for (const char* text : {"a", "b", "c", "\u2581"}) add(v, text, TokenKind::normal, -10);
  add(v, "ab", TokenKind::normal, -2);
  add(v, "bc", TokenKind::normal, -1);
  add(v, "\u2581b", TokenKind::normal, -3);
  add(v, "<a>", TokenKind::user_defined);
  add(v, "<a><a>!", TokenKind::user_defined);
  complete(v, "");
  return v;
}

std::string texts_of(const Tokenizer& tokenizer, const Ids& ids) {
  std::string text;
  for (const TokenId id : ids) {
    text += (text.empty() ? "" : " ") + tokenizer.vocabulary().texts[static_cast<std::size_t>(id)];
  }
  return text;
}

std::string pieces_of(const std::string& rule, const std::string& text) {
  const auto scalars = decode_utf8(text);
  std::string pieces;
  std::size_t begin = 0;
  for (const std::size_t end : split(*find_split_rule(rule), scalars)) {
    const std::size_t stop = end < scalars.size() ? scalars[end].offset : text.size();
    pieces += (begin == 0 ? "" : "|") + text.substr(begin, stop - begin);
    begin = stop;
  }
  return pieces;
}

class ReferenceIds : public ::testing::TestWithParam<const char*> {};

TEST_P(ReferenceIds, IdsEqualLlamaCppsAndBytesComeBack) {
  const char* root = std::getenv("SKILLYARD_DATA");
  if (root == nullptr) GTEST_SKIP() << "SKILLYARD_DATA is not set";
  const std::filesystem::path folder = std::filesystem::path(root) / "tokenizers";
  const std::string name = GetParam();
  const Tokenizer tokenizer(read_vocabulary(Gguf::open(folder / (name + ".gguf"))));
  std::ifstream in(folder / (name + ".cases.json"));
  const auto cases = nlohmann::json::parse(in)["cases"];
  ASSERT_GE(cases.size(), 200U);
  for (const auto& item : cases) {
    const auto text = item["text"].get<std::string>();
    const Ids ids = tokenizer.encode(text);
    EXPECT_EQ(ids, item["ids"].get<Ids>()) << nlohmann::json(text);
    EXPECT_EQ(tokenizer.decode(ids), text) << nlohmann::json(text);
  }
}

INSTANTIATE_TEST_SUITE_P(Tokenizer, ReferenceIds,
                         ::testing::Values("gpt-2", "mpt", "qwen2", "deepseek-llm", "phi-3"),
                         [](const auto& suite) {
                           std::string name = suite.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(TokenizeTool, WritesTheIdsOfEveryCase) {
  const char* root = std::getenv("SKILLYARD_DATA");
  if (root == nullptr) GTEST_SKIP() << "SKILLYARD_DATA is not set";
  const std::filesystem::path folder = std::filesystem::path(root) / "tokenizers";
  const auto out = std::filesystem::path(::testing::TempDir()) / "skillyard_ids.json";
  const auto report =
      tools::tokenize_cases(folder / "phi-3.gguf", folder / "phi-3.cases.json", out);
  EXPECT_EQ(report.compared, report.cases);
  EXPECT_EQ(report.equal, report.cases);
  std::ifstream in(out);
  const auto ids = nlohmann::json::parse(in);
  ASSERT_EQ(ids.size(), report.cases);
  std::ifstream cases_in(folder / "phi-3.cases.json");
  const auto cases = nlohmann::json::parse(cases_in);
  EXPECT_EQ(ids[7], cases["cases"][7]["ids"]);
  EXPECT_THROW(tools::tokenize_cases(folder / "phi-3.gguf", folder / "README.md", out),
               std::runtime_error);
  std::filesystem::remove(out);
}

// The pieces that Python's `regex` module makes of the same text with the published patterns.
TEST(SplitRule, PiecesOfOneText) {
  const std::string text =
      "I'LL pay 1234567\u20AC, it's\t ok!!\n\n  x=ab[12];  \u4E16\u30AB e\u0301 \x01 end  ";
  const std::map<std::string, std::string> expected = {
      {"gpt-2",
       "I|'|LL| pay| 1234567|\u20AC,| it|'s|\t| ok|!!|\n\n | x|=|ab|[|12|];| | \u4E16\u30AB"
       "| e|\u0301| \x01| end|  "},
      {"llama-bpe",
       "I|'LL| pay| |123|456|7|\u20AC,| it|'s|\t| ok|!!\n\n| | x|=ab|[|12|];| "
       "| \u4E16\u30AB| e|\u0301| \x01| end|  "},
      {"qwen2",
       "I|'LL| pay| |1|2|3|4|5|6|7|\u20AC,| it|'s|\t| ok|!!\n\n| | x|=ab|[|1|2|];| "
       "| \u4E16\u30AB| e|\u0301| \x01| end|  "},
      {"starcoder",
       "I|'|LL| pay| |1|2|3|4|5|6|7|\u20AC,| it|'s|\t| ok|!!|\n\n | x|=|ab|[|1|2|];| "
       "| \u4E16\u30AB| e|\u0301| \x01| end|  "},
      {"falcon",
       "I|'|LL| pay| |123|456|7|\u20AC|,| it|'|s|\t| ok|!!|\n\n | x|=|ab|[|12|];| "
       "| \u4E16\u30AB| e|\u0301| \x01| end|  "},
      {"default",
       "I|'|LL| pay| |123|456|7|\u20AC|,| it|'|s|\t| ok|!!|\n\n | x|=|ab|[|12|];| "
       "| \u4E16\u30AB| e|\u0301| \x01| end|  "},
      {"deepseek-llm",
       "I|'|LL| pay| |1234567|\u20AC|,| it|'|s|\t| ok|!!|\n|\n| | x|=|ab|[|12|];"
       "|  |\u4E16\u30AB| e|\u0301 \x01| end|  "},
      {"deepseek-coder",
       "I|'|LL| pay| |1|2|3|4|5|6|7|\u20AC|,| it|'|s|\t| ok|!!|\n|\n| | x|=|ab|[|1"
       "|2|];| | |\u4E16\u30AB| e|\u0301 \x01| end|  "},
      {"deepseek-v3",
       "I|'LL| pay| |123|456|7|\u20AC,| it|'s|\t| ok|!!\n\n| | x|=ab|[|12|];|  "
       "|\u4E16\u30AB| e\u0301| |\x01| end|  "},
      {"qwen35",
       "I|'LL| pay| |1|2|3|4|5|6|7|\u20AC,| it|'s|\t| ok|!!\n\n| |"
       " x|=ab|[|1|2|];| | \u4E16\u30AB| e\u0301| \x01| end|  "},
      {"gpt-4o",
       "I'LL| pay| |123|456|7|\u20AC,| it's|\t| ok|!!\n\n| |"
       " x|=ab|[|12|];| | \u4E16\u30AB| e|\u0301| \x01| end|  "},
      {"tekken",
       "I|'LL| pay| |1|2|3|4|5|6|7|\u20AC,| it|'s|\t| ok|!!\n\n| |"
       " x|=ab|[|1|2|];| | \u4E16\u30AB| e|\u0301| \x01| end|  "}};
  for (const auto& [name, pieces] : expected) EXPECT_EQ(pieces_of(name, text), pieces) << name;
}

TEST(SplitRule, LongRunsAreLinear) {
  // Each of these would take hours if a rule looked at a run again from every place inside it.
  for (const auto name : split_rule_names()) {
    for (const char* unit : {" ", "\n", "a", "7", "!", "\u3000", "'"}) {
      std::string text;
      while (text.size() < 200'000) text += unit;
      text += "5\u0301";
      const auto scalars = decode_utf8(text);
      EXPECT_EQ(split(*find_split_rule(name), scalars).back(), scalars.size());
    }
  }
}

TEST(Bpe, MergesByRankThenFromTheLeft) {
  Vocabulary v = byte_vocabulary();
  for (const char* text : {"aa", "aab", "bc", "aaa"}) add(v, text);
  v.merges = {"b c", "a a", "aa b", "aa a"};
  complete(v, "");
  const Tokenizer t(v);
  EXPECT_EQ(texts_of(t, t.encode("aabc")), "aa bc");  // "b c" before "aa b"
  EXPECT_EQ(texts_of(t, t.encode("aaaa")), "aa aa");  // both pairs "a a" before "aa a"
  EXPECT_EQ(texts_of(t, t.encode("aaaaa")), "aa aaa");
  EXPECT_EQ(texts_of(t, t.encode("aab")), "aab");
  EXPECT_EQ(t.encode("").size(), 0U);
}

TEST(Bpe, LongPieceIsNotQuadratic) {
  Vocabulary v = byte_vocabulary();
  add(v, "aa");
  v.merges = {"a a"};
  complete(v, "");
  const Tokenizer t(v);
  EXPECT_EQ(t.encode(std::string(1'000'000, 'a')).size(), 500'000U);
}

TEST(Spm, MergesByScoreAndFallsBackToBytes) {
  const Tokenizer t(small_spm());
  EXPECT_EQ(texts_of(t, t.encode("ab")), "\u2581 ab");
  EXPECT_EQ(texts_of(t, t.encode("abc")), "\u2581 a bc");  // "bc" scores better than "ab"
  EXPECT_EQ(texts_of(t, t.encode("a b")), "\u2581 a \u2581b");
  EXPECT_EQ(texts_of(t, t.encode("\u00e9")), "\u2581 <0xC3> <0xA9>");
  EXPECT_EQ(t.decode(t.encode("a \u00e9 b")), "a \u00e9 b");
  EXPECT_EQ(t.decode(t.encode("\xff\xc3")), "\xff\xc3");  // SPM keeps bytes that are no UTF-8
}

TEST(Tokenizer, SpecialTokensOnlyWhereAsked) {
  const Tokenizer t(small_spm());
  EXPECT_EQ(texts_of(t, t.encode("a</s>b", {.add_special = true, .parse_special = true})),
            "<s> \u2581 a </s> \u2581b");
  const Ids plain = t.encode("a</s>b");
  EXPECT_EQ(std::count(plain.begin(), plain.end(), t.find("</s>")), 0);
  EXPECT_TRUE(t.is_end(t.find("</s>")));
  EXPECT_FALSE(t.is_end(t.find("a")));
  EXPECT_EQ(t.decode(t.encode("a</s>", {.parse_special = true})), "a");
  // A user-defined token is found before merging, the longest of those that begin anywhere first.
  EXPECT_EQ(texts_of(t, t.encode("x<a><a>!")), "\u2581 <0x78> <a><a>!");
  EXPECT_EQ(texts_of(t, t.encode("<a>ab")), "<a> \u2581 ab");
}

TEST(Tokenizer, PhiStripsSpaceAfterSpecialTokens) {
  Vocabulary v = small_spm();
  complete(v, "Phi-3 mini");
  const Tokenizer t(std::move(v));
  EXPECT_EQ(texts_of(t, t.encode("</s> \n a", {.parse_special = true})), "</s> \u2581 a");
}

TEST(Tokenizer, ReplacesBytesThatAreNoUtf8) {
  Vocabulary v = byte_vocabulary();
  complete(v, "");
  const Tokenizer t(std::move(v));
  EXPECT_EQ(t.decode(t.encode("a\xff\xe2\x82z")), "a\uFFFD\uFFFD\uFFFDz");
}

TEST(Tokenizer, RefusesWhatItDoesNotKnow) {
  const auto message = [](Vocabulary v) -> std::string {
    try {
      complete(v, "");
      const Tokenizer t(std::move(v));
    } catch (const std::runtime_error& e) {
      return e.what();
    }
    return "accepted";
  };
  Vocabulary unknown_rule = byte_vocabulary();
  unknown_rule.pre = "made-up";
  EXPECT_NE(message(unknown_rule).find("\"made-up\" is not known"), std::string::npos);
  Vocabulary twice = byte_vocabulary();
  add(twice, "a");
  EXPECT_NE(message(twice).find("the token \"a\" is repeated"), std::string::npos);
  Vocabulary no_scores = small_spm();
  no_scores.scores.pop_back();
  EXPECT_NE(message(no_scores).find("scores has"), std::string::npos);
  Vocabulary far_bos = byte_vocabulary();
  far_bos.bos = 100000;
  EXPECT_NE(message(far_bos).find("bos_token_id is 100000"), std::string::npos);
  Vocabulary odd_merge = byte_vocabulary();
  odd_merge.merges = {"ab"};
  EXPECT_NE(message(odd_merge).find("merge 0 is \"ab\""), std::string::npos);
}

TEST(Unicode, FindsOpenTails) {
  EXPECT_EQ(utf8_open_tail("a"), 0U);
  EXPECT_EQ(utf8_open_tail("a\xC3"), 1U);
  EXPECT_EQ(utf8_open_tail("\xF0\x9F\xA6"), 3U);
  EXPECT_EQ(utf8_open_tail("\xF0\x9F\xA6\x99"), 0U);
  EXPECT_EQ(utf8_open_tail("\xED\xA0"), 0U);  // a surrogate: no byte makes it whole
  EXPECT_EQ(utf8_open_tail("\x80\x80"), 0U);
  EXPECT_EQ(utf8_open_tail("\xFF"), 0U);
}

}  // namespace
}  // namespace moe
