// Panels over scripted experts: waves, early stops, experts that fail, are late or talk nonsense.
#include "router/panel.h"

#include <gtest/gtest.h>

#include <boost/asio.hpp>
#include <map>

#include "experts/roster.h"
#include "experts/stub.h"

namespace router {
namespace {

namespace asio = boost::asio;
using aggregator::Mode;
using experts::Outcome;
using experts::StubAnswer;
using std::chrono::milliseconds;

class Collector final : public experts::Sink {
 public:
  asio::awaitable<bool> write(std::string_view events) override {
    got.append(events);
    co_return true;
  }

  std::string got;
};

/// Experts a, b, c, ... in the order of their seats, and what was asked of each.
class Rig {
 public:
  explicit Rig(std::vector<StubAnswer> answers) : answers_(std::move(answers)) {
    std::vector<experts::ExpertOptions> options(answers_.size());
    for (std::size_t i = 0; i < options.size(); ++i) {
      options[i].name = std::string(1, static_cast<char>('a' + i));
      options[i].kind = experts::Kind::stub;
      task.names.push_back(options[i].name);
    }
    board_ = std::make_unique<experts::RosterBoard>(experts::make_roster(options, nullptr));
    auto maker = experts::stub_maker([this](std::string_view name, const experts::Call& asked) {
      calls.push_back(asked);
      order += name;
      return answers_[static_cast<std::size_t>(name[0] - 'a')];
    });
    pool_ = std::make_unique<experts::Pool>(io, *board_, experts::PoolOptions{}, maker);
    call.wire = R"("messages":[])";
    call.messages = {{experts::Role::user, kQuestion}};
    task.question = kQuestion;
    plan(std::vector<double>(answers_.size(), 0.7));
  }

  void plan(std::vector<double> competence, Mode mode = Mode::weighted) {
    task.plan = {};
    task.plan.mode = mode;
    task.plan.question = aggregator::read_question(kQuestion);
    task.plan.competence = std::move(competence);
    task.plan.ballot.decide_at = 2;  // certainty only
  }

  template <class Work>
  void run(Work work) {
    bool done = false;
    asio::co_spawn(io, work(), [&](std::exception_ptr fault) {
      EXPECT_FALSE(fault);
      done = true;
    });
    const auto until = experts::Clock::now() + std::chrono::seconds(20);
    while (!done && experts::Clock::now() < until) io.run_one_for(std::chrono::seconds(1));
    EXPECT_TRUE(done) << "it hangs";
    io.restart();
    io.poll();  // nothing is left behind that uses what dies now
  }

  aggregator::Answer ask() {
    aggregator::Answer answer;
    run([&]() -> asio::awaitable<void> {
      answer = co_await ask_several(*pool_, task, call, &sink);
    });
    return answer;
  }

  asio::awaitable<aggregator::Answer> several() { return ask_several(*pool_, task, call, &sink); }

  /// The waves alone, with their patience.
  aggregator::Answer ask(Patience patience) {
    aggregator::Aggregation panel(task.plan);
    experts::Call vote = call;
    vote.text_wanted = true;
    run([&]() -> asio::awaitable<void> {
      co_await ask_in_waves(*pool_, task.names, vote, panel, patience);
    });
    return panel.close();
  }

  static constexpr const char* kQuestion = "Which one?\nA. red\nB. green\nC. blue\nD. white";

  asio::io_context io;
  PanelTask task;
  experts::Call call;
  Collector sink;
  std::vector<experts::Call> calls;
  std::string order;  // names in the order in which they were asked

 private:
  std::vector<StubAnswer> answers_;
  std::unique_ptr<experts::RosterBoard> board_;
  std::unique_ptr<experts::Pool> pool_;
};

StubAnswer says(std::string content, int delay_ms = 0) {
  StubAnswer answer;
  answer.content = std::move(content);
  answer.delay_ms = delay_ms;
  return answer;
}

StubAnswer fails(Outcome outcome, int delay_ms = 0) {
  StubAnswer answer;
  answer.outcome = outcome;
  answer.delay_ms = delay_ms;
  return answer;
}

TEST(Panel, AsksOnlyAsManyAsCouldDecideItAndThoseAtOnce) {
  Rig agree({says("The answer is (B).", 20), says("The answer is (B).", 20),
             says("The answer is (C).", 20)});
  const auto start = experts::Clock::now();
  const auto answer = agree.ask();
  EXPECT_LT(experts::Clock::now() - start, milliseconds(10'000));
  EXPECT_EQ(agree.order, "ab");  // two of three settle it
  EXPECT_EQ(answer.mode, Mode::weighted);
  EXPECT_EQ(answer.votes, (std::vector<std::string>{"B", "B"}));
  EXPECT_FALSE(answer.changed);
  EXPECT_EQ(answer.usage.completion_tokens, 10);

  Rig differ({says("(A)"), says("(B)"), says("B")});
  const auto outvoted = differ.ask();
  EXPECT_EQ(differ.order, "abc");
  EXPECT_EQ(outvoted.reply().expert, "b");
  EXPECT_TRUE(outvoted.changed);
  EXPECT_NEAR(outvoted.agreement, 2.0 / 3, 1e-6);
}

TEST(Panel, CountsInTheOrderOfSeatsWhoeverIsFaster) {
  for (const int slow : {0, 1}) {
    Rig rig({says("(A)", slow == 0 ? 30 : 0), says("(B)", slow == 1 ? 30 : 0), says("(C)")});
    rig.plan({0.7, 0.7, 0.7});
    const auto answer = rig.ask();
    EXPECT_EQ(answer.reply().expert, "a") << "a tie goes to the first seat";
    EXPECT_EQ(answer.votes, (std::vector<std::string>{"A", "B", "C"}));
  }
}

TEST(Panel, AFailedEmptyOrMuteExpertCostsItsVoteOnly) {
  const std::vector<StubAnswer> bad = {fails(Outcome::failed),
                                       fails(Outcome::limited),
                                       fails(Outcome::unreachable),
                                       fails(Outcome::malformed),
                                       fails(Outcome::refused),
                                       says(""),
                                       says("I cannot tell."),
                                       says("\xff\xfe\x80 (((A)))) \xc3"),
                                       says("The answer is (A) or (D)."),
                                       says(std::string(3 << 20, 'x'))};
  for (std::size_t i = 0; i < bad.size(); ++i) {
    Rig rig({bad[i], says("The answer is (B)."), says("The answer is (B).")});
    const auto answer = rig.ask();
    EXPECT_EQ(rig.order, "abc") << i;
    ASSERT_TRUE(answer.ok()) << i;
    EXPECT_EQ(answer.reply().expert, "b") << i;
    EXPECT_EQ(answer.votes[0], "") << i;
  }
}

TEST(Panel, WithoutAnyReadableAnswerTheMostCompetentSpeaks) {
  Rig rig({says("Hm."), says("Well."), says("Who knows.")});
  rig.plan({0.5, 0.8, 0.6});
  const auto answer = rig.ask();
  EXPECT_EQ(answer.mode, Mode::single);
  EXPECT_EQ(answer.reply().expert, "b");
}

TEST(Panel, WhenEverySeatFailsTheRestIsAskedInTurn) {
  Rig rig({fails(Outcome::failed), fails(Outcome::overloaded), fails(Outcome::failed),
           says("The answer is (D).")});
  rig.plan({0.7, 0.7});
  rig.call.stream = true;
  const auto answer = rig.ask();
  EXPECT_EQ(rig.order, "abcd");
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer.reply().expert, "d");
  EXPECT_EQ(answer.replies.size(), 4u);
  EXPECT_NE(rig.sink.got.find("(D)"), std::string::npos) << "one expert alone streams";
  EXPECT_FALSE(rig.calls[0].stream);

  Rig nobody({fails(Outcome::failed), fails(Outcome::failed)});
  EXPECT_FALSE(nobody.ask().ok());
}

TEST(Panel, DoesNotWaitForTheLateWhenOthersAreLeft) {
  Rig rig({says("(A)", 15'000), says("(B)"), says("(B)")});
  const auto start = experts::Clock::now();
  const auto answer = rig.ask(Patience{milliseconds(30), milliseconds(100)});
  EXPECT_LT(experts::Clock::now() - start, std::chrono::seconds(10));
  EXPECT_EQ(answer.reply().expert, "b");
  ASSERT_EQ(answer.replies.size(), 3u);
  EXPECT_EQ(answer.replies[2].outcome, Outcome::cancelled) << "cancelled, and still in the bill";
}

TEST(Panel, ClosesWithTheVotesAtHandBeforeTheDeadline) {
  Rig rig({says("(A)", 15'000), says("(C)"), says("(B)", 15'000)});
  rig.call.deadline = experts::Clock::now() + milliseconds(200);
  const auto answer = rig.ask();
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer.reply().expert, "b");
}

TEST(Panel, CancellationReachesEveryExpert) {
  Rig rig({says("(A)", 15'000), says("(B)", 15'000), says("(B)")});
  asio::cancellation_signal cancel;
  asio::steady_timer timer(rig.io, milliseconds(30));
  timer.async_wait([&](auto) { cancel.emit(asio::cancellation_type::terminal); });
  aggregator::Answer answer;
  bool done = false;
  asio::co_spawn(
      rig.io, [&]() -> asio::awaitable<void> { answer = co_await rig.several(); },
      asio::bind_cancellation_slot(cancel.slot(), [&](std::exception_ptr) { done = true; }));
  const auto until = experts::Clock::now() + std::chrono::seconds(10);
  while (!done && experts::Clock::now() < until) rig.io.run_one_for(std::chrono::seconds(1));
  EXPECT_TRUE(done);
  EXPECT_LT(experts::Clock::now(), until);
}

TEST(Panel, AReaderStreamsWhatItWrites) {
  Rig rig({says("Red is warm."), says("Blue is cold.")});
  rig.plan({0.7, 0.6}, Mode::synthesised);
  rig.call.stream = true;
  const auto answer = rig.ask();
  EXPECT_EQ(rig.order, "aba");
  EXPECT_EQ(answer.mode, Mode::synthesised);
  EXPECT_EQ(answer.chosen, 2u);
  EXPECT_NE(rig.sink.got.find("warm"), std::string::npos);
  const std::string& shown = rig.calls[2].messages.back().text;
  EXPECT_NE(shown.find("Red is warm."), std::string::npos);
  EXPECT_NE(shown.find("Blue is cold."), std::string::npos);
}

TEST(Panel, TheReaderIsWhomTheTaskNames) {
  Rig rig({says("Red is warm."), says("Blue is cold."), says("Warm is red, cold is blue.")});
  rig.plan({0.7, 0.6}, Mode::synthesised);
  rig.task.reader = "c";
  const auto answer = rig.ask();
  EXPECT_EQ(rig.order, "abc");
  EXPECT_EQ(answer.reply().text, "Warm is red, cold is blue.");
}

TEST(Panel, ACorrectionIsNotStreamedAsItIsWritten) {
  Rig rig({says("Answer: A"), says("Answer stands.")});
  rig.plan({0.7}, Mode::corrected);
  rig.task.plan.passages = {"It is red."};
  rig.task.reader = "b";
  rig.call.stream = true;
  const auto answer = rig.ask();
  EXPECT_EQ(rig.order, "ab");
  EXPECT_EQ(answer.reply().expert, "a");
  EXPECT_TRUE(rig.sink.got.empty());
}

}  // namespace
}  // namespace router
