#include "aggregator/ballot.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>

namespace aggregator {
namespace {

Verdict count(Counting counting, std::uint32_t choices, std::vector<double> competence,
              const std::vector<std::string>& votes, double correlation) {
  BallotRules rules;
  rules.correlation = correlation;
  rules.decide_at = 2;
  Ballot ballot(counting, choices, std::move(competence), rules);
  for (std::uint32_t seat = 0; seat < votes.size(); ++seat) ballot.add(seat, votes[seat]);
  return ballot.verdict();
}

TEST(Ballot, MatchesTheArithmeticOfCorrelatedLogOdds) {
  struct Case {
    std::vector<std::string> votes;
    std::vector<double> competence;
    double correlation;
    const char* winner;
    double posterior;
  };

  const Case cases[] = {{{"A", "B", "B"}, {.9, .6, .6}, 0, "A", .5482},
                        {{"A", "B", "B"}, {.9, .6, .6}, .43, "A", .7259},
                        {{"A", "B", "B"}, {.9, .8, .8}, 0, "B", .8324},
                        {{"A", "B", "B"}, {.9, .8, .8}, .43, "B", .5270},
                        {{"A", "A", "A"}, {.7, .7, .7}, 0, "A", .9913},
                        {{"A", "A", "A"}, {.7, .7, .7}, .43, "A", .8849}};
  for (const Case& one : cases) {
    const Verdict verdict =
        count(Counting::weighted, 4, one.competence, one.votes, one.correlation);
    EXPECT_EQ(verdict.key, one.winner);
    EXPECT_NEAR(verdict.posterior, one.posterior, 5e-5);
  }
  // Heads: two of three win whoever they are, and their odds are not higher for it.
  const Verdict heads = count(Counting::plurality, 4, {.9, .6, .6}, {"A", "B", "B"}, 0);
  EXPECT_EQ(heads.key, "B");
  EXPECT_NEAR(heads.posterior, 20.25 / 49.25, 1e-9);
  EXPECT_NEAR(heads.agreement, 2.0 / 3, 1e-12);
}

TEST(Ballot, PriorsCountBesideVotesAndAgainstAnEarlyEnd) {
  BallotRules rules;
  rules.correlation = 0;
  rules.decide_at = 2;
  const std::vector<double> weights{1, 1, 1};
  const auto ballot_of = [&](std::vector<Prior> priors) {
    return Ballot(Counting::weighted, 4, {.5, .5, .5}, rules, weights, std::move(priors));
  };
  Ballot plain = ballot_of({});
  plain.add(0, "A");
  EXPECT_TRUE(plain.add(1, "A")) << "nobody can catch up";
  Ballot prior = ballot_of({{"A", 0}, {"B", 2.5}, {"C", 0}, {"D", 0}});
  prior.add(0, "A");
  EXPECT_FALSE(prior.add(1, "A")) << "one vote more and B is ahead";
  EXPECT_TRUE(prior.add(2, "B"));
  EXPECT_EQ(prior.verdict().key, "B");
  EXPECT_NEAR(prior.verdict().posterior, std::exp(3.5) / (std::exp(3.5) + std::exp(2.) + 2), 1e-9);
  Ballot unvoted = ballot_of({{"A", 0}, {"B", 2.5}});
  for (std::uint32_t seat = 0; seat < 3; ++seat) unvoted.add(seat, "A");
  EXPECT_EQ(unvoted.verdict().key, "A") << "an answer is one that somebody gave";
  EXPECT_NEAR(unvoted.verdict().posterior, std::exp(3.) / (std::exp(3.) + std::exp(2.5) + 2), 1e-9);
}

/// Accuracy under independence, by enumeration: each expert right with its theta, else one wrong
/// answer.
double accuracy(Counting counting, const std::vector<double>& competence) {
  double sum = 0;
  for (std::uint32_t right = 0; right < 1u << competence.size(); ++right) {
    double probability = 1;
    std::vector<std::string> votes;
    for (std::size_t e = 0; e < competence.size(); ++e) {
      const bool is_right = (right >> e) & 1;
      probability *= is_right ? competence[e] : 1 - competence[e];
      votes.push_back(is_right ? "yes" : "no");
    }
    if (count(counting, 2, competence, votes, 0).key == "yes") sum += probability;
  }
  return sum;
}

TEST(Ballot, LogOddsBeatHeadsWhereMembersAreUnequal) {
  EXPECT_NEAR(accuracy(Counting::plurality, {.9, .6, .6}), .7920, 5e-5);
  EXPECT_NEAR(accuracy(Counting::weighted, {.9, .6, .6}), .9000, 5e-5);
  EXPECT_NEAR(accuracy(Counting::plurality, {.75, .7, .65, .6, .55}), .7674, 5e-5);
  EXPECT_NEAR(accuracy(Counting::weighted, {.75, .7, .65, .6, .55}), .7905, 5e-5);
}

TEST(Ballot, DecidesEarlyOnlyWhenTheRestCannotChangeTheWinner) {
  std::mt19937_64 engine(4);
  const auto real = [&] { return static_cast<double>(engine() >> 11) * 0x1p-53; };
  int early = 0;
  for (int round = 0; round < 4'000; ++round) {
    const std::size_t seats = 1 + engine() % 6;
    std::vector<double> competence;
    for (std::size_t e = 0; e < seats; ++e) competence.push_back(real());
    BallotRules rules;
    rules.correlation = real();
    rules.decide_at = 2;  // only certainty
    const auto counting = round % 2 ? Counting::weighted : Counting::plurality;
    Ballot ballot(counting, 5, competence, rules);
    std::string decided_for;
    bool decided = false;
    for (std::uint32_t seat = 0; seat < seats; ++seat) {
      const std::string vote =
          engine() % 6 == 0 ? "" : std::string(1, static_cast<char>('A' + engine() % 3));
      const bool now = ballot.add(seat, vote);
      if (!decided && now) {
        decided_for = ballot.verdict().key;
        early += seat + 1 < seats;
      }
      decided = now;
    }
    EXPECT_TRUE(decided);
    if (!decided_for.empty()) {
      ASSERT_EQ(ballot.verdict().key, decided_for) << "round " << round;
    }
  }
  EXPECT_GT(early, 300);
}

TEST(Ballot, OrderOfArrivalDoesNotMatter) {
  const std::vector<double> competence{.8, .6, .7, .7};
  const std::map<std::uint32_t, std::string> votes{{0, "x"}, {1, "y"}, {2, "y"}, {3, "x"}};
  std::vector<std::uint32_t> order{0, 1, 2, 3};
  const auto run = [&] {
    BallotRules rules;
    rules.decide_at = 2;
    Ballot ballot(Counting::weighted, 0, competence, rules);
    for (const std::uint32_t seat : order) ballot.add(seat, votes.at(seat));
    return ballot.verdict();
  };
  const Verdict first = run();
  while (std::next_permutation(order.begin(), order.end())) {
    EXPECT_EQ(run().key, first.key);
    EXPECT_EQ(run().seat, first.seat);
    EXPECT_NEAR(run().posterior, first.posterior, 1e-12);
  }
}

TEST(Ballot, AFailedExpertDoesNotSinkIt) {
  Ballot ballot(Counting::weighted, 4, {.9, .8, .85}, {.decide_at = 2});
  EXPECT_FALSE(ballot.add(0, ""));
  EXPECT_FALSE(ballot.add(1, "C"));
  EXPECT_FALSE(ballot.add(1, "A"));   // a second vote of the same seat
  EXPECT_FALSE(ballot.add(99, "A"));  // nobody asked that one
  EXPECT_TRUE(ballot.add(2, ""));
  const Verdict verdict = ballot.verdict();
  EXPECT_EQ(verdict.key, "C");
  EXPECT_EQ(verdict.seat, 1u);
  EXPECT_EQ(verdict.votes, 1u);
  EXPECT_EQ(verdict.unread, 2u);
  EXPECT_NEAR(verdict.posterior, 12.0 / 15, 1e-9);  // .8 * 3 / .2 against three options at 1

  Ballot silent(Counting::plurality, 4, {.9, .8});
  silent.add(0, "");
  EXPECT_TRUE(silent.add(1, ""));
  EXPECT_EQ(silent.verdict().key, "");
  EXPECT_EQ(silent.verdict().seat, kNoSeat);
}

TEST(Ballot, StopsWhenThePosteriorIsHighEnough) {
  BallotRules rules;
  rules.correlation = 0;
  rules.replies_min = 2;
  rules.decide_at = .95;
  Ballot ballot(Counting::weighted, 4, {.9, .9, .9, .9, .9}, rules);
  EXPECT_FALSE(ballot.add(3, "A"));  // .9, and one reply is not enough
  EXPECT_TRUE(ballot.add(1, "A"));   // 729 / 732
  Ballot never(Counting::weighted, 4, {.9, .9, .9, .9, .9}, {.decide_at = 2});
  never.add(3, "A");
  EXPECT_FALSE(never.add(1, "A"));
}

/// The fewest of the next seats that could decide it, by trying every way in which they may vote.
std::uint32_t fewest(const Ballot& ballot, const std::vector<std::uint32_t>& waiting) {
  for (std::uint32_t count = 1; count < waiting.size(); ++count) {
    for (int ways = 0; ways < 1 << (2 * count); ++ways) {
      Ballot copy = ballot;
      for (std::uint32_t i = 0; i < count; ++i)
        copy.add(waiting[i], std::string(1, static_cast<char>('A' + ((ways >> (2 * i)) & 3))));
      if (copy.decided()) return count;
    }
  }
  return static_cast<std::uint32_t>(waiting.size());
}

TEST(Ballot, MayTakeItThatTheRestWillNotAllSayTheSame) {
  BallotRules rules;
  rules.correlation = 0;
  rules.decide_at = 2;
  const std::vector<double> four(4, 0.8);
  for (const double counts : {1.0, 0.85}) {
    rules.rest_counts = counts;
    Ballot ballot(Counting::weighted, 4, four, rules);
    ballot.add(0, "A");
    EXPECT_FALSE(ballot.decided());
    EXPECT_EQ(ballot.add(1, "A"), counts < 1) << "two against two that might both say B";
    Ballot split(Counting::weighted, 4, four, rules);
    split.add(0, "A");
    split.add(1, "B");
    EXPECT_FALSE(split.decided());
    EXPECT_TRUE(split.add(2, "A") == (counts < 1)) << "one ahead of the last one";
  }
}

TEST(Ballot, KnowsHowManyVotesCouldDecideIt) {
  std::mt19937_64 engine(8);
  const auto real = [&] { return static_cast<double>(engine() >> 11) * 0x1p-53; };
  for (int round = 0; round < 400; ++round) {
    const std::size_t seats = 2 + engine() % 4;
    std::vector<double> competence, weights;
    for (std::size_t e = 0; e < seats; ++e) {
      competence.push_back(real());
      weights.push_back(3 * real());
    }
    Ballot ballot(round % 2 ? Counting::weighted : Counting::plurality, 5, competence,
                  {.correlation = 0, .decide_at = 2}, weights);
    std::vector<std::uint32_t> waiting;
    for (std::uint32_t seat = 0; seat < seats; ++seat) waiting.push_back(seat);
    while (!ballot.decided()) {
      // It may only be higher where votes for different answers decide sooner than equal ones.
      EXPECT_GE(ballot.votes_needed(), fewest(ballot, waiting));
      EXPECT_LE(ballot.votes_needed(), waiting.size());
      if (waiting.size() == seats) {
        EXPECT_EQ(ballot.votes_needed(), fewest(ballot, waiting));
      }
      ballot.add(waiting.front(), std::string(1, static_cast<char>('A' + engine() % 3)));
      waiting.erase(waiting.begin());
    }
    EXPECT_EQ(ballot.votes_needed(), 0u);
  }
}

TEST(Ballot, LearnedWeightsReplaceTheLogOdds) {
  const BallotRules rules{.correlation = 0, .decide_at = 2};
  Ballot ballot(Counting::weighted, 4, {.9, .6, .6}, rules, {1.0, 0.7, 0.6});
  for (std::uint32_t seat = 0; seat < 3; ++seat) ballot.add(seat, seat == 0 ? "A" : "B");
  const Verdict verdict = ballot.verdict();
  EXPECT_EQ(verdict.key, "B");
  EXPECT_EQ(verdict.seat, 1u);
  EXPECT_NEAR(verdict.posterior, std::exp(1.3) / (std::exp(1.3) + std::exp(1.0) + 2), 1e-9);
}

TEST(Ballot, TakesAnyCompetenceAsGiven) {
  const double nan = std::nan("");
  for (const double theta : {0.0, 1.0, -5.0, 7.0, nan}) {
    const Verdict verdict = count(Counting::weighted, 4, {theta, .5}, {"A", "B"}, .4);
    EXPECT_TRUE(verdict.key == "A" || verdict.key == "B");
    EXPECT_GT(verdict.posterior, 0);
    EXPECT_LT(verdict.posterior, 1);
  }
  EXPECT_TRUE(Ballot(Counting::weighted, 4, {}).decided());
}

}  // namespace
}  // namespace aggregator
