#include "experts/native_json.h"

#include <simdjson.h>

#include <charconv>

#include "experts/target.h"

namespace experts {
namespace {

void append_head(std::string& out, const CompletionHead& head, std::string_view object) {
  out.append(R"({"id":")").append(head.id).append(R"(","object":")").append(object);
  out.append(R"(","created":)").append(std::to_string(head.created_s));
  out.append(R"(,"model":)").append(head.model_json);
}

void append_usage(std::string& out, const Usage& usage) {
  out.append(R"("usage":{"prompt_tokens":)").append(std::to_string(usage.prompt_tokens));
  out.append(R"(,"completion_tokens":)").append(std::to_string(usage.completion_tokens));
  out.append(R"(,"total_tokens":)");
  out.append(std::to_string(usage.prompt_tokens + usage.completion_tokens));
  out.append(R"(,"prompt_tokens_details":{"cached_tokens":)");
  out.append(std::to_string(usage.cached_tokens)).append("}}");
}

void append_logprobs(std::string& out, const CompletionHead& head, std::string_view logprobs) {
  if (!head.logprobs_wanted) {
    out.append(R"("logprobs":null)");
    return;
  }
  out.append(R"("logprobs":{"content":[)").append(logprobs).append(R"(],"refusal":null})");
}

void append_chunk(std::string& out, const CompletionHead& head, std::string_view delta,
                  std::string_view logprobs, std::string_view finish_json) {
  out.append("data: ");
  append_head(out, head, "chat.completion.chunk");
  out.append(R"(,"choices":[{"index":0,"delta":)").append(delta).push_back(',');
  append_logprobs(out, head, logprobs);
  out.append(R"(,"finish_reason":)").append(finish_json).append("}]");
  if (head.usage_in_stream) out.append(R"(,"usage":null)");
  out.append("}\n\n");
}

std::string shown(std::string_view bytes) {
  if (simdjson::validate_utf8(bytes.data(), bytes.size())) return quote_json(bytes);
  std::string text;
  for (const char c : bytes) {
    if (static_cast<unsigned char>(c) < 0x80) {
      text.push_back(c);
    } else {
      text.append("\uFFFD");
    }
  }
  return quote_json(text);
}

void append_token(std::string& out, moe::TokenId id, double logprob,
                  const moe::Tokenizer& tokenizer) {
  std::string bytes;
  tokenizer.append_piece(id, bytes, true);
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof digits, logprob).ptr;
  out.append(R"({"token":)").append(shown(bytes)).append(R"(,"logprob":)");
  out.append(digits, end).append(R"(,"bytes":[)");
  for (const char c : bytes) {
    if (out.back() != '[') out.push_back(',');
    out.append(std::to_string(static_cast<unsigned char>(c)));
  }
  out.push_back(']');
}

}  // namespace

std::string completion_json(const CompletionHead& head, std::string_view text,
                            std::string_view logprobs, std::string_view finish_reason,
                            const Usage& usage) {
  std::string out;
  out.reserve(text.size() + logprobs.size() + 512);
  append_head(out, head, "chat.completion");
  out.append(R"(,"choices":[{"index":0,"message":{"role":"assistant","content":)");
  out.append(quote_json(text)).append(R"(,"refusal":null},)");
  append_logprobs(out, head, logprobs);
  out.append(R"(,"finish_reason":)").append(quote_json(finish_reason)).append("}],");
  append_usage(out, usage);
  out.push_back('}');
  return out;
}

void append_role_event(std::string& out, const CompletionHead& head) {
  append_chunk(out, head, R"({"role":"assistant","content":""})", "", "null");
}

void append_text_event(std::string& out, const CompletionHead& head, std::string_view text,
                       std::string_view logprobs) {
  append_chunk(out, head, R"({"content":)" + quote_json(text) + "}", logprobs, "null");
}

void append_finish_event(std::string& out, const CompletionHead& head,
                         std::string_view finish_reason) {
  append_chunk(out, head, "{}", "", quote_json(finish_reason));
}

void append_usage_event(std::string& out, const CompletionHead& head, const Usage& usage) {
  out.append("data: ");
  append_head(out, head, "chat.completion.chunk");
  out.append(R"(,"choices":[],)");
  append_usage(out, usage);
  out.append("}\n\n");
}

std::string logprobs_json(std::span<const moe::Choice> tokens, const moe::Tokenizer& tokenizer) {
  std::string out;
  for (const moe::Choice& choice : tokens) {
    if (!out.empty()) out.push_back(',');
    append_token(out, choice.id, choice.logprob, tokenizer);
    out.append(R"(,"top_logprobs":[)");
    for (const moe::TokenLogprob& top : choice.top) {
      if (out.back() != '[') out.push_back(',');
      append_token(out, top.id, top.logprob, tokenizer);
      out.push_back('}');
    }
    out.append("]}");
  }
  return out;
}

std::string refusal_json(std::string_view message, std::string_view code) {
  return R"({"error":{"message":)" + quote_json(message) +
         R"(,"type":"invalid_request_error","param":null,"code":)" +
         (code.empty() ? "null" : quote_json(code)) + "}}";
}

}  // namespace experts
