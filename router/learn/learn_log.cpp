#include "router/learn/learn_log.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iomanip>
#include <map>
#include <nlohmann/json.hpp>
#include <ostream>
#include <sstream>
#include <stdexcept>

#include "router/gate_record.h"
#include "router/learn/log_rows.h"
#include "router/learn/outcomes.h"
#include "router/learn/report.h"

namespace router {
namespace {

namespace fs = std::filesystem;

/// A folder beside the policy for the log's rows, gone when its user is done, however that happens.
/// The file in it has the same name always: a policy remembers the names of its sources.
struct Scratch {
  fs::path folder;

  explicit Scratch(const std::string& out) : folder(out + ".learning") {
    std::error_code failed;
    fs::create_directories(folder, failed);
    if (failed) throw std::runtime_error("cannot write beside " + out + ": " + failed.message());
  }

  ~Scratch() {
    std::error_code ignored;
    fs::remove_all(folder, ignored);
  }

  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  std::string file() const { return (folder / "log.jsonl").string(); }
};

bool knows(const Policy& policy, const std::string& expert) {
  return std::any_of(policy.experts.begin(), policy.experts.end(),
                     [&](const PolicyExpert& known) { return known.name == expert; });
}

/// What an expert knows alone is learned from answers that it gave alone.
bool saw_passages(const store::Decision& row) {
  if (row.gate.empty()) return false;
  const auto record = decode_gate(row.gate);
  return record && record->choice.passages > 0;
}

bool has_faded(const store::Decision& row, std::int64_t newest_us, double half_life_days) {
  constexpr double kUsPerDay = 86'400e6;
  if (half_life_days <= 0) return false;
  const double days = static_cast<double>(newest_us - row.unix_us) / kUsPerDay;
  return split_point(hash_of_id(row.id), 0) >= std::exp2(-std::max(0.0, days) / half_life_days);
}

/// The graded decisions as an outcome file, in the order of their ids.
std::string read_rows(const Policy& policy, const LearnOptions& options, LearnReport& report) {
  store::Reader reader(options.log);
  const Grades grades = read_grades(reader);
  std::map<std::string, std::string> lines;
  std::int64_t newest_us = 0;
  const auto take = [&](const store::Stored& stored) {
    const store::Decision& row = stored.row;
    newest_us = std::max(newest_us, row.unix_us);
    const auto grade = grades.find(row.id);
    if (grade == grades.end() || grade->second.weight <= 0) return;
    if (row.text.empty() || !knows(policy, row.expert) || saw_passages(row)) {
      ++report.left_out;
      return;
    }
    if (has_faded(row, newest_us, options.half_life_days)) {
      ++report.faded;
      return;
    }
    nlohmann::ordered_json line = {{"id", row.id}, {"text", row.text}};
    line["outcomes"][row.expert] = {{"score", grade->second.mean()}};
    lines[row.id] = line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  };
  read_decisions(reader, 0, take, [](double) {});
  report.graded = lines.size();
  std::string out;
  for (const auto& [id, line] : lines) out += line;
  return out;
}

void refuse_unlearnable(const Policy& old, const LearnOptions& options) {
  if (old.share >= 1)
    throw std::runtime_error(options.policy +
                             " was trained on every row, so none is left to compare with: train it "
                             "with --share 0.8 first");
  if (fs::exists(options.out) && fs::equivalent(options.out, options.policy))
    throw std::runtime_error("--out must be another file than --policy: the old one is kept");
}

}  // namespace

Promotion judge_promotion(const ReplayDiff& replay) {
  const std::size_t worse = replay.worse(kLearnSkillRowsMin);
  std::ostringstream why;
  why << std::fixed << std::setprecision(2) << "gain " << 100 * replay.gain.mean << " points (95% "
      << 100 * replay.gain.lo << " to " << 100 * replay.gain.hi << ", allowed is "
      << -100 * kLearnLossMax << " and above), " << worse << " skills significantly worse";
  return {replay.gain.lo >= -kLearnLossMax && worse == 0, why.str()};
}

LearnReport learn_from_log(const LearnOptions& options, PolicyPtr* made) {
  LearnReport report;
  const PolicyPtr old = load_policy(options.policy);
  refuse_unlearnable(*old, options);
  if (options.progress) options.progress("read the log", 0);
  const std::string rows = read_rows(*old, options, report);
  if (report.graded == 0)
    throw std::runtime_error(options.log +
                             ": no decision can be learned from; they need feedback, their text "
                             "(store.keep_text) and an expert of the policy (" +
                             std::to_string(report.left_out) +
                             " graded ones lack one of the last two, or saw passages)");
  if (!options.rows.empty()) write_file(options.rows, rows);
  const Scratch scratch(options.out);
  write_file(scratch.file(), rows);
  TrainOptions training;
  training.files = options.files;
  training.files.push_back(scratch.file());
  for (const PolicyExpert& expert : old->experts) training.experts.push_back(expert.name);
  training.seed = old->seed;
  training.share = old->share;
  training.encoder = old->dense.encoder;
  training.vectors = options.vectors;
  training.progress = options.progress;
  PolicyPtr fresh;
  report.trained = train(training, &fresh);
  EvaluateOptions judging;
  judging.files = options.files;
  judging.held_out_part = true;
  judging.vectors = options.vectors;
  judging.progress = options.progress;
  report.diff = diff_policies(*old, *fresh, judging);
  const Promotion promotion = judge_promotion(*report.diff.replay);
  report.promoted = promotion.passes;
  report.why = promotion.why;
  if (report.promoted) {
    Policy written = *fresh;
    save_policy(written, options.out);
  }
  if (made != nullptr) *made = fresh;
  return report;
}

void print(const LearnReport& report, std::ostream& out) {
  out << report.graded << " graded decisions of the log became rows";
  if (report.left_out > 0)
    out << " (" << report.left_out
        << " graded ones have no text, an expert not in the policy, or saw passages)";
  if (report.faded > 0) out << ", " << report.faded << " faded with age";
  out << "; trained on " << report.trained.rows << " rows\n";
  print(report.diff, out);
  out << "\n"
      << (report.promoted ? "promoted" : "NOT PROMOTED, nothing was written") << ": " << report.why
      << "\n";
}

}  // namespace router
