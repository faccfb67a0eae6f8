#include "config/config.h"

#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "config/section.h"

namespace {

std::string refusal(const std::string& text) {
  try {
    config::parse(text, "test.json");
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

bool mentions(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST(Config, EmptyObjectIsTheDefaults) {
  const auto config = config::parse("{}", "test.json");
  EXPECT_EQ(config.http.port, 8300);
  EXPECT_EQ(config.http.address, "127.0.0.1");
  EXPECT_TRUE(config.experts.empty());
  EXPECT_TRUE(config.discover);
  EXPECT_FALSE(config.store.keep_text);
}

TEST(Config, ReferenceFileShowsTheDefaults) {
  const auto reference = config::read_file(SOURCE_DIR "/config/reference.json");
  const auto plain = config::parse("{}", "test.json");
  EXPECT_EQ(reference.http.body_bytes_max, plain.http.body_bytes_max);
  EXPECT_EQ(reference.http.heartbeat_ms, plain.http.heartbeat_ms);
  EXPECT_EQ(reference.http.drain_ms_max, plain.http.drain_ms_max);
  EXPECT_EQ(reference.store.group_wait_ms, plain.store.group_wait_ms);
  EXPECT_EQ(reference.store.retention.rows_max, plain.store.retention.rows_max);
  EXPECT_EQ(reference.store.retention.text_age_s_max, plain.store.retention.text_age_s_max);
  ASSERT_EQ(reference.experts.size(), 1u);
  auto expected = experts::ExpertOptions{};
  expected.name = "example";
  expected.url = "http://127.0.0.1:8000/v1";
  expected.prices.cached = 0;
  EXPECT_EQ(reference.experts[0], expected);
}

// Whatever the reference names is really read: a wrong type at each leaf is a fault with its place.
TEST(Config, EveryKeyOfTheReferenceIsRead) {
  std::ifstream in(SOURCE_DIR "/config/reference.json");
  const auto reference = nlohmann::json::parse(in, nullptr, true, true);
  int leaves = 0;
  const std::function<void(nlohmann::json::json_pointer, const nlohmann::json&)> walk =
      [&](const nlohmann::json::json_pointer& at, const nlohmann::json& node) {
        if (node.is_object()) {
          for (const auto& [key, child] : node.items()) walk(at / key, child);
          return;
        }
        if (node.is_array() && !node.empty()) return walk(at / 0, node[0]);
        auto broken = reference;
        broken[at] = node.is_number() ? nlohmann::json("wrong") : nlohmann::json(-7.5);
        EXPECT_TRUE(mentions(refusal(broken.dump()), at.back())) << at.to_string();
        ++leaves;
      };
  walk(nlohmann::json::json_pointer(), reference);
  EXPECT_GT(leaves, 60);
}

TEST(Config, TellsWhereANumberIsThatNoDoubleHolds) {
  const std::string told = refusal("{\"net_threads\": 1e999}");
  EXPECT_TRUE(mentions(told, "test.json is not a valid configuration")) << told;
  EXPECT_TRUE(mentions(told, "1e999")) << told;
}

TEST(Config, TellsEveryFaultAtOnceWithItsPlace) {
  const auto message = refusal(R"({
    "lisen": "127.0.0.1:1",
    "experts": [{"name": "a", "url": "ftp://x"},
                {"name": "a", "url": "http://h/v1", "retries": {"cuont_max": 2}, "concurrency_max": 0}],
    "pools": [{"name": "p", "experts": ["b", "aa"]}],
    "http": {"body_bytes_max": 99999999999999999999, "strict": 1}})");
  for (const auto* part : {"test.json", "lisen: unknown key; did you mean `listen`?",
                           "experts[0].url", "`a` is there already",
                           "experts[1].retries.cuont_max: unknown key; did you mean `count_max`?",
                           "experts[1].concurrency_max", "pools[0]: there is no expert `b`",
                           "did you mean `a`?", "http.body_bytes_max", "http.strict"})
    EXPECT_TRUE(mentions(message, part)) << part << "\nis not in\n" << message;
}

TEST(Config, SyntaxErrorsNameTheLine) {
  EXPECT_TRUE(mentions(refusal("{\n\n  \"experts\" [] }"), "line 3"));
  EXPECT_TRUE(mentions(refusal("[]"), "must be one JSON object"));
  EXPECT_TRUE(mentions(refusal(""), "test.json"));
  EXPECT_THROW(config::read_file("/nonexistent.json"), std::runtime_error);
}

TEST(Config, PricesAreDollarsPerMillionTokens) {
  const auto config = config::parse(
      R"({"experts":[{"name":"a","url":"http://h/v1","usd_per_million_tokens":{"in":0.15,"out":0.6}}]})",
      "t");
  EXPECT_EQ(config.experts[0].prices.in, 150'000);
  EXPECT_EQ(config.experts[0].prices.out, 600'000);
  EXPECT_EQ(config.experts[0].prices.cached, -1);
}

TEST(Config, ReadsExpertsOfTheCommandLine) {
  const auto expert =
      config::parse_expert("big=https://api.example.com/v1,model=large-1,key-env=KEY");
  EXPECT_EQ(expert.name, "big");
  EXPECT_EQ(expert.url, "https://api.example.com/v1");
  EXPECT_EQ(expert.model, "large-1");
  EXPECT_EQ(expert.key_env, "KEY");
  EXPECT_EQ(config::parse_expert("b=http://h:1/v1?x=y").url, "http://h:1/v1?x=y");
  for (const auto* bad :
       {"big", "=http://h", "big=h:80", "big=http://h,colour=red", "a b=http://h", "a@k=http://h"})
    EXPECT_THROW(config::parse_expert(bad), std::runtime_error) << bad;
}

TEST(Config, ReadsNativeExperts) {
  const auto config = config::parse(
      R"({"experts":[{"name":"a","kind":"native","path":"m/a.gguf","context_tokens":2048,
          "native":{"threads":2,"kv_bytes_max":33554432,"sequences_max":8,"activation_bits":8}}]})",
      "t");
  const auto& expert = config.experts[0];
  EXPECT_EQ(expert.kind, experts::Kind::native);
  EXPECT_EQ(expert.url, "m/a.gguf");
  EXPECT_EQ(expert.native, (experts::NativeOptions{2, 33'554'432, 8, 8}));
  EXPECT_EQ(expert.capabilities, experts::kNativeCapabilities);
  const auto short_form = config::parse_expert("a=m/a.gguf");
  EXPECT_EQ(short_form.kind, experts::Kind::native);
  EXPECT_EQ(short_form.url, "m/a.gguf");
  EXPECT_EQ(config::parse_expert("b=http://h/a.gguf").kind, experts::Kind::remote);
  EXPECT_THROW(config::parse_expert("a=m/a.gguf,model=x"), std::runtime_error);
}

TEST(Config, TellsNativeAndRemoteExpertsApart) {
  const auto message = refusal(R"({"experts":[
      {"name":"a","kind":"native","url":"http://h/v1"},
      {"name":"b","path":"b.gguf"},
      {"name":"c","kind":"native","path":"c.gguf","capabilities":{"tools":true}}]})");
  for (const auto* part :
       {"experts[0].url: is of kind remote", "experts[0].path: must name a GGUF",
        "experts[1].path: is of kind native", "experts[1].url: must be", "experts[2].capabilities"})
    EXPECT_TRUE(mentions(message, part)) << part << "\nis not in\n" << message;
}

TEST(Config, WhoMakesEmbeddingsAnswersNoChats) {
  const auto config = config::parse(
      R"({"experts":[{"name":"v","url":"http://h/v1","capabilities":{"embeddings":true}}]})", "t");
  EXPECT_TRUE(config.experts.at(0).capabilities.embeddings);
  const auto message = refusal(R"({"experts":[
      {"name":"v","url":"http://h/v1","capabilities":{"embeddings":true}},
      {"name":"n","kind":"native","path":"n.gguf","capabilities":{"embeddings":true}}],
      "pools":[{"name":"a","experts":["v"],"default":"v"},
               {"name":"b","aggregation":{"expert":"v"}}]})");
  for (const auto* part : {"pools[0]: `v` makes embeddings", "pools[1]: `v` makes embeddings",
                           "experts[1].capabilities"})
    EXPECT_TRUE(mentions(message, part)) << part << "\nis not in\n" << message;
}

TEST(Config, AShareIsOfARamp) {
  const auto config = config::parse(
      R"({"experts":[{"name":"a","url":"http://h/v1","stage":"ramp","share":0.25}]})", "t");
  EXPECT_EQ(config.lives.at("a"), (router::Life{router::Stage::ramp, 0.25}));
  const auto message = refusal(R"({"experts":[
      {"name":"a","url":"http://h/v1","stage":"ramp"},
      {"name":"b","url":"http://h/v1","share":0.5},
      {"name":"c","url":"http://h/v1","stage":"shadows"}]})");
  for (const auto* part : {"experts[0].share: must be between",
                           "experts[1].share: is of stage ramp", "experts[2].stage"})
    EXPECT_TRUE(mentions(message, part)) << part << "\nis not in\n" << message;
}

TEST(Config, ReadsSkillsAndCatchesNamesThatAlmostMatch) {
  const auto good = config::parse(
      R"({"experts": [{"name": "a", "url": "http://h/v1", "skills": ["law", "unheard-of"]}],
          "skills": [{"name": "law", "description": "courts", "examples": ["Is it legal?"]}]})",
      "x");
  ASSERT_EQ(good.skills.size(), 1u);
  EXPECT_EQ(good.skills[0].examples.at(0), "Is it legal?");
  try {
    config::parse(
        R"({"experts": [{"name": "a", "url": "http://h/v1", "skills": ["algebre"]}],
            "skills": [{"name": "algebra"}, {"name": "algebra"}, {"name": "general"}]})",
        "x");
    FAIL() << "three faults";
  } catch (const std::runtime_error& error) {
    const std::string what = error.what();
    EXPECT_NE(what.find("did you mean `algebra`"), std::string::npos) << what;
    EXPECT_NE(what.find("skills[1].name: `algebra` is there already"), std::string::npos) << what;
    EXPECT_NE(what.find("skills[2].name"), std::string::npos) << what;
  }
}

TEST(Config, ReadsListenAddresses) {
  http::Options options;
  config::parse_listen("0.0.0.0:81", options.address, options.port);
  EXPECT_EQ(options.address, "0.0.0.0");
  EXPECT_EQ(options.port, 81);
  config::parse_listen("[::1]:0", options.address, options.port);
  EXPECT_EQ(options.address, "::1");
  EXPECT_EQ(options.port, 0);
  for (const auto* bad : {"8300", "h:99999", "h:", "h:8x", ""})
    EXPECT_THROW(config::parse_listen(bad, options.address, options.port), std::runtime_error)
        << bad;
}
