// One table of what servers do, right and wrong, through both transports.
#include <gtest/gtest.h>

#include "tests/experts/rig.h"

namespace experts::testing {
namespace {

TEST(Remote, AnswersAndKeepsTheConnection) {
  Rig rig;
  rig.upstream.play({{send(with_length(completion()))}});
  rig.call.request_id = "req-1";
  for (int i = 0; i < 3; ++i) {
    const Reply reply = rig.ask();
    EXPECT_EQ(reply.outcome, Outcome::ok) << reply.error;
    EXPECT_EQ(reply.wire, renamed(completion()));
    EXPECT_EQ(reply.finish_reason, "stop");
    EXPECT_EQ(reply.usage.prompt_tokens, 100);
    EXPECT_EQ(reply.usage.cached_tokens, 40);
    EXPECT_EQ(reply.cost_microusd, 60 + 20 + 40);  // 60 at 1, 40 at 0.5, 20 at 2 per token
  }
  EXPECT_EQ(rig.upstream.connections, 1);
  EXPECT_NE(rig.upstream.requests[0].find("x-request-id: req-1\r\n"), std::string::npos);
  EXPECT_NE(rig.upstream.requests[0].find("\r\n\r\n{\"model\":\"upstream-model\",\"messages\":["),
            std::string::npos);
}

TEST(Remote, StreamsWholeEvents) {
  Rig rig;
  rig.call.stream = true;
  rig.upstream.play({{send(kStreamHead + as_chunk(delta("Hel"))),
                      send(as_chunk(delta("lo", "\"stop\"") + kUsageEvent + kDone) + "0\r\n\r\n")}});
  for (int i = 0; i < 2; ++i) {
    rig.sink.got.clear();
    const Reply reply = rig.ask();
    EXPECT_EQ(reply.outcome, Outcome::ok) << reply.error;
    EXPECT_EQ(rig.sink.got, renamed(delta("Hel") + delta("lo", "\"stop\"")));
    EXPECT_EQ(reply.finish_reason, "stop");
    EXPECT_TRUE(reply.usage.known);
  }
  EXPECT_EQ(rig.upstream.connections, 1);
}

}  // namespace
}  // namespace experts::testing
