#include "router/learn/gate_log.h"

#include <cmath>
#include <fstream>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <ostream>
#include <sstream>
#include <stdexcept>
#include <vector>

#include "router/gate_record.h"
#include "router/learn/log_rows.h"
#include "router/learn/report.h"
#include "router/learn/retrieval_fit.h"

namespace router {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kFormat = "skillyard-gate-1";
constexpr double kGateWeightMax = 1e3;  // of a feature of 0..1: beyond it r is 0 or 1 anyway

double read_number(const Json& arm, const char* key, double min, double max) {
  const auto found = arm.find(key);
  if (found == arm.end() || !found->is_number()) throw std::runtime_error(key);
  const double value = found->get<double>();
  if (!(value >= min && value <= max)) throw std::runtime_error(key);
  return value;
}

RetrievalArm read_arm(const Json& json) {
  RetrievalArm arm;
  arm.helps = read_number(json, "helps", 0, 1);
  arm.spoils = read_number(json, "spoils", 0, 1);
  const auto weight = json.find("weight");
  if (weight == json.end() || !weight->is_array() || weight->size() != arm.weight.size())
    throw std::runtime_error("weight");
  for (std::size_t i = 0; i < arm.weight.size(); ++i) {
    const Json& value = (*weight)[i];
    if (!value.is_number() || !(std::abs(value.get<double>()) <= kGateWeightMax))
      throw std::runtime_error("weight");
    arm.weight[i] = value.get<double>();
  }
  return arm;
}

RetrievalModel read_model(const Json& json) {
  if (!json.is_object() || json.value("format", "") != kFormat) throw std::runtime_error("format");
  const auto arms = json.find("arms");
  if (arms == json.end() || !arms->is_array() || arms->size() != kPassages.size())
    throw std::runtime_error("arms");
  RetrievalModel model;
  for (std::size_t i = 0; i < kPassages.size(); ++i) {
    const Json& arm = (*arms)[i];
    if (!arm.is_object() || arm.value("passages", Json()) != kPassages[i])
      throw std::runtime_error("arms");
    model.arms[i] = read_arm(arm);
  }
  return model;
}

void take(const store::Stored& stored, const Grades& grades, GateLearnReport& report,
          std::vector<RetrievalRow>& rows) {
  const store::Decision& row = stored.row;
  if (row.gate.empty()) return;
  const auto grade = grades.find(row.id);
  if (grade == grades.end() || grade->second.weight <= 0) return;
  const auto record = decode_gate(row.gate);
  if (!record) return;
  const double score = grade->second.mean();
  ++report.decisions;
  if (record->choice.passages == 0) {
    ++report.alone;
    report.score_alone += score;
    return;
  }
  for (std::size_t i = 0; i < kPassages.size(); ++i) {
    if (record->choice.passages != kPassages[i]) continue;
    ++report.rows[i];
    const bool always = record->mode == RetrievalMode::always;
    report.drawn[i] += always || record->choice.propensity < 1;
    report.score[i] += score;
  }
  rows.push_back({.c0 = record->choice.c0,
                  .probe = record->probe,
                  .passages = record->choice.passages,
                  .score = score});
}

}  // namespace

std::string encode_gate(const RetrievalModel& model, std::size_t rows) {
  Json json = {{"format", kFormat}, {"rows", rows}, {"arms", Json::array()}};
  for (std::size_t i = 0; i < kPassages.size(); ++i) {
    const RetrievalArm& arm = model.arms[i];
    json["arms"].push_back({{"passages", kPassages[i]},
                            {"weight", arm.weight},
                            {"helps", arm.helps},
                            {"spoils", arm.spoils}});
  }
  return json.dump(2) + "\n";
}

RetrievalModel decode_gate_file(const std::string& text, const std::string& path) {
  try {
    return read_model(Json::parse(text, nullptr, false));
  } catch (const std::exception& error) {
    throw std::runtime_error("gate " + path + ": `" + error.what() +
                             "` is not as `skillyard learn-gate` writes it; make the file anew or "
                             "leave it out");
  }
}

RetrievalModel load_gate(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  if (!in || !(text << in.rdbuf())) throw std::runtime_error("gate " + path + ": cannot be read");
  return decode_gate_file(text.str(), path);
}

void save_gate(const RetrievalModel& model, std::size_t rows, const std::string& path) {
  write_file(path, encode_gate(model, rows));
}

GateLearnReport learn_gate(const GateLearnOptions& options) {
  GateLearnReport report;
  if (!options.gate.empty()) report.before = load_gate(options.gate);
  store::Reader reader(options.log);
  const Grades grades = read_grades(reader);
  std::vector<RetrievalRow> rows;
  read_decisions(
      reader, 0, [&](const store::Stored& stored) { take(stored, grades, report, rows); },
      [](double) {});
  if (rows.empty())
    throw std::runtime_error(options.log + ": none of " + std::to_string(report.decisions) +
                             " graded decisions that could look something up was shown passages; "
                             "set a pool's retrieval.mode to auto, with explore above 0");
  if (report.alone > 0) report.score_alone /= static_cast<double>(report.alone);
  for (std::size_t i = 0; i < kPassages.size(); ++i)
    if (report.rows[i] > 0) report.score[i] /= static_cast<double>(report.rows[i]);
  report.after = fit_retrieval(rows, report.before, RetrievalFitRules{});
  for (std::size_t i = 0; i < kPassages.size(); ++i) {
    report.learned[i] = report.drawn[i] >= options.rows_min;
    if (!report.learned[i]) report.after.arms[i] = report.before.arms[i];
  }
  save_gate(report.after, rows.size(), options.out);
  return report;
}

void print(const GateLearnReport& report, std::ostream& out) {
  out << report.decisions << " graded decisions could look something up\n"
      << std::fixed << std::setprecision(3) << "passages     rows  mean grade  helps (before)"
      << "   spoils (before)\n"
      << std::setw(8) << 0 << std::setw(9) << report.alone << std::setw(12) << report.score_alone
      << "\n";
  for (std::size_t i = 0; i < kPassages.size(); ++i)
    out << std::setw(8) << kPassages[i] << std::setw(9) << report.rows[i] << std::setw(12)
        << report.score[i] << std::setw(7) << report.after.arms[i].helps << " ("
        << report.before.arms[i].helps << ")" << std::setw(9) << report.after.arms[i].spoils << " ("
        << report.before.arms[i].spoils << ")\n";
  for (std::size_t i = 0; i < kPassages.size(); ++i)
    if (report.rows[i] > 0 && !report.learned[i])
      out << kPassages[i] << " shown: kept as before; only " << report.drawn[i]
          << " of its rows were drawn, the others are the gate's own choices, which say nothing "
             "about the rest. Set retrieval.explore above 0\n";
}

}  // namespace router
