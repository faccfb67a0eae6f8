#include "store/knowledge_chunks.h"

#include <gtest/gtest.h>

#include <random>

#include "store/utf8.h"

namespace {

using store::Chunk;
using store::ChunkRules;
using store::cut;
using store::Format;

constexpr ChunkRules kSmall = {.bytes_max = 100, .overlap_bytes = 20, .heading_bytes_max = 40};

std::string_view text_of(std::string_view document, const Chunk& chunk) {
  return document.substr(chunk.start, chunk.size);
}

/// The promises of the head comment. The document comes back from the fresh parts.
void expect_tiles(std::string_view document, const std::vector<Chunk>& chunks,
                  const ChunkRules& rules) {
  std::string again;
  for (const Chunk& chunk : chunks) {
    ASSERT_LE(chunk.size, rules.bytes_max);
    ASSERT_LE(chunk.start, chunk.fresh);
    ASSERT_LE(chunk.fresh - chunk.start, rules.overlap_bytes);
    ASSERT_EQ(chunk.fresh, again.size());
    ASSERT_LT(chunk.fresh, chunk.start + chunk.size);
    ASSERT_TRUE(store::is_utf8(text_of(document, chunk)));
    ASSERT_LE(chunk.heading.size(), rules.heading_bytes_max);
    ASSERT_TRUE(store::is_utf8(chunk.heading));
    again += document.substr(chunk.fresh, chunk.start + chunk.size - chunk.fresh);
  }
  ASSERT_EQ(again, document);
}

TEST(Chunks, ShortTextIsOnePassage) {
  const std::string text = "One line.\n\nAnother.\n";
  const auto chunks = cut(text, Format::text, kSmall);
  ASSERT_EQ(chunks.size(), 1u);
  EXPECT_EQ(text_of(text, chunks[0]), text);
}

TEST(Chunks, BlankTextHasNone) {
  EXPECT_TRUE(cut("", Format::text, kSmall).empty());
  EXPECT_TRUE(cut(" \n\t\r\n", Format::markdown, kSmall).empty());
}

TEST(Chunks, ParagraphsStayWhole) {
  const std::string a(60, 'a'), b(60, 'b'), c(30, 'c');
  const std::string text = a + "\n\n" + b + "\n\n" + c + "\n";
  const auto chunks = cut(text, Format::text, kSmall);
  ASSERT_EQ(chunks.size(), 2u);
  EXPECT_EQ(text_of(text, chunks[0]), a + "\n\n");
  EXPECT_EQ(text_of(text, chunks[1]), b + "\n\n" + c + "\n") << "one word: nothing to repeat";
}

TEST(Chunks, LongParagraphIsSplitBehindSentencesAndRepeatsItsEnd) {
  std::string text;
  for (int i = 0; i < 12; ++i) text += "The number of this sentence is " + std::to_string(i) + ". ";
  const auto chunks = cut(text, Format::text, kSmall);
  ASSERT_GT(chunks.size(), 3u);
  expect_tiles(text, chunks, kSmall);
  for (std::size_t i = 0; i + 1 < chunks.size(); ++i) {
    EXPECT_TRUE(text_of(text, chunks[i]).ends_with(". ")) << text_of(text, chunks[i]);
    EXPECT_LT(chunks[i + 1].start, chunks[i + 1].fresh);
    EXPECT_EQ(text[chunks[i + 1].start - 1], ' ') << "the repetition begins with a word";
  }
}

TEST(Chunks, MarkdownSectionsBeginPassagesWithTheirPath) {
  const std::string words(60, 'w');
  const std::string text = "# Guide\n\n" + words + "\n\n## Install ##\n\n" + words +
                           "\n\nUse\n---\n\n" + words + "\n\n# Other\n\n" + words + "\n";
  const auto chunks = cut(text, Format::markdown, kSmall);
  ASSERT_EQ(chunks.size(), 4u);
  expect_tiles(text, chunks, kSmall);
  EXPECT_EQ(chunks[0].heading, "Guide");
  EXPECT_EQ(chunks[1].heading, "Guide > Install");
  EXPECT_EQ(chunks[2].heading, "Guide > Use");
  EXPECT_EQ(chunks[3].heading, "Other");
  EXPECT_TRUE(text_of(text, chunks[1]).starts_with("## Install")) << "no overlap across sections";
}

TEST(Chunks, HashesInCodeAreNoHeadings) {
  const std::string words(60, 'w');
  const std::string text = "# Real\n\n```sh\n# not a heading\n\nmore\n```\n\n" + words + "\n";
  const auto chunks = cut(text, Format::markdown, kSmall);
  ASSERT_EQ(chunks.size(), 2u);
  EXPECT_EQ(chunks[1].heading, "Real");
  EXPECT_TRUE(text_of(text, chunks[0]).ends_with("```\n\n")) << "the fence stays whole";
}

TEST(Chunks, TinySectionsShareAPassage) {
  const std::string text = "# A\n\nx\n\n# B\n\ny\n\n# C\n\nz\n";
  EXPECT_EQ(cut(text, Format::markdown, kSmall).size(), 1u);
}

TEST(Chunks, ImpossibleRulesAreRefused) {
  EXPECT_THROW(cut("x", Format::text, {.bytes_max = 10, .overlap_bytes = 0}), std::runtime_error);
  EXPECT_THROW(cut("x", Format::text, {.bytes_max = 100, .overlap_bytes = 51}), std::runtime_error);
}

// Random documents out of the pieces that the rules speak of, in random limits.
TEST(Chunks, AnyTextIsTiled) {
  const std::vector<std::string> pieces = {"word",
                                           " ",
                                           "\n",
                                           "\n\n",
                                           ". ",
                                           "# ",
                                           "## H\n",
                                           "```\n",
                                           "---\n",
                                           "\r\n",
                                           "\t",
                                           "\xc3\xa9",
                                           "\xf0\x9f\xa6\x89",
                                           "a-very-long-word-without-any-place-to-break-it-in"};
  std::mt19937 chance(7);
  for (int round = 0; round < 3'000; ++round) {
    ChunkRules rules;
    rules.bytes_max = 64 + chance() % 200;
    rules.overlap_bytes = chance() % (rules.bytes_max / 2 + 1);
    rules.heading_bytes_max = chance() % 50;
    std::string text;
    for (std::size_t i = chance() % 300; i > 0; --i) text += pieces[chance() % pieces.size()];
    const Format format = round % 2 == 0 ? Format::text : Format::markdown;
    const auto chunks = cut(text, format, rules);
    if (text.find_first_not_of(" \t\r\n") == std::string::npos) {
      ASSERT_TRUE(chunks.empty());
    } else {
      ASSERT_NO_FATAL_FAILURE(expect_tiles(text, chunks, rules)) << text;
    }
  }
}

TEST(Utf8, KnowsWellFormedFromNot) {
  for (const char* good : {"", "plain ASCII, more than eight bytes", "\xc2\x80", "\xdf\xbf",
                           "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80", "\xf0\x90\x80\x80",
                           "\xf4\x8f\xbf\xbf", "12345678\xc3\xa9"}) {
    EXPECT_TRUE(store::is_utf8(good)) << good;
  }
  for (const char* bad :
       {"\x80", "\xc1\xbf", "\xc3", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "1234567\xe9t\xe9", "\xe2\x82"}) {
    EXPECT_FALSE(store::is_utf8(bad)) << bad;
  }
}

}  // namespace
