#include "router/learn/reader_bench.h"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <numeric>
#include <ostream>
#include <set>
#include <stdexcept>

#include "aggregator/ballot.h"
#include "router/query.h"
#include "router/splitmix.h"

namespace router {
namespace {

constexpr int kStrataResamples = 2'000;

/// Orders that differ, as many as asked for or as there are.
std::vector<aggregator::Synthesis> readings_of(const ReaderItem& item,
                                               const ReaderBenchOptions& options,
                                               std::uint64_t state) {
  constexpr int kTries = 32;
  std::vector<aggregator::Synthesis> readings;
  std::set<std::vector<std::uint32_t>> orders;
  const std::vector<std::string_view> answers(item.answers.begin(), item.answers.end());
  for (int tries = 0; tries < kTries && readings.size() < options.orders; ++tries) {
    auto reading = aggregator::write_synthesis(options.task, item.text, answers, item.question.type,
                                               {}, splitmix(state));
    if (orders.insert(reading.order).second) readings.push_back(std::move(reading));
  }
  return readings;
}

double estimate_cost(const ReaderBenchPlan& plan, const ReaderCandidate& candidate,
                     std::int64_t tokens_out) {
  double tokens_in = 0;
  for (const auto& readings : plan.readings)
    for (const auto& reading : readings)
      for (const experts::Message& message : reading.messages)
        tokens_in += static_cast<double>(estimate_tokens(message.text.size()));
  const double out = static_cast<double>(plan.calls) * static_cast<double>(tokens_out);
  return (tokens_in * static_cast<double>(candidate.price_in_microusd) +
          out * static_cast<double>(candidate.price_out_microusd)) *
         1e-12;
}

/// The answer that a reading comes to; empty: none.
std::string outcome_of(const ReaderItem& item, const aggregator::Synthesis& reading,
                       aggregator::Task task, const experts::Reply& reply) {
  if (reply.outcome != experts::Outcome::ok) return {};
  if (task == aggregator::Task::choose) {
    const auto chosen = aggregator::read_chosen(reading, reply.text);
    return chosen ? item.keys[*chosen] : std::string();
  }
  const auto written = aggregator::read_written(reading, reply.text);
  return written ? aggregator::canonical(item.question, *written).key : std::string();
}

/// By item: score and price of one way to aggregate.
struct Played {
  std::vector<double> score, price;  // price in right answers
};

double share_of(const ReaderItems& drawn, std::size_t stratum) {
  const auto total = std::accumulate(drawn.strata.begin(), drawn.strata.end(), 0.0);
  return static_cast<double>(drawn.strata[stratum]) / total;
}

/// Mean over the strata as often as they occur, with a bootstrap interval within the strata.
Interval weigh_strata(const ReaderItems& drawn, const std::vector<double>& values, double level,
                      std::uint64_t seed) {
  std::vector<std::vector<double>> by(drawn.strata.size());
  for (std::size_t i = 0; i < values.size(); ++i)
    by[drawn.items[i].right_count].push_back(values[i]);
  const auto mean = [&](bool resampled, std::uint64_t& state) {
    double sum = 0;
    for (std::size_t s = 0; s < by.size(); ++s) {
      double part = 0;
      for (std::size_t i = 0; i < by[s].size(); ++i)
        part += by[s][resampled ? draw_below(state, by[s].size()) : i];
      if (!by[s].empty()) sum += share_of(drawn, s) * part / static_cast<double>(by[s].size());
    }
    return sum;
  };
  Interval interval;
  interval.mean = mean(false, seed);
  std::vector<double> means(kStrataResamples);
  for (double& one : means) one = mean(true, seed);
  std::sort(means.begin(), means.end());
  const auto at = [&](double share) {
    return means[static_cast<std::size_t>(share * (kStrataResamples - 1))];
  };
  interval.lo = at((1 - level) / 2);
  interval.hi = at((1 + level) / 2);
  return interval;
}

Played play_vote(const ReaderItems& drawn) {
  Played played;
  for (const ReaderItem& item : drawn.items) {
    aggregator::Ballot ballot(aggregator::Counting::weighted, aggregator::choices_of(item.question),
                              item.competence);
    for (std::uint32_t seat = 0; seat < item.keys.size(); ++seat) ballot.add(seat, item.keys[seat]);
    const aggregator::Verdict verdict = ballot.verdict();
    const std::string& key = verdict.seat == aggregator::kNoSeat ? item.keys[0] : verdict.key;
    played.score.push_back(key == item.right ? 1 : 0);
    played.price.push_back(0);
  }
  return played;
}

Played play_reader(const ReaderBenchOptions& options, const ReaderBenchPlan& plan,
                   const std::vector<experts::Reply>& replies, ReaderResult& result) {
  Played played;
  std::size_t next = 0;
  for (std::size_t i = 0; i < plan.drawn.items.size(); ++i) {
    const ReaderItem& item = plan.drawn.items[i];
    double score = 0, cost = 0;
    std::set<std::string> outcomes;
    for (const aggregator::Synthesis& reading : plan.readings[i]) {
      const experts::Reply& reply = replies.at(next++);
      const std::string outcome = outcome_of(item, reading, options.task, reply);
      outcomes.insert(outcome);
      result.mute += outcome.empty();
      score += (outcome.empty() ? item.keys[0] : outcome) == item.right;
      cost += static_cast<double>(reply.cost_microusd) * 1e-6;
      result.latency_ms += static_cast<double>(reply.timings.total_us) * 1e-3;
    }
    const auto orders = static_cast<double>(plan.readings[i].size());
    played.score.push_back(score / orders);
    played.price.push_back(cost / orders / options.value_usd);
    result.cost_usd += cost;
    result.order_sensitive += outcomes.size() > 1;
  }
  const auto calls = std::max(1.0, static_cast<double>(next));
  result.mute /= calls, result.cost_usd /= calls, result.latency_ms /= calls;
  result.order_sensitive /= static_cast<double>(plan.drawn.items.size());
  return played;
}

std::vector<double> mean_by_stratum(const ReaderItems& drawn, const std::vector<double>& score) {
  std::vector<double> sum(drawn.strata.size()), count(drawn.strata.size());
  for (std::size_t i = 0; i < score.size(); ++i) {
    sum[drawn.items[i].right_count] += score[i];
    count[drawn.items[i].right_count] += 1;
  }
  for (std::size_t s = 0; s < sum.size(); ++s) sum[s] = count[s] > 0 ? sum[s] / count[s] : -1;
  return sum;
}

std::vector<double> gain_of(const Played& one, const Played& other) {
  std::vector<double> gain;
  for (std::size_t i = 0; i < one.score.size(); ++i)
    gain.push_back(one.score[i] - one.price[i] - other.score[i] + other.price[i]);
  return gain;
}

}  // namespace

ReaderBenchPlan plan_readers(const ReaderBenchOptions& options) {
  ReaderBenchPlan plan;
  plan.drawn = draw_items(options.items);
  std::uint64_t state = options.items.seed;
  for (const ReaderItem& item : plan.drawn.items) {
    plan.readings.push_back(readings_of(item, options, splitmix(state)));
    plan.calls += plan.readings.back().size();
  }
  for (const ReaderCandidate& candidate : options.candidates)
    plan.cost_usd.push_back(estimate_cost(plan, candidate, options.tokens_out));
  return plan;
}

ReaderBenchReport run_readers(const ReaderBenchOptions& options, const ReaderBenchPlan& plan,
                              const AskReader& ask) {
  const bool votes = options.incumbent == kVote;
  const auto is_incumbent = [&](const ReaderCandidate& one) {
    return one.name == options.incumbent;
  };
  if (!votes && std::none_of(options.candidates.begin(), options.candidates.end(), is_incumbent))
    throw std::runtime_error("the incumbent `" + options.incumbent +
                             "` is not among the candidates; name it there, or `vote`");
  ReaderBenchReport report;
  report.panel = plan.drawn.panel;
  report.strata = plan.drawn.strata;
  report.items = plan.drawn.items.size();
  report.orders = options.orders;
  report.incumbent = report.pick = options.incumbent;
  std::vector<experts::Call> calls;
  const experts::Call plain;
  for (const auto& readings : plan.readings)
    for (const auto& reading : readings) calls.push_back(aggregator::call_of(reading, plain));

  std::vector<Played> played;
  if (votes) {
    played.push_back(play_vote(plan.drawn));
    report.results.emplace_back().name = kVote;
  }
  for (const ReaderCandidate& candidate : options.candidates) {
    report.results.emplace_back().name = candidate.name;
    played.push_back(play_reader(options, plan, ask(candidate.name, calls), report.results.back()));
    if (!is_incumbent(candidate)) continue;
    std::rotate(report.results.begin(), report.results.end() - 1, report.results.end());
    std::rotate(played.begin(), played.end() - 1, played.end());
  }
  const auto rivals = static_cast<double>(std::max<std::size_t>(1, played.size() - 1));
  double best = 0;
  for (std::size_t i = 0; i < played.size(); ++i) {
    ReaderResult& result = report.results[i];
    result.by_stratum = mean_by_stratum(plan.drawn, played[i].score);
    result.accuracy = weigh_strata(plan.drawn, played[i].score, 0.95, options.items.seed);
    result.gain = weigh_strata(plan.drawn, gain_of(played[i], played[0]), 1 - 0.05 / rivals,
                               options.items.seed);
    if (i == 0 || result.gain.lo <= 0 || result.gain.mean <= best) continue;
    best = result.gain.mean;
    report.pick = result.name;
  }
  if (report.pick != kVote)
    report.mode = options.task == aggregator::Task::choose ? aggregator::Mode::best_of
                                                           : aggregator::Mode::synthesised;
  return report;
}

void print(const ReaderBenchOptions& options, const ReaderBenchPlan& plan, std::ostream& out) {
  const ReaderItems& drawn = plan.drawn;
  out << drawn.rows_usable << " of " << drawn.rows_read << " rows can be used, "
      << drawn.items.size() << " drawn\n";
  if (!drawn.panel.empty()) {
    out << "answers of:";
    for (const std::string& name : drawn.panel) out << " " << name;
    out << "\n";
  }
  out << "rows by right answers:";
  for (std::size_t s = 0; s < drawn.strata.size(); ++s) out << " " << s << ": " << drawn.strata[s];
  out << "\n" << plan.calls << " calls to each of " << options.candidates.size() << " experts\n";
  double total = 0;
  for (std::size_t i = 0; i < options.candidates.size(); ++i) {
    out << "  " << std::left << std::setw(32) << options.candidates[i].name << std::right
        << std::fixed << std::setprecision(4) << plan.cost_usd[i] << " USD\n";
    total += plan.cost_usd[i];
  }
  out << "about " << total << " USD in all, with replies of " << options.tokens_out
      << " tokens at the configured prices\n";
}

void print(const ReaderBenchReport& report, std::ostream& out) {
  const auto percent = [](double share) { return 100 * share; };
  out << std::fixed << std::setprecision(1) << std::left << std::setw(32) << "" << std::right
      << " right [95%]            of none  order   mute    USD       ms  gain [simultaneous 95%]\n";
  for (const ReaderResult& one : report.results) {
    out << std::left << std::setw(32) << one.name << std::right << std::setw(6)
        << percent(one.accuracy.mean) << " [" << percent(one.accuracy.lo) << ", "
        << percent(one.accuracy.hi) << "]" << std::setw(10) << percent(one.by_stratum[0])
        << std::setw(7) << percent(one.order_sensitive) << std::setw(7) << percent(one.mute)
        << std::setprecision(6) << std::setw(11) << one.cost_usd << std::setprecision(1)
        << std::setw(8) << one.latency_ms << std::setw(7) << percent(one.gain.mean) << " ["
        << percent(one.gain.lo) << ", " << percent(one.gain.hi) << "]\n";
  }
  out << "`of none`: right where no answer that was shown was; `order`: outcomes that hang on the "
         "order; gains in points, the price taken off\n";
  if (report.pick == report.incumbent) {
    out << "nobody is clearly better than `" << report.incumbent << "`: it stays\n";
    return;
  }
  out << "`" << report.pick << "` is clearly better than `" << report.incumbent
      << "`; in the configuration of the pool:\n  \"aggregation\": {\"mode\": \""
      << aggregator::name_of(report.mode) << "\", \"expert\": \"" << report.pick << "\"}\n";
}

std::string to_json(const ReaderBenchReport& report) {
  using OrderedJson = nlohmann::ordered_json;
  const auto list = [](const Interval& i) { return OrderedJson::array({i.mean, i.lo, i.hi}); };
  OrderedJson json = {{"panel", report.panel},
                      {"strata", report.strata},
                      {"items", report.items},
                      {"orders", report.orders},
                      {"incumbent", report.incumbent},
                      {"pick", report.pick},
                      {"mode", aggregator::name_of(report.mode)},
                      {"results", OrderedJson::array()}};
  for (const ReaderResult& one : report.results) {
    OrderedJson strata = OrderedJson::array();
    for (const double score : one.by_stratum)
      strata.push_back(score < 0 ? OrderedJson() : OrderedJson(score));
    json["results"].push_back({{"name", one.name},
                               {"accuracy", list(one.accuracy)},
                               {"by_stratum", strata},
                               {"order_sensitive", one.order_sensitive},
                               {"mute", one.mute},
                               {"cost_usd", one.cost_usd},
                               {"latency_ms", one.latency_ms},
                               {"gain", list(one.gain)}});
  }
  return json.dump(2) + "\n";
}

}  // namespace router
