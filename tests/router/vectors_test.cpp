// Vectors of texts for learning and for queries, from a scripted encoder: kept, refused, late,
// dead.
#include "router/vectors.h"

#include <gtest/gtest.h>

#include <boost/asio.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "experts/roster.h"
#include "router/query_vectors.h"
#include "router/vector_maker.h"
#include "store/text_vectors.h"
#include "tests/router/meanings.h"

namespace router {
namespace {

namespace asio = boost::asio;
using experts::Outcome;
using testing::meaning_vector;

TEST(Vectors, TextsAreCutBetweenCharacters) {
  EXPECT_EQ(encoded_part("short"), "short");
  const std::string text = std::string(kEncodedBytesMax - 1, 'a') + "\xc3\xa9" + "tail";
  EXPECT_EQ(encoded_part(text), std::string(kEncodedBytesMax - 1, 'a'));
  EXPECT_EQ(encoded_part(std::string(3 * kEncodedBytesMax, 'b')).size(), kEncodedBytesMax);
}

TEST(Vectors, AnEncoderIsKnownByItsFingerprint) {
  const std::string one = store::quantise(meaning_vector("a text"));
  std::string close = one;
  close[3] = static_cast<char>(close[3] + 1);
  EXPECT_TRUE(is_same_encoder(one, one));
  EXPECT_TRUE(is_same_encoder(one, close));
  EXPECT_FALSE(is_same_encoder(one, one + '\1'));
  EXPECT_FALSE(is_same_encoder(one, store::quantise(meaning_vector("a text", 1))));
  EXPECT_FALSE(is_same_encoder(std::string(24, '\0'), std::string(24, '\0')));
  EXPECT_FALSE(is_same_encoder("", ""));
}

/// What the encoder does next, and what it was asked.
struct Script {
  int turn = 0;  // another encoder
  Outcome outcome = Outcome::ok;
  std::string refused;           // a text that it does not take
  std::size_t numbers_less = 0;  // of each vector
  std::chrono::milliseconds delay{0};
  std::vector<std::vector<std::string>> asked;
};

class Encoder final : public experts::Expert {
 public:
  explicit Encoder(Script& script) : script_(script) {}

  asio::awaitable<experts::Reply> ask(const experts::Call& call, experts::Sink*) override {
    const auto input = nlohmann::json::parse("{" + call.wire + "}")["input"];
    const auto texts = input.get<std::vector<std::string>>();
    script_.asked.push_back(texts);
    experts::Reply reply;
    reply.expert = "vec";
    reply.error = "scripted";
    asio::steady_timer timer(co_await asio::this_coro::executor, script_.delay);
    if (script_.delay.count() > 0) co_await timer.async_wait(asio::use_awaitable);
    reply.outcome = experts::Clock::now() > call.deadline ? Outcome::timed_out : script_.outcome;
    if (std::find(texts.begin(), texts.end(), script_.refused) != texts.end())
      reply.outcome = Outcome::refused;
    if (reply.outcome != Outcome::ok) co_return reply;
    nlohmann::json data = nlohmann::json::array();
    for (std::size_t i = 0; i < texts.size(); ++i) {
      auto vector = meaning_vector(texts[i], script_.turn);
      vector.resize(vector.size() - script_.numbers_less);
      nlohmann::json one = {{"object", "embedding"}, {"index", i}};
      one["embedding"] = vector;
      data.push_back(one);
    }
    nlohmann::json body = {{"object", "list"}, {"model", "meanings-1"}};
    body["data"] = data;
    reply.wire = body.dump();
    co_return reply;
  }

 private:
  Script& script_;
};

class Encoding : public ::testing::Test {
 protected:
  Encoding() { std::filesystem::remove(path); }

  ~Encoding() override {
    for (const char* end : {"", "-wal", "-shm"}) std::filesystem::remove(path + end);
  }

  static std::vector<experts::ExpertOptions> options(const std::string& model) {
    std::vector<experts::ExpertOptions> all(2);
    all[0].name = "chat", all[0].kind = experts::Kind::stub, all[0].model = model;
    all[1].name = "vec", all[1].kind = experts::Kind::stub, all[1].model = model;
    all[1].capabilities.embeddings = true;
    return all;
  }

  InterviewDoors doors() { return {board, maker, {}}; }

  std::vector<std::string> make(const std::vector<std::string>& texts,
                                const std::string& encoder = "meanings-1") {
    return make_vectors(path, doors())(encoder, texts, [](double) {});
  }

  std::size_t texts_asked() const {
    std::size_t sum = 0;
    for (const auto& call : script.asked) sum += call.size();
    return sum;
  }

  const std::string path =
      ::testing::TempDir() + "vectors_test_" + std::to_string(::getpid()) + ".db";
  Script script;
  experts::RosterBoard board{experts::make_roster(options("meanings-1"), nullptr)};
  const experts::ExpertMaker maker = [this](experts::NetThread&, const experts::Entry&) {
    return std::make_unique<Encoder>(script);
  };
};

std::vector<std::string> many_texts() {
  std::vector<std::string> texts = {std::string(kFingerprintText)};
  for (int i = 0; i < 100; ++i) texts.push_back("text " + std::to_string(i));
  return texts;
}

using MakingVectors = Encoding;

TEST_F(MakingVectors, NobodyIsAskedTwice) {
  const auto texts = many_texts();
  const auto made = make(texts);
  for (std::size_t i = 0; i < texts.size(); ++i)
    EXPECT_EQ(made[i], store::quantise(meaning_vector(texts[i])));
  EXPECT_EQ(texts_asked(), texts.size());
  EXPECT_EQ(make(texts), made);
  EXPECT_EQ(make_vectors(path, std::nullopt)("meanings-1", texts, [](double) {}), made)
      << "what is kept needs no encoder";
  EXPECT_EQ(texts_asked(), texts.size());
  auto more = texts;
  more.emplace_back("one more");
  make(more);
  EXPECT_EQ(texts_asked(), texts.size() + 2) << "the new one, and the fingerprint again";
  for (const auto& vector : make(texts, "meanings-2")) EXPECT_TRUE(vector.empty());
}

TEST_F(MakingVectors, ATextThatIsRefusedCostsNoOtherItsVector) {
  script.refused = "text 40";
  const auto texts = many_texts();
  const auto made = make(texts);
  for (std::size_t i = 0; i < texts.size(); ++i)
    EXPECT_EQ(made[i].empty(), texts[i] == script.refused) << texts[i];
}

TEST_F(MakingVectors, WhatIsWrongWithTheEncoderIsSaid) {
  const auto error_of = [&](const std::vector<std::string>& texts) -> std::string {
    try {
      make(texts);
    } catch (const std::runtime_error& error) {
      return error.what();
    }
    return "";
  };
  script.outcome = Outcome::unreachable;
  EXPECT_NE(error_of(many_texts()).find("`vec` cannot be used (unreachable)"), std::string::npos);
  script.outcome = Outcome::ok;
  EXPECT_EQ(error_of(many_texts()), "");
  script.numbers_less = 1;
  EXPECT_NE(error_of({"new"}).find("another model"), std::string::npos);
  script.numbers_less = 0;
  script.turn = 1;
  EXPECT_NE(error_of({"new"}).find("another model"), std::string::npos);
  EXPECT_TRUE(make_vectors(path, std::nullopt)("meanings-1", {"new"}, [](double) {})[0].empty());
}

TEST_F(MakingVectors, WhoStopsItGetsOutAndLosesNothing) {
  struct Stop {};

  const auto texts = many_texts();
  EXPECT_THROW(make_vectors(path, doors())("meanings-1", texts, [](double) { throw Stop(); }),
               Stop);
  EXPECT_LT(texts_asked(), texts.size() + 40);
  store::TextVectors kept(path);
  EXPECT_FALSE(kept.get("meanings-1", texts[0]).empty());
}

TEST_F(MakingVectors, TheFileForgetsNothingThatIsPutAgain) {
  store::TextVectors kept(path);
  kept.put("e", {{"a", "1"}, {"b", "2"}});
  kept.put("e", {{"a", "3"}});
  kept.put("f", {{"a", "4"}});
  EXPECT_EQ(kept.get("e", "a"), "3");
  EXPECT_EQ(kept.get("e", "b"), "2");
  EXPECT_EQ(kept.get("f", "a"), "4");
  EXPECT_EQ(kept.get("f", "b"), "");
}

class OfQueries : public Encoding {
 protected:
  OfQueries() {
    policy.version = 1;
    policy.dense.encoder = "meanings-1";
    policy.dense.fingerprint = store::quantise(meaning_vector(std::string(kFingerprintText)));
  }

  /// The vector with which a query would be decided now.
  std::string ask(const std::string& text) {
    if (vectors.lacks(policy, text)) {
      asio::co_spawn(io, vectors.fetch(policy, text, experts::Clock::time_point::max()),
                     [&](const std::exception_ptr& error, QueryVectors::Fetched) {
                       if (error) std::rethrow_exception(error);
                       io.stop();
                     });
      io.restart();
      io.run();
    }
    return vectors.find(policy, text);
  }

  asio::io_context io;
  experts::Pool pool{io, board, experts::PoolOptions{.sweep_ms = 5}, maker};
  std::vector<std::string> warnings;
  QueryVectors vectors{pool,
                       {.wait_max = std::chrono::milliseconds(50), .kept_max = 2},
                       [this](std::string_view said) { warnings.emplace_back(said); }};
  Policy policy;
};

TEST_F(OfQueries, AreAskedForOnceAndKeptWhileThereIsRoom) {
  EXPECT_EQ(ask("one"), store::quantise(meaning_vector("one")));
  ASSERT_EQ(script.asked.size(), 1u);
  EXPECT_EQ(script.asked[0], (std::vector<std::string>{"one", std::string(kFingerprintText)}));
  ask("one");
  EXPECT_EQ(script.asked.size(), 1u);
  ask("two");
  EXPECT_EQ(script.asked[1], std::vector<std::string>{"two"}) << "it is known by now";
  ask("one"), ask("three"), ask("one");
  EXPECT_EQ(script.asked.size(), 3u) << "the one used last stays";
  ask("two");
  EXPECT_EQ(script.asked.size(), 4u);
  EXPECT_FALSE(vectors.lacks(policy, ""));
}

TEST_F(OfQueries, OnlyTheEncoderOfThePolicyIsAsked) {
  policy.dense.encoder = "meanings-2";
  EXPECT_EQ(ask("one"), "");
  EXPECT_TRUE(script.asked.empty());
  board.publish(experts::make_roster(options("meanings-2"), nullptr));
  EXPECT_NE(ask("one"), "") << "its name is right now";
  script.turn = 1;
  board.publish(experts::make_roster(options("meanings-1"), nullptr));
  policy.dense.encoder = "meanings-1";
  policy.version = 2;
  EXPECT_EQ(ask("one"), "") << "and here only the name is";
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_NE(warnings[0].find("other vectors than the `meanings-1`"), std::string::npos);
  const auto asked = script.asked.size();
  EXPECT_EQ(ask("two"), "");
  EXPECT_EQ(script.asked.size(), asked) << "it is not asked again";
}

TEST_F(OfQueries, AFailureIsNotWaitedForAgainAtOnce) {
  script.outcome = Outcome::failed;
  EXPECT_EQ(ask("one"), "");
  script.outcome = Outcome::ok;
  EXPECT_EQ(ask("two"), "");
  EXPECT_EQ(script.asked.size(), 1u);
  policy.version = 2;
  script.refused = "three";
  EXPECT_EQ(ask("three"), "");
  EXPECT_NE(ask("four"), "") << "a text that is refused says nothing about the next one";
}

TEST_F(OfQueries, ALateVectorIsNone) {
  script.delay = std::chrono::milliseconds(200);
  EXPECT_EQ(ask("one"), "");
}

}  // namespace
}  // namespace router
