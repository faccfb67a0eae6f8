#include "experts/moe/text_stream.h"

#include <gtest/gtest.h>

#include "experts/moe/bpe.h"
#include "experts/moe/unicode.h"

namespace moe {
namespace {

// Every way to cut `text` into pieces of 1 to 3 bytes gives the same sent text and the same stop.
void expect_cut(const std::vector<std::string>& stops, const std::string& text,
                const std::string& sent, const std::string& met) {
  for (unsigned pattern = 0; pattern < 243; ++pattern) {
    StopCutter cutter(stops);
    std::string out;
    unsigned lengths = pattern;
    for (std::size_t at = 0; at < text.size(); lengths /= 3) {
      const std::size_t length = 1 + lengths % 3;
      const std::string piece = cutter.push(std::string_view(text).substr(at, length));
      out += piece;
      at += length;
    }
    out += cutter.finish();
    ASSERT_EQ(out, sent) << text << " pattern " << pattern;
    ASSERT_EQ(cutter.met() != nullptr ? *cutter.met() : "", met);
  }
}

TEST(StopCutter, CutsAtTheFirstStopHoweverThePiecesFall) {
  expect_cut({"STOP"}, "hello STOP there", "hello ", "STOP");
  expect_cut({"STOP"}, "STSTOP", "ST", "STOP");
  expect_cut({"aab"}, "aaab", "a", "aab");
  expect_cut({"STOP"}, "an ending STO", "an ending STO", "");
  expect_cut({"\n\n", "b"}, "a\nb\n\n", "a\n", "b");
  expect_cut({"xyz", "yz"}, "wxyz", "w", "xyz");
  expect_cut({""}, "all", "all", "");
}

TEST(StopCutter, SendsWhatNoStopCanClaim) {
  StopCutter cutter({"###", "END"});
  EXPECT_EQ(cutter.push("text E"), "text ");
  EXPECT_EQ(cutter.push("x"), "Ex");
  EXPECT_EQ(cutter.push("##"), "");
  EXPECT_EQ(cutter.push("a"), "##a");
  EXPECT_EQ(cutter.push("###"), "");
  EXPECT_EQ(cutter.push("more"), "");
  EXPECT_EQ(cutter.finish(), "");
}

Tokenizer byte_tokenizer() {
  Vocabulary v;
  v.model = TokenizerModel::bpe;
  v.pre = "gpt-2";
  for (int byte = 0; byte < 256; ++byte) {
    v.texts.push_back(byte_character(static_cast<std::uint8_t>(byte)));
  }
  v.kinds.assign(256, TokenKind::normal);
  complete(v, "");
  return Tokenizer(std::move(v));
}

TEST(TextStream, SendsWholeCharactersOnly) {
  const Tokenizer t = byte_tokenizer();
  TextStream stream(t, {}, false);
  std::string sent;
  for (const TokenId id : t.encode("a\u00E9\u4E16\U0001F999z")) {
    const std::string piece = stream.push(id);
    EXPECT_EQ(with_valid_utf8(piece), piece);
    sent += piece;
  }
  EXPECT_EQ(sent, "a\u00E9\u4E16\U0001F999z");
  EXPECT_EQ(stream.finish(), "");
}

TEST(TextStream, ReplacesWhatNeverBecomesACharacter) {
  const Tokenizer t = byte_tokenizer();
  TextStream stream(t, {}, false);
  std::string sent;
  for (const int byte : {0xF0, 0x9F, 0x61, 0xFF, 0xE4, 0xB8}) sent += stream.push(byte);
  EXPECT_EQ(sent, "\uFFFD\uFFFDa\uFFFD");
  EXPECT_EQ(stream.finish(), "\uFFFD\uFFFD");
}

TEST(TextStream, StopsInsideACharacterSequence) {
  const Tokenizer t = byte_tokenizer();
  TextStream stream(t, {"\u4E16"}, false);
  std::string sent;
  for (const TokenId id : t.encode("ab\u4E16\u754C")) sent += stream.push(id);
  EXPECT_EQ(sent, "ab");
  ASSERT_NE(stream.stop_met(), nullptr);
  EXPECT_EQ(*stream.stop_met(), "\u4E16");
}

}  // namespace
}  // namespace moe
