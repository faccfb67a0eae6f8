// What both transports do with requests, cancellation, backpressure and keys.
#include <gtest/gtest.h>

#include "tests/experts/rig.h"

namespace experts::testing {
namespace {

class EveryTransport : public ::testing::TestWithParam<Transport> {};

TEST_P(EveryTransport, SendsTheRequestAndReadsUsage) {
  Rig rig(GetParam());
  setenv("EXPERTS_TEST_KEY", "sk-secret-1", 1);
  rig.options.key_env = "EXPERTS_TEST_KEY";
  rig.options.headers = {{"X-Org", "yard"}};
  rig.call.request_id = "req-1";
  rig.call.text_wanted = true;
  rig.upstream.play({{send(with_length(completion("Hi \\u00e4")))}});
  const Reply reply = rig.ask();
  EXPECT_EQ(reply.text, "Hi \xC3\xA4");
  EXPECT_EQ(reply.finish_reason, "stop");
  EXPECT_EQ(reply.usage.prompt_tokens, 100);
  EXPECT_EQ(reply.usage.cached_tokens, 40);
  EXPECT_EQ(reply.cost_microusd, 60 + 20 + 40);  // 60 at 1, 40 at 0.5, 20 at 2 micro-usd per token
  const std::string& sent = rig.upstream.requests.at(0);
  for (const char* part :
       {"/v1/chat/completions HTTP/1.1\r\n", "\r\nAuthorization: Bearer sk-secret-1\r\n",
        "\r\nX-Org: yard\r\n", "\r\nx-request-id: req-1\r\n",
        "\r\n\r\n{\"model\":\"upstream-model\",\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}"
        "]}"}) {
    EXPECT_NE(sent.find(part), sent.npos) << part;
  }
}

TEST_P(EveryTransport, AsksForUsageInStreamsAndPassesItOnWhenWanted) {
  Rig rig(GetParam());
  rig.call.stream = rig.call.text_wanted = rig.call.usage_in_stream = true;
  const std::string events = delta("Hel") + delta("lo", "\"stop\"") + kUsageEvent;
  rig.upstream.play({{send(as_stream(events + kDone))}});
  const Reply reply = rig.ask();
  EXPECT_EQ(rig.sink.got, renamed(events));
  EXPECT_EQ(reply.text, "Hello");
  EXPECT_EQ(reply.usage.completion_tokens, 20);
  EXPECT_NE(rig.upstream.requests.at(0).find(
                R"("stream":true,"stream_options":{"include_usage":true},"messages")"),
            std::string::npos);
}

TEST_P(EveryTransport, CancelsUpstreamWhenTheCallIsCancelled) {
  for (const bool stream : {false, true}) {
    Rig rig(GetParam());
    rig.call.stream = stream;
    rig.upstream.play({{send(stream ? kStreamHead + as_chunk(delta("Hel")) : "HTTP/1.1 200 OK\r\n"),
                        pause(100), send(std::string(100, 'a')), pause(50),
                        send(std::string(100, 'a')), pause(50), send(std::string(100, 'a'))}});
    boost::asio::cancellation_signal signal;
    std::optional<Reply> reply;
    boost::asio::co_spawn(rig.io, rig.pool().ask("one", rig.call, &rig.sink),
                          boost::asio::bind_cancellation_slot(
                              signal.slot(), [&](std::exception_ptr error, Reply value) {
                                EXPECT_FALSE(error);
                                reply = std::move(value);
                              }));
    rig.idle(50);
    EXPECT_FALSE(reply);
    signal.emit(boost::asio::cancellation_type::terminal);
    rig.idle(400);
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->outcome, Outcome::cancelled);
    EXPECT_EQ(rig.upstream.hang_ups, 1) << "the upstream must see the connection close";
    EXPECT_EQ(rig.standing().inflight.load(), 0);
  }
}

// With many exchanges at once requests are gathered, and may be cancelled while they are.
TEST_P(EveryTransport, CarriesACrowdOfWhichSomeAreCancelled) {
  Rig rig(GetParam());
  constexpr std::size_t kCalls = 30;
  rig.upstream.play({kCalls, Script{pause(20), send(with_length(completion()))}});
  std::vector<boost::asio::cancellation_signal> signals(kCalls);
  std::vector<Outcome> outcomes(kCalls, Outcome::failed);
  for (std::size_t i = 0; i < kCalls; ++i) {
    boost::asio::co_spawn(
        rig.io, rig.pool().ask("one", rig.call, &rig.sink),
        boost::asio::bind_cancellation_slot(signals[i].slot(),
                                            [&outcomes, i](std::exception_ptr error, Reply reply) {
                                              EXPECT_FALSE(error);
                                              outcomes[i] = reply.outcome;
                                            }));
  }
  for (std::size_t i = 0; i < kCalls; ++i) rig.io.poll_one();
  for (std::size_t i = 0; i < kCalls; i += 3) {
    rig.io.poll_one();
    signals[i].emit(boost::asio::cancellation_type::terminal);
  }
  rig.idle(400);
  for (std::size_t i = 0; i < kCalls; ++i) {
    EXPECT_EQ(outcomes[i], i % 3 == 0 ? Outcome::cancelled : Outcome::ok) << i;
  }
  EXPECT_EQ(rig.standing().inflight.load(), 0);
}

TEST_P(EveryTransport, StopsWhenTheClientIsGone) {
  Rig rig(GetParam());
  rig.call.stream = true;
  rig.sink.gone = true;
  rig.upstream.play({{send(kStreamHead + as_chunk(delta("Hel"))), pause(30),
                      send(as_chunk(delta("Hel"))), pause(30), send(as_chunk(delta("Hel")))}});
  EXPECT_EQ(rig.ask().outcome, Outcome::cancelled);
  rig.idle(200);
  EXPECT_EQ(rig.sink.writes, 1);
  EXPECT_EQ(rig.upstream.hang_ups, 1);
}

TEST_P(EveryTransport, HoldsTheUpstreamBackForASlowClient) {
  Rig rig(GetParam());
  rig.call.stream = true;
  rig.sink.slow_ms = 400;
  const std::string megabyte = as_chunk(delta(std::string(1 << 20, 'a')));
  rig.options.event_bytes_max = 2 << 20;
  Script script = {send(kStreamHead)};
  for (int i = 0; i < 64; ++i) script.push_back(send(megabyte));
  rig.upstream.play({script});
  boost::asio::co_spawn(rig.io, rig.pool().ask("one", rig.call, &rig.sink), boost::asio::detached);
  rig.idle(600);
  EXPECT_GE(rig.sink.writes, 1);
  EXPECT_LE(rig.sink.writes, 3);
  // What is not with the client is in the sockets' buffers, or not sent yet.
  EXPECT_LT(rig.upstream.bytes_sent, std::size_t{32} << 20);
}

TEST_P(EveryTransport, SendsALargeRequest) {
  Rig rig(GetParam());
  rig.options.timeouts = {5000, 5000, 5000, 10'000};
  rig.call.wire =
      "\"messages\":[{\"role\":\"user\",\"content\":\"" + std::string(8 << 20, 'a') + "\"}]";
  rig.upstream.play({{send(with_length(completion()))}});
  EXPECT_EQ(rig.ask().outcome, Outcome::ok);
  EXPECT_GT(rig.upstream.requests.at(0).size(), std::size_t{8} << 20);
}

TEST_P(EveryTransport, ReportsAServerThatIsNotThere) {
  Rig rig(GetParam());
  rig.pool();
  rig.upstream.stop_accepting();
  const Reply reply = rig.ask();
  EXPECT_EQ(reply.outcome, Outcome::unreachable);
  EXPECT_EQ(reply.status, 0);
}

TEST_P(EveryTransport, KeepsTheKeyToItself) {
  Rig rig(GetParam());
  setenv("EXPERTS_TEST_KEY", "sk-secret-1", 1);
  rig.options.key_env = "EXPERTS_TEST_KEY";
  const std::string telltale =
      R"({"error":{"message":"Incorrect key sk-secret-1","code":"sk-secret-1"}})";
  for (const char* status : {"400 Bad", "401 No", "500 Oops", "429 Slow"}) {
    rig.upstream.play({{send(with_length(telltale, status))}});
    const Reply reply = rig.ask();
    EXPECT_EQ((reply.error + reply.wire).find("sk-secret"), std::string::npos) << status;
  }
  rig.upstream.play({{send(with_length(telltale))}});
  const Reply reply = rig.ask();
  EXPECT_EQ((reply.error + reply.wire).find("sk-secret"), std::string::npos);
}

std::string name_transport(const ::testing::TestParamInfo<Transport>& test) {
  return test.param == Transport::curl ? "curl" : "sockets";
}

INSTANTIATE_TEST_SUITE_P(Both, EveryTransport,
                         ::testing::Values(Transport::sockets, Transport::curl), name_transport);

}  // namespace
}  // namespace experts::testing
