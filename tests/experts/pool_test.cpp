// What the Pool adds to an expert: retries and their budget, breaker, places and queue, a roster
// that changes while calls run, counters.
#include "experts/pool.h"

#include <gtest/gtest.h>

#include "experts/stub.h"
#include "tests/experts/rig.h"

namespace experts::testing {
namespace {

const Script kGood = {send(with_length(completion()))};
const Script kBusy = {send(with_length("", "503 Unavailable"))};
const Script kBroken = {send(with_length("", "500 Oops"))};

Script limited(const std::string& retry_after) {
  return {send(with_length("{}", "429 Too Many", "Retry-After: " + retry_after + "\r\n"))};
}

TEST(Retry, HelpsWhereItMayAndOnlyThere) {
  struct Row {
    const char* what;
    Script first;
    Outcome outcome;
    int attempts;
  };

  const std::vector<Row> rows = {
      {"500 then ok", kBroken, Outcome::ok, 2},
      {"503 then ok", kBusy, Outcome::ok, 2},
      {"429 soon", limited("0"), Outcome::ok, 2},
      {"429 too late to wait for", limited("30"), Outcome::limited, 1},
      {"cut before the answer", {close()}, Outcome::ok, 2},
      {"insufficient quota",
       {send(with_length(R"({"error":{"code":"insufficient_quota"}})", "429 No"))},
       Outcome::limited,
       1},
      {"400", {send(with_length("{}", "400 Bad"))}, Outcome::refused, 1},
      {"401", {send(with_length("{}", "401 No"))}, Outcome::credentials, 1},
      {"slow answer", {pause(400)}, Outcome::timed_out, 1},
      {"bad json", {send(with_length("{"))}, Outcome::malformed, 1},
  };
  for (const Row& row : rows) {
    Rig rig;
    rig.options.retries.count_max = 1;
    rig.options.retries.backoff_ms = 2;
    rig.upstream.play({row.first, kGood});
    const Reply reply = rig.ask();
    EXPECT_EQ(name_of(reply.outcome), name_of(row.outcome)) << row.what << ": " << reply.error;
    EXPECT_EQ(reply.attempts, row.attempts) << row.what;
    EXPECT_EQ(rig.upstream.requests.size(), static_cast<std::size_t>(row.attempts)) << row.what;
    EXPECT_EQ(reply.error.empty(), reply.outcome == Outcome::ok) << row.what;
  }
}

TEST(Retry, NeverFollowsAStartedStream) {
  Rig rig;
  rig.options.retries.count_max = 3;
  rig.options.retries.backoff_ms = 1;
  rig.call.stream = true;
  rig.upstream.play({{send(kStreamHead), close()},  // nothing reached the client: again
                     {send(kStreamHead + as_chunk(delta("Hel"))), close()}});
  const Reply reply = rig.ask();
  EXPECT_EQ(reply.outcome, Outcome::cut);
  EXPECT_TRUE(reply.started);
  EXPECT_EQ(reply.attempts, 2);
  EXPECT_EQ(rig.sink.got, renamed(delta("Hel")));
}

TEST(Retry, StaysInsideTheCallsDeadlineAndTheBudget) {
  Rig rig;
  rig.options.retries = {5, 200, 200, 0, 0};
  rig.options.breaker.memory_calls = 0;
  rig.upstream.play({kBroken});
  rig.call.deadline = Clock::now() + std::chrono::milliseconds(60);
  EXPECT_EQ(rig.ask().attempts, 1);

  Rig thrifty;
  thrifty.options.retries = {1, 1, 1, 0, 4};  // full bucket of 4: two failures leave it half empty
  thrifty.options.breaker.memory_calls = 0;
  thrifty.upstream.play({kBroken});
  std::vector<int> attempts;
  for (int i = 0; i < 4; ++i) attempts.push_back(thrifty.ask().attempts);
  EXPECT_EQ(attempts, (std::vector<int>{2, 1, 1, 1}));
  EXPECT_EQ(thrifty.standing().retries_withheld.load(), 3u);
}

TEST(KeptConnection, ThatDiedIsReplacedWithoutCountingAsARetry) {
  Rig rig;
  rig.upstream.play(
      {{send(with_length(completion())), close()}, kGood});  // keep-alive promised, then closed
  EXPECT_EQ(rig.ask().outcome, Outcome::ok);
  const Reply reply = rig.ask();
  EXPECT_EQ(reply.outcome, Outcome::ok) << reply.error;
  EXPECT_EQ(reply.attempts, 1);
  EXPECT_EQ(rig.upstream.connections, 2);
}

TEST(KeptConnection, ThatWasSentSomethingWhileIdleIsNotTrusted) {
  Rig rig;
  rig.upstream.play({{send(with_length(completion("first"))), pause(20),
                      send(with_length("{}", "408 Request Timeout")), close()},
                     {send(with_length(completion("second")))}});
  EXPECT_EQ(rig.ask().wire, renamed(completion("first")));
  rig.idle(300);  // longer than a connection is trusted unseen
  EXPECT_EQ(rig.ask().wire, renamed(completion("second")));
}

TEST(KeptConnection, IsClosedAfterItsTime) {
  Rig rig;
  rig.options.connection_idle_ms_max = 30;
  rig.upstream.play({kGood});
  rig.ask();
  EXPECT_EQ(rig.upstream.hang_ups, 0);
  rig.idle(100);
  EXPECT_EQ(rig.upstream.hang_ups, 1);
}

TEST(BreakerOfAnExpert, OpensThenProbesThenCloses) {
  Rig rig;
  rig.options.breaker = {4, 50, 1000, false};
  rig.upstream.play({kBroken});
  int asked = 0;
  while (rig.ask().outcome == Outcome::failed && asked < 20) ++asked;
  EXPECT_EQ(asked, 3);  // 1 - (3/4)^3 > 1/2
  EXPECT_EQ(rig.upstream.requests.size(), 3u) << "an open breaker asks nobody";
  EXPECT_FALSE(rig.pool().describe()[0].healthy);
  EXPECT_EQ(rig.standing().breaker_openings.load(), 1u);

  rig.idle(60);
  EXPECT_EQ(rig.pool().describe()[0].breaker, BreakerState::half_open);
  EXPECT_EQ(rig.ask().outcome, Outcome::failed);  // the probe fails: open again, twice as long
  rig.idle(60);
  EXPECT_EQ(rig.ask().outcome, Outcome::open_circuit);
  rig.idle(60);
  rig.upstream.play({kGood});
  EXPECT_EQ(rig.ask().outcome, Outcome::ok);
  EXPECT_EQ(rig.pool().describe()[0].breaker, BreakerState::closed);
}

TEST(BreakerOfAnExpert, ClosesEarlyWhenTheServerListsItsModelsAgain) {
  Rig rig;
  rig.options.breaker = {1, 200, 60'000, true};
  rig.options.breaker.open_ms_max = 10'000;
  rig.upstream.play({kBroken, {send(with_length(R"({"data":[]})"))}, kGood});
  EXPECT_EQ(rig.ask().outcome, Outcome::failed);
  EXPECT_EQ(rig.ask().outcome, Outcome::open_circuit);
  rig.idle(110);          // half of the open time: now a health check is due
  rig.pool().describe();  // whoever looks starts it
  rig.idle(30);
  EXPECT_EQ(rig.ask().outcome, Outcome::ok);
  EXPECT_EQ(rig.upstream.requests.at(1).substr(0, 15), "GET /v1/models ");
}

TEST(BreakerOfAnExpert, DoesNotBlameTheExpertForTheClient) {
  Rig rig;
  rig.options.breaker = {1, 10'000, 10'000, false};
  rig.upstream.play({{pause(100)}, {send(with_length("{}", "400 Bad"))}, limited("1"), kGood});
  rig.call.deadline = Clock::now() + std::chrono::milliseconds(30);
  EXPECT_EQ(rig.ask().outcome, Outcome::timed_out);  // the client's own deadline
  rig.call.deadline = Clock::time_point::max();
  EXPECT_EQ(rig.ask().outcome, Outcome::refused);
  EXPECT_EQ(rig.ask().outcome, Outcome::limited);
  EXPECT_FALSE(rig.pool().describe()[0].healthy) << "it asked for a pause of a second";
  EXPECT_EQ(rig.pool().describe()[0].breaker, BreakerState::closed);
}

/// Asks `count` times at once and returns the replies in the order in which they came.
std::vector<Reply> ask_at_once(Rig& rig, int count) {
  std::vector<Reply> replies;
  for (int i = 0; i < count; ++i) {
    boost::asio::co_spawn(rig.io, rig.pool().ask("one", rig.call, &rig.sink),
                          [&](std::exception_ptr error, Reply reply) {
                            EXPECT_FALSE(error);
                            replies.push_back(std::move(reply));
                          });
  }
  rig.idle(300);
  return replies;
}

TEST(Queue, IsBoundedAndFirstComeFirstServed) {
  Rig rig;
  rig.options.concurrency_max = 2;
  rig.options.queue_max = 3;
  const Script slow = {pause(30), send(with_length(completion()))};
  rig.upstream.play({slow});
  const std::vector<Reply> replies = ask_at_once(rig, 7);
  ASSERT_EQ(replies.size(), 7u);
  int ok = 0;
  for (const Reply& reply : replies) ok += reply.outcome == Outcome::ok;
  EXPECT_EQ(ok, 5);
  EXPECT_EQ(replies[0].outcome, Outcome::overloaded);
  EXPECT_EQ(replies[0].retry_after_s, 1);
  EXPECT_EQ(rig.standing().queue_full.load(), 2u);
  EXPECT_EQ(rig.upstream.connections, 2);
  EXPECT_GT(replies[6].timings.queued_us, 40'000);
  EXPECT_EQ(rig.standing().inflight.load() + rig.standing().queued.load(), 0);
}

TEST(Queue, DoesNotOutlastTheDeadlineOrTheCaller) {
  Rig rig;
  rig.options.concurrency_max = 1;
  rig.upstream.play({{pause(120), send(with_length(completion()))}});
  rig.call.deadline = Clock::now() + std::chrono::milliseconds(40);
  Call patient = rig.call;
  patient.deadline = Clock::time_point::max();
  std::vector<Reply> replies;
  const auto note = [&](std::exception_ptr, Reply reply) { replies.push_back(std::move(reply)); };
  boost::asio::cancellation_signal signal;
  boost::asio::co_spawn(rig.io, rig.pool().ask("one", patient, nullptr), note);
  boost::asio::co_spawn(rig.io, rig.pool().ask("one", rig.call, nullptr), note);
  boost::asio::co_spawn(rig.io, rig.pool().ask("one", patient, nullptr),
                        boost::asio::bind_cancellation_slot(signal.slot(), note));
  rig.idle(20);
  signal.emit(boost::asio::cancellation_type::terminal);
  rig.idle(200);
  ASSERT_EQ(replies.size(), 3u);
  std::vector<Outcome> outcomes;  // which of the two that waited ends first is the clock's business
  for (const Reply& reply : replies) outcomes.push_back(reply.outcome);
  std::sort(outcomes.begin(), outcomes.end());
  EXPECT_EQ(outcomes, (std::vector<Outcome>{Outcome::ok, Outcome::timed_out, Outcome::cancelled}));
  EXPECT_EQ(rig.upstream.requests.size(), 1u);
}

TEST(Roster, IsSwappedWhileCallsRun) {
  Rig rig;
  ExpertOptions two = rig.options;
  two.name = "two";
  rig.upstream.play(
      {{send(with_length(completion()))}, {pause(60), send(with_length(completion()))}});
  EXPECT_EQ(rig.ask().outcome, Outcome::ok);
  std::optional<Reply> running;
  boost::asio::co_spawn(rig.io, rig.pool().ask("one", rig.call, nullptr),
                        [&](std::exception_ptr, Reply reply) { running = std::move(reply); });
  rig.idle(10);
  const std::uint64_t before = rig.pool().version();
  rig.board().publish(make_roster({two}, rig.board().current().get()));
  EXPECT_EQ(rig.pool().describe().size(), 1u);
  EXPECT_EQ(rig.pool().describe()[0].name, "two");
  EXPECT_NE(rig.pool().version(), before);
  EXPECT_EQ(rig.ask().outcome, Outcome::unreachable);
  rig.idle(100);
  ASSERT_TRUE(running);
  EXPECT_EQ(running->outcome, Outcome::ok) << "a call that runs ends in peace";

  // An unchanged expert keeps its connections and counters.
  const int connections = rig.upstream.connections;
  const auto ask_two = [&] { return rig.run(rig.pool().ask("two", rig.call, nullptr)).outcome; };
  EXPECT_EQ(ask_two(), Outcome::ok);
  rig.options.name = "three";
  rig.board().publish(make_roster({rig.options, two}, rig.board().current().get()));
  EXPECT_EQ(ask_two(), Outcome::ok);
  EXPECT_EQ(rig.upstream.connections, connections + 1);
  const auto ok = static_cast<std::size_t>(Outcome::ok);
  EXPECT_EQ(rig.board().current()->find("two")->standing->outcomes[ok].load(), 2u);
}

TEST(Roster, NamesEveryMistakeAtOnce) {
  ExpertOptions no_url, twice, with_password, bad_key;
  no_url.name = "a";
  twice.name = "a";
  with_password.name = "b";
  with_password.url = "http://user:secret@host/v1";
  bad_key.name = "c";
  bad_key.url = "http://host/v1";
  bad_key.key_env = "EXPERTS_TEST_UNSET";
  try {
    make_roster({no_url, twice, with_password, bad_key}, nullptr);
    FAIL() << "it must not start";
  } catch (const std::runtime_error& error) {
    const std::string text = error.what();
    for (const char* part :
         {"`a`: url", "used twice", "`b`: the url holds", "EXPERTS_TEST_UNSET"}) {
      EXPECT_NE(text.find(part), text.npos) << part << " in: " << text;
    }
    EXPECT_EQ(text.find("secret"), text.npos);
  }
}

TEST(Stub, PlaysItsScript) {
  boost::asio::io_context io;
  ExpertOptions options;
  options.name = "scripted";
  options.kind = Kind::stub;
  const RosterBoard board(make_roster({options}, nullptr));
  StubAnswer answer;
  answer.content = "one two";
  Pool pool(io, board, {}, stub_maker([&](std::string_view, const Call&) { return answer; }));
  Call call;
  call.text_wanted = true;
  const auto ask = [&](Sink* sink) {
    Reply result;
    boost::asio::co_spawn(io, pool.ask("scripted", call, sink),
                          [&](std::exception_ptr, Reply reply) { result = std::move(reply); });
    io.restart();
    io.run();
    return result;
  };
  EXPECT_EQ(ask(nullptr).text, "one two");
  Collector sink;
  call.stream = true;
  EXPECT_EQ(ask(&sink).outcome, Outcome::ok);
  EXPECT_EQ(sink.writes, 3);
  answer.outcome = Outcome::cut;
  answer.events_before_fault = 1;
  const Reply reply = ask(&sink);
  EXPECT_EQ(reply.outcome, Outcome::cut);
  EXPECT_TRUE(reply.started);
  EXPECT_EQ(sink.writes, 4);
}

}  // namespace
}  // namespace experts::testing
