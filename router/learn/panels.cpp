#include "router/learn/panels.h"

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <span>

#include "aggregator/aggregate.h"
#include "aggregator/ballot.h"
#include "aggregator/fuse.h"
#include "router/learn/fit.h"
#include "router/learn/play.h"
#include "router/seats.h"
#include "router/splitmix.h"

namespace router {
namespace {

using aggregator::Mode;

constexpr std::size_t kSkillsOfRoute = 5;  // a route lists that many; the learner sees no more

struct Supporter {
  std::uint32_t expert = 0;
  float odds = 0;  // logit of the held-out p_correct
};

/// An answer to a past question: who gave it, if anybody did.
struct Given {
  std::vector<Supporter> supporters;
  const ChoiceTraits* traits = nullptr;  // null: not an option
};

/// One past panel: who said what, and which answer was right.
struct Panel {
  std::size_t row = 0;
  std::vector<Given> answers;
  std::size_t right =
      0;              // index into answers; answers.size(): one that nobody gave, not known which
  double count = 1;   // of it, in the likelihood
  double others = 0;  // answers beside those listed

  bool may_be_right(std::size_t answer) const {
    return right < answers.size() ? answer == right : answers[answer].supporters.empty();
  }
};

/// Weights as one vector: [slope, (skills + 1) * experts, traits of options].
struct Space {
  std::size_t skills = 0, experts = 0;
  const std::vector<std::vector<SkillShare>>* shares = nullptr;  // by row

  std::size_t traits_at() const { return 1 + (skills + 1) * experts; }

  std::size_t size() const { return traits_at() + kChoiceTraits; }

  double dot(const Panel& panel, std::size_t answer, const std::vector<double>& v) const {
    double sum = 0;
    const Given& given = panel.answers[answer];
    for (std::size_t t = 0; given.traits && t < kChoiceTraits; ++t)
      sum += v[traits_at() + t] * (*given.traits)[t];
    for (const Supporter& one : given.supporters) {
      sum += v[0] * one.odds + v[1 + skills * experts + one.expert];
      for (const SkillShare& s : (*shares)[panel.row])
        sum += s.share * v[1 + s.skill * experts + one.expert];
    }
    return sum;
  }

  void scatter(const Panel& panel, std::size_t answer, double by, std::vector<double>& v) const {
    const Given& given = panel.answers[answer];
    for (std::size_t t = 0; given.traits && t < kChoiceTraits; ++t)
      v[traits_at() + t] += by * (*given.traits)[t];
    for (const Supporter& one : given.supporters) {
      v[0] += by * one.odds;
      v[1 + skills * experts + one.expert] += by;
      for (const SkillShare& s : (*shares)[panel.row])
        v[1 + s.skill * experts + one.expert] += by * s.share;
    }
  }
};

class ConditionalLogit {
 public:
  ConditionalLogit(const Space& space, const std::vector<const Panel*>& panels,
                   const PanelSettings& settings)
      : space_(space), panels_(panels), prior_(space.size(), 0), penalty_(space.size()) {
    prior_[0] = settings.prior_slope;
    std::fill(penalty_.begin(), penalty_.end(), settings.penalty_skill);
    penalty_[0] = settings.penalty;
    std::fill(penalty_.begin() + static_cast<std::ptrdiff_t>(space.traits_at()), penalty_.end(),
              settings.penalty_trait);
    for (std::size_t e = 0; e < space.experts; ++e) {
      prior_[1 + space.skills * space.experts + e] = settings.prior_weight;
      penalty_[1 + space.skills * space.experts + e] = settings.penalty;
    }
  }

  std::vector<double> fit(const PanelSettings& settings) {
    std::vector<double> w = prior_, gradient;
    double loss = look(w, &gradient);
    for (int step = 0; step < settings.newton_steps; ++step) {
      const std::vector<double> direction = solve(gradient, settings.gradient_steps);
      double size = 1, next_loss = loss;
      std::vector<double> next;
      for (int tries = 0; tries < 12; ++tries, size /= 2) {
        next = w;
        for (std::size_t i = 0; i < w.size(); ++i) next[i] -= size * direction[i];
        next_loss = look(next, nullptr);
        if (next_loss < loss) break;
      }
      if (!(next_loss < loss - 1e-7 * std::abs(loss))) break;
      w = std::move(next);
      loss = look(w, &gradient);
    }
    return w;
  }

 private:
  /// Negative penalised log-likelihood; with `gradient` also that, and the probabilities for
  /// curve().
  double look(const std::vector<double>& w, std::vector<double>* gradient) {
    double loss = 0;
    if (gradient) gradient->assign(w.size(), 0), p_.resize(panels_.size());
    std::vector<double> odds;
    for (std::size_t i = 0; i < panels_.size(); ++i) {
      const Panel& panel = *panels_[i];
      const std::size_t answers = panel.answers.size();
      odds.resize(answers);
      for (std::size_t a = 0; a < answers; ++a) odds[a] = std::exp(space_.dot(panel, a, w));
      double sum = panel.others, right = panel.right < answers ? 0 : panel.others;
      for (std::size_t a = 0; a < answers; ++a) {
        sum += odds[a];
        if (panel.may_be_right(a)) right += odds[a];
      }
      loss -= panel.count * std::log(right / sum);
      if (!gradient) continue;
      p_[i].resize(answers);
      for (std::size_t a = 0; a < answers; ++a) {
        p_[i][a] = odds[a] / sum;
        const double wanted = panel.may_be_right(a) ? odds[a] / right : 0;
        space_.scatter(panel, a, panel.count * (p_[i][a] - wanted), *gradient);
      }
    }
    for (std::size_t i = 0; i < w.size(); ++i) {
      loss += 0.5 * penalty_[i] * (w[i] - prior_[i]) * (w[i] - prior_[i]);
      if (gradient) (*gradient)[i] += penalty_[i] * (w[i] - prior_[i]);
    }
    return loss;
  }

  /// The Hessian at the last gradient, times v (where it is known which answer was right).
  std::vector<double> curve(const std::vector<double>& v) const {
    std::vector<double> out(v.size(), 0), d;
    for (std::size_t i = 0; i < panels_.size(); ++i) {
      const Panel& panel = *panels_[i];
      const std::size_t answers = panel.answers.size();
      d.resize(answers);
      double mean = 0;
      for (std::size_t a = 0; a < answers; ++a) mean += p_[i][a] * (d[a] = space_.dot(panel, a, v));
      for (std::size_t a = 0; a < answers; ++a)
        space_.scatter(panel, a, panel.count * p_[i][a] * (d[a] - mean), out);
    }
    for (std::size_t i = 0; i < v.size(); ++i) out[i] += penalty_[i] * v[i];
    return out;
  }

  std::vector<double> solve(const std::vector<double>& goal, int steps) const {
    std::vector<double> x(goal.size(), 0), rest = goal, along = goal;
    double square = std::inner_product(rest.begin(), rest.end(), rest.begin(), 0.0);
    const double enough = 1e-6 * square;
    for (int step = 0; step < steps && square > enough && square > 0; ++step) {
      const std::vector<double> bent = curve(along);
      const double size =
          square / std::inner_product(along.begin(), along.end(), bent.begin(), 0.0);
      for (std::size_t i = 0; i < x.size(); ++i) x[i] += size * along[i], rest[i] -= size * bent[i];
      const double next = std::inner_product(rest.begin(), rest.end(), rest.begin(), 0.0);
      for (std::size_t i = 0; i < x.size(); ++i) along[i] = rest[i] + next / square * along[i];
      square = next;
    }
    return x;
  }

  const Space& space_;
  const std::vector<const Panel*>& panels_;
  std::vector<double> prior_, penalty_;
  std::vector<std::vector<double>> p_;  // of the answers of every panel
};

/// The experts of a row that would be asked, best first. `half`: only a random half of them, so
/// that the weights also know panels of pools without the strongest.
std::vector<std::uint32_t> seat_experts(const Matrix& predicted, std::size_t row, std::size_t seats,
                                        bool half) {
  std::vector<std::uint32_t> order;
  std::uint64_t draws = row;
  for (std::uint32_t e = 0; e < predicted.cols(); ++e) {
    if (!half || draw_below(draws, 2) == 1) order.push_back(e);
  }
  const auto at = static_cast<Eigen::Index>(row);
  std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return predicted(at, a) > predicted(at, b);
  });
  order.resize(std::min(order.size(), seats));
  return order;
}

float logit_of(float p) {
  p = std::clamp(p, 0.01f, 0.99f);
  return std::log(p / (1 - p));
}

Panel make_panel(const Votes& votes, const Matrix& predicted, std::size_t row,
                 const std::vector<std::uint32_t>& seats) {
  Panel panel;
  panel.row = row;
  std::vector<std::uint8_t> keys;
  for (const ChoiceTraits& traits : votes.choices[row]) {
    keys.push_back(static_cast<std::uint8_t>(keys.size() + 1));
    panel.answers.push_back({{}, &traits});
  }
  bool any = false;
  for (std::uint32_t e : seats) {
    const std::uint8_t key = votes.of(row, e);
    if (key == 0) continue;
    any = true;
    const auto found = std::find(keys.begin(), keys.end(), key);
    const auto at = static_cast<std::size_t>(found - keys.begin());
    if (found == keys.end()) keys.push_back(key), panel.answers.emplace_back();
    panel.answers[at].supporters.push_back(
        {e, logit_of(predicted(static_cast<Eigen::Index>(row), e))});
  }
  if (!any) panel.answers.clear();
  const auto right = std::find(keys.begin(), keys.end(), votes.right[row]);
  panel.right = static_cast<std::size_t>(right - keys.begin());
  const std::uint32_t choices = aggregator::choices_of(votes.question[row]);
  const double all = choices == 0 ? aggregator::BallotRules().open_choices : choices;
  panel.others = std::max(0.0, all - static_cast<double>(keys.size()));
  const bool none_left = std::none_of(panel.answers.begin(), panel.answers.end(),
                                      [](const Given& one) { return one.supporters.empty(); });
  if (panel.right == keys.size() && none_left) panel.others = std::max(1.0, panel.others);
  return panel;
}

void put(const std::vector<double>& w, Panels& panels) {
  const auto traits = w.end() - kChoiceTraits;
  panels.slope = static_cast<float>(w[0]);
  panels.weight.assign(w.begin() + 1, traits);
  panels.choice.assign(traits, w.end());
}

/// By the keys of Votes.
std::vector<aggregator::Prior> priors_of(const Panels& panels,
                                         const std::vector<ChoiceTraits>& choices) {
  std::vector<aggregator::Prior> priors;
  for (const ChoiceTraits& traits : choices)
    priors.push_back({std::to_string(priors.size() + 1), weigh_choice(panels, traits)});
  return priors;
}

/// What a panel of a row would have done: one call after the other, until the ballot is decided.
struct Tried {
  double score = 0;
  std::uint32_t calls = 0;
};

/// The answer at the weighted median, all seats asked.
std::uint8_t fuse(const Votes& votes, std::size_t row, const std::vector<std::uint32_t>& order,
                  const std::vector<double>& competence) {
  std::vector<aggregator::WeightedNumber> numbers;
  std::vector<std::uint32_t> who;
  for (std::size_t seat = 0; seat < order.size(); ++seat) {
    const double number = votes.number_of(row, order[seat]);
    if (std::isnan(number)) continue;
    numbers.push_back({number, competence[seat]});
    who.push_back(order[seat]);
  }
  return numbers.empty() ? 0 : votes.of(row, who[aggregator::fuse_numbers(numbers).chosen]);
}

Tried try_panel(const Votes& votes, const Matrix& predicted, const Panels& panels,
                std::span<const SkillShare> shares, std::size_t row, std::size_t seats, Mode mode,
                double decide_at) {
  const std::vector<std::uint32_t> order = seat_experts(predicted, row, seats, false);
  std::vector<double> competence, weights;
  for (std::uint32_t e : order) {
    competence.push_back(predicted(static_cast<Eigen::Index>(row), e));
    weights.push_back(weigh_vote(panels, votes.experts, e, competence.back(), shares));
  }
  Tried tried;
  const std::uint8_t right = votes.right[row];
  if (mode == Mode::fused) {
    tried.calls = static_cast<std::uint32_t>(order.size());
    tried.score = right != 0 && fuse(votes, row, order, competence) == right ? 1 : 0;
    return tried;
  }
  const std::uint32_t choices = aggregator::choices_of(votes.question[row]);
  aggregator::Ballot ballot =
      mode == Mode::plurality
          ? aggregator::Ballot(aggregator::Counting::plurality, choices, competence)
          : aggregator::Ballot(aggregator::Counting::weighted, choices, competence,
                               rules_of(decide_at), weights, priors_of(panels, votes.choices[row]));
  while (!ballot.decided()) {
    const std::uint8_t key = votes.of(row, order[tried.calls]);
    ballot.add(tried.calls++, key == 0 ? std::string() : std::to_string(key));
  }
  tried.score = right != 0 && ballot.verdict().key == std::to_string(right) ? 1 : 0;
  return tried;
}

/// The lowest posterior to stop at that keeps what all the seats together get right.
float find_decide_at(const std::function<double(std::size_t seats, double decide_at)>& accuracy,
                     const PanelSettings& settings) {
  constexpr double kGrid[] = {0.99, 0.97, 0.95, 0.93, 0.9, 0.87, 0.84, 0.8, 0.75, 0.7, 0.6};
  double found = aggregator::kDecideNever;
  for (std::size_t seats : {settings.seats, settings.seats_wide}) {
    const double whole = accuracy(seats, aggregator::kDecideNever);
    double lowest = aggregator::kDecideNever;
    for (double decide_at : kGrid) {
      if (accuracy(seats, decide_at) < whole - settings.accuracy_given) break;
      lowest = decide_at;
    }
    found = seats == settings.seats ? lowest : std::max(found, lowest);
  }
  return static_cast<float>(found);
}

struct Bound {
  double sum = 0, squares = 0, rows = 0;

  void add(double gain) { sum += gain, squares += gain * gain, rows += 1; }

  /// Mean plus z standard errors.
  double at(double z) const {
    const double mean = sum / std::max(1.0, rows);
    return mean + z * std::sqrt(std::max(0.0, squares / std::max(1.0, rows) - mean * mean) /
                                std::max(1.0, rows));
  }
};

/// Gains by type of answer and by (skill, type).
struct Gains {
  std::vector<Bound> by_type, by_cell;

  Gains(const Votes& votes, const std::vector<std::uint32_t>& skill,
        const std::vector<double>& gain, std::size_t skill_count)
      : by_type(Panels::kTypes), by_cell(skill_count * Panels::kTypes) {
    for (std::size_t r = 0; r < gain.size(); ++r) {
      const auto type = static_cast<std::size_t>(votes.question[r].type);
      by_type[type].add(gain[r]);
      by_cell[skill[r] * Panels::kTypes + type].add(gain[r]);
    }
  }
};

std::vector<double> minus(std::vector<double> a, const std::vector<double>& b) {
  for (std::size_t i = 0; i < a.size(); ++i) a[i] -= b[i];
  return a;
}

/// One expert is enough for a type of answer whose panels did not beat it, and for a skill on which
/// they hardly can. A type without enough rows keeps panels: nobody gets one who did not ask.
bool pays(const Gains& gains, std::size_t cell, const PanelSettings& settings) {
  const Bound &type = gains.by_type[cell % Panels::kTypes], &own = gains.by_cell[cell];
  bool result = true;
  if (type.rows >= static_cast<double>(settings.rows_min)) result = type.at(-1) > 0;
  if (own.rows < static_cast<double>(settings.cell_rows_min)) return result;
  if (own.at(1) <= settings.gain_min) result = false;
  if (own.at(-2) > 0) result = true;
  return result;
}

/// Whether a way of counting beats the weighted vote beyond doubt on a cell, or on its type and
/// perhaps on the cell.
bool beats(const Gains& gains, std::size_t cell, const PanelSettings& settings) {
  const Bound &type = gains.by_type[cell % Panels::kTypes], &own = gains.by_cell[cell];
  if (own.rows >= static_cast<double>(settings.cell_rows_min) && own.at(-2) > 0) return true;
  return type.rows >= static_cast<double>(settings.rows_min) && type.at(-2) > 0 && own.at(1) >= 0;
}

/// What each mode got on each row: one expert alone, and panels.
struct Trials {
  std::vector<double> alone, weighted, plurality, fused;  // fused: empty without numbers
};

std::vector<std::uint8_t> find_modes(const Votes& votes, const std::vector<std::uint32_t>& skill,
                                     const Trials& trials, std::size_t skill_count,
                                     const PanelSettings& settings) {
  const auto gains_of = [&](const std::vector<double>& gain) {
    return Gains(votes, skill, gain, skill_count);
  };
  std::vector<std::pair<Mode, Gains>> others;
  others.emplace_back(Mode::plurality, gains_of(minus(trials.plurality, trials.weighted)));
  if (!trials.fused.empty())
    others.emplace_back(Mode::fused, gains_of(minus(trials.fused, trials.weighted)));
  const Gains over_one = gains_of(minus(trials.weighted, trials.alone));
  std::vector<std::uint8_t> modes(skill_count * Panels::kTypes);
  for (std::size_t cell = 0; cell < modes.size(); ++cell) {
    const auto type = static_cast<aggregator::AnswerType>(cell % Panels::kTypes);
    Mode mode = aggregator::ModeTable().by_type[cell % Panels::kTypes];
    if (mode > Mode::fused) mode = Mode::weighted;  // never of a type that was counted
    if (mode == Mode::weighted) {
      bool any = false;
      for (const auto& [other, gains] : others) {
        if (other == Mode::fused && type != aggregator::AnswerType::number) continue;
        if (!beats(gains, cell, settings)) continue;
        mode = other, any = true;
      }
      if (!any && !pays(over_one, cell, settings)) mode = Mode::single;
    }
    modes[cell] = static_cast<std::uint8_t>(mode);
  }
  return modes;
}

}  // namespace

Panels fit_panels(const Votes& votes, const Matrix& predicted, const Matrix& skills,
                  const std::vector<int>& fold, std::size_t skill_count,
                  const PanelSettings& settings) {
  Panels panels;
  const std::size_t rows = votes.question.size(), experts = votes.experts;
  if (votes.countable() < settings.rows_min || experts < 2) return panels;
  std::vector<std::vector<SkillShare>> shares(rows);
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::uint32_t s = 0; s < skills.cols(); ++s)
      shares[r].push_back({s, skills(static_cast<Eigen::Index>(r), s)});
    std::stable_sort(shares[r].begin(), shares[r].end(),
                     [](const SkillShare& a, const SkillShare& b) { return a.share > b.share; });
    shares[r].resize(std::min(shares[r].size(), kSkillsOfRoute));
  }
  const Space space{skill_count, experts, &shares};

  std::vector<Panel> past;
  for (std::size_t r = 0; r < rows; ++r) {
    for (const auto& [seats, half] :
         {std::pair(settings.seats, false), std::pair(settings.seats_wide, false),
          std::pair(settings.seats, true)}) {
      Panel panel = make_panel(votes, predicted, r, seat_experts(predicted, r, seats, half));
      if (half) panel.count = settings.part_count;
      if (!panel.answers.empty()) past.push_back(std::move(panel));
    }
  }
  const int folds = 1 + *std::max_element(fold.begin(), fold.end());
  std::vector<Panels> without(static_cast<std::size_t>(folds) + 1);  // the last saw every row
  parallel_for(without.size(), [&](std::size_t f) {
    std::vector<const Panel*> seen;
    for (const Panel& panel : past) {
      if (fold[panel.row] != static_cast<int>(f)) seen.push_back(&panel);
    }
    put(ConditionalLogit(space, seen, settings).fit(settings), without[f]);
  });
  panels = without.back();
  panels.rows = static_cast<std::uint32_t>(past.size());

  std::vector<std::size_t> counted;
  for (std::size_t r = 0; r < rows; ++r) {
    if (votes.question[r].type != aggregator::AnswerType::free_text) counted.push_back(r);
  }
  const auto try_all = [&](std::size_t seats, Mode mode, double decide_at) {
    std::vector<double> score(rows, 0);
    parallel_for((counted.size() + 255) / 256, [&](std::size_t block) {
      for (std::size_t i = block * 256; i < std::min(counted.size(), block * 256 + 256); ++i) {
        const std::size_t r = counted[i];
        score[r] = try_panel(votes, predicted, without[static_cast<std::size_t>(fold[r])],
                             shares[r], r, seats, mode, decide_at)
                       .score;
      }
    });
    return score;
  };
  panels.decide_at = find_decide_at(
      [&](std::size_t seats, double at) { return mean_of(try_all(seats, Mode::weighted, at)); },
      settings);
  std::vector<std::uint32_t> first(rows, 0);
  for (std::size_t r : counted) first[r] = shares[r].front().skill;
  Trials trials;
  trials.alone = try_all(1, Mode::weighted, aggregator::kDecideNever);
  trials.weighted = try_all(settings.seats, Mode::weighted, panels.decide_at);
  trials.plurality = try_all(settings.seats, Mode::plurality, aggregator::kDecideNever);
  if (!votes.number.empty())
    trials.fused = try_all(settings.seats, Mode::fused, aggregator::kDecideNever);
  panels.mode = find_modes(votes, first, trials, skill_count, settings);
  return panels;
}

}  // namespace router
