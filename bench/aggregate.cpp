// rooms: aggregator
// What does aggregation cost beside the calls? Per vote, per reply that is read, per whole panel.
// Baseline in the same run: copying a reply's text once.
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>

#include "aggregator/aggregate.h"

namespace {

using namespace aggregator;

volatile std::size_t sink = 0;  // keeps results alive

template <class Work>
double microseconds(int rounds, Work work) {
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < rounds; ++i) sink = sink + work(i);
  const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - start;
  return took.count() / rounds;
}

std::string reasoned(char letter, std::size_t bytes) {
  std::string text;
  while (text.size() < bytes) {
    text += "Consider the gas law, p V = n R T; at 300 K the volume is 2.4 times larger.\n";
  }
  return text + "Therefore, the answer is (" + letter + ").";
}

}  // namespace

int main(int argc, char** argv) {
  const bool smoke = argc > 1 && std::strcmp(argv[1], "--smoke") == 0;
  const int rounds = smoke ? 20 : 20'000;
  const Question question = read_question(
      "Which of these holds for the gas?\nA. it expands\nB. it contracts\nC. it melts\nD. nothing");
  for (const std::size_t bytes : {100, 2'000, 20'000}) {
    const std::string text = reasoned('C', bytes);
    const int few = static_cast<int>(static_cast<std::size_t>(rounds) * 100 / bytes) + 1;
    std::printf("%6zu bytes: copy %8.3f us   canonical %8.2f us\n", text.size(),
                microseconds(few, [&](int) { return std::string(text).size(); }),
                microseconds(few, [&](int) { return canonical(question, text).key.size(); }));
  }
  for (const std::uint32_t seats : {3u, 8u}) {
    const std::vector<double> competence(seats, 0.7);
    const char* keys[] = {"A", "B", "C", "A", "D", "A", "B", "A"};
    BallotRules rules;
    rules.decide_at = 2;
    const double made = microseconds(rounds, [&](int) {
      Ballot ballot(Counting::weighted, 10, competence, rules);
      return static_cast<std::size_t>(ballot.decided());
    });
    const double counted = microseconds(rounds, [&](int) {
      Ballot ballot(Counting::weighted, 10, competence, rules);
      for (std::uint32_t seat = 0; seat < seats; ++seat) ballot.add(seat, keys[seat]);
      return ballot.verdict().key.size();
    });
    std::printf("%u seats: ballot made %.2f us, add %.3f us\n", seats, made,
                (counted - made) / seats);
  }
  const std::string replies[] = {reasoned('A', 2'000), reasoned('C', 2'000), reasoned('C', 2'000)};
  const double panel = microseconds(rounds / 10, [&](int) {
    Plan plan;
    plan.mode = Mode::weighted;
    plan.question = question;
    plan.competence = {.7, .6, .65};
    Aggregation panel_of_three(std::move(plan));
    for (std::uint32_t seat = 0; seat < 3; ++seat) {
      experts::Reply reply;
      reply.outcome = experts::Outcome::ok;
      reply.text = replies[seat];
      panel_of_three.add(seat, std::move(reply));
    }
    return static_cast<std::size_t>(panel_of_three.close().chosen);
  });
  std::printf("panel of 3 with replies of 2,000 bytes: %.1f us\n", panel);
}
