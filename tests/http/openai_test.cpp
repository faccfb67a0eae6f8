// The request object as a Query: what the router and the experts get of it.
#include "http/openai.h"

#include <gtest/gtest.h>
#include <simdjson.h>

#include <nlohmann/json.hpp>
#include <random>

#include "http/ids.h"
#include "http/json_text.h"
#include "http/model_name.h"
#include "tests/http/read_request.h"

namespace http {

namespace {

Read read(const std::string& body, const Options& options = {}) {
  return read_request(body, options);
}

}  // namespace

TEST(OpenAi, reads_every_field_that_somebody_needs) {
  const auto [query, problem] = read(R"({
    "model": "skillyard/small@k2@q0.25@max0.002@ms1500",
    "messages": [
      {"role": "system", "content": "Be brief."},
      {"role": "user", "content": "first"},
      {"role": "assistant", "content": null, "refusal": "no"},
      {"role": "user", "name": "ann", "content": [{"type": "text", "text": "se\u00e9"},
        {"type": "image_url", "image_url": {"url": "data:"}}, {"type": "text", "text": "two"}]}
    ],
    "temperature": 0.5, "top_p": 1, "frequency_penalty": -2, "presence_penalty": 2, "seed": -7,
    "max_tokens": 10, "max_completion_tokens": 20, "stop": ["a", "b"], "stream": true,
    "stream_options": {"include_usage": true}, "user": null, "x_vendor": [1, {"model": 2}],
    "response_format": {"type": "json_object"}, "skillyard": {"quality": 0.75, "explain": true}
  })");
  ASSERT_FALSE(problem) << problem->message;
  EXPECT_EQ(query.pool, "small");
  EXPECT_EQ(query.expert, "");
  EXPECT_EQ(query.knobs.k, 2);
  EXPECT_EQ(query.knobs.quality, 0.75) << "the object wins over the suffix";
  EXPECT_EQ(query.knobs.cost_microusd_max, 2'000);
  EXPECT_EQ(query.knobs.latency_ms_max, 1'500);
  EXPECT_TRUE(query.knobs.explain);
  EXPECT_EQ(query.text, "se\u00e9\ntwo\nBe brief.");
  const auto& call = query.call;
  ASSERT_EQ(call.messages.size(), 4u);
  EXPECT_EQ(call.messages[0].role, experts::Role::system);
  EXPECT_EQ(call.messages[2].text, "");
  EXPECT_EQ(call.messages[3].text, "se\u00e9\ntwo");
  EXPECT_EQ(call.sampling.temperature, 0.5);
  EXPECT_EQ(call.sampling.top_p, 1.0);
  EXPECT_EQ(call.sampling.frequency_penalty, -2.0);
  EXPECT_EQ(call.sampling.presence_penalty, 2.0);
  EXPECT_EQ(call.sampling.seed, -7);
  EXPECT_EQ(call.sampling.tokens_max, 20);
  EXPECT_EQ(call.sampling.stop, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(call.sampling.logprobs_top, -1);
  EXPECT_TRUE(call.stream);
  EXPECT_TRUE(call.usage_in_stream);
  EXPECT_TRUE(call.wire_only);
  EXPECT_TRUE(query.needs.images);
  EXPECT_TRUE(query.needs.json_schema);
  EXPECT_FALSE(query.needs.tools);
  EXPECT_EQ(query.needs.tokens_out_max, 20);
  EXPECT_EQ(query.needs.tokens_in_estimate, (9 + 5 + 0 + 8 + 3) / 4);
}

TEST(OpenAi, needs_follow_the_request) {
  const std::string rest = R"("model":"a","messages":[{"role":"user","content":"x"}]})";
  EXPECT_TRUE(read(R"({"n":2,)" + rest).query.needs.many);
  EXPECT_FALSE(read(R"({"n":1,)" + rest).query.needs.many);
  EXPECT_TRUE(read(R"({"logprobs":true,)" + rest).query.needs.logprobs);
  EXPECT_EQ(read(R"({"logprobs":true,"top_logprobs":3,)" + rest).query.call.sampling.logprobs_top,
            3);
  EXPECT_TRUE(
      read(R"({"tools":[{"type":"function","function":{"name":"f"}}],)" + rest).query.needs.tools);
  EXPECT_FALSE(read(R"({"tools":[],)" + rest).query.needs.tools);
  EXPECT_FALSE(read(R"({"response_format":{"type":"text"},)" + rest).query.needs.json_schema);
  EXPECT_FALSE(read("{" + rest).query.call.wire_only);
  const auto audio = read(R"({"modalities":["audio"],)" + rest);
  EXPECT_FALSE(audio.problem) << "a concrete expert may hear";
  EXPECT_TRUE(audio.query.call.wire_only);
}

TEST(OpenAi, the_knobs_object_wins_wherever_it_stands) {
  const std::string ours =
      R"("skillyard":{"k":3,"quality":1,"max_cost_usd":0.5,"max_latency_ms":20,"pool":"math"})";
  const std::string model = R"("model":"skillyard/auto@k2@q0@max9@ms9000")";
  const std::string rest = R"("messages":[{"role":"user","content":"x"}])";
  for (const auto& body :
       {"{" + ours + "," + model + "," + rest + "}", "{" + model + "," + rest + "," + ours + "}"}) {
    const auto [query, problem] = read(body);
    ASSERT_FALSE(problem) << problem->message;
    EXPECT_EQ(query.pool, "math");
    EXPECT_EQ(query.knobs.k, 3);
    EXPECT_EQ(query.knobs.quality, 1.0);
    EXPECT_EQ(query.knobs.cost_microusd_max, 500'000);
    EXPECT_EQ(query.knobs.latency_ms_max, 20);
  }
  const auto named = read(R"({"model":"alpha",)" + rest + R"(,"skillyard":{"pool":"math"}})");
  ASSERT_TRUE(named.problem) << "a named expert is in no pool";
  EXPECT_EQ(named.problem->param, "skillyard.pool");
}

/// The wire is the request without our members, whatever its layout: two roads, the splice here and
/// a document tree there.
TEST(OpenAi, wire_carries_the_other_members_as_they_were_sent) {
  std::mt19937 chance(7);
  const std::vector<std::string> others = {R"("temperature" : 0.250)",
                                           R"("x":"a\"}{,\\")",
                                           R"("y":[1,{"model":"b"},"]"])",
                                           "\"stop\":\n[ \"a\" ]",
                                           R"("meta\u0064ata":{})",
                                           R"("seed":12345678901)",
                                           R"("x\\":true)",
                                           R"("":null)",
                                           "\"z\"\t:\r\n {\"\xc3\xa9\":[[]]} "};
  const std::vector<std::string> ours = {R"("mo\u0064el":"alpha")", R"( "stream" :true )",
                                         R"("stream_options":{"include_usage":false})",
                                         R"("skillyard":{"k":1})"};
  for (int round = 0; round < 200; ++round) {
    std::vector<std::string> members = {R"("messages":[{"role":"user","content":"hi \\\"}"}])"};
    for (const auto& member : others) {
      if (chance() % 2 == 0) members.push_back(member);
    }
    members.insert(members.end(), ours.begin(), ours.end());
    std::shuffle(members.begin(), members.end(), chance);
    std::string body = " {";
    for (const auto& member : members) body += (body.size() > 2 ? " ,\n" : "") + member;
    body += "}\n";
    const auto [query, problem] = read(body);
    ASSERT_FALSE(problem) << problem->message << body;
    auto expected = nlohmann::ordered_json::parse(body);
    for (const auto* key : {"model", "stream", "stream_options", "skillyard"}) expected.erase(key);
    const auto wire = nlohmann::ordered_json::parse("{" + query.call.wire + "}");
    EXPECT_EQ(wire, expected);
    if (body.find("0.250") != std::string::npos) {
      EXPECT_NE(query.call.wire.find("0.250"), std::string::npos) << "bytes as they were sent";
    }
  }
}

TEST(OpenAi, the_router_reads_head_and_tail_cut_between_code_points) {
  Options options;
  options.text_head_bytes = 10;
  options.text_tail_bytes = 10;
  const auto text = [&options](std::string_view user, std::string_view system) {
    return text_to_route({{experts::Role::system, std::string(system)},
                          {experts::Role::user, "an earlier one"},
                          {experts::Role::user, std::string(user)},
                          {experts::Role::assistant, "said"}},
                         options);
  };
  EXPECT_EQ(text("ask", "sys"), "ask\nsys");
  EXPECT_EQ(text("", "sys"), "sys");
  EXPECT_EQ(text("ask", "0123456789012345678901234"), "ask\n0123456789012345");
  EXPECT_EQ(text("0123456789ABCDEFGHIJ", "sys"), "0123456789ABCDEFGHIJ");
  EXPECT_EQ(text("0123456789ABCDEFGHIJabcdefghij", "sys"), "0123456789\nbcdefghij");
  for (std::size_t shift = 0; shift < 4; ++shift) {  // euro signs: three bytes each
    std::string euros(shift, 'x');
    for (int i = 0; i < 20; ++i) euros += "\u20ac";
    const std::string cut = text(euros, "");
    EXPECT_TRUE(simdjson::validate_utf8(cut.data(), cut.size())) << cut;
    EXPECT_LE(cut.size(), 20u);
    EXPECT_GE(cut.size(), 15u);
  }
}

TEST(OpenAi, model_names_are_read_as_documented) {
  router::Query query;
  EXPECT_FALSE(read_model_name("meta-llama/Llama@3", query));
  EXPECT_EQ(query.expert, "meta-llama/Llama@3") << "a concrete name is taken literally";
  EXPECT_EQ(query.pool, "");
  EXPECT_FALSE(read_model_name("skillyard/auto", query));
  EXPECT_EQ(query.pool, "auto");
  EXPECT_EQ(query.expert, "");
  for (const char* bad :
       {"skillyard/auto@k", "skillyard/auto@k0", "skillyard/auto@k3x", "skillyard/auto@q-0.1",
        "skillyard/auto@qinf", "skillyard/auto@max", "skillyard/auto@max-1", "skillyard/auto@ms0",
        "skillyard/auto@@k2", "skillyard/auto@explain@explain", "skillyard/@k2"}) {
    router::Query fresh;
    EXPECT_TRUE(read_model_name(bad, fresh)) << bad;
  }
}

TEST(OpenAi, the_parsers_memory_is_given_back_and_a_new_one_works) {
  Options options;
  options.json_kept_bytes_max = 10'000;
  ChatReader reader(options);
  for (const std::size_t size : {100u, 200'000u, 100u}) {
    std::string body = R"({"model":"a","messages":[{"role":"user","content":")";
    body.append(size, 'x').append("\"}]}");
    body.reserve(body.size() + simdjson::SIMDJSON_PADDING);
    router::Query query;
    EXPECT_FALSE(reader.read(body, query));
    EXPECT_EQ(query.call.messages[0].text.size(), size);
  }
}

TEST(OpenAi, explanations_are_spliced_into_any_object) {
  for (const char* text : {"{}", " { } \n", R"({"a":"}"})", "{\"a\":[1]\n}\n"}) {
    std::string reply = text;
    auto expected = nlohmann::json::parse(reply);
    expected["skillyard"] = {{"k", 1}};
    add_explanation(reply, R"({"k":1})");
    EXPECT_EQ(nlohmann::json::parse(reply), expected) << text;
  }
}

TEST(JsonText, strings_are_valid_json_whatever_they_held) {
  std::mt19937 chance(3);
  for (int round = 0; round < 500; ++round) {
    std::string text;
    for (unsigned i = chance() % 20; i > 0; --i) text.push_back(static_cast<char>(chance()));
    std::string out;
    append_string(out, text);
    const auto read_back = nlohmann::json::parse(out).get<std::string>();
    if (simdjson::validate_utf8(text.data(), text.size())) {
      EXPECT_EQ(read_back, text);
    }
  }
}

TEST(Ids, sort_by_time_and_differ) {
  std::mt19937_64 chance(1);
  std::string last;
  for (std::int64_t ms = 1'700'000'000'000; ms < 1'700'000'001'000; ++ms) {
    const std::string id = sortable_id(ms, chance);
    EXPECT_EQ(id.size(), 26u);
    EXPECT_LT(last, id);
    last = id;
  }
  EXPECT_EQ(sortable_id(1469918176385, chance).substr(0, 10), "01ARYZ6S41") << "ULID's own example";
  EXPECT_NE(sortable_id(5, chance), sortable_id(5, chance));
}

}  // namespace http
