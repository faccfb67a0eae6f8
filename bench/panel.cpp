// rooms: router
// What does a panel of three cost beside its calls? CPU time of the thread for a whole panel over
// scripted experts (read, wave, votes, answer), and for the same three calls one after the other.
//
//   bench_panel [--smoke]
#include <time.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdio>
#include <cstring>

#include "experts/roster.h"
#include "experts/stub.h"
#include "router/panel.h"

using namespace router;
namespace asio = boost::asio;

namespace {

double cpu_us() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

asio::awaitable<void> ask_three(experts::Pool& pool, const PanelTask& task,
                                const experts::Call& call, int rounds) {
  for (int i = 0; i < rounds; ++i) {
    for (const std::string& name : task.names) {
      const experts::Reply reply = co_await pool.ask(name, call, nullptr);
      if (reply.text.empty()) std::puts("no reply");
    }
  }
}

asio::awaitable<void> ask_panels(experts::Pool& pool, const PanelTask& task,
                                 const experts::Call& call, int rounds) {
  for (int i = 0; i < rounds; ++i) {
    PanelTask mine = task;
    mine.plan.question = aggregator::read_question(task.question);
    const aggregator::Answer answer = co_await ask_several(pool, mine, call, nullptr);
    if (answer.replies.size() != 3) std::puts("not three");
  }
}

template <class Work>
double measure(asio::io_context& io, int rounds, Work work) {
  const double start = cpu_us();
  asio::co_spawn(io, work(rounds), [](std::exception_ptr) {});
  io.restart();
  io.run();
  return (cpu_us() - start) / rounds;
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 && std::strcmp(argv[1], "--smoke") == 0 ? 20 : 20'000;
  std::string prose;
  while (prose.size() < 2'000) prose += "At 300 K the volume is 2.4 times larger.\n";
  std::vector<experts::ExpertOptions> options(3);
  PanelTask task;
  for (std::size_t i = 0; i < options.size(); ++i) {
    options[i].name = std::string(1, static_cast<char>('a' + i));
    options[i].kind = experts::Kind::stub;
    task.names.push_back(options[i].name);
  }
  const auto maker = experts::stub_maker([&](std::string_view name, const experts::Call&) {
    experts::StubAnswer answer;
    answer.content = prose + (name == "b" ? "The answer is (B)." : "The answer is (C).");
    return answer;
  });
  asio::io_context io;
  experts::RosterBoard board(experts::make_roster(options, nullptr));
  experts::Pool pool(io, board, experts::PoolOptions{}, maker);
  task.question = "Which holds for the gas?\nA. it expands\nB. it melts\nC. both\nD. none";
  task.plan.mode = aggregator::Mode::weighted;
  task.plan.competence = {.7, .69, .68};
  task.plan.ballot.decide_at = 2;
  experts::Call call;
  call.wire = R"("messages":[])";
  call.text_wanted = true;
  const double calls =
      measure(io, rounds, [&](int count) { return ask_three(pool, task, call, count); });
  const double panel =
      measure(io, rounds, [&](int count) { return ask_panels(pool, task, call, count); });
  std::printf("three calls %.1f us, a panel of three %.1f us: it adds %.1f us\n", calls, panel,
              panel - calls);
}
