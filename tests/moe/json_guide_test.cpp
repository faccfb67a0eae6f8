// The guide against a JSON parser: what one calls whole the other accepts, on texts made at random.
#include "experts/moe/json_guide.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <string>

namespace moe {
namespace {

using Kind = JsonShape::Kind;

bool whole(const JsonShape& shape, const std::string& text) {
  JsonGuide guide(shape);
  guide.take(text);
  return guide.complete();
}

// 0: a text could go on from here.
std::size_t refused_at(const JsonShape& shape, const std::string& text) {
  JsonGuide guide(shape);
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (!guide.accepts(text.substr(i, 1))) return i + 1;
    guide.take(text.substr(i, 1));
  }
  return 0;
}

TEST(JsonGuide, AgreesWithAParserOnRandomTexts) {
  std::mt19937 random(3);
  const std::vector<std::string> parts = {
      "{", "}",  "[",    "]",     ":",    ",",     "\"a\"", "\"", "1",      "0", "-",  ".",
      "e", "E+", "true", "false", "null", "\\u00", "\\n",   "\\", "\"k\":", " ", "\n", "x"};
  int accepted = 0;
  for (int i = 0; i < 60000; ++i) {
    std::string text;
    for (std::size_t n = 1 + random() % 7; n > 0; --n) text += parts[random() % parts.size()];
    const bool valid = nlohmann::json::accept(text);
    accepted += valid;
    ASSERT_EQ(whole({}, text), valid) << text;
  }
  EXPECT_GT(accepted, 1000);
}

TEST(JsonGuide, EveryPrefixOfADocumentMayGoOn) {
  const std::string text =
      R"({"a":[1,-0.5e+3,{"b":null}],"c":"x\u00e9\"y","d":{},"e":[ ],"f": true })";
  ASSERT_TRUE(nlohmann::json::accept(text));
  EXPECT_EQ(refused_at({}, text), 0U);
  EXPECT_EQ(refused_at({.kind = Kind::object}, text), 0U);
  EXPECT_EQ(refused_at({.kind = Kind::array}, text), 1U);
  JsonGuide guide({.kind = Kind::object});
  EXPECT_FALSE(guide.accepts(""));
  EXPECT_TRUE(guide.accepts("{\"a\":"));  // a token of several bytes
  guide.take(text);
  EXPECT_TRUE(guide.finished());
  EXPECT_FALSE(guide.accepts("}"));
}

TEST(JsonGuide, WhiteSpaceEnds) {
  EXPECT_EQ(refused_at({}, "{" + std::string(kSpaceRunMax, ' ')), 0U);
  EXPECT_EQ(refused_at({}, "{" + std::string(kSpaceRunMax + 1, '\n')), kSpaceRunMax + 2);
  EXPECT_EQ(refused_at({}, std::string(kJsonDepthMax + 5, '[')), kJsonDepthMax + 1);
}

TEST(JsonGuide, KeepsToTheShape) {
  JsonShape person{.kind = Kind::object};
  person.add_property("name", {.kind = Kind::string});
  person.add_property("nick", {.kind = Kind::string}, false);
  person.add_property("age", {.kind = Kind::integer});
  person.add_property("mood",
                      {.kind = Kind::literal, .literals = {"\"good\"", "\"glum\"", "null"}});
  JsonShape tags{.kind = Kind::array, .items_min = 1, .items_max = 2};
  tags.items.push_back({.kind = Kind::number});
  person.add_property("tags", tags, false);
  const auto at = [&](const std::string& text) { return refused_at(person, text); };

  EXPECT_TRUE(whole(person, R"({"name":"a","nick":"b","age":3,"mood":"glum","tags":[1,2.5]})"));
  EXPECT_TRUE(whole(person, R"({ "name" : "a" , "age" : -30 , "mood" : null })"));
  EXPECT_FALSE(whole(person, R"({"name":"a","age":3})"));
  EXPECT_EQ(at(R"({"age")"), 3U);                               // name comes first
  EXPECT_EQ(at(R"({"name":1)"), 9U);                            // a text
  EXPECT_EQ(at(R"({"name":"a","age":1.)"), 20U);                // an integer
  EXPECT_EQ(at(R"({"name":"a","age":3,"mood":"gr)"), 30U);      // good or glum
  EXPECT_EQ(at(R"({"name":"a","age":3,"mood":null,"x)"), 34U);  // no other member
  EXPECT_EQ(at(R"({"name":"a","age":3,"mood":null,})"), 33U);
  EXPECT_EQ(at(R"({"name":"a","age":3,"mood":null,"tags":[])"), 41U);
  EXPECT_EQ(at(R"({"name":"a","age":3,"mood":null,"tags":[1,2,)"), 44U);
}

TEST(JsonGuide, FollowsAlternativesTogether) {
  JsonShape either{.kind = Kind::any_of};
  JsonShape first{.kind = Kind::object};
  first.add_property("ab", {.kind = Kind::integer});
  JsonShape second{.kind = Kind::object};
  second.add_property("ac", {.kind = Kind::string});
  either.items = {first, second, {.kind = Kind::integer}};
  EXPECT_TRUE(whole(either, R"({"ab":1})"));
  EXPECT_TRUE(whole(either, R"({"ac":"1"})"));
  EXPECT_TRUE(whole(either, "12"));
  EXPECT_EQ(refused_at(either, R"({"ab":")"), 7U);
  EXPECT_EQ(refused_at(either, R"({"ad)"), 4U);
  JsonGuide number({.kind = Kind::number});
  number.take("12");
  EXPECT_TRUE(number.complete());
  EXPECT_FALSE(number.finished());  // more digits may come
  EXPECT_THROW(JsonGuide({.kind = Kind::any_of}), std::invalid_argument);
}

}  // namespace
}  // namespace moe
