// Two roads to one stream: events read one after the other, most of them known by the last one's
// pattern, and each read by itself.
#include "experts/events.h"

#include <gtest/gtest.h>

#include <vector>

namespace experts {
namespace {

struct Result {
  StreamState state = StreamState::open;
  std::string out, text;
};

void read_on(Result& result, const std::vector<std::string>& events) {
  simdjson::ondemand::parser parser;
  Reply reply;
  StreamOptions options;
  options.name_json = "\"one\"";
  options.text_wanted = true;
  EventReader reader(parser, options, reply);
  for (const std::string& event : events) {
    if (result.state != StreamState::open) break;
    std::string pending = "data: " + event + "\n\n";
    result.state = reader.read(pending, result.out);
  }
  result.text += reply.text;
}

Result read_together(const std::vector<std::string>& events) {
  Result result;
  read_on(result, events);
  return result;
}

Result read_apart(const std::vector<std::string>& events) {
  Result result;
  for (const std::string& event : events) read_on(result, {event});
  return result;
}

std::string around(const std::string& before, const std::string& content,
                   const std::string& after) {
  return R"({"id":"c",)" + before + R"("choices":[{"index":0,"delta":{)" + content + "}" + after +
         "}]}";
}

TEST(EventReader, KnowsAnEventByTheLastOneOnlyWhereThatChangesNothing) {
  const std::vector<std::string> befores = {R"("model":"m",)", R"("model" : null , )", "",
                                            R"("model":"m","model":"n",)", R"("usage":null,)"};
  const std::vector<std::string> afters = {"",
                                           R"(,"finish_reason":null)",
                                           R"(,"finish_reason":"stop")",
                                           R"(,"model":"x")",
                                           R"(}],"model":"m","more":[{)",
                                           R"(,"delta":{"content":"z"})"};
  const std::vector<std::string> contents = {"a",
                                             "",
                                             " b c ",
                                             "\xc3\xa9\xe2\x82\xac",
                                             R"(\n)",
                                             R"(\u00e9)",
                                             R"(\")",
                                             "\\",
                                             "\"",
                                             "\x01",
                                             "\xff",
                                             "\xc3",
                                             R"(","content":"y)",
                                             R"("},"finish_reason":"stop","d":{"e":")",
                                             "\n",
                                             "\t"};
  for (const std::string& before : befores) {
    for (const std::string& after : afters) {
      for (const std::string& content : contents) {
        const auto event = [&](const std::string& text) {
          return around(before, R"("role":"assistant","content":")" + text + R"(")", after);
        };
        const std::vector<std::string> events = {event("x"), event(content), event("y"),
                                                 around(before, R"("content":null)", after),
                                                 event("w")};
        const Result together = read_together(events), apart = read_apart(events);
        EXPECT_EQ(together.state, apart.state) << events[1];
        EXPECT_EQ(together.out, apart.out) << events[1];
        EXPECT_EQ(together.text, apart.text) << events[1];
      }
    }
  }
}

}  // namespace
}  // namespace experts
