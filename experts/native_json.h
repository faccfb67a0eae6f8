// OpenAI's chat completion objects for replies that are made in this process. Pure.
// https://platform.openai.com/docs/api-reference/chat
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "experts/call.h"
#include "experts/moe/text_model.h"

namespace experts {

/// What is the same in every object of one reply.
struct CompletionHead {
  std::string id;  // plain: needs no escape in JSON
  std::int64_t created_s = 0;
  std::string model_json;        // pool name as a JSON string
  bool usage_in_stream = false;  // chunks say "usage":null, and the last one what it was
  bool logprobs_wanted = false;
};

/// A whole `chat.completion`.
std::string completion_json(const CompletionHead& head, std::string_view text,
                            std::string_view logprobs, std::string_view finish_reason,
                            const Usage& usage);

// Server-sent events with a `chat.completion.chunk`, appended to `out`; in this order.
void append_role_event(std::string& out, const CompletionHead& head);
void append_text_event(std::string& out, const CompletionHead& head, std::string_view text,
                       std::string_view logprobs);
void append_finish_event(std::string& out, const CompletionHead& head,
                         std::string_view finish_reason);
void append_usage_event(std::string& out, const CompletionHead& head, const Usage& usage);

/// Entries of `logprobs.content` with commas between. A token that is no whole character shows
/// U+FFFD in `token`; `bytes` has what it is.
std::string logprobs_json(std::span<const moe::Choice> tokens, const moe::Tokenizer& tokenizer);

/// {"error":{...}} of type invalid_request_error; `code` may be empty.
std::string refusal_json(std::string_view message, std::string_view code);

}  // namespace experts
