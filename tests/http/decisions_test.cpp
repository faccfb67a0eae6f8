// The log over HTTP, against a real journal and reader on a file.
#include <filesystem>
#include <nlohmann/json.hpp>

#include "http/records.h"
#include "tests/http/rig.h"

namespace http {

namespace {

store::Decision decision(const std::string& id, const std::string& expert) {
  store::Decision row;
  row.id = id;
  row.unix_us = std::chrono::duration_cast<std::chrono::microseconds>(
                    std::chrono::system_clock::now().time_since_epoch())
                    .count();  // retention deletes what is old
  row.model = "skillyard/auto";
  row.pool = "auto";
  row.expert = expert;
  row.outcome = "ok";
  row.reason = "learned";
  row.mode = "single";
  row.cost_microusd = 12;
  row.calls = {{.expert = expert, .outcome = "ok", .status = 200, .attempts = 1}};
  router::Route route;
  route.candidates.resize(1);
  route.reason = router::Reason::guarded;
  const auto name = [&expert](std::uint32_t) { return std::string_view(expert); };
  router::encode_route(route, name, name, row.route);
  return row;
}

/// A log in a folder of its own, with a server in front.
struct Log {
  std::filesystem::path folder;
  store::Journal journal;
  Records records;
  Rig rig;

  explicit Log(const std::string& name)
      : folder(std::filesystem::path(::testing::TempDir()) / ("skillyard_http_" + name)),
        journal(options_in(folder), [](std::string_view) {}),
        records(options_in(folder).path, journal),
        rig(quick_options(), doors(&records)) {}

  ~Log() { std::filesystem::remove_all(folder); }

  static store::Options options_in(const std::filesystem::path& folder) {
    std::filesystem::create_directories(folder);
    store::Options options;
    options.path = (folder / "log.db").string();
    return options;
  }

  static Doors doors(Records* records) {
    Doors doors = pong_doors();
    doors.records = records;
    // Shows what of the query reaches the router.
    doors.explain = [](const router::Query& query, const router::LoggedRoute& logged) {
      router::Explanation made;
      made.chosen = logged.experts.front();
      made.quality = static_cast<float>(query.knobs.quality.value_or(1));
      made.text_known = !query.text.empty();
      made.sentences = {"because <of> it"};
      return made;
    };
    return doors;
  }
};

std::string get(std::string_view target) {
  return "GET " + std::string(target) + " HTTP/1.1\r\nHost: x\r\n\r\n";
}

nlohmann::json body(const Reply& reply) {
  return nlohmann::json::parse(reply.body);
}

}  // namespace

TEST(Decisions, are_explained) {
  Log log("explained");
  store::Decision row = decision("dec_1", "alpha");
  row.model = "skillyard/auto@q0.25";
  row.policy_version = 7;
  log.journal.put(std::move(row));
  store::Decision bare = decision("dec_2", "beta");
  bare.route = "?";
  log.journal.put(std::move(bare));
  Client client(log.rig.port());
  const Reply reply = client.ask(get("/v1/decisions/dec_1/explain"));
  ASSERT_EQ(reply.status, 200) << reply.body;
  const auto json = body(reply);
  EXPECT_EQ(json["object"], "skillyard.explanation");
  EXPECT_EQ(json["id"], "dec_1");
  EXPECT_EQ(json["route"]["reason"], "guarded");
  EXPECT_EQ(json["route"]["policy_version"], "0000000000000007");
  EXPECT_EQ(json["explanation"]["chosen"], "alpha");
  EXPECT_EQ(json["explanation"]["quality"], 0.25);
  EXPECT_EQ(json["explanation"]["text_known"], false);
  EXPECT_EQ(json["explanation"]["sentences"][0], "because <of> it");
  EXPECT_EQ(client.ask(get("/v1/decisions/dec_2/explain")).status, 404);
  EXPECT_EQ(client.ask(get("/v1/decisions/dec_9/explain")).status, 404);
  EXPECT_EQ(client.ask("POST" + get("/v1/decisions/dec_1/explain").substr(3)).status, 405);
}

TEST(Decisions, are_shown_listed_and_commented) {
  Log log("decisions");
  for (int i = 0; i < 5; ++i) {
    log.journal.put(decision("dec_" + std::to_string(i), i % 2 == 0 ? "alpha" : "beta"));
  }
  Client client(log.rig.port());
  const Reply shown = client.ask(get("/v1/decisions/dec_3"));  // still in the journal's queue
  ASSERT_EQ(shown.status, 200) << shown.body;
  EXPECT_EQ(body(shown)["expert"], "beta");
  EXPECT_EQ(body(shown)["route"]["reason"], "guarded");
  EXPECT_EQ(body(shown)["route"]["candidates"][0]["expert"], "beta");
  EXPECT_EQ(body(shown)["calls"][0]["outcome"], "ok");
  EXPECT_TRUE(body(shown)["feedback"].empty());

  auto page = body(client.ask(get("/v1/decisions?expert=alpha&limit=2")));
  ASSERT_EQ(page["data"].size(), 2u);
  EXPECT_EQ(page["data"][0]["id"], "dec_4");
  EXPECT_TRUE(page["has_more"]);
  page = body(client.ask(
      get("/v1/decisions?expert=al%70ha&limit=2&before=" + page["next"].get<std::string>())));
  ASSERT_EQ(page["data"].size(), 1u);
  EXPECT_EQ(page["data"][0]["id"], "dec_0");

  const std::string path = "/v1/decisions/dec_3/feedback";
  EXPECT_EQ(client.ask(post(path, R"({"score":0.25,"comment":"meh"})")).status, 202);
  ASSERT_TRUE(log.journal.flush(std::chrono::steady_clock::now() + std::chrono::seconds(5)));
  const auto commented = body(client.ask(get("/v1/decisions/dec_3")));
  ASSERT_EQ(commented["feedback"].size(), 1u);
  EXPECT_EQ(commented["feedback"][0]["score"], 0.25);
  EXPECT_EQ(commented["feedback"][0]["comment"], "meh");
}

TEST(Decisions, faults_have_their_status_and_code) {
  Log log("decision_faults");
  Client client(log.rig.port());
  const auto expect = [&client](const std::string& request, int status, const std::string& code) {
    const Reply reply = client.ask(request);
    EXPECT_EQ(reply.status, status) << request;
    EXPECT_EQ(body(reply)["error"]["code"], code) << request;
  };
  expect(get("/v1/decisions/dec_none"), 404, "not_found");
  expect(get("/v1/decisions?limit=0"), 400, "invalid_value");
  expect(get("/v1/decisions?limit=9999"), 400, "invalid_value");
  expect(get("/v1/decisions?colour=red"), 400, "invalid_value");
  expect(get("/v1/decisions?since_us=now"), 400, "invalid_value");
  const std::string path = "/v1/decisions/dec_none/feedback";
  expect(post(path, R"({"score":1})"), 404, "not_found");
  expect(post(path, R"({"score":1.5})"), 400, "invalid_value");
  expect(post(path, R"({"score":"good"})"), 400, "invalid_value");
  expect(post(path, R"({"comment":"no score"})"), 400, "invalid_value");
  expect(post(path, R"({"score":1,"comment":7})"), 400, "invalid_value");
  expect(post(path, R"({"score":1,"stars":5})"), 400, "unknown_parameter");
  expect(post(path, "[1]"), 400, "invalid_json");
  expect(post(path, "{"), 400, "invalid_json");
  Rig without_log;
  EXPECT_EQ(Client(without_log.port()).ask(get("/v1/decisions")).status, 404);
}

TEST(Listing, models_routes_health_and_metrics) {
  Doors doors = pong_doors();
  std::atomic<bool> ready{true};
  doors.unready = [&ready] { return ready ? std::string() : std::string("no expert"); };
  doors.metrics = [](std::string& out) { out.append("skillyard_planted 1\n"); };
  Rig rig(quick_options(), doors);
  Client client(rig.port());
  const auto models = body(client.ask(get("/v1/models")));
  EXPECT_EQ(models["object"], "list");
  EXPECT_EQ(models["data"][1]["id"], "skillyard/auto");
  EXPECT_EQ(body(client.ask(get("/v1/models/skillyard/auto")))["object"], "model");
  EXPECT_EQ(body(client.ask(get("/v1/models/skillyard%2Fauto")))["id"], "skillyard/auto");
  EXPECT_EQ(body(client.ask(get("/health/ready")))["status"], "ready");
  ready = false;
  const Reply unready = client.ask(get("/health/ready"));
  EXPECT_EQ(unready.status, 503);
  EXPECT_EQ(body(unready)["reason"], "no expert");

  const auto route = body(client.ask(post("/v1/route", kPingStream)));
  EXPECT_EQ(route["experts"], nlohmann::json({"beta"}));
  EXPECT_EQ(route["skills"][0]["skill"], "algebra");
  EXPECT_EQ(route["candidates"][1]["barred_by"], "unhealthy");
  EXPECT_EQ(client.ask(post("/v1/route", "{}")).status, 400);

  client.ask(chat(kPing));
  client.ask(chat(kPing));
  client.ask(chat(kPingStream));
  client.ask(chat(R"({"model":"junk1","messages":[{"role":"user","content":"x"}]})"));
  client.ask(get("/junk2"));
  const Reply metrics = client.ask(get("/metrics"));
  EXPECT_EQ(metrics.fields.at("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  const auto has = [&metrics](const std::string& line) {
    EXPECT_NE(metrics.body.find(line + "\n"), std::string::npos) << line;
  };
  const std::string alpha =
      R"({gen_ai_operation_name="chat",gen_ai_provider_name="skillyard",gen_ai_request_model="alpha",)"
      R"(gen_ai_response_model="alpha"})";
  has(R"(skillyard_http_requests_total{route="/v1/chat/completions",status="200"} 3)");
  has(R"(skillyard_http_requests_total{route="/v1/chat/completions",status="404"} 1)");
  has(R"(skillyard_http_requests_total{route="unmatched",status="404"} 1)");
  has("gen_ai_client_operation_duration_seconds_count" + alpha + " 2");
  has("skillyard_http_connections 1");
  has("skillyard_planted 1");
  EXPECT_NE(metrics.body.find(R"(gen_ai_token_type="input",le="16"} 2)"), std::string::npos);
  EXPECT_EQ(metrics.body.find("junk"), std::string::npos) << "a client's words are no label";
}

TEST(Chat, fused_words_replace_the_chosen_replys) {
  Doors doors = pong_doors();
  doors.answer = [](const router::Query&, experts::Sink*) -> asio::awaitable<aggregator::Answer> {
    aggregator::Answer answer = answer_of(reply_of(experts::Outcome::ok));
    answer.replies.push_back(reply_of(experts::Outcome::ok));
    answer.mode = aggregator::Mode::fused;
    answer.text = "both \"words\"";
    answer.votes = {"a", "b"};
    answer.usage.prompt_tokens = 30;
    answer.usage.completion_tokens = 4;
    co_return answer;
  };
  Rig rig(quick_options(), doors);
  Client client(rig.port());
  const auto reply = body(client.ask(chat(kPing, "x-skillyard-explain: 1\r\n")));
  EXPECT_EQ(reply["id"], "chatcmpl-1");
  EXPECT_EQ(reply["choices"][0]["message"]["content"], "both \"words\"");
  EXPECT_EQ(reply["usage"]["total_tokens"], 34);
  EXPECT_EQ(reply["skillyard"]["replies"][1]["vote"], "b");
  EXPECT_EQ(reply["skillyard"]["mode"], "fused");
}

}  // namespace http
