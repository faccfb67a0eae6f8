// Replies of our own making: fused words, and the opt-in `skillyard` object.
#include <nlohmann/json.hpp>

#include "http/json_text.h"
#include "http/openai.h"

namespace http {

namespace {

void append_reply(std::string& out, const experts::Reply& reply, std::string_view vote) {
  out.append(R"({"expert":)");
  append_string(out, reply.expert);
  out.append(R"(,"outcome":)");
  append_string(out, experts::name_of(reply.outcome));
  out.append(R"(,"attempts":)");
  append_number(out, std::int64_t{reply.attempts});
  out.append(R"(,"prompt_tokens":)");
  append_number(out, reply.usage.prompt_tokens);
  out.append(R"(,"completion_tokens":)");
  append_number(out, reply.usage.completion_tokens);
  out.append(R"(,"cost_microusd":)");
  append_number(out, reply.cost_microusd);
  out.append(R"(,"queued_us":)");
  append_number(out, reply.timings.queued_us);
  out.append(R"(,"first_byte_us":)");
  append_number(out, reply.timings.first_byte_us);
  out.append(R"(,"total_us":)");
  append_number(out, reply.timings.total_us);
  if (!vote.empty()) {
    out.append(R"(,"vote":)");
    append_string(out, vote);
  }
  out.push_back('}');
}

}  // namespace

std::string explanation_of(const aggregator::Answer& answer, const router::Query& query) {
  std::string out = R"({"decision":)";
  append_string(out, query.id);
  out.append(R"(,"requested":)");
  append_string(out, query.model);
  out.append(R"(,"expert":)");
  append_string(out, answer.ok() ? std::string_view(answer.reply().expert) : std::string_view());
  out.append(R"(,"mode":)");
  append_string(out, name_of(answer.mode));
  out.append(R"(,"abstained":)");
  out.append(answer.mode == aggregator::Mode::notice ? "true" : "false");
  out.append(R"(,"confidence":)");
  append_number(out, static_cast<double>(answer.confidence));
  out.append(R"(,"cost_microusd":)");
  append_number(out, answer.cost_microusd);
  out.append(R"(,"replies":[)");
  for (std::size_t i = 0; i < answer.replies.size(); ++i) {
    if (i > 0) out.push_back(',');
    append_reply(out, answer.replies[i], i < answer.votes.size() ? answer.votes[i] : "");
  }
  out.push_back(']');
  if (!answer.retrieval.empty()) out.append(R"(,"retrieval":)").append(answer.retrieval);
  if (answer.replies.size() > 1) {
    out.append(R"(,"agreement":)");
    append_number(out, static_cast<double>(answer.agreement));
    out.append(answer.changed ? R"(,"changed":true)" : R"(,"changed":false)");
  }
  out.push_back('}');
  return out;
}

std::string body_of(const aggregator::Answer& answer) {
  const experts::Reply& reply = answer.reply();
  if (answer.text.empty()) return reply.wire;
  using BodyJson = nlohmann::ordered_json;
  BodyJson body = BodyJson::parse(reply.wire, nullptr, false);
  if (!body.is_object()) body = BodyJson{{"object", "chat.completion"}, {"model", reply.expert}};
  const BodyJson choice = {
      {"index", 0},
      {"message", {{"role", "assistant"}, {"content", answer.text}, {"refusal", nullptr}}},
      {"logprobs", nullptr},
      {"finish_reason", "stop"}};
  body["choices"] = BodyJson::array({choice});
  body["usage"] = {{"prompt_tokens", answer.usage.prompt_tokens},
                   {"completion_tokens", answer.usage.completion_tokens},
                   {"total_tokens", answer.usage.prompt_tokens + answer.usage.completion_tokens}};
  return body.dump(-1, ' ', false, BodyJson::error_handler_t::replace);
}

std::string events_of(const aggregator::Answer& answer, const router::Query& query) {
  std::string head = R"(data: {"id":)";
  append_string(head, "chatcmpl-" + query.id);
  head.append(R"(,"object":"chat.completion.chunk","created":)");
  append_number(head, query.unix_us / 1'000'000);
  head.append(R"(,"model":)");
  append_string(head, answer.reply().expert);
  std::string out = head + R"(,"choices":[{"index":0,"delta":{"role":"assistant","content":)";
  append_string(out, answer.text.empty() ? answer.reply().text : answer.text);
  out.append(R"(},"finish_reason":null}]})").append("\n\n").append(head);
  out.append(R"(,"choices":[{"index":0,"delta":{},"finish_reason":)");
  const std::string& reason = answer.reply().finish_reason;
  append_string(out, reason.empty() ? "stop" : std::string_view(reason));
  out.append("}]}\n\n");
  if (!query.call.usage_in_stream) return out;
  const experts::Usage& usage = answer.usage;
  out.append(head).append(R"(,"choices":[],"usage":{"prompt_tokens":)");
  append_number(out, usage.prompt_tokens);
  out.append(R"(,"completion_tokens":)");
  append_number(out, usage.completion_tokens);
  out.append(R"(,"total_tokens":)");
  append_number(out, usage.prompt_tokens + usage.completion_tokens);
  return out.append("}}\n\n");
}

void add_explanation(std::string& reply, std::string_view object) {
  const std::size_t brace = reply.rfind('}');
  if (brace == std::string::npos) return;
  std::string member = R"(,"skillyard":)";
  if (reply.find_last_not_of(" \n\r\t", brace - 1) == reply.find('{')) member.erase(0, 1);
  member.append(object);
  reply.insert(brace, member);
}

}  // namespace http
