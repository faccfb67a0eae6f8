#include "router/learn/log_value.h"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <ostream>
#include <stdexcept>
#include <unordered_map>

#include "router/decide.h"
#include "router/decision.h"
#include "router/guard.h"
#include "router/learn/log_rows.h"
#include "router/version_text.h"

namespace router {
namespace {

/// Whether it could have been chosen: a newcomer that did not have its turn counts, its chance is
/// in the propensity.
bool could_be_chosen(const Candidate& candidate) {
  return candidate.bar == Bar::none || candidate.bar == Bar::shadow;
}

double weight_of(const LoggedChoice& row) {
  return row.same ? std::min(kWeightMax, 1 / std::max(row.propensity, 1e-9)) : 0;
}

/// The pool as it was for one decision: its candidates, by the bars of the log.
PoolView pool_of(const LoggedRoute& logged) {
  PoolView pool;
  for (const Candidate& candidate : logged.route.candidates) {
    pool.experts.emplace_back();
    pool.experts.back().name = logged.experts[candidate.expert];
    pool.experts.back().healthy = could_be_chosen(candidate);
  }
  return pool;
}

/// Binds a policy to the pools that occur, each once: binding replays the policy's memory.
class Targets {
 public:
  explicit Targets(const Policy& policy) : policy_(policy) {}

  /// The logged candidate that the policy would have chosen; nullptr: none of them.
  const Candidate* choose(const LoggedRoute& logged, const std::string& text) {
    PoolView& pool = bound(logged);
    for (std::size_t i = 0; i < pool.experts.size(); ++i)
      pool.experts[i].healthy = could_be_chosen(logged.route.candidates[i]);
    extractor_.extract(text, features_);
    decide(Query{}, features_, policy_, pool, scratch_, route_);
    if (route_.eligible() == 0) return nullptr;
    return &logged.route.candidates[route_.candidates.front().expert];
  }

 private:
  PoolView& bound(const LoggedRoute& logged) {
    std::string key;
    for (const Candidate& candidate : logged.route.candidates)
      key += logged.experts[candidate.expert] + '\n';
    const auto [at, fresh] = pools_.try_emplace(key);
    if (fresh) {
      at->second = pool_of(logged);
      bind(policy_, at->second);
    }
    return at->second;
  }

  const Policy& policy_;
  std::unordered_map<std::string, PoolView> pools_;
  Extractor extractor_;
  Features features_;
  DecideScratch scratch_;
  Route route_;
};

/// Candidates in one order whatever was chosen, so that equal pools are bound once.
void sort_by_name(LoggedRoute& logged, std::string& chosen, Candidate& chosen_terms) {
  chosen = logged.experts[logged.route.candidates.front().expert];
  chosen_terms = logged.route.candidates.front();
  std::sort(logged.route.candidates.begin(), logged.route.candidates.end(),
            [&](const Candidate& a, const Candidate& b) {
              return logged.experts[a.expert] < logged.experts[b.expert];
            });
}

void take_decision(const store::Stored& stored, const Grades& grades, Targets& targets,
                   LogValueReport& report, std::vector<LoggedChoice>& rows) {
  const store::Decision& row = stored.row;
  if (row.pool.empty()) return;  // the client named its expert: nothing was decided
  ++report.decisions;
  const auto grade = grades.find(row.id);
  if (grade == grades.end() || grade->second.weight <= 0) {
    ++report.ungraded;
    return;
  }
  if (row.text.empty()) {
    ++report.without_text;
    return;
  }
  auto logged = decode_route(row.route);
  if (!logged || logged->route.eligible() == 0) {
    ++report.unreadable;
    return;
  }
  std::string chosen;
  Candidate terms;
  sort_by_name(*logged, chosen, terms);
  const Candidate* target = targets.choose(*logged, row.text);
  if (target == nullptr) {
    ++report.unknown;
    return;
  }
  LoggedChoice choice;
  choice.same = logged->experts[target->expert] == chosen;
  choice.propensity = std::clamp(row.propensity, 0.0, 1.0);
  choice.supported = choice.same || choice.propensity < 1;
  choice.reward = grade->second.mean();
  if (terms.p_correct > 0) choice.q_logged = terms.p_correct;
  if (target->p_correct > 0) choice.q_target = target->p_correct;
  rows.push_back(choice);
}

std::string why_empty(const LogValueReport& report) {
  if (report.decisions == 0) return "the log has no decision of the router";
  if (report.ungraded == report.decisions)
    return "none of the " + std::to_string(report.decisions) +
           " decisions was graded: POST /v1/decisions/{id}/feedback says what came of them";
  if (report.without_text > 0)
    return "the graded decisions were logged without their text, so another policy cannot read "
           "them: set store.keep_text";
  return "no graded decision can be decided again by this policy: it knows none of their experts";
}

}  // namespace

LogValue value_choices(const std::vector<LoggedChoice>& rows, std::uint64_t seed) {
  LogValue out;
  out.rows = rows.size();
  std::vector<double> top, bottom, robust, gains;
  double weights = 0, squares = 0, supported_low = 0;
  for (const LoggedChoice& row : rows) {
    out.logged += row.reward / static_cast<double>(rows.size());
    if (!row.supported) {
      ++out.unsupported;
      continue;
    }
    const double weight = weight_of(row);
    out.matched += row.same;
    out.clipped += row.same && 1 / std::max(row.propensity, 1e-9) > kWeightMax;
    weights += weight, squares += weight * weight;
    top.push_back(weight * row.reward);
    bottom.push_back(weight);
    robust.push_back(row.q_target + weight * (row.reward - row.q_logged));
    gains.push_back(robust.back() - row.reward);
    supported_low += robust.back();
  }
  out.identifiable = out.matched > 0 && out.unsupported == 0;
  out.snips = bootstrap_ratio(top, bottom, seed);
  out.doubly_robust = bootstrap_mean(robust, seed);
  out.gain = bootstrap_mean(gains, seed);
  out.effective_rows = squares > 0 ? weights * weights / squares : 0;
  if (!rows.empty()) {
    const double n = static_cast<double>(rows.size());
    out.lowest = supported_low / n;
    out.highest = (supported_low + static_cast<double>(out.unsupported)) / n;
  }
  return out;
}

LogValueReport value_log(const Policy& policy, const LogValueOptions& options) {
  const auto progress = [&](const char* stage, double done) {
    if (options.progress) options.progress(stage, done);
  };
  store::Reader reader(options.log);
  progress("read the grades", 0);
  const auto grades = read_grades(reader);
  LogValueReport report;
  report.by_words = !policy.dense.empty();
  report.policy_version = policy.version;
  std::vector<LoggedChoice> rows;
  Targets targets(policy);
  read_decisions(
      reader, options.since_us,
      [&](const store::Stored& stored) { take_decision(stored, grades, targets, report, rows); },
      [&](double done) { progress("decide again", 0.9 * done); });
  if (rows.empty()) throw std::runtime_error(options.log + ": " + why_empty(report));
  report.value = value_choices(rows, options.seed);
  progress("done", 1);
  return report;
}

std::string to_json(const LogValueReport& report) {
  using OrderedJson = nlohmann::ordered_json;
  const LogValue& value = report.value;
  const auto interval = [](const Interval& of) { return OrderedJson{of.mean, of.lo, of.hi}; };
  const OrderedJson out = {{"policy_version", version_text(report.policy_version)},
                           {"decisions", report.decisions},
                           {"ungraded", report.ungraded},
                           {"without_text", report.without_text},
                           {"unreadable", report.unreadable},
                           {"unknown", report.unknown},
                           {"rows", value.rows},
                           {"matched", value.matched},
                           {"unsupported", value.unsupported},
                           {"identifiable", value.identifiable},
                           {"effective_rows", value.effective_rows},
                           {"clipped", value.clipped},
                           {"logged", value.logged},
                           {"snips", interval(value.snips)},
                           {"doubly_robust", interval(value.doubly_robust)},
                           {"gain", interval(value.gain)},
                           {"bounds", {value.lowest, value.highest}}};
  return out.dump(1) + "\n";
}

void print(const LogValueReport& report, std::ostream& out) {
  const LogValue& value = report.value;
  const auto tell = [&](const char* what, const Interval& of) {
    out << what << 100 * of.mean << "% (95% " << 100 * of.lo << " to " << 100 * of.hi << ")\n";
  };
  out << report.decisions << " routed decisions, " << value.rows << " of them graded and readable ("
      << report.ungraded << " without a grade, " << report.without_text << " without text, "
      << report.unreadable + report.unknown << " that this policy cannot decide)\n"
      << std::fixed << std::setprecision(2) << "what was done scored      " << 100 * value.logged
      << "%\n";
  if (report.by_words)
    out << "the policy needs vectors, which the log does not keep: it is valued by words alone\n";
  if (value.matched == 0) {
    out << "NOT IDENTIFIABLE: the policy never chooses what was chosen, so the log says nothing "
           "about it; let the service explore (pools: \"explore\": 0.05)\n";
    return;
  }
  tell("this policy, SNIPS        ", value.snips);
  tell("this policy, doubly robust ", value.doubly_robust);
  tell("gain, doubly robust        ", value.gain);
  out << value.matched << " rows with the same choice, worth " << std::setprecision(1)
      << value.effective_rows << " unweighted ones; " << value.clipped << " weights clipped at "
      << kWeightMax << "\n";
  if (value.identifiable) return;
  out << "NOT IDENTIFIABLE on " << value.unsupported
      << " rows: another expert had probability 1 there, so the figures above are for the other "
         "rows only; over all rows the value lies between "
      << std::setprecision(2) << 100 * value.lowest << "% and " << 100 * value.highest
      << "%. Let the service explore to close the gap\n";
}

}  // namespace router
