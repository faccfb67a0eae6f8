// The door for text: messages in, text out, on top of an Engine.
//
// messages -> chat template -> token ids -> engine -> sampler -> text pieces, stop strings, usage.
// A user's words never become control tokens: only the template's own text does.
// submit and cancel may be called from any thread; callbacks run on the engine's thread and must be
// quick (see engine.h).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "experts/moe/chat_template.h"
#include "experts/moe/engine.h"
#include "experts/moe/json_guide.h"
#include "experts/moe/sampler.h"
#include "experts/moe/tokenizer.h"

namespace moe {

enum class Finish : std::uint8_t { stop, length, cancelled, failed };

/// Views are valid during the callback.
struct TextPiece {
  std::string_view text;           // whole UTF-8 characters; may be empty in the last piece
  std::span<const Choice> tokens;  // since the last piece; empty unless log-probabilities are asked
};

struct TextEnding {
  Finish finish = Finish::stop;
  int prompt_tokens = 0;
  int cached_tokens = 0;      // of the prompt
  int completion_tokens = 0;  // sampled, the end token and those of a stop string included
  std::string error;          // for `failed`
};

struct TextRequest {
  std::vector<ChatMessage> messages;  // by the chat template; or, when there are none:
  std::string prompt;                 // continued as it is
  std::vector<std::pair<std::string, bool>> template_switches;  // e.g. enable_thinking
  std::chrono::sys_seconds now{};                               // for the template

  SamplingOptions sampling;
  std::uint64_t kin = 0;          // see Request::kin
  std::optional<int> tokens_max;  // unset: TextOptions::tokens_default, or what the context leaves
  std::vector<std::string> stops;
  std::optional<JsonShape> json;  // the reply is a JSON text of this shape
  GatePolicy gate;
  std::optional<Contrast> contrast;

  std::function<void(const TextPiece&)> on_piece;
  std::function<void(const TextEnding&)> on_end;  // once for every accepted request, last
};

enum class TextRefusal : std::uint8_t {
  none,
  malformed,    // the client's request is wrong, `error` says how
  too_long,     // prompt and tokens_max exceed the context or the KV budget
  unsupported,  // the model's chat template uses what the engine has not
  queue_full,
  stopping,
};

struct TextTicket {
  TextRefusal refusal = TextRefusal::none;
  std::uint64_t id = 0;  // for Engine::cancel
  std::string error;     // a sentence for the client, when refused
};

/// A prompt as the model sees it, or why there is none.
struct EncodedPrompt {
  std::vector<TokenId> ids;
  TextRefusal refusal = TextRefusal::none;
  std::string error;
};

class TextModel {
 public:
  /// `engine` outlives the TextModel, and every reply ends before it goes. `context` is the
  /// model's, in tokens. Throws std::runtime_error when the vocabulary cannot be used. A chat
  /// template that cannot be parsed is kept as template_error and refuses messages, not prompts.
  TextModel(Vocabulary vocabulary, Engine& engine, int context, TextOptions options);

  TextTicket submit(TextRequest request);

  /// What submit gives the engine; for tools and tests.
  EncodedPrompt encode(const TextRequest& request) const;

  const Tokenizer& tokenizer() const { return tokenizer_; }

  const std::string& template_error() const { return template_error_; }

 private:
  class Reply;

  std::string check(const TextRequest& request) const;
  EncodedPrompt encode_messages(const TextRequest& request) const;
  std::string text_of(TokenId id) const;

  Tokenizer tokenizer_;
  Engine& engine_;
  int context_;
  TextOptions options_;
  std::optional<ChatTemplate> template_;
  std::string template_error_;
};

}  // namespace moe
