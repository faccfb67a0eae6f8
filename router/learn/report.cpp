#include "router/learn/report.h"

#include <fstream>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <ostream>
#include <sstream>
#include <stdexcept>

#include "router/learn/loads.h"
#include "router/version_text.h"

namespace router {
namespace {

using Json = nlohmann::ordered_json;

Json optional_json(const std::optional<double>& value) {
  return value ? Json(*value) : Json(nullptr);
}

std::string percent(double share, int digits = 2) {
  std::ostringstream out;
  out << std::fixed << std::setprecision(digits) << 100 * share << "%";
  return out.str();
}

/// RFC 4180: quoted where it must be. A leading = + - @ would be a formula to a spreadsheet.
std::string csv_text(const std::string& text) {
  const bool formula = !text.empty() && std::string_view("=+-@").find(text[0]) != text.npos;
  if (!formula && text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = formula ? "\"'" : "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + "\"";
}

Json json_of(const std::vector<CostPoint>& points) {
  Json out = Json::array();
  for (const CostPoint& point : points) out.push_back({point.cost, point.score});
  return out;
}

Json json_of(const Interval& interval) {
  return {interval.mean, interval.lo, interval.hi};
}

Json row_json(const PolicyRow& row) {
  Json out;
  out["score"] = row.score;
  out["cost"] = optional_json(row.cost);
  if (row.calls) out["calls"] = *row.calls;
  if (row.flip_rate) out["flip_rate"] = *row.flip_rate;
  if (row.flip_gain) out["flip_gain"] = *row.flip_gain;
  out["gain"] = json_of(row.gain);
  out["shares"] = Json(row.shares);
  if (row.shares.empty()) out["shares"] = Json::object();
  out["apgr"] = optional_json(row.apgr);
  out["cpt50"] = optional_json(row.cpt50);
  out["cpt80"] = optional_json(row.cpt80);
  out["cpt95"] = optional_json(row.cpt95);
  out["aiq"] = optional_json(row.aiq);
  if (row.loads) {
    out["loads_per_1000"] = *row.loads;
    out["loads_per_1000_collated"] = *row.loads_collated;
  }
  out["curve"] = json_of(row.curve);
  if (!row.recovered.empty()) out["recovered"] = json_of(row.recovered);
  out["agreement"] = optional_json(row.agreement);
  return out;
}

}  // namespace

void write_file(const std::string& path, const std::string& bytes) {
  std::ofstream out(path, std::ios::binary);
  out << bytes;
  if (!out.flush())
    throw std::runtime_error("cannot write " + path + ": is there such a folder, and room?");
}

std::string to_json(const EvaluateReport& report) {
  Json out;
  out["rows"] = report.rows;
  out["source"] = report.source;
  out["policy_version"] = version_text(report.policy_version);
  out["seed"] = report.seed;
  for (const PolicyRow& row : report.policies) out["policies"][row.name] = row_json(row);
  if (!out["policies"].contains("cheapest")) {
    out["policies"]["cheapest"] = {
        {"score", nullptr}, {"cost", nullptr},  {"gain", nullptr},  {"shares", Json::object()},
        {"apgr", nullptr},  {"cpt50", nullptr}, {"cpt80", nullptr}, {"aiq", nullptr}};
  }
  out["experts"] = report.experts;
  out["left_out"] = report.left_out;
  out["notes"] = report.notes;
  out["best_single"] = report.best_single;
  out["strong"] = report.strong;
  out["weak"] = report.weak;
  out["rows_excluded"] = report.rows_excluded;
  out["rows_overlapping"] = report.rows_overlapping;
  out["headroom"] = report.headroom;
  out["abstained"] = report.abstained;
  out["calibration_error"] = report.calibration_error;
  for (const ReliabilityBin& bin : report.reliability)
    out["reliability"].push_back({bin.predicted, bin.observed, bin.count});
  for (std::size_t i = 0; i < report.skills.size(); ++i) {
    const SkillRow& skill = report.skills[i];
    Json& to = out["skills"][skill.skill];
    to = {{"rows", skill.rows},
          {"policy", skill.policy},
          {"best_single", skill.best_single},
          {"oracle", skill.oracle},
          {"gain", json_of(skill.gain)},
          {"favourite", skill.favourite},
          {"favourite_share", skill.favourite_share}};
    for (const PolicyRow& row : report.policies) to["score"][row.name] = row.skill_score[i];
  }
  for (const ExpertRow& expert : report.alone) {
    out["alone"][expert.expert] = {{"score", expert.score},
                                   {"cost", optional_json(expert.cost)},
                                   {"share", expert.share},
                                   {"score_chosen", expert.score_chosen}};
  }
  out["regret_by_right"] = report.regret_by_right;
  out["rows_by_right"] = report.rows_by_right;
  out["near_misses"] = {{"lost", report.near_misses.lost},
                        {"near", report.near_misses.near},
                        {"gap", report.near_misses.gap},
                        {"examples", report.near_misses.examples}};
  for (const FlipRow& flip : report.flips) {
    out["rewordings"][flip.name] = {
        {"changed", flip.changed}, {"flipped", flip.flipped}, {"score", flip.score}};
  }
  out["agreement"] = {{"names", report.agreement_names}, {"same", report.agreement}};
  return out.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

void print(const TrainReport& report, std::ostream& out) {
  out << "trained on " << report.rows << " of " << report.rows_read << " rows, "
      << report.experts.size() << " experts, " << report.skills.size() << " skills\n";
  if (!report.left_out.empty()) {
    out << "left out (outcomes for less than half of the rows):";
    for (const std::string& name : report.left_out) out << " " << name;
    out << "\n";
  }
  for (const TrainReport::Expert& e : report.experts) {
    out << "  " << std::left << std::setw(40) << e.name << std::right << std::setw(8)
        << percent(e.score) << "  " << e.outcomes << " outcomes";
    if (e.cost_usd >= 0) out << "  " << e.cost_usd << " usd";
    out << "\n";
  }
  out << "skill of a held-out query named right: " << percent(report.skill_accuracy, 1) << "\n"
      << "calibration error of p_correct, held out: " << std::fixed << std::setprecision(4)
      << report.calibration_error << "\n"
      << "expected gain over " << report.best_single << ": " << percent(report.gain[0]) << " (95% "
      << percent(report.gain[1]) << " to " << percent(report.gain[2]) << ")"
      << (report.guarded ? "; not to be trusted, so the guard keeps it" : "") << "\n";
  if (report.vectors > 0 && report.vectors_help)
    out << "with the vectors of " << report.vectors
        << " rows; queries without theirs: " << percent(report.gain_by_words)
        << " (0: the guard keeps the default)\n";
  if (report.vectors > 0 && !report.vectors_help)
    out << "the vectors of " << report.vectors
        << " rows say nothing that the words do not: the policy does without\n";
  if (report.unseen.domains > 0) {
    out << "in " << report.unseen.domains
        << " domains that were held out in turn: " << percent(report.unseen.gain.mean) << " (95% "
        << percent(report.unseen.gain.lo) << " to " << percent(report.unseen.gain.hi)
        << ") over the expert that is best elsewhere\n";
    for (const std::string& domain : report.unseen.worse)
      out << "  worse than that expert when unseen: " << domain << "\n";
  }
  for (const Alarm& alarm : report.alarms) {
    out << "below chance: " << alarm.expert << " in " << alarm.skill << ": "
        << percent(alarm.score, 1) << " of " << alarm.outcomes << " where guessing gives "
        << percent(alarm.chance, 1) << "; check how these were graded\n";
  }
  out << "policy " << version_text(report.policy_version) << ", " << report.policy_bytes / 1024
      << " KiB, " << std::setprecision(1) << report.seconds << " s\n";
}

std::string to_csv(const EvaluateReport& report) {
  std::ostringstream out;
  out << std::setprecision(10)
      << "policy,skill,rows,score,cost_usd,gain,gain_lo,gain_hi,apgr,cpt50,cpt80,cpt95,aiq\r\n";
  const auto cell = [&](const std::optional<double>& value) {
    out << ',';
    if (value) out << *value;
  };
  for (const PolicyRow& row : report.policies) {
    out << csv_text(row.name) << ",," << report.rows << ',' << row.score;
    cell(row.cost), cell(row.gain.mean), cell(row.gain.lo), cell(row.gain.hi), cell(row.apgr);
    cell(row.cpt50), cell(row.cpt80), cell(row.cpt95), cell(row.aiq);
    out << "\r\n";
  }
  for (std::size_t i = 0; i < report.skills.size(); ++i) {
    const SkillRow& skill = report.skills[i];
    for (const PolicyRow& row : report.policies) {
      out << csv_text(row.name) << ',' << csv_text(skill.skill) << ',' << skill.rows << ','
          << row.skill_score[i] << ",," << row.skill_score[i] - skill.best_single << ',';
      if (row.name == "policy")
        out << skill.gain.lo << ',' << skill.gain.hi;
      else
        out << ',';
      out << ",,,,,\r\n";
    }
  }
  return out.str();
}

void print(const EvaluateReport& report, std::ostream& out) {
  if (report.rows_overlapping > 0) {
    out << "WARNING: " << report.rows_overlapping
        << " of these rows were used to train the policy; the figures flatter it\n";
  }
  out << report.rows << " rows, " << report.experts.size() << " experts; best single "
      << report.best_single << "\n\n"
      << "                       score      gain over best single (95%)      cost usd   apgr  "
         "cpt50  cpt80   aiq  same\n";
  auto cell = [&](const std::optional<double>& value, int width, int digits) {
    if (value)
      out << std::setw(width) << std::fixed << std::setprecision(digits) << *value;
    else
      out << std::setw(width) << "-";
  };
  for (const PolicyRow& row : report.policies) {
    out << std::left << std::setw(20) << row.name << std::right << std::setw(8)
        << percent(row.score) << "   " << std::setw(7) << percent(row.gain.mean) << " ("
        << percent(row.gain.lo) << " to " << percent(row.gain.hi) << ")";
    cell(row.cost, 14, 6), cell(row.apgr, 7, 3), cell(row.cpt50, 7, 3), cell(row.cpt80, 7, 3),
        cell(row.aiq, 6, 3), cell(row.agreement, 6, 2);
    if (row.calls) out << "  " << std::setprecision(2) << *row.calls << " calls";
    if (row.loads) {
      out << "  " << std::setprecision(0) << *row.loads << " loads per 1,000 queries, "
          << *row.loads_collated << " when answered " << kQueriesTogether << " together";
    }
    if (row.flip_gain)
      out << std::setprecision(1) << ", " << 100 * *row.flip_rate << "% flipped for "
          << std::showpos << 100 * *row.flip_gain << std::noshowpos << " points each";
    out << "\n";
  }
  for (const std::string& note : report.notes) out << note << "\n";
  out << "\nheadroom captured " << percent(report.headroom, 1) << ", guard kept the default on "
      << percent(report.abstained, 1) << ", calibration error " << std::setprecision(4)
      << report.calibration_error << "\nlost rows " << report.near_misses.lost << ", of these "
      << report.near_misses.near << " near misses (a better expert within " << percent(kNearMiss, 0)
      << " of the chosen one's estimate)\n\n"
      << "expert                                       alone    chosen  score when chosen\n";
  for (const ExpertRow& expert : report.alone) {
    out << "  " << std::left << std::setw(40) << expert.expert << std::right << std::setw(8)
        << percent(expert.score, 1) << std::setw(10) << percent(expert.share, 1);
    if (expert.share > 0) out << std::setw(19) << percent(expert.score_chosen, 1);
    out << "\n";
  }
  if (!report.flips.empty())
    out << "\nreworded             rows changed   of these flipped   score of all rows\n";
  for (const FlipRow& flip : report.flips) {
    out << "  " << std::left << std::setw(18) << flip.name << std::right << std::setw(13)
        << percent(flip.changed, 1) << std::setw(19) << percent(flip.flipped, 1) << std::setw(20)
        << percent(flip.score) << "\n";
  }
  out << "\nskill                                  rows   policy   best single   oracle   gain "
         "(95%)\n";
  for (const SkillRow& skill : report.skills) {
    out << "  " << std::left << std::setw(34) << skill.skill << std::right << std::setw(7)
        << skill.rows << std::setw(9) << percent(skill.policy, 1) << std::setw(14)
        << percent(skill.best_single, 1) << std::setw(9) << percent(skill.oracle, 1) << std::setw(8)
        << percent(skill.gain.mean, 1) << " (" << percent(skill.gain.lo, 1) << " to "
        << percent(skill.gain.hi, 1) << ")  " << skill.favourite << " "
        << percent(skill.favourite_share, 0) << "\n";
  }
  out << "\nestimate against outcome (share of the pairs of row and expert):\n";
  double pairs = 0;
  for (const ReliabilityBin& bin : report.reliability) pairs += static_cast<double>(bin.count);
  for (const ReliabilityBin& bin : report.reliability) {
    if (bin.count == 0) continue;
    out << "  " << std::setw(7) << percent(bin.predicted, 1) << " estimated " << std::setw(7)
        << percent(bin.observed, 1) << " right  ("
        << percent(static_cast<double>(bin.count) / pairs, 1) << ")\n";
  }
}

}  // namespace router
