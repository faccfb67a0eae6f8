#include "aggregator/fuse.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <random>

namespace aggregator {
namespace {

using nlohmann::json;

TEST(FuseNumbers, IsTheMedianOfEveryValueRepeatedByItsWeight) {
  std::mt19937_64 engine(9);
  for (int round = 0; round < 500; ++round) {
    std::vector<WeightedNumber> numbers;
    std::vector<double> repeated;
    for (std::size_t i = 0; i < 1 + engine() % 7; ++i) {
      const double value = static_cast<double>(engine() % 9);
      const std::size_t weight = engine() % 4;
      numbers.push_back({value, static_cast<double>(weight)});
      for (std::size_t w = 0; w < weight; ++w) repeated.push_back(value);
    }
    const FusedNumber fused = fuse_numbers(numbers);
    EXPECT_EQ(numbers[fused.chosen].value, fused.value);
    EXPECT_LE(fused.low, fused.value);
    EXPECT_GE(fused.high, fused.value);
    if (repeated.empty()) continue;
    std::sort(repeated.begin(), repeated.end());
    EXPECT_EQ(fused.value, repeated[(repeated.size() - 1) / 2]);
    const auto inside = std::count_if(repeated.begin(), repeated.end(),
                                      [&](double x) { return x >= fused.low && x <= fused.high; });
    EXPECT_GE(static_cast<double>(inside), 0.8 * static_cast<double>(repeated.size()) - 1e-9);
  }
}

TEST(FuseNumbers, OneFarOffVoiceMovesNothing) {
  const FusedNumber fused = fuse_numbers({{10, .7}, {10.5, .6}, {1e9, .5}, {9.8, .6}});
  EXPECT_EQ(fused.value, 10);
  EXPECT_EQ(fused.chosen, 0u);
  EXPECT_EQ(fused.low, 9.8);
}

FusedJson fuse(const std::vector<WeightedJson>& documents, std::string_view schema = "") {
  return fuse_json(documents, schema);
}

TEST(FuseJson, VotesFieldByField) {
  const FusedJson fused =
      fuse({{R"({"name":"Ann Lee","age":31,"city":"Rome","tags":["a","b"]})", .9},
            {R"({"name":"ann  lee","age":41,"city":"Oslo","tags":["a","c"]})", .6},
            {R"({"name":"Bob","age":31.0,"city":"Oslo","tags":["a","c"],"odd":1})", .6}});
  ASSERT_TRUE(fused.fused);
  EXPECT_EQ(json::parse(fused.text),
            json::parse(R"({"name":"Ann Lee","age":31,"city":"Oslo","tags":["a","c"]})"));
  // name 1.5, age 1.5, city 1.2, tags/0 2.1, tags/1 1.2 of 2.1
  EXPECT_NEAR(fused.agreement, (1.5 + 1.5 + 1.2 + 2.1 + 1.2) / 2.1 / 5, 1e-9);
  EXPECT_TRUE(fused.contested.empty());
}

TEST(FuseJson, TakesTheMedianWhereNumbersDisagreeAndSaysSo) {
  const FusedJson fused =
      fuse({{R"({"x":[1,5]})", 1}, {R"({"x":[3,5]})", 1}, {R"({"x":[900,5]})", 1}});
  EXPECT_EQ(fused.text, R"({"x":[3,5]})");
  EXPECT_EQ(fused.contested, std::vector<std::string>{"/x/0"});
}

TEST(FuseJson, OneDocumentIsItselfAndAgreementIsWhole) {
  const std::string text = R"({"a":{"b":[1,2,{"c":null}],"d":"x"},"e":true})";
  const FusedJson one = fuse({{text, .3}});
  EXPECT_EQ(one.text, text);
  EXPECT_EQ(one.agreement, 1);
  EXPECT_EQ(fuse({{text, .3}, {text, .9}, {text, 0}}).text, text);
  EXPECT_EQ(fuse({{text, 0}, {text, 0}}).text, text);
}

TEST(FuseJson, KeepsToTheSchema) {
  const std::string schema =
      R"({"type":"object","required":["a"],"properties":{"a":{"type":"integer"}},"additionalProperties":false})";
  EXPECT_EQ(fuse({{R"({"a":1})", .1}, {R"({"a":"x"})", .9}, {R"({"a":2,"b":3})", .9}}, schema).text,
            R"({"a":1})");
  EXPECT_FALSE(fuse({{R"({"a":"x"})", .9}}, schema).fused);
  EXPECT_FALSE(fuse({{"not json", .9}, {"", 1}}).fused);
  EXPECT_FALSE(fuse({}).fused);
  // Each fits, their mixture would not: both fields held by half, neither dropped, one allowed.
  const std::string one_of = R"({"type":"array","maxItems":2,"items":{"enum":["x","y"]}})";
  EXPECT_EQ(fuse({{R"(["x"])", .6}, {R"(["y","x"])", .5}}, one_of).text, R"(["x"])");
}

TEST(FuseJson, ComesBackFromDeepAndMixedDocuments) {
  const std::string deep = std::string(40, '[') + "1" + std::string(40, ']');
  EXPECT_EQ(fuse({{deep, 1}, {deep, 1}}).text, deep);
  EXPECT_FALSE(fuse({{std::string(100, '[') + std::string(100, ']'), 1}}).fused);
  EXPECT_EQ(fuse({{R"({"a":1})", 1}, {R"([1])", 3}, {"\"s\"", 1}}).text, "[1]");
}

}  // namespace
}  // namespace aggregator
