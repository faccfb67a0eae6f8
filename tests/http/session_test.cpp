// One connection seen from outside: keep-alive, pipelining, HEAD, HTTP/1.0, streams, slow and
// vanishing clients, drain.
#include "tests/http/rig.h"

namespace http {

TEST(Session, answers_and_keeps_the_connection) {
  Rig rig;
  Client client(rig.port());
  for (int i = 0; i < 3; ++i) {
    const Reply reply = client.ask(chat(kPing));
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(reply.body, kPong);
    EXPECT_EQ(reply.fields.at("x-skillyard-expert"), "alpha");
    EXPECT_EQ(reply.fields.at("x-skillyard-decision").size(), 30u);
    EXPECT_EQ(reply.fields.at("x-request-id").substr(4),
              reply.fields.at("x-skillyard-decision").substr(4));
    EXPECT_FALSE(reply.fields.contains("connection"));
  }
}

TEST(Session, answers_pipelined_requests_in_order) {
  Rig rig;
  Client client(rig.port());
  std::string all;
  for (int i = 0; i < 20; ++i) {
    const std::string id = "x-request-id: n" + std::to_string(i) + "\r\n";
    all += i % 3 == 0 ? "GET /health/live HTTP/1.1\r\nHost: x\r\n" + id + "\r\n" : chat(kPing, id);
  }
  // In two parts that split a request, so that one read holds several and a half.
  client.send(std::string_view(all).substr(0, all.size() / 2 + 7));
  client.send(std::string_view(all).substr(all.size() / 2 + 7));
  for (int i = 0; i < 20; ++i) {
    const Reply reply = client.read();
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(reply.fields.at("x-request-id"), "n" + std::to_string(i));
    EXPECT_EQ(reply.body, i % 3 == 0 ? R"({"status":"ok"})" : kPong);
  }
}

}  // namespace http
