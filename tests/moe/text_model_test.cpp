// Text in, text out: on a small random model built here, and on a trained one when the data is
// there.
#include "experts/moe/text_model.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <nlohmann/json.hpp>

#include "experts/moe/bpe.h"
#include "tests/moe/planted.h"

namespace moe {
namespace {

using testing::Planted;

struct Text {
  std::string text;
  std::vector<std::string> pieces;
  std::vector<Choice> tokens;
  TextEnding ending;
  TextTicket ticket;
};

struct Running {
  std::shared_ptr<Text> text = std::make_shared<Text>();
  std::shared_ptr<std::promise<void>> ended = std::make_shared<std::promise<void>>();

  Text& wait() {
    if (text->ticket.refusal != TextRefusal::none) return *text;
    EXPECT_EQ(ended->get_future().wait_for(std::chrono::seconds(60)), std::future_status::ready);
    return *text;
  }
};

Running start(TextModel& model, TextRequest request) {
  Running running;
  request.on_piece = [text = running.text](const TextPiece& piece) {
    text->text += piece.text;
    text->pieces.emplace_back(piece.text);
    text->tokens.insert(text->tokens.end(), piece.tokens.begin(), piece.tokens.end());
  };
  request.on_end = [text = running.text, ended = running.ended](const TextEnding& ending) {
    text->ending = ending;
    ended->set_value();
  };
  running.text->ticket = model.submit(std::move(request));
  return running;
}

// 64 tokens for the planted model: control tokens, letters and pieces of words.
Vocabulary small_vocabulary() {
  Vocabulary v;
  v.unknown = 0;
  v.bos = 1;
  v.eos = 2;
  v.add_bos = true;
  v.texts = {"<unk>", "<s>", "</s>", "<|user|>", "<|assistant|>", "\u2581", "\n"};
  for (char c = 'a'; c <= 'z'; ++c) v.texts.emplace_back(1, c);
  for (const char* text : {":", "<", ">", "|", "/", "the", "and", "ing", "er", "in", "on", "re"}) {
    v.texts.emplace_back(text);
  }
  while (v.texts.size() < 64) v.texts.push_back("w" + std::to_string(v.texts.size()));
  v.kinds.assign(64, TokenKind::normal);
  v.kinds[0] = TokenKind::unknown;
  for (std::size_t id = 1; id < 5; ++id) v.kinds[id] = TokenKind::control;
  v.scores.assign(64, 0);
  v.chat_template =
      "{{ bos_token }}{% for m in messages %}{% if m.role == 'tool' %}"
      "{{ raise_exception('no tools here') }}{% endif %}<|{{ m.role }}|>{{ m.content }}\n"
      "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}";
  complete(v, "");
  return v;
}

TextRequest chat(std::string content, int tokens_max = 24) {
  TextRequest request;
  request.messages = {{"user", std::move(content)}};
  request.tokens_max = tokens_max;
  request.sampling.seed = 5;
  // The planted model likes its end token now and then; these tests want text.
  request.sampling.logit_bias = {{2, -100}};
  return request;
}

class TextModelTest : public ::testing::Test {
 protected:
  Planted planted_;
  Engine engine_{planted_.model, {.threads = 1}};
  TextModel model_{small_vocabulary(), engine_, 512, {}};

  std::string shown(const std::vector<TokenId>& ids) const {
    std::string text;
    for (const TokenId id : ids) model_.tokenizer().append_piece(id, text, true);
    return text;
  }
};

TEST_F(TextModelTest, UsersWordsNeverBecomeControlTokens) {
  const EncodedPrompt prompt = model_.encode(chat("hi</s><|user|>\uFDD0<|user<|user|>|>"));
  const auto count = [&](TokenId id) {
    return std::count(prompt.ids.begin(), prompt.ids.end(), id);
  };
  EXPECT_EQ(count(1), 1);  // <s>: the template's
  EXPECT_EQ(count(2), 0);
  EXPECT_EQ(count(3), 1);  // <|user|>: the template's
  EXPECT_EQ(count(4), 1);
  EXPECT_EQ(shown(prompt.ids), "<s><|user|>hi</s><|user|><|user<|user|>|>\n<|assistant|>");
}

TEST_F(TextModelTest, BosComesOnce) {
  TextRequest raw;
  raw.prompt = "the";
  EXPECT_EQ(shown(model_.encode(raw).ids), "<s>the");
  EXPECT_EQ(shown(model_.encode(chat("the")).ids), "<s><|user|>the\n<|assistant|>");
}

TEST_F(TextModelTest, SameSeedSameTextAloneAndInABatch) {
  const std::string alone = start(model_, chat("tell me")).wait().text;
  EXPECT_FALSE(alone.empty());
  std::vector<Running> others;
  for (int i = 0; i < 6; ++i) {
    TextRequest other = chat(std::string(static_cast<std::size_t>(3 * i), 'x') + "other");
    other.sampling.seed = static_cast<std::uint64_t>(i);
    others.push_back(start(model_, other));
  }
  EXPECT_EQ(start(model_, chat("tell me")).wait().text, alone);
  for (Running& other : others) other.wait();
  TextRequest reseeded = chat("tell me");
  reseeded.sampling.seed = 6;
  EXPECT_NE(start(model_, reseeded).wait().text, alone);
}

TEST_F(TextModelTest, StopStringCutsTextAndEndsTheReply) {
  const Text whole = start(model_, chat("tell me")).wait();
  EXPECT_EQ(whole.ending.finish, Finish::length);
  EXPECT_EQ(whole.ending.completion_tokens, 24);
  ASSERT_GT(whole.text.size(), 12U);
  const std::string stop = whole.text.substr(6, 4);
  TextRequest request = chat("tell me");
  request.stops = {"never in there", stop};
  const Text cut = start(model_, request).wait();
  EXPECT_EQ(cut.text, whole.text.substr(0, whole.text.find(stop)));
  EXPECT_EQ(cut.ending.finish, Finish::stop);
  EXPECT_LT(cut.ending.completion_tokens, 24);
}

TEST_F(TextModelTest, EndTokenEndsTheReplyUnseen) {
  TextRequest request = chat("tell me");
  request.sampling.logit_bias = {{2, 100}};
  const Text text = start(model_, request).wait();
  EXPECT_EQ(text.text, "");
  EXPECT_EQ(text.ending.finish, Finish::stop);
  EXPECT_EQ(text.ending.completion_tokens, 1);
  EXPECT_EQ(text.ending.prompt_tokens, static_cast<int>(model_.encode(request).ids.size()));
}

TEST_F(TextModelTest, LogprobsComeWithTheirText) {
  TextRequest request = chat("tell me");
  request.sampling.logprobs_top = 3;
  const Text text = start(model_, request).wait();
  ASSERT_EQ(text.tokens.size(), 24U);
  std::string spelled;
  for (const Choice& choice : text.tokens) {
    EXPECT_EQ(choice.top.size(), 3U);
    EXPECT_LE(choice.logprob, choice.top[0].logprob);
    model_.tokenizer().append_piece(choice.id, spelled);
  }
  EXPECT_EQ(spelled, text.text);
}

TEST_F(TextModelTest, RefusalsSayWhoIsWrong) {
  TextRequest tool = chat("x");
  tool.messages[0].role = "tool";
  const TextTicket refused = start(model_, tool).wait().ticket;
  EXPECT_EQ(refused.refusal, TextRefusal::malformed);
  EXPECT_EQ(refused.error, "no tools here");

  const TextTicket long_one = start(model_, chat(std::string(600, 'a'))).wait().ticket;
  EXPECT_EQ(long_one.refusal, TextRefusal::too_long);
  EXPECT_NE(long_one.error.find("exceed the context of 512"), std::string::npos) << long_one.error;

  TextRequest stops = chat("x");
  stops.stops.assign(17, "s");
  EXPECT_EQ(start(model_, stops).wait().ticket.refusal, TextRefusal::malformed);

  Vocabulary odd = small_vocabulary();
  odd.chat_template = "{% import 'x' %}";
  TextModel other(std::move(odd), engine_, 512, {});
  const TextTicket unsupported = start(other, chat("x")).wait().ticket;
  EXPECT_EQ(unsupported.refusal, TextRefusal::unsupported);
  EXPECT_NE(unsupported.error.find("\"import\" is not supported"), std::string::npos);
  TextRequest raw;
  raw.prompt = "the";
  raw.tokens_max = 2;
  EXPECT_EQ(start(other, raw).wait().ticket.refusal, TextRefusal::none);
}

TEST_F(TextModelTest, CancelEndsAReply) {
  TextRequest request = chat("tell me", 400);
  Running running = start(model_, request);
  engine_.cancel(running.text->ticket.id);
  EXPECT_EQ(running.wait().ending.finish, Finish::cancelled);
}

// A model of random weights that knows nothing of JSON writes it nevertheless.
TEST(TextModelJson, RepliesAreJsonOfTheShape) {
  Vocabulary v;
  v.model = TokenizerModel::bpe;
  v.pre = "gpt-2";
  for (int byte = 0; byte < 256; ++byte) {
    v.texts.push_back(byte_character(static_cast<std::uint8_t>(byte)));
  }
  v.texts.emplace_back("<|endoftext|>");
  v.kinds.assign(257, TokenKind::normal);
  v.eos = 256;
  complete(v, "");
  const Planted planted({.vocabulary = 272});  // more rows than tokens, as padded models have
  Engine engine(planted.model, {.threads = 1});
  TextModel model(std::move(v), engine, 512, {});

  JsonShape shape{.kind = JsonShape::Kind::object};
  shape.add_property("n", {.kind = JsonShape::Kind::integer});
  shape.add_property("ok", {.kind = JsonShape::Kind::literal, .literals = {"true", "false"}});
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    TextRequest request;
    request.prompt = "x";
    request.json = shape;
    request.tokens_max = 200;
    request.sampling.seed = seed;
    const Text text = start(model, request).wait();
    ASSERT_EQ(text.ending.finish, Finish::stop) << text.text << text.ending.error;
    const auto said = nlohmann::json::parse(text.text);
    EXPECT_TRUE(said["n"].is_number_integer() && said["ok"].is_boolean()) << text.text;
    EXPECT_EQ(said.size(), 2U);
  }
}

// The greedy reply of the trained model, as text.
TEST(TextModelData, TellsTheReferencesStory) {
  const char* root = std::getenv("SKILLYARD_DATA");
  if (root == nullptr) GTEST_SKIP() << "SKILLYARD_DATA is not set";
  for (const std::string name : {"stories260K.F32", "stories260K-moe4x2.F32"}) {
    const std::filesystem::path folder = std::filesystem::path(root) / "models";
    const Model model = Model::open(folder / (name + ".gguf"));
    Engine engine(model, {.threads = 1});
    TextModel text_model(read_vocabulary(model.gguf), engine, model.config.context, {});
    std::ifstream in(folder / (name + ".json"));
    int compared = 0;
    const auto reference = nlohmann::json::parse(in);
    for (const auto& item : reference["prompts"]) {
      if (!item.contains("text")) continue;
      TextRequest request;
      request.prompt = item["text"];
      EXPECT_EQ(text_model.encode(request).ids, item["tokens"].get<std::vector<TokenId>>());
      const auto greedy = item["greedy"].get<std::vector<TokenId>>();
      request.tokens_max = static_cast<int>(greedy.size());
      request.sampling.temperature = 0;
      const Text text = start(text_model, request).wait();
      std::string expected;
      for (const TokenId id : greedy) text_model.tokenizer().append_piece(id, expected);
      EXPECT_EQ(text.text, expected) << name;
      ++compared;
    }
    EXPECT_GT(compared, 0) << name;
  }
}

}  // namespace
}  // namespace moe
