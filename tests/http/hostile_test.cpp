// Malformed and hostile requests: each has one expected status, one code, and OpenAI's error shape;
// afterwards the server still answers, and either the connection was closed or it still works.
#include <nlohmann/json.hpp>

#include "tests/http/rig.h"

namespace http {

namespace {

struct Case {
  std::string name;
  std::string bytes;
  int status;
  std::string code;
  bool half_close = false;  // the client closes its sending side behind the bytes
};

std::string head(std::string_view fields, std::string_view body = "") {
  std::string request = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n";
  return request.append(fields).append("\r\n").append(body);
}

constexpr std::string_view kJsonType = "Content-Type: application/json\r\n";

/// A chat whose object has `members` besides a valid model and messages.
std::string with(std::string_view members) {
  std::string body = R"({"model":"alpha","messages":[{"role":"user","content":"ping"}],)";
  return chat(body.append(members).append("}"));
}

std::string with_messages(std::string_view messages) {
  std::string body = R"({"model":"alpha","messages":)";
  return chat(body.append(messages).append("}"));
}

std::string with_model(std::string_view model) {
  std::string body = R"({"model":)";
  body.append(model).append(R"(,"messages":[{"role":"user","content":"ping"}]})");
  return chat(body);
}

std::string run_of(std::string_view text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all.append(text);
  return all;
}

std::vector<Case> http_cases() {
  const std::string json(kJsonType);
  const std::string ping(kPing);
  const std::string length = "Content-Length: " + std::to_string(ping.size()) + "\r\n";
  const std::string chunked = "Transfer-Encoding: chunked\r\n";
  const std::string get = "GET /health/live HTTP/1.1\r\n";
  return {
      {"not http at all", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n", 400,
       "bad_http"},
      {"a line of text", "hello\r\n\r\n", 400, "bad_http"},
      {"binary noise", std::string("\0\1\2\3\xff\xfe\r\n\r\n", 10), 400, "bad_http"},
      {"http 2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "http_version_not_supported"},
      {"http 0.9", "GET /health/live\r\n\r\n", 400, "bad_http"},
      {"http 1.2", "GET /health/live HTTP/1.2\r\nHost: x\r\n\r\n", 505,
       "http_version_not_supported"},
      {"version word", "GET /health/live HTPP/1.1\r\nHost: x\r\n\r\n", 505,
       "http_version_not_supported"},
      {"no host", "GET /health/live HTTP/1.1\r\n\r\n", 400, "bad_http"},
      {"two hosts", get + "Host: a\r\nHost: b\r\n\r\n", 400, "bad_http"},
      {"space before colon", get + "Host : x\r\n\r\n", 400, "bad_http"},
      {"no colon", get + "Host: x\r\nnonsense\r\n\r\n", 400, "bad_http"},
      {"empty field name", get + "Host: x\r\n: v\r\n\r\n", 400, "bad_http"},
      {"nul in a value", get + std::string("Host: x\r\nA: a\0b\r\n\r\n", 19), 400, "bad_http"},
      {"control byte in a value", get + "Host: x\r\nA: a\x01z\r\n\r\n", 400, "bad_http"},
      {"bare cr in a value", get + "Host: x\r\nA: a\rX-Evil: 1\r\n\r\n", 400, "bad_http"},
      {"bare lf line ends", "GET /health/live HTTP/1.1\nHost: x\n\n", 505,
       "http_version_not_supported"},
      {"folded line", get + "Host: x\r\nA: b\r\n folded\r\n\r\n", 400, "bad_http"},
      {"line folded at once", get + "Host: x\r\nA:\r\n\tfolded\r\n\r\n", 400, "bad_http"},
      {"space in the target", "GET /health /live HTTP/1.1\r\nHost: x\r\n\r\n", 505,
       "http_version_not_supported"},
      {"long target", "GET /" + std::string(3'000, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n", 414,
       "uri_too_long"},
      {"endless target", "GET /" + std::string(30'000, 'a'), 431, "header_too_large"},
      {"large field", get + "Host: x\r\nA: " + std::string(20'000, 'a') + "\r\n\r\n", 431,
       "header_too_large"},
      {"many fields", get + "Host: x\r\n" + run_of("A: b\r\n", 101) + "\r\n", 431,
       "header_too_large"},
      {"length twice", head(json + length + length, ping), 400, "bad_http"},
      {"two lengths", head(json + length + "Content-Length: 5\r\n", ping), 400, "bad_http"},
      {"length list", head(json + "Content-Length: 5, 5\r\n", "12345"), 400, "bad_http"},
      {"length with sign", head(json + "Content-Length: +5\r\n", "12345"), 400, "bad_http"},
      {"negative length", head(json + "Content-Length: -1\r\n"), 400, "bad_http"},
      {"hex length", head(json + "Content-Length: 0x10\r\n"), 400, "bad_http"},
      {"empty length", head(json + "Content-Length: \r\n"), 400, "bad_http"},
      {"length of 20 digits", head(json + "Content-Length: 99999999999999999999\r\n"), 400,
       "bad_http"},
      {"length over the limit", head(json + "Content-Length: 99999999\r\n"), 413,
       "request_too_large"},
      {"length and coding", head(json + length + chunked, "0\r\n\r\n"), 400, "bad_http"},
      {"coding and length", head(json + chunked + length, "0\r\n\r\n"), 400, "bad_http"},
      {"coding twice", head(json + chunked + chunked, "0\r\n\r\n"), 400, "bad_http"},
      {"gzip coding", head(json + "Transfer-Encoding: gzip\r\n"), 501,
       "unsupported_transfer_coding"},
      {"gzip, chunked", head(json + "Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), 501,
       "unsupported_transfer_coding"},
      {"chunked, gzip", head(json + "Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n"), 501,
       "unsupported_transfer_coding"},
      {"chunked with vertical tab",
       head(json + "Transfer-Encoding: \x0b"
                   "chunked\r\n",
            "0\r\n\r\n"),
       400, "bad_http"},
      {"xchunked", head(json + "Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), 501,
       "unsupported_transfer_coding"},
      {"chunked in 1.0",
       "POST /v1/chat/completions HTTP/1.0\r\n" + json + chunked + "\r\n0\r\n\r\n", 400,
       "bad_http"},
      {"chunk size of letters", head(json + chunked, "xyz\r\nabc\r\n0\r\n\r\n"), 400, "bad_http"},
      {"chunk size beyond 64 bits", head(json + chunked, "FFFFFFFFFFFFFFFFF\r\na\r\n0\r\n\r\n"),
       400, "bad_http"},
      {"chunk size over the limit", head(json + chunked, "7FFFFFFF\r\na"), 413,
       "request_too_large"},
      {"negative chunk size", head(json + chunked, "-5\r\nabcde\r\n0\r\n\r\n"), 400, "bad_http"},
      {"chunk without its end", head(json + chunked, "2\r\n{}XX0\r\n\r\n"), 400, "bad_http"},
      {"endless chunk extension", head(json + chunked, "2;" + std::string(80'000, 'a')), 400,
       "bad_http"},
      {"length in a trailer", head(json + chunked, "2\r\n{}\r\n0\r\nContent-Length: 3\r\n\r\n"),
       400, "bad_http"},
      {"many trailers", head(json + chunked, "2\r\n{}\r\n0\r\n" + run_of("A: b\r\n", 101) + "\r\n"),
       431, "header_too_large"},
      {"odd expectation", head(json + length + "Expect: tea\r\n", ping), 417, "expectation_failed"},
      {"half a header", "GET /health/live HTTP/1.1\r\nHost:", 400, "incomplete_request", true},
      {"half a body", head(json + "Content-Length: 100\r\n", "{\"mo"), 400, "incomplete_request",
       true},
      {"half a chunk", head(json + chunked, "ff\r\n{\"mo"), 400, "incomplete_request", true},
      {"no such path", "GET /v1/nothing HTTP/1.1\r\nHost: x\r\n\r\n", 404, "unknown_url"},
      {"path up and away", "GET /v1/../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", 404,
       "unknown_url"},
      {"another method", "DELETE /v1/models HTTP/1.1\r\nHost: x\r\n\r\n", 405,
       "method_not_allowed"},
      {"get a chat", "GET /v1/chat/completions HTTP/1.1\r\nHost: x\r\n\r\n", 405,
       "method_not_allowed"},
      {"unknown method", "BREW /v1/models HTTP/1.1\r\nHost: x\r\n\r\n", 405, "method_not_allowed"},
      {"connect", "CONNECT example.org:443 HTTP/1.1\r\nHost: x\r\n\r\n", 404, "unknown_url"},
      {"a form", head(length + "Content-Type: application/x-www-form-urlencoded\r\n", ping), 415,
       "unsupported_media_type"},
      {"no type", head(length, ping), 415, "unsupported_media_type"},
      {"a compressed body", head(json + length + "Content-Encoding: gzip\r\n", ping), 415,
       "unsupported_content_encoding"},
      {"no model of that name", "GET /v1/models/gamma%0d%0aX-Evil:1 HTTP/1.1\r\nHost: x\r\n\r\n",
       404, "model_not_found"},
  };
}

std::vector<Case> json_cases() {
  const std::string deep_arrays = std::string(1'000, '[') + std::string(1'000, ']');
  const auto bad = [](std::string name, std::string_view body) {
    return Case{std::move(name), chat(body), 400, "invalid_json"};
  };
  return {
      bad("empty body", ""),
      bad("an array", "[]"),
      bad("a string", R"("hello")"),
      bad("a null", "null"),
      bad("cut off", R"({"model":"alpha","messages":[)"),
      bad("two objects", "{}{}"),
      bad("trailing comma", R"({"model":"alpha",})"),
      bad("single quotes", R"({'model':'alpha'})"),
      bad("a comment", R"({/* hi */"model":"alpha"})"),
      bad("nan", R"({"model":"alpha","temperature":NaN})"),
      bad("infinity", R"({"model":"alpha","temperature":Infinity})"),
      bad("leading zero", R"({"model":"alpha","n":01})"),
      bad("number beyond a double", R"({"model":"alpha","temperature":1e999})"),
      bad("integer beyond 64 bits", R"({"model":"alpha","seed":99999999999999999999})"),
      bad("bad escape", R"({"model":"al\qpha"})"),
      bad("lone surrogate", R"({"model":"alpha","user":"\ud800"})"),
      bad("control byte in a string", "{\"model\":\"al\npha\"}"),
      bad("overlong utf-8", "{\"model\":\"al\xc0\xafpha\"}"),
      bad("cut utf-8", "{\"model\":\"alpha\xe2\x82\"}"),
      bad("utf-8 of a surrogate", "{\"model\":\"\xed\xa0\x80\"}"),
      bad("utf-16", std::string("{\0\"\0}\0", 6)),
      bad("deep arrays", deep_arrays),
      bad("deep value", R"({"model":"alpha","x":)" + deep_arrays + "}"),
      bad("model twice", R"({"model":"alpha","model":"beta","messages":[]})"),
      bad("model twice, once escaped", R"({"model":"alpha","mod\u0065l":"beta","messages":[]})"),
      bad("unknown field twice", R"({"x":1,"x":2})"),
      bad("many members",
          [] {
            std::string body = R"({"model":"alpha")";
            for (int i = 0; i < 200; ++i) body += ",\"f" + std::to_string(i) + "\":1";
            return body + "}";
          }()),
  };
}

std::vector<Case> field_cases() {
  const auto bad = [](std::string_view members) {
    return Case{std::string(members.substr(0, 60)), with(members), 400, "invalid_value"};
  };
  const auto bad_messages = [](std::string_view messages) {
    return Case{std::string(messages.substr(0, 60)), with_messages(messages), 400, "invalid_value"};
  };
  return {
      {"no model", chat(R"({"messages":[]})"), 400, "invalid_value"},
      {"no model but messages", chat(R"({"messages":[{"role":"user","content":"x"}]})"), 400,
       "missing_required_parameter"},
      {"no messages", chat(R"({"model":"alpha"})"), 400, "missing_required_parameter"},
      {"unknown model", with_model(R"("gpt-9")"), 404, "model_not_found"},
      {"unknown pool", with_model(R"("skillyard/none")"), 404, "model_not_found"},
      {"model of the wrong type", with_model("7"), 400, "invalid_value"},
      {"null model", with_model("null"), 400, "invalid_value"},
      {"empty model", with_model(R"("")"), 400, "invalid_value"},
      {"long model", with_model("\"" + std::string(300, 'm') + "\""), 400, "invalid_value"},
      {"header in the model", with_model(R"("alpha\r\nX-Evil: 1")"), 400, "invalid_value"},
      {"empty pool", with_model(R"("skillyard/")"), 400, "invalid_value"},
      {"k of nine", with_model(R"("skillyard/auto@k9")"), 400, "invalid_value"},
      {"quality nan", with_model(R"("skillyard/auto@qnan")"), 400, "invalid_value"},
      {"knob twice", with_model(R"("skillyard/auto@k2@k3")"), 400, "invalid_value"},
      {"empty knob", with_model(R"("skillyard/auto@")"), 400, "invalid_value"},
      {"unknown knob", with_model(R"("skillyard/auto@fast")"), 400, "invalid_value"},
      {"unknown key of ours", with(R"("skillyard":{"qualty":1})"), 400, "unknown_parameter"},
      bad(R"("skillyard":7)"),
      bad(R"("skillyard":{"k":0})"),
      bad(R"("skillyard":{"quality":1.5})"),
      bad(R"("temperature":"hot")"),
      bad(R"("temperature":2.1)"),
      bad(R"("temperature":-0.1)"),
      bad(R"("top_p":1.5)"),
      bad(R"("n":0)"),
      bad(R"("n":1.5)"),
      bad(R"("n":true)"),
      bad(R"("max_tokens":-1)"),
      bad(R"("max_completion_tokens":"many")"),
      bad(R"("presence_penalty":3)"),
      bad(R"("frequency_penalty":[])"),
      bad(R"("stream":"yes")"),
      bad(R"("stream_options":{"include_usage":true})"),
      bad(R"("stream":true,"stream_options":{"include_usage":1})"),
      bad(R"("stop":["a","b","c","d","e"])"),
      bad(R"("stop":[1])"),
      bad(R"("seed":1.5)"),
      bad(R"("logit_bias":{"50":101})"),
      bad(R"("logit_bias":[1])"),
      bad(R"("top_logprobs":5)"),
      bad(R"("logprobs":true,"top_logprobs":21)"),
      bad(R"("tools":{})"),
      bad(R"("tools":[{"type":"function"}])"),
      bad(R"("tools":[{"type":"function","function":{"name":"a b"}}])"),
      bad(R"("tools":[)" + run_of(R"({"type":"function","function":{"name":"f"}},)", 128) +
          R"({"type":"function","function":{"name":"f"}}])"),
      bad(R"("tool_choice":3)"),
      bad(R"("response_format":"json")"),
      bad(R"("response_format":{"type":"xml"})"),
      {"schema missing", with(R"("response_format":{"type":"json_schema"})"), 400,
       "missing_required_parameter"},
      bad(R"("metadata":{"a":1})"),
      bad(R"("user":[])"),
      bad(R"("modalities":["smell"])"),
      bad_messages("7"),
      bad_messages("[]"),
      bad_messages("[7]"),
      bad_messages(R"([{"role":"king","content":"x"}])"),
      bad_messages(R"([{"role":"user","content":7}])"),
      bad_messages(R"([{"role":"user","content":[]}])"),
      bad_messages(R"([{"role":"user","content":[{"type":"smell"}]}])"),
      bad_messages(R"([{"role":"user","content":[{"type":"text","text":1}]}])"),
      bad_messages(R"([{"role":"user","content":[{"type":"image_url"}]}])"),
      {"no role", with_messages(R"([{"content":"x"}])"), 400, "missing_required_parameter"},
      {"no content", with_messages(R"([{"role":"user"}])"), 400, "missing_required_parameter"},
      {"null content", with_messages(R"([{"role":"user","content":null}])"), 400,
       "missing_required_parameter"},
      {"tool without its call", with_messages(R"([{"role":"tool","content":"x"}])"), 400,
       "missing_required_parameter"},
      {"content twice", with_messages(R"([{"role":"user","content":"a","content":"b"}])"), 400,
       "invalid_json"},
      {"audio to the router",
       chat(R"({"model":"skillyard/auto","modalities":["text","audio"],)"
            R"("messages":[{"role":"user","content":"x"}]})"),
       400, "unsupported_capability"},
      {"a panel with tools",
       chat(R"({"model":"skillyard/auto@k3","tools":[{"type":"function","function":{"name":"f"}}],)"
            R"("messages":[{"role":"user","content":"x"}]})"),
       400, "unsupported_capability"},
  };
}

void expect_problem(const Case& hostile, const Reply& reply) {
  EXPECT_EQ(reply.status, hostile.status) << reply.body;
  EXPECT_EQ(reply.fields.count("x-evil"), 0u);
  const auto body = nlohmann::json::parse(reply.body, nullptr, false);
  ASSERT_TRUE(body.is_object() && body.contains("error")) << reply.body;
  const auto& error = body["error"];
  EXPECT_EQ(error.size(), 4u);
  EXPECT_FALSE(error.value("message", "").empty());
  EXPECT_FALSE(error.value("type", "").empty());
  EXPECT_TRUE(error["param"].is_null() || error["param"].is_string());
  EXPECT_EQ(error["code"], hostile.code) << reply.body;
}

void run_cases(const std::vector<Case>& cases) {
  Rig rig;
  for (const Case& hostile : cases) {
    SCOPED_TRACE(hostile.name);
    Client client(rig.port());
    client.send(hostile.bytes);
    if (hostile.half_close) client.close_sending_side();
    const Reply reply = client.read();
    expect_problem(hostile, reply);
    if (reply.fields.contains("connection")) {
      EXPECT_EQ(reply.fields.at("connection"), "close");
      EXPECT_TRUE(client.at_end());
    } else {
      EXPECT_EQ(client.ask(chat(kPing)).status, 200);
    }
    EXPECT_EQ(Client(rig.port()).ask(chat(kPing)).body, kPong);
  }
}

}  // namespace

TEST(Hostile, http) {
  run_cases(http_cases());
  EXPECT_GE(http_cases().size() + json_cases().size() + field_cases().size(), 60u);
}

TEST(Hostile, json) {
  run_cases(json_cases());
}

TEST(Hostile, fields) {
  run_cases(field_cases());
}

/// The same bytes one at a time, so that every element is met incomplete.
TEST(Hostile, byte_by_byte) {
  Options options = quick_options();
  options.header_bytes_max = 400;
  Rig rig(options);
  for (const Case& hostile : http_cases()) {
    // Bare line feeds look like an unfinished line until the header's deadline.
    if (hostile.bytes.size() > 400 || hostile.name == "bare lf line ends") continue;
    SCOPED_TRACE(hostile.name);
    Client client(rig.port());
    for (const char byte : hostile.bytes) client.send({&byte, 1});
    if (hostile.half_close) client.close_sending_side();
    EXPECT_EQ(client.read().status, hostile.status);
  }
}

TEST(Hostile, slow_header_and_slow_body_are_told_so) {
  Options options = quick_options();
  options.head_ms_max = 100;
  options.body_ms_max = 100;
  Rig rig(options);
  Client header(rig.port());
  Client body(rig.port());
  header.send("GET /health/live HTTP/1.1\r\nHo");
  body.send("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{");
  for (Client* client : {&header, &body}) {
    const Reply reply = client->read();
    expect_problem({"slow", "", 408, "request_timeout"}, reply);
    EXPECT_TRUE(client->at_end());
  }
}

TEST(Hostile, idle_connections_are_closed) {
  Options options = quick_options();
  options.idle_ms_max = 100;
  options.head_ms_max = 150;
  Rig rig(options);
  Client used(rig.port());
  EXPECT_EQ(used.ask(chat(kPing)).status, 200);
  Client silent(rig.port());
  EXPECT_TRUE(used.at_end());
  EXPECT_TRUE(silent.at_end());
}

TEST(Hostile, one_connection_too_many_is_told_so) {
  Options options = quick_options();
  options.connections_max = 2;
  Rig rig(options);
  Client first(rig.port());
  Client second(rig.port());
  EXPECT_EQ(first.ask(chat(kPing)).status, 200);
  EXPECT_EQ(second.ask(chat(kPing)).status, 200);
  Client third(rig.port());
  const Reply reply = third.read();
  expect_problem({"third", "", 503, "overloaded"}, reply);
  EXPECT_EQ(reply.fields.at("retry-after"), "1");
  first.close();
  // The place is free as soon as the server has seen the close.
  for (int i = 0; i < 100; ++i) {
    if (Client(rig.port()).ask(chat(kPing)).status == 200) return;
  }
  FAIL() << "the place of a closed connection stays taken";
}

TEST(Hostile, all_bodies_together_are_bounded) {
  Options options = quick_options();
  options.bodies_bytes_max = 10'000;
  Rig rig(options);
  Client holder(rig.port());
  const std::string half =
      head(std::string(kJsonType) + "Content-Length: 9000\r\n") + std::string(8'000, ' ');
  holder.send(half);
  const std::string big = chat(R"({"model":"alpha","messages":[{"role":"user","content":")" +
                               std::string(5'000, 'x') + "\"}]}");
  int refused = 0;
  for (int i = 0; i < 200 && refused == 0; ++i) {  // until the server has read the holder's bytes
    const Reply reply = Client(rig.port()).ask(big);
    if (reply.status == 503) ++refused;
  }
  EXPECT_EQ(refused, 1);
  holder.close();
  int status = 0;
  for (int i = 0; i < 200 && status != 200; ++i) status = Client(rig.port()).ask(big).status;
  EXPECT_EQ(status, 200) << "bytes of a closed connection are still counted";
}

TEST(Hostile, strict_mode_refuses_unknown_fields) {
  Options options = quick_options();
  options.strict = true;
  Rig rig(options);
  Client client(rig.port());
  const Reply reply = client.ask(with(R"("x_vendor":1)"));
  expect_problem({"strict", "", 400, "unknown_parameter"}, reply);
  EXPECT_EQ(Client(rig.port()).ask(chat(kPing)).status, 200);
}

}  // namespace http
