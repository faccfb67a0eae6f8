// POST /v1/embeddings: what the request may say, whom it reaches, what comes back.
#include <nlohmann/json.hpp>

#include "http/openai.h"
#include "tests/http/read_request.h"
#include "tests/http/rig.h"

namespace http {

namespace {

Read read_embeddings(const std::string& body, const Options& options = {}) {
  return read_request(body, options, &ChatReader::read_embeddings);
}

std::string repeated(const std::string& item, int times) {
  std::string all = item;
  for (int i = 1; i < times; ++i) all += "," + item;
  return all;
}

constexpr std::string_view kList =
    R"({"model":"vec","object":"list","data":[{"index":0,"embedding":[1]}],)"
    R"("usage":{"prompt_tokens":2,"total_tokens":2}})";

/// `vec` makes vectors, for the pool auto, too, and tells what was asked; the pool small has
/// nobody.
Doors doors_of(router::Query& asked) {
  Doors doors = pong_doors();
  doors.knows_expert = [](std::string_view name) { return name == "vec"; };
  doors.answer = [&asked](const router::Query& query,
                          experts::Sink*) -> asio::awaitable<aggregator::Answer> {
    asked = query;
    experts::Reply reply = reply_of(experts::Outcome::ok);
    reply.expert = "vec";
    reply.wire = kList;
    aggregator::Answer answer = answer_of(std::move(reply));
    if (query.pool == "small") answer = {};
    co_return answer;
  };
  return doors;
}

}  // namespace

TEST(Embeddings, read_what_the_contract_has) {
  const auto [query, problem] = read_embeddings(
      R"({"model":"vec","input":["first","second"],"encoding_format":"base64","dimensions":64,)"
      R"("user":"ann","x_vendor":1})");
  ASSERT_FALSE(problem) << problem->message;
  EXPECT_EQ(query.expert, "vec");
  EXPECT_EQ(query.text, "first");
  EXPECT_EQ(query.call.task, experts::Task::embeddings);
  EXPECT_TRUE(query.call.base64_wanted);
  EXPECT_EQ(query.call.wire,
            R"("input":["first","second"],"encoding_format":"base64","dimensions":64,)"
            R"("user":"ann","x_vendor":1)");
  EXPECT_EQ(query.needs.choices, 0) << "nothing is written: no output tokens to pay";
  EXPECT_EQ(query.needs.tokens_in_estimate, 4);
}

TEST(Embeddings, take_token_ids_where_the_expert_is_named) {
  for (const char* input : {"[1,2,3]", "[[1,2],[3]]"}) {
    const auto named = read_embeddings(std::string(R"({"model":"vec","input":)") + input + "}");
    EXPECT_FALSE(named.problem) << named.problem->message;
    EXPECT_EQ(named.query.needs.tokens_in_estimate, 3);
    const auto pooled =
        read_embeddings(std::string(R"({"model":"skillyard/auto","input":)") + input + "}");
    ASSERT_TRUE(pooled.problem);
    EXPECT_EQ(pooled.problem->param, "input");
    EXPECT_EQ(pooled.problem->fault, Fault::unsupported);
  }
}

TEST(Embeddings, refuse_what_it_has_not) {
  struct Row {
    std::string members;
    std::string param;
  };

  const std::string vec = R"("model":"vec",)";
  for (const Row& row : {
           Row{R"("input":"a")", "model"},
           Row{R"("model":"vec")", "input"},
           Row{R"("model":null,"input":"a")", "model"},
           Row{R"("model":7,"input":"a")", "model"},
           Row{R"("model":"skillyard/auto@k3","input":"a")", "model"},
           Row{vec + R"("input":null)", "input"},
           Row{vec + R"("input":"")", "input"},
           Row{vec + R"("input":[])", "input"},
           Row{vec + R"("input":{})", "input"},
           Row{vec + R"("input":7)", "input"},
           Row{vec + R"("input":["a",""])", "input"},
           Row{vec + R"("input":["a",7])", "input"},
           Row{vec + R"("input":["a",[7]])", "input"},
           Row{vec + R"("input":[7,"a"])", "input"},
           Row{vec + R"("input":[7,[7]])", "input"},
           Row{vec + R"("input":[[7],"a"])", "input"},
           Row{vec + R"("input":[[7],[]])", "input"},
           Row{vec + R"("input":[-1])", "input"},
           Row{vec + R"("input":[1.5])", "input"},
           Row{vec + R"("input":[)" + repeated("\"a\"", 2049) + "]", "input"},
           Row{vec + R"("input":"a","encoding_format":"hex")", "encoding_format"},
           Row{vec + R"("input":"a","encoding_format":7)", "encoding_format"},
           Row{vec + R"("input":"a","dimensions":0)", "dimensions"},
           Row{vec + R"("input":"a","dimensions":"64")", "dimensions"},
           Row{vec + R"("input":"a","user":7)", "user"},
           Row{vec + R"("input":"a","input":"b")", "input"},
           Row{vec + R"("input":"a","x":1,"x":2)", "x"},
           Row{vec + R"("input":"a","skillyard":{})", "skillyard"},
       }) {
    const auto result = read_embeddings("{" + row.members + "}");
    ASSERT_TRUE(result.problem) << row.members;
    EXPECT_EQ(result.problem->param, row.param) << row.members;
    EXPECT_EQ(status_of(result.problem->fault), 400) << row.members;
    EXPECT_FALSE(result.problem->message.empty());
  }
  Options strict;
  strict.strict = true;
  EXPECT_TRUE(read_embeddings(R"({"model":"vec","input":"a","x":1})", strict).problem);
  EXPECT_FALSE(read_embeddings(R"({"model":"vec","input":["a"],"user":null})", strict).problem);
}

TEST(Embeddings, reach_the_expert_or_the_encoder_of_the_pool) {
  for (const char* model : {"vec", "skillyard/auto"}) {
    router::Query asked;
    Rig rig(quick_options(), doors_of(asked));
    Client client(rig.port());
    const std::string body = std::string(R"({"model":")") + model + R"(","input":"a"})";
    const Reply reply = client.ask(post("/v1/embeddings", body));
    ASSERT_EQ(reply.status, 200) << reply.body;
    EXPECT_EQ(reply.body, kList);
    EXPECT_EQ(reply.fields.at("x-skillyard-expert"), "vec");
    EXPECT_TRUE(reply.fields.at("x-skillyard-decision").starts_with("dec_"));
    EXPECT_EQ(reply.fields.count("x-skillyard-policy"), 0u) << "nothing was decided";
    EXPECT_EQ(asked.model, model);
    EXPECT_EQ(asked.call.task, experts::Task::embeddings);
    EXPECT_FALSE(asked.call.stream);
    const Reply metrics = client.ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_NE(metrics.body.find(R"(gen_ai_operation_name="embeddings")"), std::string::npos);
  }
}

TEST(Embeddings, of_nobody_are_told_so) {
  struct Row {
    const char* model;
    int status;
    const char* code;
  };

  router::Query asked;
  Rig rig(quick_options(), doors_of(asked));
  for (const Row& row :
       {Row{"skillyard/small", 400, "unsupported"}, Row{"nobody", 404, "model_not_found"},
        Row{"skillyard/none", 404, "model_not_found"}}) {
    Client client(rig.port());
    const std::string body = std::string(R"({"model":")") + row.model + R"(","input":"a"})";
    const Reply reply = client.ask(post("/v1/embeddings", body));
    EXPECT_EQ(reply.status, row.status) << reply.body;
    const auto error = nlohmann::json::parse(reply.body).at("error");
    EXPECT_EQ(error.at("param"), "model");
    EXPECT_EQ(error.at("type"), "invalid_request_error");
  }
}

}  // namespace http
