// A newcomer joins the policy that runs, as a job: from graded answers of its own in uploaded
// outcome files (router/learn/newcomer.h). `?dry_run=1` says what there is to go by.
#include "http/admin.h"
#include "http/admin_doors.h"
#include "http/net_thread.h"
#include "http/policy_keeper.h"
#include "http/wishes.h"
#include "router/learn/newcomer.h"

namespace http {

namespace {

using Json = nlohmann::json;

class ProbeWish : public WishReader {
 public:
  ProbeWish(const Json& body, const AdminDoors& doors, const std::string& expert)
      : WishReader(doors) {
    std::vector<std::string> files;
    for (const auto& [name, value] : body.items()) {
      if (name == "outcomes")
        read_files(name, value, files);
      else if (name == "promote")
        read_flag(name, value, promote);
      else
        faults.push_back(name + ": unknown; a probe has outcomes and promote");
    }
    if (files.empty())
      faults.emplace_back("outcomes: names of uploaded files with graded answers of it, needed");
    for (const auto& file : files) add_outcomes(file, expert);
    const auto running = doors.policy();
    if (running->empty() || running->declared)
      faults.emplace_back("no learned policy runs that a newcomer could be added to; train one");
  }

  std::vector<router::ProbeOutcome> outcomes;
  bool promote = false;

 private:
  void add_outcomes(const std::string& path, const std::string& expert) {
    try {
      for (auto& outcome : router::read_probes(path, expert))
        outcomes.push_back(std::move(outcome));
    } catch (const std::runtime_error& error) {
      faults.emplace_back(error.what());
    }
  }
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

}  // namespace

void start_probe(Session& session) {
  const AdminDoors& doors = *session.thread().doors().admin;
  QueryFields query(session.request().query(), {"dry_run"});
  if (query.problem()) return fill(session.response(), *query.problem());
  Json body;
  if (!is_there(session, doors) || !read_wish(session, body)) return;
  const std::string expert = session.argument();
  ProbeWish wish(body, doors, expert);
  if (refuse_wish(session, wish.faults)) return;
  if (query.flag("dry_run"))
    return reply_json(session, {{"object", "skillyard.quote"},
                                {"outcomes", wish.outcomes.size()},
                                {"outcomes_needed", router::kProbesMin},
                                {"calls", 0},
                                {"cost_usd_max", 0}});
  const auto id = job_id(session, "probe");
  const PolicyKeeper keeper(session, id);
  start_job(
      session, id, body,
      [&doors, keeper, expert, outcomes = std::move(wish.outcomes),
       promote = wish.promote](const router::JobProgress& progress) {
        progress("fit", 0);
        const auto newcomer = router::add_newcomer(*doors.policy(), expert, outcomes);
        const router::Promotion gate = {
            true,
            "of the other experts nothing changes; this one is chosen only where it beats "
            "the default by more than a standard error of its probes"};
        return keeper.finish(newcomer.policy, {{"newcomer", json_of(newcomer)}}, gate, promote);
      });
}

}  // namespace http
