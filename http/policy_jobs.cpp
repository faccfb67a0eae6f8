// Jobs that make a policy: training on uploaded outcomes, learning from the log. What they made is
// kept, compared with the policy that runs, and promoted only where that was asked for and the gate
// lets it through.
#include <chrono>
#include <filesystem>

#include "http/admin.h"
#include "http/admin_doors.h"
#include "http/net_thread.h"
#include "http/policy_keeper.h"
#include "http/records.h"
#include "http/wishes.h"
#include "router/learn/learn_log.h"
#include "router/learn/policy_diff.h"
#include "router/learn/train.h"

namespace http {

namespace fs = std::filesystem;

namespace {

using Json = nlohmann::json;

constexpr double kShareUsual = 0.8;  // of the rows: the others judge
constexpr std::chrono::seconds kFlushPatience{10};

bool is_learned(const router::Policy& policy) {
  return !policy.empty() && !policy.declared;
}

Json json_of(const router::TrainReport& report) {
  Json alarms = Json::array();
  for (const auto& alarm : report.alarms)
    alarms.push_back({{"skill", alarm.skill},
                      {"expert", alarm.expert},
                      {"outcomes", alarm.outcomes},
                      {"score", alarm.score},
                      {"chance", alarm.chance}});
  return {{"rows", report.rows},
          {"rows_read", report.rows_read},
          {"left_out", report.left_out},
          {"skill_accuracy", report.skill_accuracy},
          {"calibration_error", report.calibration_error},
          {"best_single", report.best_single},
          {"gain", {report.gain[0], report.gain[1], report.gain[2]}},
          {"guarded", report.guarded},
          {"vectors", report.vectors},
          {"vectors_help", report.vectors_help},
          {"gain_by_words", report.gain_by_words},
          {"alarms", std::move(alarms)}};
}

class TrainWish : public WishReader {
 public:
  TrainWish(const Json& body, const AdminDoors& doors)
      : WishReader(doors), running(doors.policy()) {
    if (is_learned(*running)) options.seed = running->seed;
    options.share = is_learned(*running) && running->share < 1 ? running->share : kShareUsual;
    options.encoder = running->dense.encoder;
    options.vectors = doors.vectors;
    for (const auto& [name, value] : body.items()) read(name, value);
    if (options.files.empty()) faults.emplace_back("outcomes: names of uploaded files, needed");
  }

  router::PolicyPtr running;
  router::TrainOptions options;
  bool promote = false;

 private:
  void read(const std::string& name, const Json& value) {
    if (name == "outcomes") {
      read_files(name, value, options.files);
    } else if (name == "experts") {
      read_names(name, value, options.experts);
    } else if (name == "share") {
      read_number(name, value, 0.01, 1, options.share);
    } else if (name == "seed") {
      read_integer(name, value, 0, INT64_MAX, options.seed);
    } else if (name == "limit") {
      read_integer(name, value, 0, INT64_MAX, options.limit);
    } else if (name == "encoder") {
      read_text(name, value, options.encoder);
    } else if (name == "promote") {
      read_flag(name, value, promote);
    } else {
      faults.push_back(
          name +
          ": unknown; training has outcomes, experts, share, seed, limit, encoder and promote");
    }
  }
};

class LearnWish : public WishReader {
 public:
  LearnWish(const Json& body, const AdminDoors& doors)
      : WishReader(doors), running(doors.policy()) {
    for (const auto& [name, value] : body.items()) {
      if (name == "outcomes")
        read_files(name, value, files);
      else if (name == "promote")
        read_flag(name, value, promote);
      else
        faults.push_back(name + ": unknown; learning has outcomes and promote");
    }
    if (files.empty())
      faults.emplace_back(
          "outcomes: names of the uploaded files that the running policy was trained on, needed");
    if (!is_learned(*running))
      faults.emplace_back("no learned policy runs that could be carried on; train one first");
  }

  router::PolicyPtr running;
  std::vector<std::string> files;
  bool promote = false;
};

/// On the rows that training left out. What cannot be compared does not pass.
router::Promotion compare(const router::Policy& running, const router::Policy& fresh,
                          const router::TrainOptions& training, const router::JobProgress& progress,
                          Json& told) {
  if (!is_learned(running)) return {true, "nothing was learned before that could be lost"};
  if (training.share >= 1)
    return {false, "trained on every row, so none is left to compare on: `share` below 1"};
  router::EvaluateOptions judging;
  judging.files = training.files;
  judging.share = training.share;
  judging.seed = training.seed;
  judging.held_out_part = true;
  judging.vectors = training.vectors;
  judging.progress = progress;
  try {
    const auto diff = router::diff_policies(running, fresh, judging);
    told = Json::parse(router::to_json(diff));
    return router::judge_promotion(*diff.replay);
  } catch (const router::JobCancelled&) {
    throw;
  } catch (const std::runtime_error& error) {
    return {false, std::string("it cannot be compared with the running one: ") + error.what()};
  }
}

}  // namespace

void start_training(Session& session) {
  Json body;
  if (!read_wish(session, body)) return;
  const TrainWish wish(body, admin_doors(session));
  if (refuse_wish(session, wish.faults)) return;
  const auto id = job_id(session, "train");
  const PolicyKeeper keeper(session, id);
  start_job(session, id, body, [=](const router::JobProgress& progress) {
    router::TrainOptions options = wish.options;
    options.progress = progress;
    router::PolicyPtr fresh;
    const auto trained = router::train(options, &fresh);
    Json report = {{"trained", json_of(trained)}, {"comparison", nullptr}};
    const auto gate = compare(*wish.running, *fresh, options, progress, report["comparison"]);
    return keeper.finish(*fresh, std::move(report), gate, wish.promote);
  });
}

void start_learning(Session& session) {
  Json body;
  if (!read_wish(session, body)) return;
  const AdminDoors& doors = admin_doors(session);
  const LearnWish wish(body, doors);
  if (refuse_wish(session, wish.faults)) return;
  const auto id = job_id(session, "learn");
  const PolicyKeeper keeper(session, id);
  auto* journal = &session.thread().doors().records->journal();
  start_job(session, id, body,
            [=, out = (fs::path(doors.policies_dir) / ("." + id)).string(), log = doors.log_path,
             vectors = doors.vectors](const router::JobProgress& progress) {
              journal->flush(std::chrono::steady_clock::now() + kFlushPatience);
              router::LearnOptions options;
              options.log = log;
              options.files = wish.files;
              options.policy = keeper.file_of(keeper.keep(*wish.running)).string();
              options.out = out;
              options.vectors = vectors;
              options.progress = progress;
              router::PolicyPtr fresh;
              const auto learned = router::learn_from_log(options, &fresh);
              fs::remove(out);
              Json report = {{"graded", learned.graded},
                             {"left_out", learned.left_out},
                             {"trained", json_of(learned.trained)},
                             {"comparison", Json::parse(router::to_json(learned.diff))}};
              return keeper.finish(*fresh, std::move(report), {learned.promoted, learned.why},
                                   wish.promote);
            });
}

}  // namespace http
