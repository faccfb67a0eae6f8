#include "router/learn/play_panels.h"

#include <algorithm>
#include <cmath>

#include "aggregator/fuse.h"
#include "router/decide.h"
#include "router/learn/evaluate.h"
#include "router/learn/fit.h"
#include "router/learn/votes.h"
#include "router/seats.h"

namespace router {
namespace {

using aggregator::Mode;

enum class Style : std::uint8_t { waves, all_at_once, heads };

struct Sitting {
  std::uint32_t calls = 0;
  std::uint32_t seat = 0;  // whose words the client gets
};

/// Everybody is asked; the reply at the weighted median goes out, the best expert's where there is
/// no number.
Sitting fuse(const Route& route, const Votes& votes, std::size_t row,
             const aggregator::Plan& plan) {
  Sitting sitting;
  std::vector<aggregator::WeightedNumber> numbers;
  std::vector<std::uint32_t> seats;
  for (; sitting.calls < plan.competence.size(); ++sitting.calls) {
    const double number = votes.number_of(row, route.candidates[sitting.calls].expert);
    if (std::isnan(number)) continue;
    numbers.push_back({number, plan.competence[sitting.calls]});
    seats.push_back(sitting.calls);
  }
  if (!numbers.empty()) sitting.seat = seats[aggregator::fuse_numbers(numbers).chosen];
  return sitting;
}

/// The plan's priors, by the keys of Votes: an option's key is its number.
std::vector<aggregator::Prior> votes_priors(std::vector<aggregator::Prior> priors) {
  for (std::size_t i = 0; i < priors.size(); ++i) priors[i].key = std::to_string(i + 1);
  return priors;
}

/// Asks by the rules of the corridor: as many at once as could decide it, in the order of seats.
Sitting sit(const Route& route, const Votes& votes, std::size_t row, aggregator::Plan plan,
            Style style) {
  Sitting sitting;
  const std::size_t seats = plan.competence.size();
  if (style != Style::waves)
    plan.ballot.decide_at = aggregator::kDecideNever, plan.ballot.rest_counts = 1;
  if (plan.mode == Mode::fused && style != Style::heads) return fuse(route, votes, row, plan);
  const auto counting = style == Style::heads || plan.mode == Mode::plurality
                            ? aggregator::Counting::plurality
                            : aggregator::Counting::weighted;
  aggregator::Ballot ballot(counting, aggregator::choices_of(plan.question), plan.competence,
                            plan.ballot, plan.weights, votes_priors(plan.priors));
  while (!ballot.decided()) {
    const auto wave = style == Style::waves ? ballot.votes_needed() : seats;
    for (std::size_t i = 0; i < wave; ++i) {
      const std::uint32_t seat = sitting.calls++;
      const std::uint8_t key = votes.of(row, route.candidates[seat].expert);
      ballot.add(seat, key == 0 ? std::string() : std::to_string(key));
    }
  }
  const aggregator::Verdict verdict = ballot.verdict();
  if (verdict.seat != aggregator::kNoSeat) {
    sitting.seat = verdict.seat;
  } else {
    sitting.seat = static_cast<std::uint32_t>(
        std::max_element(plan.competence.begin(), plan.competence.end()) - plan.competence.begin());
  }
  return sitting;
}

void play_row(const Policy& policy, const Trial& trial, const PoolView& pool, const Route& route,
              const Votes& votes, std::size_t row, std::vector<Play>& plays) {
  for (std::size_t i = 0; i < plays.size(); ++i) {
    const auto style = static_cast<Style>(i);
    const aggregator::AnswerType type = votes.question[row].type;
    Mode mode = mode_of(policy, route, type, {});
    if (style != Style::waves && mode == Mode::single) mode = Mode::weighted;
    const std::uint32_t seats = seats_of(route, mode);
    const bool counted = type != aggregator::AnswerType::free_text;
    Sitting sitting{1, 0};
    if (seats > 1 && counted) {
      aggregator::Plan plan =
          plan_panel(policy, pool, route, seats, mode, votes.question[row], votes.choices[row]);
      sitting = sit(route, votes, row, std::move(plan), style);
    }
    Play& play = plays[i];
    const std::uint32_t expert = route.candidates[sitting.seat].expert;
    play.expert[row] = expert;
    play.score[row] = trial.score(row, expert);
    play.calls[row] = sitting.calls;
    const std::uint32_t first = route.candidates.front().expert;
    if (votes.of(row, expert) != votes.of(row, first)) {
      play.flip[row] = 1;
      play.flip_gain[row] = trial.score(row, expert) - trial.score(row, first);
    }
    if (!trial.priced) continue;
    for (std::uint32_t seat = 0; seat < sitting.calls; ++seat)
      play.cost_usd[row] += trial.cost_usd(row, route.candidates[seat].expert);
  }
}

}  // namespace

std::vector<Play> play_panels(const Policy& policy, const EvaluateOptions& options,
                              const Trial& trial, std::vector<std::string>& notes) {
  const Votes votes = read_votes(options.files, trial.table);
  if (votes.countable() == 0) {
    notes.emplace_back("no panels: the outcomes have no answers that can be counted");
    return {};
  }
  const std::size_t rows = trial.rows();
  std::vector<Play> plays(3);
  for (std::size_t i = 0; i < plays.size(); ++i) {
    constexpr const char* kNames[] = {"panel", "panel_fixed", "plurality"};
    plays[i].name = kNames[i];
    plays[i].score.resize(rows), plays[i].calls.resize(rows), plays[i].expert.resize(rows);
    plays[i].flip.resize(rows), plays[i].flip_gain.resize(rows);
    if (trial.priced) plays[i].cost_usd.resize(rows);
  }
  constexpr std::size_t kRowsAtOnce = 256;
  parallel_for((rows + kRowsAtOnce - 1) / kRowsAtOnce, [&](std::size_t block) {
    DecideScratch scratch;
    Route route;
    Query query;
    query.knobs.k = options.k;
    query.knobs.quality = options.quality;
    PoolView pool = trial.pool;
    for (std::size_t r = block * kRowsAtOnce; r < std::min(rows, (block + 1) * kRowsAtOnce); ++r) {
      for (std::size_t e = 0; e < trial.experts(); ++e) pool.experts[e].healthy = trial.has(r, e);
      decide(query, trial.table.features[r], policy, pool, scratch, route);
      play_row(policy, trial, pool, route, votes, r, plays);
    }
  });
  for (Play& play : plays) {
    for (const std::uint32_t expert : play.expert)
      play.shares[trial.table.experts[expert]] += 1 / static_cast<double>(rows);
  }
  return plays;
}

}  // namespace router
