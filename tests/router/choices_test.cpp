// What is read out of the wording of options.
#include "router/choices.h"

#include <gtest/gtest.h>

#include <cmath>

namespace router {
namespace {

// Where choices.cpp puts what these tests look at.
constexpr std::size_t kLongest = 1, kShared = 3, kInStem = 5, kAllOfThem = 7, kIsNumber = 14,
                      kSmallest = 17, kLargest = 18, kFirst = 22;

TEST(Choices, DescribeWordsNumbersAndPlaces) {
  const auto question = aggregator::read_question(
      "Which river crosses the capital?\nA. the long river Seine\nB. the river Rhine\nC. a lake\n"
      "D. All of the above");
  const auto traits = describe_choices(question);
  ASSERT_EQ(traits.size(), 4u);
  EXPECT_EQ(traits[0][kLongest], 1);
  EXPECT_EQ(traits[1][kLongest], 0);
  EXPECT_GT(traits[1][kShared], traits[2][kShared]);
  EXPECT_GT(traits[0][kInStem], 0) << "`river` stands in the question";
  EXPECT_EQ(traits[2][kInStem], 0);
  EXPECT_EQ(traits[3][kAllOfThem], 1);
  EXPECT_EQ(traits[0][kIsNumber], 0);
  EXPECT_EQ(traits[0][kFirst], 1);

  const auto numbers =
      describe_choices(aggregator::read_question("How many?\nA. 1,200\nB. $35\nC. -4.5\nD. 600"));
  ASSERT_EQ(numbers.size(), 4u);
  EXPECT_EQ(numbers[2][kSmallest], 1);
  EXPECT_EQ(numbers[0][kLargest], 1);
  for (const auto& option : numbers) EXPECT_EQ(option[kIsNumber], 1);
}

TEST(Choices, AnythingGivesFiniteTraits) {
  EXPECT_TRUE(describe_choices(aggregator::read_question("Explain rain.")).empty());
  aggregator::Question question;
  question.options.resize(64);
  for (std::size_t i = 0; i < 64; ++i) {
    question.options[i].label = i % 2 ? "A" : "";
    question.options[i].text = std::string(i * 40, i % 3 ? '\xff' : '9') + "..--1e999";
  }
  for (const auto& option : describe_choices(question))
    for (const float trait : option) EXPECT_TRUE(std::isfinite(trait));
}

}  // namespace
}  // namespace router
