#include "http/sse.h"

#include <charconv>

#include "http/json_text.h"
#include "http/model_name.h"

namespace http {

namespace asio = boost::asio;

namespace {

/// The text of a string member as written, for values that need no unescaping (ids, names).
std::string_view string_member(std::string_view json, std::string_view key) {
  std::string pattern = "\"";
  pattern.append(key).append("\":");
  auto at = json.find(pattern);
  if (at == std::string_view::npos) return {};
  at = json.find_first_not_of(' ', at + pattern.size());
  if (at == std::string_view::npos || json[at] != '"') return {};
  const auto end = json.find('"', at + 1);
  return end == std::string_view::npos ? std::string_view() : json.substr(at + 1, end - at - 1);
}

}  // namespace

ChunkIdentity identity_of(std::string_view events) {
  // The members that are wanted stand before the choices, and a choice's text could imitate them.
  const std::string_view event = events.substr(0, events.find("\"choices\""));
  ChunkIdentity identity;
  identity.id = string_member(event, "id");
  identity.model = string_member(event, "model");
  const auto at = event.find("\"created\":");
  if (at != std::string_view::npos) {
    const auto digits = event.find_first_not_of(' ', at + 10);
    if (digits != std::string_view::npos) {
      std::from_chars(event.data() + digits, event.data() + event.size(), identity.created_s);
    }
  }
  return identity;
}

void add_server(Response& response, std::string_view model) {
  response.add("x-skillyard-expert", model);
  if (model.starts_with(kOwnPrefix)) response.add("x-skillyard-abstained", "outside");
}

EventStream::EventStream(Session& session, const router::Query& query)
    : session_(session), query_(query) {
  session.announce_stream();
}

void EventStream::note_first(std::string_view events) {
  if (first_event_s_ < 0) {
    first_event_s_ =
        std::chrono::duration<double>(Session::Clock::now() - session_.began()).count();
    identity_ = identity_of(events);
    if (!session_.stream_begun() && !identity_.model.empty()) {
      add_server(session_.response(), identity_.model);
    }
  }
}

void EventStream::tell_asking(const std::vector<std::string>& names) {
  std::string event = R"(data: {"id":)";
  append_string(event, "chatcmpl-" + query_.id);
  event.append(R"(,"object":"chat.completion.chunk","created":)");
  append_number(event, query_.unix_us / 1'000'000);
  event.append(R"(,"model":)");
  append_string(event, names.front());
  event.append(R"(,"choices":[],"skillyard":{"decision":)");
  append_string(event, query_.id);
  event.append(R"(,"asking":[)");
  for (const std::string& name : names) {
    if (event.back() != '[') event.push_back(',');
    append_string(event, name);
  }
  session_.push(event.append("]}}\n\n"));
}

void EventStream::put(std::string_view events) {
  note_first(events);
  session_.push(events);
}

asio::awaitable<bool> EventStream::write(std::string_view events) {
  note_first(events);
  if (session_.push(events)) co_return true;
  co_return co_await session_.flush();
}

void EventStream::end(std::string_view explanation) {
  std::string last;
  if (!explanation.empty()) {
    last.append(R"(data: {"id":)");
    append_string(last, identity_.id);
    last.append(R"(,"object":"chat.completion.chunk","created":)");
    append_number(last, identity_.created_s);
    last.append(R"(,"model":)");
    append_string(last, identity_.model);
    last.append(R"(,"choices":[],"skillyard":)").append(explanation).append("}\n\n");
  }
  last.append("data: [DONE]\n\n");
  session_.finish(last);
}

void EventStream::fail(const Problem& problem) {
  session_.finish("data: " + body_of(problem) + "\n\n");
}

}  // namespace http
