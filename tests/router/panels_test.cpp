// What fit_panels() learns from planted panels whose truth is known.
#include "router/learn/panels.h"

#include <gtest/gtest.h>

#include <random>

#include "router/seats.h"

namespace router {
namespace {

using aggregator::Mode;

/// Two skills. Experts 0 and 1 are right on their own skill; 2 repeats 1 word for word; 3 guesses.
struct Planted {
  Votes votes;
  Matrix predicted, skills;
  std::vector<int> fold;
};

Planted plant(std::size_t rows, double specialist, double outsider) {
  std::mt19937_64 engine(3);
  const auto real = [&] { return static_cast<double>(engine() >> 11) * 0x1p-53; };
  Planted planted;
  planted.votes.experts = 4;
  planted.predicted = Matrix(static_cast<Eigen::Index>(rows), 4);
  planted.skills = Matrix::Zero(static_cast<Eigen::Index>(rows), 2);
  for (std::size_t r = 0; r < rows; ++r) {
    const auto row = static_cast<Eigen::Index>(r);
    const std::size_t skill = r % 2;
    aggregator::Question question;
    question.type = aggregator::AnswerType::choice;
    question.options.resize(4);
    planted.votes.question.push_back(question);
    planted.votes.right.push_back(1);
    planted.votes.choices.emplace_back();
    std::uint8_t said[4];
    for (std::size_t e = 0; e < 2; ++e) {
      const double theta = e == skill ? specialist : outsider;
      said[e] = real() < theta ? 1 : static_cast<std::uint8_t>(2 + engine() % 3);
    }
    said[2] = said[1];
    said[3] = static_cast<std::uint8_t>(1 + engine() % 4);
    for (const std::uint8_t key : said) planted.votes.key.push_back(key);
    planted.skills(row, static_cast<Eigen::Index>(skill)) = 1;
    // The estimates know nothing about skills: that is left to the votes' weights.
    planted.predicted.row(row) << 0.62f, 0.61f, 0.6f, 0.3f;
    planted.fold.push_back(static_cast<int>(r / 2 % 5));
  }
  return planted;
}

TEST(Panels, LearnWhomToBelieveOnWhatAndWhoRepeatsWhom) {
  const Planted planted = plant(3'000, 0.9, 0.35);
  const Panels panels =
      fit_panels(planted.votes, planted.predicted, planted.skills, planted.fold, 3);
  ASSERT_GT(panels.rows, 0u);
  ASSERT_EQ(panels.weight.size(), 4u * 4);
  const auto weight = [&](std::uint32_t expert, std::uint32_t skill) {
    const SkillShare all[] = {{skill, 1.F}};
    return weigh_vote(panels, 4, expert, expert == 3 ? 0.3 : 0.6, all);
  };
  EXPECT_GT(weight(0, 0), weight(1, 0) + weight(2, 0) + 0.5) << "one specialist against an echo";
  EXPECT_GT(weight(1, 1) + weight(2, 1), weight(0, 1) + 0.5);
  EXPECT_LT(weight(3, 0), 0.8);
  // Log-odds of .9 against .35 among four options, held by two who say the same.
  EXPECT_NEAR(weight(1, 1) + weight(2, 1), std::log(0.9 * 3 / 0.1), 0.8);
  EXPECT_LT(panels.decide_at, 1) << "some questions need one or two votes only";
  for (std::uint32_t skill = 0; skill < 2; ++skill)
    EXPECT_EQ(static_cast<Mode>(panels.mode[skill * Panels::kTypes]),
              skill == 0 ? Mode::single : Mode::weighted)
        << "the first seat is the specialist of skill 0: others cannot help it";
}

TEST(Panels, DoNotPayWhereTheOthersOnlyDisturb) {
  Planted planted = plant(1'200, 0.8, 0.8);
  for (std::size_t r = 0; r < 1'200; ++r) {
    for (std::size_t e = 1; e < 4; ++e) planted.votes.key[4 * r + e] = planted.votes.key[4 * r];
  }
  const Panels panels =
      fit_panels(planted.votes, planted.predicted, planted.skills, planted.fold, 3);
  for (std::size_t skill = 0; skill < 3; ++skill) {
    EXPECT_EQ(static_cast<Mode>(panels.mode[skill * 9]), Mode::single);
  }
}

/// Three experts of equal worth whose numbers scatter around the truth: the one in the middle is
/// the best bet, and no two agree when they are wrong.
TEST(Panels, NumbersAreFusedWhereTheMedianIsRightMoreOften) {
  constexpr std::size_t kRows = 1'000;
  Planted planted;
  planted.votes.experts = 3;
  planted.predicted = Matrix::Constant(kRows, 3, 0.5f);
  planted.skills = Matrix::Ones(kRows, 1);
  std::mt19937_64 engine(5);
  for (std::size_t r = 0; r < kRows; ++r) {
    aggregator::Question question;
    question.type = aggregator::AnswerType::number;
    planted.votes.question.push_back(question);
    planted.votes.choices.emplace_back();
    planted.votes.right.push_back(2);
    planted.fold.push_back(static_cast<int>(r % 5));
    std::uint8_t said[] = {1, 2, 3};  // too low, right, too high
    std::shuffle(said, said + 3, engine);
    for (const std::uint8_t key : said) {
      planted.votes.key.push_back(key);
      planted.votes.number.push_back(10.0 * key);
    }
  }
  const Panels panels =
      fit_panels(planted.votes, planted.predicted, planted.skills, planted.fold, 2);
  const auto cell = static_cast<std::size_t>(aggregator::AnswerType::number);
  EXPECT_EQ(static_cast<Mode>(panels.mode[cell]), Mode::fused);
}

TEST(Panels, TheWordingOfOptionsCountsBesideVotes) {
  Planted planted = plant(2'000, 0.5, 0.5);
  for (auto& choices : planted.votes.choices) {
    choices.resize(4);
    choices[0][7] = 1;  // the right one always has a trait
  }
  const Panels panels =
      fit_panels(planted.votes, planted.predicted, planted.skills, planted.fold, 3);
  ChoiceTraits trait{};
  trait[7] = 1;
  EXPECT_GT(weigh_choice(panels, trait), 2);
  EXPECT_NEAR(weigh_choice(panels, {}), 0, 1e-6);
}

TEST(Panels, TooFewAnswersTeachNothing) {
  const Planted planted = plant(50, 0.9, 0.3);
  EXPECT_EQ(fit_panels(planted.votes, planted.predicted, planted.skills, planted.fold, 3).rows, 0u);
}

}  // namespace
}  // namespace router
