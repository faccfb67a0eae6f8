// Embeddings of a remote expert: what is sent, what is passed on, what is not a list of vectors,
// and that chats and embeddings each go to experts that say they take them.
#include "experts/embeddings_json.h"

#include <gtest/gtest.h>

#include "tests/experts/rig.h"

namespace experts::testing {
namespace {

/// Two vectors of two numbers; 1 and -2 as little-endian f32 are AACAPwAAAMA=.
std::string list_of(const std::string& first, const std::string& second) {
  return R"({"object":"list","data":[{"object":"embedding","index":1,"embedding":)" + second +
         R"(},{"object":"embedding","index":0,"embedding":)" + first +
         R"(}],"model":"upstream-model","usage":{"prompt_tokens":8,"total_tokens":8}})";
}

const std::string kNumbers = list_of("[1,-2]", "[0.5, 0]");
const std::string kBase64 = list_of("\"AACAPwAAAMA=\"", "\"AAAAPwAAAAA=\"");

class EmbeddingsOver : public ::testing::TestWithParam<Transport> {
 protected:
  EmbeddingsOver() : rig_(GetParam()) {
    rig_.options.capabilities.embeddings = true;
    rig_.call.task = Task::embeddings;
    rig_.call.wire = R"("input":["a","b"])";
  }

  Rig rig_;
};

TEST_P(EmbeddingsOver, TheirOwnEndpointAndModel) {
  rig_.options.url += "/v1/embeddings/";
  rig_.upstream.play({{send(with_length(kNumbers))}});
  const Reply reply = rig_.ask();
  ASSERT_EQ(reply.outcome, Outcome::ok) << reply.error;
  EXPECT_NE(rig_.upstream.requests.at(0).find("/v1/embeddings HTTP/1.1\r\n"), std::string::npos);
  EXPECT_TRUE(rig_.upstream.requests[0].ends_with(
      "\r\n\r\n{\"model\":\"upstream-model\",\"input\":[\"a\",\"b\"]}"));
  EXPECT_NE(reply.wire.find(R"("model":"one")"), std::string::npos) << reply.wire;
  EXPECT_EQ(reply.wire.find("upstream-model"), std::string::npos) << reply.wire;
  EXPECT_EQ(reply.cost_microusd, 8);  // 8 tokens at 1 micro-usd
  EXPECT_EQ(reply.usage.completion_tokens, 0);
}

TEST_P(EmbeddingsOver, AreRetriedAndRefusedAsChatsAre) {
  rig_.options.retries.count_max = 1;
  rig_.options.retries.backoff_ms = 2;
  rig_.upstream.play({{send(with_length("", "503 Unavailable"))}, {send(with_length(kNumbers))}});
  EXPECT_EQ(rig_.ask().attempts, 2);
  rig_.upstream.play({{send(with_length(R"({"error":{"message":"too long"}})", "400 Bad"))}});
  const Reply refused = rig_.ask();
  EXPECT_EQ(refused.outcome, Outcome::refused);
  EXPECT_NE(refused.wire.find("too long"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Both, EmbeddingsOver,
                         ::testing::Values(Transport::sockets, Transport::curl),
                         [](const auto& row) {
                           return row.param == Transport::curl ? "curl" : "sockets";
                         });

TEST(Vectors, AreReadInTheOrderOfTheirIndex) {
  const Vectors vectors = read_vectors(kNumbers);
  ASSERT_TRUE(vectors.valid);
  EXPECT_EQ(vectors.count, 2u);
  EXPECT_EQ(vectors.dimension, 2u);
  EXPECT_EQ(vectors.values, (std::vector<float>{1, -2, 0.5, 0}));
  EXPECT_TRUE(vectors.usage.known);
}

TEST(Vectors, BecomeBase64WhereTheServerDidNotListen) {
  const Vectors vectors = read_vectors(kNumbers);
  const std::string body = renamed_vectors(kNumbers, vectors, "\"one\"", true);
  const Vectors again = read_vectors(body);
  EXPECT_TRUE(again.valid) << body;
  EXPECT_EQ(again.dimension, 0u);
  EXPECT_NE(body.find(R"("index":0,"embedding":"AACAPwAAAMA=")"), std::string::npos) << body;
  EXPECT_NE(body.find(R"("index":1,"embedding":"AAAAPwAAAAA=")"), std::string::npos) << body;
  EXPECT_NE(body.find(R"("usage":{"prompt_tokens":8,"total_tokens":8})"), std::string::npos);
  const std::string passed = renamed_vectors(kBase64, read_vectors(kBase64), "\"one\"", true);
  EXPECT_NE(passed.find(R"("embedding":"AACAPwAAAMA=")"), std::string::npos) << passed;
}

TEST(Vectors, WhatIsNoListOfThem) {
  const std::string item = R"({"index":0,"embedding":[1]})";
  for (const std::string& body : {
           std::string(""),
           std::string("[]"),
           std::string("{}"),
           std::string(R"({"data":{}})"),
           std::string(R"({"data":[]})"),
           std::string(R"({"data":[1]})"),
           R"({"data":[)" + item + "," + item + "]}",
           std::string(R"({"data":[{"embedding":[1]}]})"),
           std::string(R"({"data":[{"index":1,"embedding":[1]}]})"),
           std::string(R"({"data":[{"index":-1,"embedding":[1]}]})"),
           std::string(R"({"data":[{"index":0}]})"),
           std::string(R"({"data":[{"index":0,"embedding":[]}]})"),
           std::string(R"({"data":[{"index":0,"embedding":["1"]}]})"),
           std::string(R"({"data":[{"index":0,"embedding":[1e300]}]})"),
           std::string(R"({"data":[{"index":0,"embedding":[NaN]}]})"),
           R"({"data":[)" + item + R"(,{"index":1,"embedding":[1,2]}]})",
           R"({"data":[)" + item + R"(,{"index":1,"embedding":"AACAPw=="}]})",
           R"({"data":[)" + item + R"(],"data":[]})",
           R"({"d\u0061ta":[)" + item + "]}",
           kNumbers + "x",
           kNumbers.substr(0, kNumbers.size() - 1),
       }) {
    EXPECT_FALSE(read_vectors(body).valid) << body;
  }
}

TEST(Vectors, OfAServerThatSaysSomethingElse) {
  struct Row {
    std::string body;
    bool base64;
    Outcome outcome;
  };

  for (const Row& row :
       {Row{kBase64, false, Outcome::malformed}, Row{kBase64, true, Outcome::ok},
        Row{kNumbers, true, Outcome::ok}, Row{completion(), false, Outcome::malformed},
        Row{R"({"error":{"message":"no such input","code":"invalid"}})", false, Outcome::failed}}) {
    Rig rig;
    rig.options.capabilities.embeddings = true;
    rig.call.task = Task::embeddings;
    rig.call.base64_wanted = row.base64;
    rig.upstream.play({{send(with_length(row.body))}});
    const Reply reply = rig.ask();
    EXPECT_EQ(name_of(reply.outcome), name_of(row.outcome)) << row.body << reply.error;
  }
}

TEST(Task, GoesOnlyToWhoTakesIt) {
  for (const bool encoder : {false, true}) {
    Rig rig;
    rig.options.capabilities.embeddings = encoder;
    rig.call.task = encoder ? Task::chat : Task::embeddings;
    const Reply reply = rig.ask();
    EXPECT_EQ(reply.outcome, Outcome::refused);
    EXPECT_EQ(reply.status, 400);
    EXPECT_NE(reply.wire.find("unsupported_by_expert"), std::string::npos) << reply.wire;
    EXPECT_TRUE(rig.upstream.requests.empty());
  }
}

}  // namespace
}  // namespace experts::testing
