// Printing: the reports of train() and evaluate() for people and for programs.
#include <iomanip>
#include <nlohmann/json.hpp>
#include <ostream>
#include <sstream>

#include "router/learn/evaluate.h"
#include "router/learn/train.h"

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

Json row_json(const PolicyRow& row) {
  Json out;
  out["score"] = row.score;
  out["cost"] = optional_json(row.cost);
  out["gain"] = {row.gain.mean, row.gain.lo, row.gain.hi};
  out["shares"] = Json(row.shares);
  if (row.shares.empty()) out["shares"] = Json::object();
  out["apgr"] = optional_json(row.apgr);
  out["cpt50"] = optional_json(row.cpt50);
  out["cpt80"] = optional_json(row.cpt80);
  out["cpt95"] = optional_json(row.cpt95);
  out["aiq"] = optional_json(row.aiq);
  out["curve"] = Json::array();
  for (const CostPoint& point : row.curve) out["curve"].push_back({point.cost, point.score});
  return out;
}

}  // namespace

std::string to_json(const EvaluateReport& report) {
  Json out;
  out["rows"] = report.rows;
  for (const PolicyRow& row : report.policies) out["policies"][row.name] = row_json(row);
  if (!out["policies"].contains("cheapest")) {
    out["policies"]["cheapest"] = {
        {"score", nullptr}, {"cost", nullptr},  {"gain", nullptr},  {"shares", Json::object()},
        {"apgr", nullptr},  {"cpt50", nullptr}, {"cpt80", nullptr}, {"aiq", nullptr}};
  }
  out["experts"] = report.experts;
  out["left_out"] = report.left_out;
  out["best_single"] = report.best_single;
  out["rows_excluded"] = report.rows_excluded;
  out["rows_overlapping"] = report.rows_overlapping;
  out["headroom"] = report.headroom;
  out["abstained"] = report.abstained;
  out["calibration_error"] = report.calibration_error;
  for (const ReliabilityBin& bin : report.reliability)
    out["reliability"].push_back({bin.predicted, bin.observed, bin.count});
  for (const SkillRow& skill : report.skills) {
    out["skills"][skill.skill] = {{"rows", skill.rows},
                                  {"policy", skill.policy},
                                  {"best_single", skill.best_single},
                                  {"oracle", skill.oracle},
                                  {"favourite", skill.favourite},
                                  {"favourite_share", skill.favourite_share}};
  }
  out["regret_by_right"] = report.regret_by_right;
  out["rows_by_right"] = report.rows_by_right;
  return out.dump(1) + "\n";
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
      << "weights: skills " << std::setprecision(2) << report.blend[0] << ", similar queries "
      << report.blend[1] << ", direct " << report.blend[2] << "\n"
      << "expected gain over " << report.best_single << ": " << percent(report.gain[0]) << " (95% "
      << percent(report.gain[1]) << " to " << percent(report.gain[2]) << ")"
      << (report.guarded ? "; not to be trusted, so the guard keeps it" : "") << "\n";
  for (const Alarm& alarm : report.alarms) {
    out << "below chance: " << alarm.expert << " in " << alarm.skill << ": "
        << percent(alarm.score, 1) << " of " << alarm.outcomes << " where guessing gives "
        << percent(alarm.chance, 1) << "; check how these were graded\n";
  }
  out << "policy " << std::hex << report.policy_version << std::dec << ", "
      << report.policy_bytes / 1024 << " KiB, " << std::setprecision(1) << report.seconds << " s\n";
}

void print(const EvaluateReport& report, std::ostream& out) {
  if (report.rows_overlapping > 0) {
    out << "WARNING: " << report.rows_overlapping
        << " of these rows were used to train the policy; the figures flatter it\n";
  }
  out << report.rows << " rows, " << report.experts.size() << " experts; best single "
      << report.best_single << "\n\n"
      << "                 score      gain over best single (95%)      cost usd   apgr  cpt50  "
         "cpt80   aiq\n";
  auto cell = [&](const std::optional<double>& value, int width, int digits) {
    if (value)
      out << std::setw(width) << std::fixed << std::setprecision(digits) << *value;
    else
      out << std::setw(width) << "-";
  };
  for (const PolicyRow& row : report.policies) {
    out << std::left << std::setw(14) << row.name << std::right << std::setw(8)
        << percent(row.score) << "   " << std::setw(7) << percent(row.gain.mean) << " ("
        << percent(row.gain.lo) << " to " << percent(row.gain.hi) << ")";
    cell(row.cost, 14, 6), cell(row.apgr, 7, 3), cell(row.cpt50, 7, 3), cell(row.cpt80, 7, 3),
        cell(row.aiq, 6, 3);
    out << "\n";
  }
  out << "\nheadroom captured " << percent(report.headroom, 1) << ", guard kept the default on "
      << percent(report.abstained, 1) << ", calibration error " << std::setprecision(4)
      << report.calibration_error << "\n";
  for (const SkillRow& skill : report.skills) {
    out << "  " << std::left << std::setw(36) << skill.skill << std::right << std::setw(6)
        << skill.rows << "  policy " << std::setw(7) << percent(skill.policy, 1) << "  best single "
        << std::setw(7) << percent(skill.best_single, 1) << "  oracle " << std::setw(7)
        << percent(skill.oracle, 1) << "  " << skill.favourite << " "
        << percent(skill.favourite_share, 0) << "\n";
  }
}

}  // namespace router
