// Evaluation runs: outcome files, and jobs that judge a policy on them.
#include <algorithm>
#include <filesystem>
#include <fstream>

#include "http/admin.h"
#include "http/admin_doors.h"
#include "http/ids.h"
#include "http/net_thread.h"
#include "router/learn/eval_jobs.h"
#include "router/learn/gate_expression.h"

namespace http {

namespace fs = std::filesystem;

namespace {

using Json = nlohmann::json;

constexpr std::size_t kFilesMax = 64;  // of one run
constexpr std::size_t kNamesMax = 1'000;
constexpr std::size_t kFileNameBytesMax = 100;
constexpr int kPage = 100;

const AdminDoors& doors_of(Session& session) {
  return *session.thread().doors().admin;
}

/// A plain file name: no folder, nothing hidden.
bool is_file_name(const std::string& name) {
  constexpr std::string_view kAllowed =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
  return !name.empty() && name.size() <= kFileNameBytesMax && name[0] != '.' &&
         name.find_first_not_of(kAllowed) == std::string::npos;
}

/// What is wanted of a run; faults are told all at once.
class Wish {
 public:
  Wish(const Json& body, const AdminDoors& doors) : doors_(doors) {
    if (!body.is_object()) {
      faults.emplace_back("the body must be an object");
      return;
    }
    for (const auto& [name, value] : body.items()) read(name, value);
    if (job.options.files.empty()) faults.emplace_back("outcomes: names of uploaded files, needed");
    if (!body.contains("policy")) job.policy = doors_.policy();
    if (job.policy && job.policy->empty())
      faults.emplace_back("policy: none is running; name an uploaded one");
  }

  router::EvalJob job;
  std::vector<std::string> faults;

 private:
  void read(const std::string& name, const Json& value) {
    auto& options = job.options;
    if (name == "outcomes") {
      read_files(value);
    } else if (name == "policy") {
      read_policy(value);
    } else if (name == "experts") {
      read_names(name, value, options.experts);
    } else if (name == "exclude_domain") {
      read_text(name, value, options.exclude_domain);
    } else if (name == "strong") {
      read_text(name, value, options.strong);
    } else if (name == "weak") {
      read_text(name, value, options.weak);
    } else if (name == "share") {
      read_number(name, value, 0, 1, options.share);
    } else if (name == "part") {
      options.held_out_part = value == "test";
      if (value != "test" && value != "all") faults.emplace_back("part: must be all or test");
    } else if (name == "seed") {
      read_integer(name, value, 0, INT64_MAX, options.seed);
    } else if (name == "quality") {
      double quality = 1;
      read_number(name, value, 0, 1, quality);
      options.quality = quality;
    } else if (name == "k") {
      read_integer(name, value, 1, 8, options.k);
    } else if (name == "aggregate") {
      read_flag(name, value, options.aggregate);
    } else if (name == "baselines") {
      read_flag(name, value, options.baselines);
    } else if (name == "allow_overlap") {
      read_flag(name, value, options.allow_overlap);
    } else if (name == "gate") {
      read_gate(value);
    } else {
      faults.push_back(name +
                       ": unknown; a run has outcomes, policy, experts, exclude_domain, strong, "
                       "weak, share, part, seed, quality, k, aggregate, baselines, allow_overlap "
                       "and gate");
    }
  }

  void read_files(const Json& value) {
    std::vector<std::string> names;
    read_names("outcomes", value, names);
    if (names.size() > kFilesMax) faults.emplace_back("outcomes: at most 64 files");
    for (const std::string& name : names) {
      const fs::path path = fs::path(doors_.outcomes_dir) / name;
      if (is_file_name(name) && fs::exists(path))
        job.options.files.push_back(path.string());
      else
        faults.push_back("outcomes: there is no uploaded file `" + name +
                         "`; PUT /eval/outcomes/NAME");
    }
  }

  void read_policy(const Json& value) {
    if (value == "running") {
      job.policy = doors_.policy();
      return;
    }
    const std::string version = value.is_string() ? value.get<std::string>() : "";
    const fs::path path = fs::path(doors_.policies_dir) / (version + ".policy");
    if (!is_file_name(version) || !fs::exists(path)) {
      faults.emplace_back(
          "policy: `running`, or the version of an uploaded one; GET "
          "/admin/policies");
      return;
    }
    try {
      job.policy = router::load_policy(path.string());
    } catch (const std::exception& error) {
      faults.push_back(std::string("policy: ") + error.what());
    }
  }

  void read_gate(const Json& value) {
    read_text("gate", value, job.gate);
    try {
      if (!job.gate.empty()) router::GateExpression{job.gate};
    } catch (const std::exception& error) {
      faults.push_back(std::string("gate: ") + error.what());
    }
  }

  void read_names(const std::string& name, const Json& value, std::vector<std::string>& into) {
    const auto is_text = [](const Json& item) { return item.is_string(); };
    if (value.is_array() && value.size() <= kNamesMax &&
        std::all_of(value.begin(), value.end(), is_text)) {
      into = value.get<std::vector<std::string>>();
    } else {
      faults.push_back(name + ": must be a list of names");
    }
  }

  void read_text(const std::string& name, const Json& value, std::string& into) {
    if (value.is_string())
      into = value.get<std::string>();
    else
      faults.push_back(name + ": must be a string");
  }

  void read_flag(const std::string& name, const Json& value, bool& into) {
    if (value.is_boolean())
      into = value.get<bool>();
    else
      faults.push_back(name + ": must be true or false");
  }

  void read_number(const std::string& name, const Json& value, double low, double high,
                   double& into) {
    if (value.is_number() && value >= low && value <= high)
      into = value.get<double>();
    else
      faults.push_back(name + ": must be a number from 0 to 1");
  }

  template <class Integer>
  void read_integer(const std::string& name, const Json& value, std::int64_t low, std::int64_t high,
                    Integer& into) {
    if (value.is_number_integer() && value >= low && value <= high)
      into = value.get<Integer>();
    else
      faults.push_back(name + ": must be an integer from " + std::to_string(low) + " to " +
                       std::to_string(high));
  }

  const AdminDoors& doors_;
};

Json json_of(const store::EvalRun& run, const router::EvalJobs& jobs) {
  const auto maybe = [](std::int64_t us) { return us == 0 ? Json() : Json(us); };
  Json json = {{"object", "skillyard.eval_run"},
               {"id", run.id},
               {"status", run.status},
               {"created_us", run.created_us},
               {"started_us", maybe(run.started_us)},
               {"finished_us", maybe(run.finished_us)},
               {"request", Json::parse(run.request)},
               {"error", run.error.empty() ? Json() : Json(run.error)}};
  if (const auto progress = jobs.progress(run.id))
    json["progress"] = {{"stage", progress->stage}, {"done", progress->done}};
  if (!run.report.empty()) json["report"] = Json::parse(run.report);
  return json;
}

/// The run that the path names, or the reply that there is none.
std::optional<store::EvalRun> find_run(Session& session) {
  auto run = doors_of(session).eval_book->find(session.argument());
  if (!run)
    reply_problem(session, Fault::no_such_row,
                  "there is no evaluation run `" + session.argument() + "`; GET /eval/runs", "id");
  return run;
}

}  // namespace

void list_outcomes(Session& session) {
  Json list = Json::array();
  std::error_code error;
  for (const auto& file : fs::directory_iterator(doors_of(session).outcomes_dir, error))
    if (file.is_regular_file(error) && is_file_name(file.path().filename().string()))
      list.push_back({{"name", file.path().filename().string()}, {"bytes", file.file_size(error)}});
  std::sort(list.begin(), list.end());
  reply_json(session, {{"object", "list"}, {"data", std::move(list)}, {"has_more", false}});
}

void put_outcomes(Session& session) {
  const std::string& name = session.argument();
  if (!is_file_name(name))
    return reply_problem(session, Fault::bad_value,
                         "a file's name has letters, digits, `.`, `_` and `-`, at most 100",
                         "name");
  const fs::path path = fs::path(doors_of(session).outcomes_dir) / name;
  fs::create_directories(path.parent_path());
  const fs::path part = path.parent_path() / ("." + name + ".part");
  std::ofstream out(part, std::ios::binary);
  out << session.request().body;
  out.close();
  if (!out) {
    fs::remove(part);
    throw std::runtime_error("cannot write " + path.string() + ": is the disk full?");
  }
  fs::rename(part, path);
  reply_json(
      session,
      {{"object", "skillyard.outcomes"}, {"name", name}, {"bytes", session.request().body.size()}},
      201);
}

void remove_outcomes(Session& session) {
  const std::string& name = session.argument();
  std::error_code error;
  if (!is_file_name(name) || !fs::remove(fs::path(doors_of(session).outcomes_dir) / name, error))
    return reply_problem(session, Fault::no_such_row,
                         "there is no uploaded file `" + name + "`; GET /eval/outcomes", "name");
  reply_json(session, {{"object", "skillyard.outcomes"}, {"name", name}, {"deleted", true}});
}

void start_eval(Session& session) {
  const AdminDoors& doors = doors_of(session);
  Json body;
  if (auto problem = read_json(session.request().body, doors.options.document_depth_max, body))
    return fill(session.response(), *problem);
  Wish wish(body, doors);
  if (!wish.faults.empty()) {
    std::string sentence = "this run cannot be made: ";
    for (std::size_t i = 0; i < wish.faults.size(); ++i)
      sentence.append(i == 0 ? "" : "; ").append(wish.faults[i]);
    return reply_problem(session, Fault::bad_resource, sentence);
  }
  store::EvalRun& run = wish.job.run;
  run.id = "eval_" + std::string(session.sortable());
  run.created_us = session.began_unix_us();
  run.request = body.dump();
  run.status = "queued";
  const store::EvalRun made = run;
  if (!doors.evaluations->start(std::move(wish.job)))
    return reply_problem(session, Fault::rate_limited,
                         "as many evaluations wait as are allowed; cancel one or come back later");
  reply_json(session, json_of(made, *doors.evaluations), 202);
}

void list_evals(Session& session) {
  const AdminDoors& doors = doors_of(session);
  Json list = Json::array();
  for (const auto& run : doors.eval_book->list(kPage))
    list.push_back(json_of(run, *doors.evaluations));
  reply_json(session, {{"object", "list"}, {"data", std::move(list)}, {"has_more", false}});
}

void show_eval(Session& session) {
  if (const auto run = find_run(session))
    reply_json(session, json_of(*run, *doors_of(session).evaluations));
}

void show_eval_page(Session& session) {
  const auto run = find_run(session);
  if (!run) return;
  if (run->html.empty())
    return reply_problem(session, Fault::no_such_row,
                         "this run has no report; its status is " + run->status, "id");
  session.response().content_type = "text/html; charset=utf-8";
  session.response().body = run->html;
}

void cancel_eval(Session& session) {
  const auto run = find_run(session);
  if (!run) return;
  if (!doors_of(session).evaluations->cancel(run->id))
    return reply_problem(session, Fault::bad_resource,
                         "this run is not under way; its status is " + run->status, "id");
  reply_json(session, {{"object", "skillyard.eval_run"}, {"id", run->id}, {"cancelling", true}},
             202);
}

}  // namespace http
