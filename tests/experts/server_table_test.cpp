// One table of what servers do, right and wrong, through both transports.
#include <gtest/gtest.h>

#include "tests/experts/rig.h"

namespace experts::testing {
namespace {

using Outcomes = std::vector<Outcome>;

struct Case {
  std::string name;
  bool stream;
  Script script;
  Outcomes outcomes;     // the first is what sockets say; others are as right through libcurl
  std::string got = "";  // not streamed: Reply::wire; streamed: what the sink got
  int status = 200;
  bool reusable = false;  // the connection must serve the next call too

  friend void PrintTo(const Case& test, std::ostream* out) { *out << test.name; }
};

/// `text` in pieces of `size` bytes, each in a packet of its own.
Script in_pieces(const std::string& text, std::size_t size) {
  Script script;
  for (std::size_t at = 0; at < text.size(); at += size) {
    script.push_back(send(text.substr(at, size)));
    if (at % (16 * size) == 0) script.push_back(pause(0));
  }
  return script;
}

std::string error_body(const std::string& code) {
  return R"({"error":{"message":"no","type":"invalid_request_error","param":null,"code":")" + code +
         "\"}}";
}

std::string with_crlf(std::string text) {
  for (std::size_t at = 0; (at = text.find('\n', at)) != text.npos; at += 2)
    text.replace(at, 1, "\r\n");
  return text;
}

std::vector<Case> plain_cases() {
  const std::string good = completion();
  const std::string whole = with_length(good);
  const std::string half = whole.substr(0, whole.size() - 50);
  const std::string chunked =
      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string ok = renamed(good);
  const std::string no_model = R"({"choices":[{"index":0,"message":{"content":"x"}}]})";
  return {
      {"length", false, {send(whole)}, {Outcome::ok}, ok, 200, true},
      {"byte_by_byte", false, in_pieces(whole, 1), {Outcome::ok}, ok, 200, true},
      {"chunked",
       false,
       {send(chunked + as_chunk(good.substr(0, 7)) + as_chunk(good.substr(7)) + "0\r\n\r\n")},
       {Outcome::ok},
       ok,
       200,
       true},
      {"chunk_extension_and_trailer",
       false,
       {send(chunked + "7;a=b\r\n" + good.substr(0, 7) + "\r\n" + as_chunk(good.substr(7)) +
             "0\r\nX-Sum: 1\r\n\r\n")},
       {Outcome::ok},
       ok,
       200,
       true},
      {"until_close", false, {send("HTTP/1.1 200 OK\r\n\r\n" + good), close()}, {Outcome::ok}, ok},
      {"http_1_0", false, {send("HTTP/1.0 200 OK\r\n\r\n" + good), close()}, {Outcome::ok}, ok},
      {"connection_close",
       false,
       {send(with_length(good, "200 OK", "Connection: close\r\n")), close()},
       {Outcome::ok},
       ok},
      {"informational_first",
       false,
       {send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n" + whole)},
       {Outcome::ok},
       ok,
       200,
       true},
      {"garbage_behind", false, {send(whole + "GARBAGE")}, {Outcome::ok}, ok},
      {"slow_but_in_time",
       false,
       {pause(40), send(half), pause(40), send(whole.substr(half.size()))},
       {Outcome::ok},
       ok,
       200,
       true},
      {"no_model_in_the_reply",
       false,
       {send(with_length(no_model))},
       {Outcome::ok},
       R"({"model":"one",)" + no_model.substr(1),
       200,
       true},
      {"wrong_content_type_right_body",
       false,
       {send(with_length(good, "200 OK", "Content-Type: text/plain\r\n"))},
       {Outcome::ok},
       ok,
       200,
       true},

      {"closed_before_the_answer", false, {close()}, {Outcome::cut}, "", 0},
      {"reset_before_the_answer", false, {reset()}, {Outcome::cut}, "", 0},
      {"no_answer", false, {pause(1500)}, {Outcome::timed_out}, "", 0},
      {"slow_header",
       false,
       {send("HTTP/1.1 200 OK\r\nContent-"), pause(1500)},
       {Outcome::timed_out},
       "",
       0},
      {"slow_body", false, {send(half), pause(1500)}, {Outcome::timed_out}},
      {"cut_in_the_header",
       false,
       {send("HTTP/1.1 200 OK\r\nContent-Le"), close()},
       {Outcome::cut, Outcome::malformed},
       "",
       0},
      {"cut_in_the_body", false, {send(half), close()}, {Outcome::cut}},
      {"reset_in_the_body", false, {send(half), pause(20), reset()}, {Outcome::cut}},
      {"cut_in_a_chunk", false, {send(chunked + "ff\r\n{\"id"), close()}, {Outcome::cut}},
      {"cut_between_chunks", false, {send(chunked + as_chunk(good)), close()}, {Outcome::cut}},
      {"bad_chunk_size", false, {send(chunked + "zz\r\nhello\r\n0\r\n\r\n")}, {Outcome::malformed}},
      {"no_http",
       false,
       {send("SSH-2.0-OpenSSH_9.2\r\n\r\n"), close()},
       {Outcome::malformed},
       "",
       0},
      {"two_lengths",
       false,
       {send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 9\r\n\r\nhello"), close()},
       {Outcome::malformed, Outcome::cut},
       "",
       0},
      {"header_too_long",
       false,
       {send("HTTP/1.1 200 OK\r\nX-A: " + std::string(400'000, 'a') + "\r\n\r\n")},
       {Outcome::malformed, Outcome::cut},
       "",
       0},
      {"switching_protocols",
       false,
       {send("HTTP/1.1 101 Switching Protocols\r\n\r\n"), close()},
       {Outcome::malformed, Outcome::cut},
       "",
       101},
      {"html",
       false,
       {send(with_length("<html>It works!</html>", "200 OK", "Content-Type: text/html\r\n"))},
       {Outcome::malformed}},
      {"bad_json",
       false,
       {send(with_length(R"({"choices":[{"index":0,"message":{"content":tru}}]})"))},
       {Outcome::malformed}},
      {"two_json_values", false, {send(with_length(good + "{}"))}, {Outcome::malformed}},
      {"bad_utf8", false, {send(with_length(completion("\xff\xfe")))}, {Outcome::malformed}},
      {"no_choices",
       false,
       {send(with_length(R"({"object":"list","data":[]})"))},
       {Outcome::malformed}},
      {"empty_body", false, {send(with_length(""))}, {Outcome::malformed}},
      {"no_content",
       false,
       {send("HTTP/1.1 204 No Content\r\n\r\n")},
       {Outcome::malformed},
       "",
       204},
      {"redirect",
       false,
       {send(with_length("", "301 Moved", "Location: http://127.0.0.1:1/\r\n"))},
       {Outcome::malformed},
       "",
       301},
      {"too_large",
       false,
       {send(with_length(completion(std::string(70'000, 'a'))))},
       {Outcome::malformed}},
      {"stream_although_not_asked",
       false,
       {send(as_stream(delta("a") + kDone))},
       {Outcome::malformed}},
      {"gzip",
       false,
       {send(with_length("\x1f\x8b\x08", "200 OK", "Content-Encoding: gzip\r\n"))},
       {Outcome::malformed}},
      {"error_in_200",
       false,
       {send(with_length(R"({"error":{"message":"busy","code":429}})"))},
       {Outcome::limited}},

      {"400",
       false,
       {send(with_length(error_body("bad"), "400 Bad Request"))},
       {Outcome::refused},
       error_body("bad"),
       400,
       true},
      {"400_content_policy",
       false,
       {send(with_length(error_body("content_policy_violation"), "400 Bad Request"))},
       {Outcome::filtered},
       error_body("content_policy_violation"),
       400,
       true},
      {"401",
       false,
       {send(with_length(error_body("invalid_api_key"), "401 Unauthorized"))},
       {Outcome::credentials},
       "",
       401,
       true},
      {"403",
       false,
       {send(with_length("no", "403 Forbidden"))},
       {Outcome::credentials},
       "",
       403,
       true},
      {"404",
       false,
       {send(with_length(error_body("model_not_found"), "404 Not Found"))},
       {Outcome::refused},
       error_body("model_not_found"),
       404,
       true},
      {"413_without_reading",
       false,
       {send(with_length("", "413 Too Large", "Connection: close\r\n")), close()},
       {Outcome::refused},
       "",
       413},
      {"422",
       false,
       {send(with_length(R"({"detail":"field required"})", "422 Unprocessable"))},
       {Outcome::refused},
       R"({"detail":"field required"})",
       422,
       true},
      {"429",
       false,
       {send(with_length("{}", "429 Too Many", "Retry-After: 7\r\n"))},
       {Outcome::limited},
       "",
       429,
       true},
      {"500", false, {send(with_length("oops", "500 Internal"))}, {Outcome::failed}, "", 500, true},
      {"503",
       false,
       {send(with_length("", "503 Unavailable"))},
       {Outcome::overloaded},
       "",
       503,
       true},
      {"529",
       false,
       {send(with_length("", "529 Overloaded"))},
       {Outcome::overloaded},
       "",
       529,
       true},
      {"504",
       false,
       {send(with_length("", "504 Gateway Timeout"))},
       {Outcome::timed_out},
       "",
       504,
       true},
  };
}

std::vector<Case> stream_cases() {
  const std::string end = delta("lo", "\"stop\"");
  const std::string all = delta("Hel") + end;
  const std::string ok = renamed(all);
  const std::string multi_line =
      "data: {\"model\":\"upstream-model\",\ndata:\"choices\":[{\"index\":0,\ndata: "
      "\"finish_reason\":\"stop\"}]}\n\n";
  const std::string joined =
      R"(data: {"model":"one", "choices":[{"index":0, "finish_reason":"stop"}]})"
      "\n\n";
  const std::string extras =
      ": keep-alive\n\nevent: x\nid: 7\nretry: 10\n" + delta("Hel") + "data:\n\n" + end;
  const std::string error = "data: {\"error\":{\"message\":\"boom\",\"code\":503}}\n\n";
  const std::string close_head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
  return {
      {"one_packet", true, {send(as_stream(all + kDone))}, {Outcome::ok}, ok, 200, true},
      {"byte_by_byte", true, in_pieces(as_stream(all + kDone), 1), {Outcome::ok}, ok, 200, true},
      {"sevens", true, in_pieces(as_stream(all + kDone), 7), {Outcome::ok}, ok, 200, true},
      {"crlf", true, {send(as_stream(with_crlf(all + kDone)))}, {Outcome::ok}, ok, 200, true},
      {"crlf_byte_by_byte",
       true,
       in_pieces(as_stream(with_crlf(all + kDone)), 1),
       {Outcome::ok},
       ok,
       200,
       true},
      {"byte_order_mark",
       true,
       {send(as_stream("\xEF\xBB\xBF" + all + kDone))},
       {Outcome::ok},
       ok,
       200,
       true},
      {"comments_and_other_fields",
       true,
       {send(as_stream(extras + kDone))},
       {Outcome::ok},
       ok,
       200,
       true},
      {"several_data_lines",
       true,
       {send(as_stream(multi_line + kDone))},
       {Outcome::ok},
       joined,
       200,
       true},
      {"until_close", true, {send(close_head + all + kDone), close()}, {Outcome::ok}, ok},
      {"usage_only_event_is_ours",
       true,
       {send(as_stream(all + kUsageEvent + kDone))},
       {Outcome::ok},
       ok,
       200,
       true},
      {"no_done_but_finished", true, {send(as_stream(all))}, {Outcome::ok}, ok, 200, true},
      {"last_chunk_comes_late",
       true,
       {send(kStreamHead + as_chunk(all + kDone)), pause(5), send("0\r\n\r\n")},
       {Outcome::ok},
       ok,
       200,
       true},
      {"slow_but_in_time",
       true,
       {send(kStreamHead), pause(40), send(as_chunk(delta("Hel"))), pause(40),
        send(as_chunk(end + kDone) + "0\r\n\r\n")},
       {Outcome::ok},
       ok,
       200,
       true},
      {"events_behind_done",
       true,
       {send(as_stream(all + kDone + delta("more")))},
       {Outcome::ok},
       ok,
       200,
       true},

      {"cut_between_events",
       true,
       {send(kStreamHead + as_chunk(delta("Hel"))), close()},
       {Outcome::cut},
       renamed(delta("Hel"))},
      {"cut_in_an_event",
       true,
       {send(kStreamHead + as_chunk(delta("Hel") + end.substr(0, 30))), close()},
       {Outcome::cut},
       renamed(delta("Hel"))},
      {"reset_between_events",
       true,
       {send(kStreamHead + as_chunk(delta("Hel"))), pause(20), reset()},
       {Outcome::cut},
       renamed(delta("Hel"))},
      {"ends_without_a_reason",
       true,
       {send(as_stream(delta("Hel")))},
       {Outcome::cut},
       renamed(delta("Hel"))},
      {"ends_without_a_reason_by_close",
       true,
       {send(close_head + delta("Hel")), close()},
       {Outcome::cut},
       renamed(delta("Hel"))},
      {"empty_stream", true, {send(as_stream(""))}, {Outcome::cut}},
      {"idle_too_long",
       true,
       {send(kStreamHead + as_chunk(delta("Hel"))), pause(1500)},
       {Outcome::timed_out},
       renamed(delta("Hel"))},
      {"error_event_first", true, {send(as_stream(error))}, {Outcome::overloaded}},
      {"error_event_in_the_middle",
       true,
       {send(as_stream(delta("Hel") + error))},
       {Outcome::overloaded},
       renamed(delta("Hel"))},
      {"bad_json_event",
       true,
       {send(as_stream(delta("Hel") + "data: {\"choices\":[}\n\n"))},
       {Outcome::malformed},
       renamed(delta("Hel"))},
      {"not_a_chunk",
       true,
       {send(as_stream("data: {\"type\":\"ping\"}\n\n"))},
       {Outcome::malformed}},
      {"event_too_large",
       true,
       {send(as_stream(delta(std::string(70'000, 'a'))))},
       {Outcome::malformed}},
      {"endless_line",
       true,
       {send(kStreamHead + as_chunk("data: " + std::string(70'000, 'a'))), pause(1500)},
       {Outcome::malformed}},
      {"json_although_a_stream_was_asked",
       true,
       {send(with_length(completion()))},
       {Outcome::malformed}},
      {"429",
       true,
       {send(with_length("{}", "429 Too Many", "Retry-After: 7\r\n"))},
       {Outcome::limited},
       "",
       429,
       true},
      {"400_slowly",
       true,
       in_pieces(with_length(error_body("bad"), "400 Bad Request"), 9),
       {Outcome::refused},
       error_body("bad"),
       400,
       true},
  };
}

class EveryServer : public ::testing::TestWithParam<std::tuple<Transport, Case>> {};

TEST_P(EveryServer, IsUnderstood) {
  const auto& [transport, test] = GetParam();
  Rig rig(transport);
  rig.options.reply_bytes_max = 64 << 10;
  rig.options.event_bytes_max = 64 << 10;
  rig.options.timeouts = {200, 200, 200, 2000};
  rig.call.stream = test.stream;
  const Script good = {
      send(test.stream ? as_stream(delta("x", "\"stop\"") + kDone) : with_length(completion("x")))};
  rig.upstream.play({test.script, good});
  const Reply reply = rig.ask();
  if (transport == Transport::sockets) {
    EXPECT_EQ(name_of(reply.outcome), name_of(test.outcomes[0])) << reply.error;
    EXPECT_EQ(reply.status, test.status);
  } else {
    EXPECT_NE(std::find(test.outcomes.begin(), test.outcomes.end(), reply.outcome),
              test.outcomes.end())
        << name_of(reply.outcome) << " " << reply.error;
  }
  const bool streamed = test.stream && test.status == 200;
  EXPECT_EQ(streamed ? rig.sink.got : reply.wire, test.got);
  EXPECT_EQ(reply.started, test.stream && !rig.sink.got.empty());
  EXPECT_EQ(reply.error.empty(), reply.outcome == Outcome::ok);
  EXPECT_EQ(reply.attempts, 1);
  EXPECT_EQ(reply.retry_after_s, test.name == "429" ? 7 : -1);

  // Whatever happened, the next call is served; on the same connection where that can be.
  rig.sink.got.clear();
  rig.idle(25);
  const Reply next = rig.ask();
  EXPECT_EQ(name_of(next.outcome), "ok") << next.error;
  EXPECT_TRUE(!test.reusable || rig.upstream.connections == 1);
  EXPECT_EQ(rig.upstream.requests.size(), 2u);
}

std::string name_test(const ::testing::TestParamInfo<std::tuple<Transport, Case>>& info) {
  return (std::get<0>(info.param) == Transport::curl ? "curl_" : "sockets_") +
         std::get<1>(info.param).name;
}

INSTANTIATE_TEST_SUITE_P(Plain, EveryServer,
                         ::testing::Combine(::testing::Values(Transport::sockets, Transport::curl),
                                            ::testing::ValuesIn(plain_cases())),
                         name_test);
INSTANTIATE_TEST_SUITE_P(Stream, EveryServer,
                         ::testing::Combine(::testing::Values(Transport::sockets, Transport::curl),
                                            ::testing::ValuesIn(stream_cases())),
                         name_test);

}  // namespace
}  // namespace experts::testing
