#include "router/notice.h"

#include "experts/native_json.h"
#include "experts/target.h"

namespace router {

namespace asio = boost::asio;

std::string outside_notice(const Policy& policy) {
  std::string skills;
  for (std::size_t s = 0; s + 1 < policy.skills.size(); ++s)  // the last one is `general`
    skills += (s > 0 ? ", " : "") + policy.skills[s];
  return "This question is outside of what this pool was trained for, so none of its " +
         std::to_string(policy.experts.size()) +
         " experts was asked. It answers questions of these kinds: " + skills +
         ". For others, add an expert that knows more.";
}

asio::awaitable<aggregator::Answer> give_notice(const std::string& text, const Query& query,
                                                experts::Sink* sink) {
  experts::CompletionHead head;
  head.id = "chatcmpl-" + query.id;
  head.created_s = query.unix_us / 1'000'000;
  aggregator::Answer answer;
  answer.replies.resize(1);
  experts::Reply& reply = answer.replies.front();
  reply.expert = "skillyard/" + query.pool;
  head.model_json = experts::quote_json(reply.expert);
  head.usage_in_stream = query.call.stream && query.call.usage_in_stream;
  reply.outcome = experts::Outcome::ok;
  reply.finish_reason = "stop";
  reply.usage.known = answer.usage.known = true;
  if (query.call.text_wanted) reply.text = text;
  answer.mode = aggregator::Mode::notice;
  if (!query.call.stream) {
    reply.wire = experts::completion_json(head, text, "", "stop", reply.usage);
    co_return answer;
  }
  std::string events;
  experts::append_role_event(events, head);
  experts::append_text_event(events, head, text, "");
  experts::append_finish_event(events, head, "stop");
  if (head.usage_in_stream) experts::append_usage_event(events, head, reply.usage);
  reply.started = true;
  const bool taken = co_await sink->write(events);
  if (!taken) {
    reply.outcome = experts::Outcome::cancelled;
    answer.mode = aggregator::Mode::none;
  }
  co_return answer;
}

}  // namespace router
