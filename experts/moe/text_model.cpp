#include "experts/moe/text_model.h"

#include <algorithm>
#include <memory>
#include <stdexcept>

#include "experts/moe/text_stream.h"

namespace moe {
namespace {

// A code point that no text has (Unicode 15, section 23.7): marks control tokens in users' words.
constexpr std::string_view kMark = "\uFDD0";

TextRefusal text_refusal(Refusal refusal) {
  switch (refusal) {
    case Refusal::none:
      return TextRefusal::none;
    case Refusal::queue_full:
      return TextRefusal::queue_full;
    case Refusal::too_long:
      return TextRefusal::too_long;
    case Refusal::malformed:
      return TextRefusal::malformed;
    case Refusal::stopping:
      return TextRefusal::stopping;
  }
  return TextRefusal::malformed;
}

std::string sentence_of(Refusal refusal, std::size_t prompt, int tokens_max, int context) {
  switch (refusal) {
    case Refusal::none:
      return "";
    case Refusal::queue_full:
      return "too many requests wait for this model";
    case Refusal::too_long:
      return std::to_string(prompt) + " prompt tokens and " + std::to_string(tokens_max) +
             " for the reply exceed the context of " + std::to_string(context) +
             " tokens or the memory set aside for it";
    case Refusal::malformed:
      return "the prompt is empty";
    case Refusal::stopping:
      return "the model is being unloaded";
  }
  return "";
}

Finish finish_of(EndReason reason) {
  switch (reason) {
    case EndReason::stopped:
      return Finish::stop;
    case EndReason::length:
      return Finish::length;
    case EndReason::cancelled:
      return Finish::cancelled;
    case EndReason::failed:
      return Finish::failed;
  }
  return Finish::failed;
}

}  // namespace

/// One reply while it is made; lives in the engine's callbacks, used on its thread alone.
class TextModel::Reply {
 public:
  Reply(const Tokenizer& tokenizer, TextRequest request, const std::vector<TokenId>& prompt,
        bool after_special)
      : tokenizer_(tokenizer),
        sampler_(std::move(request.sampling), prompt),
        stream_(tokenizer, std::move(request.stops), after_special),
        on_piece_(std::move(request.on_piece)),
        on_end_(std::move(request.on_end)),
        keeps_choices_(sampler_.gives_logprobs()) {
    if (!request.json) return;
    guide_.emplace(std::move(*request.json));
    allows_ = [this](TokenId id) {
      return tokenizer_.is_end(id) ? guide_->complete() : guide_->accepts(bytes_of(id));
    };
  }

  Reply(const Reply&) = delete;
  Reply& operator=(const Reply&) = delete;

  TokenId choose(std::span<const float> logits) {
    // A model may have more rows than tokens: padding that no text can mean.
    const std::size_t tokens = tokenizer_.vocabulary().texts.size();
    Choice choice = sampler_.choose(logits.first(std::min(tokens, logits.size())), allows_);
    const TokenId id = choice.id;
    if (id == kNoToken) throw std::runtime_error("no token of this model fits the JSON asked for");
    ++chosen_;
    if (tokenizer_.is_end(id)) return kStop;
    if (keeps_choices_) choices_.push_back(std::move(choice));
    send(stream_.push(id));
    if (guide_) guide_->take(bytes_of(id));
    const bool done = stream_.stop_met() != nullptr || (guide_ && guide_->finished());
    return done ? kStop : id;
  }

  void finish(const Ending& ending) {
    const bool complete = ending.reason == EndReason::stopped || ending.reason == EndReason::length;
    if (complete) {
      const std::string rest = stream_.finish();
      if (!rest.empty() || !choices_.empty()) on_piece_({rest, choices_});
    }
    on_end_({finish_of(ending.reason), ending.prompt_tokens, ending.cached_tokens, chosen_,
             ending.error});
  }

 private:
  std::string bytes_of(TokenId id) const {
    std::string bytes;
    tokenizer_.append_piece(id, bytes);
    return bytes;
  }

  void send(const std::string& text) {
    if (text.empty()) return;
    on_piece_({text, choices_});
    choices_.clear();
  }

  const Tokenizer& tokenizer_;
  Sampler sampler_;
  TextStream stream_;
  std::function<void(const TextPiece&)> on_piece_;
  std::function<void(const TextEnding&)> on_end_;
  std::optional<JsonGuide> guide_;
  Sampler::Allows allows_;
  bool keeps_choices_;
  std::vector<Choice> choices_;  // not yet sent
  int chosen_ = 0;
};

TextModel::TextModel(Vocabulary vocabulary, Engine& engine, int context, TextOptions options)
    : tokenizer_(std::move(vocabulary)), engine_(engine), context_(context), options_(options) {
  const std::string& source = tokenizer_.vocabulary().chat_template;
  try {
    template_.emplace(source.empty() ? plain_chat_template() : std::string_view(source));
  } catch (const std::runtime_error& error) {
    template_error_ = error.what();
  }
}

TextTicket TextModel::submit(TextRequest request) {
  const std::string wrong = check(request);
  if (!wrong.empty()) return {TextRefusal::malformed, 0, wrong};
  EncodedPrompt prompt = encode(request);
  if (prompt.refusal != TextRefusal::none) return {prompt.refusal, 0, prompt.error};

  const int used = static_cast<int>(std::min<std::size_t>(prompt.ids.size(), INT32_MAX));
  const int rest = std::max(1, context_ - std::min(used, context_));
  const int tokens_max = request.tokens_max.value_or(std::min(options_.tokens_default, rest));
  const bool after_special =
      prompt.ids.empty() ||
      tokenizer_.vocabulary().kinds[static_cast<std::size_t>(prompt.ids.back())] ==
          TokenKind::control;
  Request engine_request;
  engine_request.tokens_max = tokens_max;
  engine_request.kin = request.kin;
  engine_request.gate = request.gate;
  engine_request.contrast = request.contrast;
  std::shared_ptr<Reply> reply;
  try {
    reply = std::make_shared<Reply>(tokenizer_, std::move(request), prompt.ids, after_special);
  } catch (const std::invalid_argument& error) {
    return {TextRefusal::malformed, 0, error.what()};
  }
  engine_request.choose = [reply](std::span<const float> logits) { return reply->choose(logits); };
  engine_request.finish = [reply](const Ending& ending) { reply->finish(ending); };
  engine_request.prompt = std::move(prompt.ids);
  const Ticket ticket = engine_.submit(std::move(engine_request));
  return {text_refusal(ticket.refusal), ticket.id,
          sentence_of(ticket.refusal, static_cast<std::size_t>(used), tokens_max, context_)};
}

std::string TextModel::check(const TextRequest& request) const {
  if (!request.on_piece || !request.on_end) return "a request without callbacks";
  if (request.tokens_max && *request.tokens_max < 1) return "max_tokens is below 1";
  if (request.stops.size() > options_.stops_max) {
    return "more than " + std::to_string(options_.stops_max) + " stop strings";
  }
  for (const std::string& stop : request.stops) {
    if (stop.size() > options_.stop_bytes_max) {
      return "a stop string of more than " + std::to_string(options_.stop_bytes_max) + " bytes";
    }
  }
  std::size_t bytes = request.prompt.size();
  for (const ChatMessage& message : request.messages) bytes += message.content.size();
  if (bytes > options_.prompt_bytes_max) {
    return "messages of more than " + std::to_string(options_.prompt_bytes_max) + " bytes";
  }
  return "";
}

EncodedPrompt TextModel::encode(const TextRequest& request) const {
  EncodedPrompt prompt;
  if (request.messages.empty()) {
    prompt.ids = tokenizer_.encode(request.prompt);
  } else {
    prompt = encode_messages(request);
  }
  // Templates write bos themselves as a rule; a model that was trained with it gets it in any case.
  const Vocabulary& v = tokenizer_.vocabulary();
  const bool has_bos = !prompt.ids.empty() && prompt.ids.front() == v.bos;
  if (prompt.refusal == TextRefusal::none && v.add_bos && !has_bos) {
    prompt.ids.insert(prompt.ids.begin(), v.bos);
  }
  return prompt;
}

EncodedPrompt TextModel::encode_messages(const TextRequest& request) const {
  if (!template_) return {{}, TextRefusal::unsupported, template_error_};
  ChatInput input;
  for (const ChatMessage& message : request.messages) {
    input.messages.push_back({message.role, tokenizer_.mark_control(message.content, kMark)});
  }
  input.bos_token = text_of(tokenizer_.vocabulary().bos);
  input.eos_token = text_of(tokenizer_.vocabulary().eos);
  input.switches = request.template_switches;
  input.now = request.now;
  const ChatPrompt text = template_->render(input);
  if (!text.ok()) {
    return {{}, text.refused ? TextRefusal::malformed : TextRefusal::unsupported, text.error};
  }
  return {tokenizer_.encode(text.text, {.parse_special = true, .mark = kMark}), TextRefusal::none,
          ""};
}

std::string TextModel::text_of(TokenId id) const {
  return id == kNoToken ? "" : tokenizer_.vocabulary().texts[static_cast<std::size_t>(id)];
}

}  // namespace moe
