// The flip table: what each rewording does to a text, and that the table counts what it says.
#include "router/learn/rewordings.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace router {
namespace {

constexpr const char* kQuestion =
    "Which gas, of these, do plants take up?\nA. Oxygen.\nB. Carbon dioxide\nC. Argon";

TEST(Reword, DoesWhatItsNameSays) {
  EXPECT_EQ(reword(Rewording::upper_case, "aZ é1.", 0), "AZ é1.");
  EXPECT_EQ(reword(Rewording::lower_case, "aZ É1.", 0), "az É1.");
  EXPECT_EQ(reword(Rewording::punctuation, kQuestion, 0),
            "Which gas of these do plants take up\nA. Oxygen\nB. Carbon dioxide\nC. Argon");
  EXPECT_EQ(reword(Rewording::no_options, kQuestion, 0), "Which gas, of these, do plants take up?");
  EXPECT_TRUE(reword(Rewording::preamble, kQuestion, 0).ends_with(kQuestion));
}

TEST(Reword, LeavesWhatHasNoOptions) {
  for (const char* text : {"", "A. alone", "Some\nA. but no second", "B. first\nA. second"})
    EXPECT_EQ(reword(Rewording::no_options, text, 0), text);
}

TEST(Reword, TyposSwapInnerNeighboursOfSomeLongWords) {
  std::string text;
  for (int i = 0; i < 200; ++i) text += "planet of ";
  const std::string typed = reword(Rewording::typos, text, 5);
  EXPECT_EQ(typed, reword(Rewording::typos, text, 5));
  EXPECT_NE(typed, reword(Rewording::typos, text, 6));
  ASSERT_EQ(typed.size(), text.size());
  std::size_t changed = 0;
  for (std::size_t at = 0; at < text.size(); at += 10) {
    std::string word = typed.substr(at, 6);
    changed += word != "planet";
    EXPECT_EQ(word.front(), 'p');
    EXPECT_EQ(word.back(), 't');
    std::sort(word.begin(), word.end());
    EXPECT_EQ(word, "aelnpt");
    EXPECT_EQ(typed.substr(at + 6, 4), " of ");
  }
  EXPECT_GT(changed, 8u);
  EXPECT_LT(changed, 40u);
}

}  // namespace
}  // namespace router
