// The opt-in `skillyard` object of replies.
#include "http/json_text.h"
#include "http/openai.h"

namespace http {

namespace {

void append_reply(std::string& out, const experts::Reply& reply) {
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
  out.append(R"(,"confidence":)");
  append_number(out, static_cast<double>(answer.confidence));
  out.append(R"(,"cost_microusd":)");
  append_number(out, answer.cost_microusd);
  out.append(R"(,"replies":[)");
  for (std::size_t i = 0; i < answer.replies.size(); ++i) {
    if (i > 0) out.push_back(',');
    append_reply(out, answer.replies[i]);
  }
  out.append("]}");
  return out;
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
