// Schemas against texts: what is of the schema can be written under the guide, what is not cannot;
// what the guide could not hold to is refused by name.
#include "experts/native_schema.h"

#include <gtest/gtest.h>

namespace experts {
namespace {

std::string format_of(const std::string& schema) {
  return R"({"type":"json_schema","json_schema":{"name":"x","strict":true,"schema":)" + schema +
         "}}";
}

bool fits(const moe::JsonShape& shape, const std::string& text) {
  moe::JsonGuide guide(shape);
  if (!guide.accepts(text)) return false;
  guide.take(text);
  return guide.complete();
}

struct Held {
  const char* schema;
  std::vector<const char*> good, bad;
};

TEST(NativeSchema, ShapesHoldWhatTheSchemaSays) {
  const Held table[] = {
      {R"({"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer"}},
           "required":["name","age"],"additionalProperties":false})",
       {R"({"name":"a","age":3})"},
       {R"({"name":"a"})", R"({"age":3,"name":"a"})", R"({"name":"a","age":3,"x":1})",
        R"({"name":"a","age":3.5})"}},
      {R"({"type":"object","properties":{"a":{"type":"number"},"b":{"type":"boolean"}},
           "required":["b"]})",
       {R"({"b":true})", R"({"a":-1e3,"b":false})"},
       {R"({"a":1})", "{}"}},
      {R"({"type":"array","items":{"enum":["red",7,null]},"minItems":1,"maxItems":2})",
       {R"(["red"])", "[7,null]"},
       {"[]", R"(["red","red","red"])", R"(["blue"])"}},
      {R"({"$defs":{"n":{"type":["number","null"]}},"type":"object",
           "properties":{"x":{"$ref":"#/$defs/n"}},"required":["x"]})",
       {R"({"x":null})", R"({"x":2})"},
       {R"({"x":"2"})"}},
      {R"({"anyOf":[{"const":"no"},{"type":"object","properties":{"q\"q":{"type":"string"}},
           "required":["q\"q"]}]})",
       {R"("no")", R"({"q\"q":"x"})"},
       {R"("yes")", R"({"qq":"x"})"}},
      {R"({"allOf":[{"type":"boolean"}],"description":"a flag"})", {"true"}, {"1"}},
      {R"({"type":"object","additionalProperties":false})", {"{}"}, {R"({"a":1})"}},
      {R"({"description":"whatever"})", {"[1,{}]", "null"}, {"nul"}},
  };
  for (const Held& held : table) {
    const ReplyShape reply = shape_of(format_of(held.schema));
    ASSERT_TRUE(reply.shape) << held.schema << reply.error;
    for (const char* text : held.good) EXPECT_TRUE(fits(*reply.shape, text)) << text;
    for (const char* text : held.bad) EXPECT_FALSE(fits(*reply.shape, text)) << text;
  }
  const ReplyShape any_object = shape_of(R"({"type":"json_object"})");
  ASSERT_TRUE(any_object.shape);
  EXPECT_TRUE(fits(*any_object.shape, R"({"a":[1]})"));
  EXPECT_FALSE(fits(*any_object.shape, "[1]"));
}

TEST(NativeSchema, RefusesByNameWhatItCannotHold) {
  const std::pair<const char*, const char*> table[] = {
      {R"({"type":"string","pattern":"^a"})", "`pattern`"},
      {R"({"type":"string","minLength":2})", "`minLength`"},
      {R"({"type":"string","format":"date"})", "`format`"},
      {R"({"type":"integer","minimum":2})", "`minimum`"},
      {R"({"type":"object","patternProperties":{}})", "`patternProperties`"},
      {R"({"type":"object","additionalProperties":{"type":"string"}})", "`additionalProperties`"},
      {R"({"type":"object","properties":{"a":{"type":"string"}},"required":["b"]})", "`b`"},
      {R"({"oneOf":[{"type":"string"}]})", "`oneOf`"},
      {R"({"type":"array","items":{"$ref":"#"}})", "recursive"},
      {R"({"$ref":"#/$defs/gone"})", "gone"},
      {R"({"$ref":"http://else.where/x"})", "leaves the schema"},
      {R"({"type":"text"})", "`text`"},
      {"false", "allows nothing"},
      {"7", "no object"},
  };
  for (const auto& [schema, what] : table) {
    const ReplyShape reply = shape_of(format_of(schema));
    EXPECT_FALSE(reply.shape) << schema;
    EXPECT_NE(reply.error.find(what), std::string::npos) << schema << ": " << reply.error;
  }
  EXPECT_NE(shape_of(R"({"type":"json_schema","json_schema":{"name":"x"}})").error, "");
  EXPECT_NE(shape_of("{").error, "");
}

}  // namespace
}  // namespace experts
