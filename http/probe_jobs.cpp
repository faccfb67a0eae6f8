// A newcomer joins the policy that runs, as a job: by its answers to graded questions, which the
// service puts to it (router/interview.h), and by graded answers that were uploaded
// (router/learn/newcomer.h). `?dry_run=1` says what that takes and costs.
#include "http/admin.h"
#include "http/admin_doors.h"
#include "http/net_thread.h"
#include "http/policy_keeper.h"
#include "http/wishes.h"
#include "router/interview.h"
#include "router/learn/newcomer.h"

namespace http {

namespace {

using Json = nlohmann::json;

constexpr std::int64_t kPerSkillMax = 10'000;
constexpr std::int64_t kCallsMax = 1'000'000;
constexpr std::int64_t kProbeTokensMax = 1'000'000;
constexpr int kConcurrencyMax = 64;
constexpr double kUsdMax = 1e6;
constexpr double kMicro = 1e6;

/// What is asked for: uploaded answers, questions to put, or both.
class ProbeWish : public WishReader {
 public:
  ProbeWish(const Json& body, const AdminDoors& doors, std::string name)
      : WishReader(doors), expert(std::move(name)) {
    task.options.experts = {expert};
    for (const auto& [field, value] : body.items()) read(field, value);
    const auto why = router::why_not_new(*doors.policy(), expert);
    if (!why.empty()) faults.push_back(why);
    for (const auto& file : answered_) add_outcomes(file);
    for (const auto& file : asked_) add_questions(file);
    if (!asked_.empty() && faults.empty()) price();
    if (faults.empty()) check_count();
  }

  const std::string expert;
  std::vector<router::ProbeOutcome> outcomes;
  router::InterviewTask task;
  router::InterviewQuote quote;  // of `task`; nothing when nobody is asked
  double cost_usd = 0;           // expected; quote.cost_usd_max is the most
  bool promote = false;

 private:
  void read(const std::string& field, const Json& value) {
    if (field == "outcomes") {
      read_files(field, value, answered_);
    } else if (field == "questions") {
      read_files(field, value, asked_);
    } else if (field == "skills") {
      read_names(field, value, task.options.skills);
    } else if (field == "per_skill") {
      read_integer(field, value, 1, kPerSkillMax, task.options.per_skill);
    } else if (field == "calls") {
      read_integer(field, value, 1, kCallsMax, task.options.calls_max);
    } else if (field == "seed") {
      read_integer(field, value, 0, INT64_MAX, task.options.seed);
    } else if (field == "tokens") {
      read_integer(field, value, 1, kProbeTokensMax, task.tokens_max);
    } else if (field == "concurrency") {
      read_integer(field, value, 1, kConcurrencyMax, task.concurrency_max);
    } else if (field == "max_cost_usd") {
      double usd = 0;
      read_number(field, value, 0, kUsdMax, usd);
      task.cost_microusd_max = static_cast<std::int64_t>(usd * kMicro);
    } else if (field == "promote") {
      read_flag(field, value, promote);
    } else {
      faults.push_back(field +
                       ": unknown; a probe has questions, outcomes, skills, per_skill, calls, "
                       "seed, tokens, concurrency, max_cost_usd and promote");
    }
  }

  void add_outcomes(const std::string& path) {
    try {
      for (auto& outcome : router::read_probes(path, expert))
        outcomes.push_back(std::move(outcome));
    } catch (const std::runtime_error& error) {
      faults.emplace_back(error.what());
    }
  }

  void add_questions(const std::string& path) {
    try {
      for (auto& question : router::read_questions(path).questions)
        task.questions.push_back(std::move(question));
    } catch (const std::runtime_error& error) {
      faults.emplace_back(error.what());
    }
  }

  void price() {
    if (doors_.status(expert).value("state", "") == "disabled") {
      faults.emplace_back(
          "the expert is disabled, so it cannot be asked; enable it at stage `shadow`, where no "
          "client reaches it through a pool");
      return;
    }
    try {
      quote = doors_.quote(task);
      router::InterviewTask usual = task;
      usual.tokens_max = std::min(task.tokens_max, tokens_usual());
      cost_usd = doors_.quote(usual).cost_usd_max;
    } catch (const std::runtime_error& error) {
      faults.emplace_back(error.what());
    }
  }

  /// How long the replies of those that the policy knows are, on average.
  int tokens_usual() const {
    const auto policy = doors_.policy();
    double sum = 0;
    for (const auto& known : policy->experts) sum += static_cast<double>(known.tokens_out);
    return static_cast<int>(sum / static_cast<double>(policy->experts.size())) + 1;
  }

  void check_count() {
    const auto hoped_for = outcomes.size() + quote.calls;
    if (hoped_for >= router::kProbesMin) return;
    faults.push_back("at least " + std::to_string(router::kProbesMin) +
                     " graded answers of it are needed, these are " + std::to_string(hoped_for) +
                     ": `questions` names uploaded files of questions to put to it, `outcomes` "
                     "files with answers");
  }

  std::vector<std::string> answered_, asked_;  // paths
};

Json json_of(const router::Newcomer& newcomer) {
  Json skills = Json::array();
  for (const auto& skill : newcomer.skills)
    skills.push_back({{"skill", skill.skill},
                      {"outcomes", skill.outcomes},
                      {"rate", skill.rate},
                      {"error", skill.error}});
  return {{"raw", newcomer.raw},
          {"mean", newcomer.mean},
          {"error", newcomer.error},
          {"skills", std::move(skills)}};
}

bool is_there(Session& session, const AdminDoors& doors) {
  for (const auto& shown : doors.list("experts"))
    if (shown.name == session.argument()) return true;
  reply_problem(session, Fault::no_such_row, "there is no experts/" + session.argument(), "name");
  return false;
}

void reply_quote(Session& session, const ProbeWish& wish) {
  reply_json(session, {{"object", "skillyard.quote"},
                       {"outcomes", wish.outcomes.size()},
                       {"outcomes_needed", router::kProbesMin},
                       {"skills", wish.quote.skills},
                       {"calls", wish.quote.calls},
                       {"cost_usd", wish.cost_usd},
                       {"cost_usd_max", wish.quote.cost_usd_max}});
}

/// Puts the questions, adds what was answered to `outcomes`, and keeps it as an outcome file: also
/// when the job was cancelled, for it was paid for.
Json ask(const AdminDoors& doors, const router::InterviewTask& task, const std::string& id,
         const router::JobProgress& progress, std::vector<router::ProbeOutcome>& outcomes) {
  bool cancelled = false;
  const auto go_on = [&](std::size_t done, std::size_t calls) {
    try {
      progress("ask", static_cast<double>(done) / static_cast<double>(calls));
    } catch (const router::JobCancelled&) {
      cancelled = true;
    }
    return !cancelled;
  };
  const auto report = doors.interview(task, go_on);
  const auto file = id + ".jsonl";
  if (!report.said.empty()) keep_outcomes(doors, file, outcome_lines(task, report));
  if (cancelled) throw router::JobCancelled();
  for (const auto& said : report.said) {
    router::ProbeOutcome outcome;
    outcome.text = task.questions[said.question].text;
    outcome.score = said.graded.score;
    if (said.cost_microusd >= 0)
      outcome.cost_usd = static_cast<float>(static_cast<double>(said.cost_microusd) / kMicro);
    outcome.latency_ms = static_cast<float>(said.latency_ms);
    outcome.tokens_out = static_cast<std::int32_t>(said.tokens_out);
    outcomes.push_back(std::move(outcome));
  }
  if (outcomes.size() < router::kProbesMin && report.failed[0] > 0)
    throw std::runtime_error("of " + std::to_string(report.calls) + " calls " +
                             std::to_string(report.failed[0]) +
                             " failed, the first: " + report.errors[0]);
  return {{"calls", report.calls},
          {"answered", report.said.size()},
          {"failed", report.failed[0]},
          {"error", report.errors[0].empty() ? Json() : Json(report.errors[0])},
          {"cost_usd", static_cast<double>(report.cost_microusd) / kMicro},
          {"stopped", report.stopped},
          {"outcomes", report.said.empty() ? Json() : Json(file)}};
}

}  // namespace

void start_probe(Session& session) {
  const AdminDoors& doors = admin_doors(session);
  QueryFields query(session.request().query(), {"dry_run"});
  if (query.problem()) return fill(session.response(), *query.problem());
  Json body;
  if (!is_there(session, doors) || !read_wish(session, body)) return;
  const ProbeWish wish(body, doors, session.argument());
  if (refuse_wish(session, wish.faults)) return;
  if (query.flag("dry_run")) return reply_quote(session, wish);
  const auto id = job_id(session, "probe");
  const PolicyKeeper keeper(session, id);
  start_job(session, id, body, [&doors, keeper, id, wish](const router::JobProgress& progress) {
    auto outcomes = wish.outcomes;
    Json report = {{"asked", nullptr}};
    if (wish.quote.calls > 0) report["asked"] = ask(doors, wish.task, id, progress, outcomes);
    progress("fit", 0);
    const auto newcomer = router::add_newcomer(*doors.policy(), wish.expert, outcomes);
    report["newcomer"] = json_of(newcomer);
    const router::Promotion gate = {
        true,
        "of the other experts nothing changes; this one is chosen only where it beats "
        "the default by more than a standard error of its probes"};
    return keeper.finish(newcomer.policy, std::move(report), gate, wish.promote);
  });
}

}  // namespace http
