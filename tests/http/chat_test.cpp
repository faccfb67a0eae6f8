// Chat replies: whole and streamed, explained, heartbeats, faults before and after the first byte.
#include <nlohmann/json.hpp>

#include "tests/http/rig.h"

namespace http {

namespace {

using experts::Outcome;

std::vector<std::string> events_of(const std::string& body) {
  std::vector<std::string> events;
  for (std::size_t at = 0; at < body.size();) {
    const std::size_t end = body.find("\n\n", at);
    EXPECT_NE(end, std::string::npos) << "half an event: " << body.substr(at);
    if (end == std::string::npos) break;
    events.push_back(body.substr(at, end - at));
    at = end + 2;
  }
  return events;
}

Doors doors_that_answer(const experts::Reply& reply) {
  Doors doors = pong_doors();
  doors.answer = [reply](const router::Query&,
                         experts::Sink*) -> asio::awaitable<aggregator::Answer> {
    aggregator::Answer answer = answer_of(reply);
    co_return answer;
  };
  return doors;
}

nlohmann::json error_of(const Reply& reply) {
  return nlohmann::json::parse(reply.body).at("error");
}

}  // namespace

TEST(Chat, streams_events_and_ends_with_done) {
  Rig rig;
  Client client(rig.port());
  for (int i = 0; i < 2; ++i) {
    const Reply reply = client.ask(chat(kPingStream));
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(reply.fields.at("content-type"), "text/event-stream");
    EXPECT_EQ(reply.fields.at("x-skillyard-expert"), "alpha");
    EXPECT_EQ(reply.fields.at("x-skillyard-policy"), "000000000000002a");
    EXPECT_TRUE(client.whole());
    const auto events = events_of(reply.body);
    ASSERT_EQ(events.size(), 4u);
    for (int k = 0; k < 3; ++k) EXPECT_EQ(events[k] + "\n\n", kEvent);
    EXPECT_EQ(events[3], "data: [DONE]");
  }
}

TEST(Chat, explains_when_asked_in_three_ways) {
  Rig rig;
  Client client(rig.port());
  const std::string messages = R"("messages":[{"role":"user","content":"ping"}]})";
  const std::vector<std::string> asked = {
      chat(R"({"model":"alpha","skillyard":{"explain":true},)" + messages),
      chat(R"({"model":"skillyard/auto@explain",)" + messages),
      chat(kPing, "X-Skillyard-Explain: true\r\n"),
  };
  for (const std::string& request : asked) {
    const Reply reply = client.ask(request);
    auto body = nlohmann::json::parse(reply.body);
    EXPECT_EQ(body["skillyard"]["decision"], reply.fields.at("x-skillyard-decision"));
    EXPECT_EQ(body["skillyard"]["replies"][0]["expert"], "alpha");
    EXPECT_EQ(body["skillyard"]["replies"][0]["completion_tokens"], 3);
    body.erase("skillyard");
    EXPECT_EQ(body, nlohmann::json::parse(kPong));
  }
  const Reply stream = client.ask(chat(kPingStream, "X-Skillyard-Explain: 1\r\n"));
  const auto events = events_of(stream.body);
  ASSERT_EQ(events.size(), 5u);
  const auto last = nlohmann::json::parse(events[3].substr(6));
  EXPECT_EQ(last["id"], "chatcmpl-1");
  EXPECT_EQ(last["created"], 7);
  EXPECT_EQ(last["object"], "chat.completion.chunk");
  EXPECT_TRUE(last["choices"].empty());
  EXPECT_EQ(last["skillyard"]["expert"], "alpha");
  EXPECT_EQ(events[4], "data: [DONE]");
}

/// Three experts, two of a mind, as the corridor hands it over.
aggregator::Answer panel_answer() {
  aggregator::Answer answer;
  for (const char* name : {"alpha", "beta", "gamma"}) {
    experts::Reply reply = reply_of(Outcome::ok);
    reply.expert = name;
    reply.text =
        std::string("The answer is ") + (answer.replies.empty() ? "(A)." : "(B).") + "\xff";
    reply.wire = std::string(R"({"id":"x","model":")") + name + R"(","choices":[]})";
    reply.finish_reason = "stop";
    answer.replies.push_back(reply);
  }
  answer.mode = aggregator::Mode::weighted;
  answer.chosen = 1;
  answer.votes = {"A", "B", "B"};
  answer.changed = true;
  answer.confidence = 0.75F;
  answer.usage = {30, 15, 0, true};
  return answer;
}

TEST(Chat, a_panel_answers_whole_or_in_events_when_it_is_decided) {
  Doors doors = pong_doors();
  doors.answer = [](const router::Query&, experts::Sink*) -> asio::awaitable<aggregator::Answer> {
    aggregator::Answer answer = panel_answer();
    co_return answer;
  };
  Rig rig(quick_options(), doors);
  Client client(rig.port());
  const std::string rest = R"("skillyard":{"k":3,"explain":true,"answer_type":"choice"},)"
                           R"("messages":[{"role":"user","content":"ping"}]})";
  const Reply whole = client.ask(chat(R"({"model":"skillyard/auto",)" + rest));
  ASSERT_EQ(whole.status, 200) << whole.body;
  EXPECT_EQ(whole.fields.at("x-skillyard-expert"), "beta");
  const auto said = nlohmann::json::parse(whole.body)["skillyard"];
  EXPECT_EQ(said["replies"][2]["vote"], "B");
  EXPECT_EQ(said["changed"], true);
  const Reply stream = client.ask(
      chat(R"({"model":"skillyard/auto","stream":true,"stream_options":{"include_usage":true},)" +
           rest));
  EXPECT_EQ(stream.fields.at("x-skillyard-expert"), "beta");
  const auto events = events_of(stream.body);
  ASSERT_EQ(events.size(), 5u) << stream.body;
  const auto first = nlohmann::json::parse(events[0].substr(6));
  EXPECT_EQ(first["choices"][0]["delta"]["content"], "The answer is (B).\u00ff");
  EXPECT_EQ(first["model"], "beta");
  EXPECT_EQ(nlohmann::json::parse(events[1].substr(6))["choices"][0]["finish_reason"], "stop");
  EXPECT_EQ(nlohmann::json::parse(events[2].substr(6))["usage"]["total_tokens"], 45);
  EXPECT_EQ(nlohmann::json::parse(events[3].substr(6))["skillyard"]["mode"], "weighted");
  EXPECT_EQ(events[4], "data: [DONE]");

  const Reply wrong = client.ask(
      chat(R"({"model":"skillyard/auto","skillyard":{"answer_type":"poem"},"messages":[]})"));
  EXPECT_EQ(error_of(wrong)["param"], "skillyard.answer_type");
}

TEST(Chat, a_reader_that_breaks_off_is_no_end) {
  Doors doors = pong_doors();
  doors.answer = [](const router::Query&,
                    experts::Sink* sink) -> asio::awaitable<aggregator::Answer> {
    aggregator::Answer answer = panel_answer();
    const std::string event(kEvent);
    const bool taken = co_await sink->write(event);
    experts::Reply reader = reply_of(Outcome::cut);
    reader.started = taken;
    answer.replies.push_back(reader);
    co_return answer;
  };
  Rig rig(quick_options(), doors);
  const Reply reply = Client(rig.port()).ask(chat(kPingStream));
  EXPECT_EQ(reply.body.find("[DONE]"), std::string::npos);
  EXPECT_NE(reply.body.find("upstream_error"), std::string::npos) << reply.body;
}

TEST(Chat, every_outcome_has_its_status_and_code) {
  struct Row {
    Outcome outcome;
    int status;
    std::string code;
  };

  const std::vector<Row> rows = {
      {Outcome::refused, 400, "refused_by_expert"},
      {Outcome::filtered, 400, "content_policy_violation"},
      {Outcome::limited, 429, "rate_limit_exceeded"},
      {Outcome::overloaded, 503, "overloaded"},
      {Outcome::failed, 502, "upstream_error"},
      {Outcome::credentials, 502, "upstream_credentials"},
      {Outcome::unreachable, 502, "upstream_unreachable"},
      {Outcome::timed_out, 504, "upstream_timeout"},
      {Outcome::cut, 502, "upstream_malformed"},
      {Outcome::malformed, 502, "upstream_malformed"},
      {Outcome::cancelled, 499, "client_closed_request"},
      {Outcome::open_circuit, 503, "overloaded"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(experts::name_of(row.outcome));
    experts::Reply failed = reply_of(row.outcome);
    failed.error = "why \"so\" \xff";
    failed.status = row.outcome == Outcome::credentials ? 401 : 0;
    failed.retry_after_s = 7;
    Rig rig(quick_options(), doors_that_answer(failed));
    for (const std::string_view ping : {kPing, kPingStream}) {
      const Reply reply = Client(rig.port()).ask(chat(ping));
      EXPECT_EQ(reply.status, row.status);
      EXPECT_EQ(reply.fields.at("content-type"), "application/json");
      EXPECT_EQ(error_of(reply)["code"], row.code);
      const bool again = row.status == 429 || row.status == 503;
      EXPECT_EQ(reply.fields.count("retry-after"), again ? 1u : 0u);
      if (again) {
        EXPECT_EQ(reply.fields.at("retry-after"), "7");
      }
    }
  }
}

TEST(Chat, says_how_to_add_an_expert_when_there_is_none) {
  Doors doors = pong_doors();
  doors.answer = [](const router::Query&, experts::Sink*) -> asio::awaitable<aggregator::Answer> {
    aggregator::Answer none;
    co_return none;
  };
  Rig rig(quick_options(), doors);
  const Reply reply = Client(rig.port()).ask(chat(kPing));
  EXPECT_EQ(reply.status, 503);
  EXPECT_EQ(error_of(reply)["code"], "no_expert_available");
  EXPECT_NE(reply.body.find("--expert"), std::string::npos);
}

TEST(Chat, passes_an_experts_verdict_on_but_never_its_401) {
  const std::string verdict =
      R"({"error":{"message":"too long","type":"x","param":null,"code":"context_length_exceeded"}})";
  for (const int status : {400, 404, 413, 422}) {
    experts::Reply refused = reply_of(Outcome::refused);
    refused.status = status;
    refused.wire = verdict;
    Rig rig(quick_options(), doors_that_answer(refused));
    const Reply reply = Client(rig.port()).ask(chat(kPing));
    EXPECT_EQ(reply.status, status);
    EXPECT_EQ(reply.body, verdict);
    EXPECT_EQ(reply.fields.at("x-skillyard-expert"), "alpha");
  }
  experts::Reply forbidden = reply_of(Outcome::refused);
  forbidden.status = 401;
  forbidden.wire = verdict;
  Rig rig(quick_options(), doors_that_answer(forbidden));
  EXPECT_EQ(Client(rig.port()).ask(chat(kPing)).status, 400);
}

TEST(Chat, names_the_fault_in_band_once_a_stream_has_begun) {
  Doors doors = pong_doors();
  doors.answer = [](const router::Query&,
                    experts::Sink* sink) -> asio::awaitable<aggregator::Answer> {
    co_await sink->write(kEvent);
    experts::Reply cut = reply_of(Outcome::cut);
    cut.started = true;
    co_return answer_of(std::move(cut));
  };
  Rig rig(quick_options(), doors);
  Client client(rig.port());
  for (int i = 0; i < 2; ++i) {
    const Reply reply = client.ask(chat(kPingStream));
    EXPECT_TRUE(client.whole());
    const auto events = events_of(reply.body);
    ASSERT_EQ(events.size(), 2u);
    const auto error = nlohmann::json::parse(events[1].substr(6)).at("error");
    EXPECT_EQ(error["code"], "upstream_malformed");
    EXPECT_EQ(reply.body.find("[DONE]"), std::string::npos);
  }
}

TEST(Chat, an_exception_is_a_500_before_and_an_event_after_the_first_byte) {
  Doors doors = pong_doors();
  doors.answer = [](const router::Query&,
                    experts::Sink* sink) -> asio::awaitable<aggregator::Answer> {
    if (sink != nullptr) co_await sink->write(kEvent);
    throw std::runtime_error("planted");
  };
  Rig rig(quick_options(), doors);
  Client client(rig.port());
  for (int i = 0; i < 2; ++i) {
    const Reply whole = client.ask(chat(kPing));
    EXPECT_EQ(whole.status, 500);
    EXPECT_EQ(error_of(whole)["code"], "internal_error");
    EXPECT_EQ(whole.body.find("planted"), std::string::npos) << "inner words stay in the log";
    const Reply stream = client.ask(chat(kPingStream));
    EXPECT_TRUE(client.whole());
    EXPECT_NE(stream.body.find("internal_error"), std::string::npos);
  }
}

TEST(Chat, heartbeats_fill_a_silent_stream) {
  Options options = quick_options();
  options.heartbeat_ms = 20;
  Doors doors = pong_doors();
  doors.answer = [](const router::Query& query,
                    experts::Sink* sink) -> asio::awaitable<aggregator::Answer> {
    co_await pause(150);
    if (query.expert == "beta") co_return answer_of(reply_of(Outcome::timed_out));
    co_return co_await answer_pong(query, sink);
  };
  Rig rig(options, doors);
  Client client(rig.port());
  const Reply reply = client.ask(chat(kPingStream));
  EXPECT_EQ(reply.fields.count("x-skillyard-expert"), 0u) << "the head left before it was known";
  auto events = events_of(reply.body);
  ASSERT_GT(events.size(), 5u);
  EXPECT_EQ(events[0], ": keep-alive");
  EXPECT_EQ(events[events.size() - 4] + "\n\n", kEvent);
  EXPECT_EQ(events.back(), "data: [DONE]");
  // A fault behind a heartbeat is in band too: the status has already left.
  const Reply fault = client.ask(
      chat(R"({"model":"beta","stream":true,"messages":[{"role":"user","content":"ping"}]})"));
  EXPECT_EQ(fault.status, 200);
  events = events_of(fault.body);
  EXPECT_EQ(events[0], ": keep-alive");
  EXPECT_NE(events.back().find("upstream_timeout"), std::string::npos);
  EXPECT_TRUE(client.whole());
}

}  // namespace http
