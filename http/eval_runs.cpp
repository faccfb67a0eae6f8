// Evaluation runs: outcome files, and jobs that judge a policy on them.
#include <algorithm>
#include <filesystem>
#include <fstream>

#include "http/admin.h"
#include "http/admin_doors.h"
#include "http/net_thread.h"
#include "http/wishes.h"
#include "router/learn/gate_expression.h"

namespace http {

namespace fs = std::filesystem;

namespace {

using Json = nlohmann::json;

/// What is wanted of a run; faults are told all at once.
class Wish : public WishReader {
 public:
  Wish(const Json& body, const AdminDoors& doors) : WishReader(doors) {
    options.vectors = doors.vectors;
    for (const auto& [name, value] : body.items()) read(name, value);
    if (options.files.empty()) faults.emplace_back("outcomes: names of uploaded files, needed");
    if (!body.contains("policy")) policy = doors_.policy();
    if (policy && policy->empty())
      faults.emplace_back("policy: none is running; name an uploaded one");
  }

  router::EvaluateOptions options;
  router::PolicyPtr policy;
  std::string gate;

 private:
  void read(const std::string& name, const Json& value) {
    if (name == "outcomes") {
      read_files(name, value, options.files);
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

  void read_policy(const Json& value) {
    if (value == "running") {
      policy = doors_.policy();
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
      policy = router::load_policy(path.string());
    } catch (const std::exception& error) {
      faults.push_back(std::string("policy: ") + error.what());
    }
  }

  void read_gate(const Json& value) {
    read_text("gate", value, gate);
    try {
      if (!gate.empty()) router::GateExpression{gate};
    } catch (const std::exception& error) {
      faults.push_back(std::string("gate: ") + error.what());
    }
  }
};

}  // namespace

void keep_outcomes(const AdminDoors& doors, const std::string& name, std::string_view bytes) {
  const fs::path path = fs::path(doors.outcomes_dir) / name;
  fs::create_directories(path.parent_path());
  const fs::path part = path.parent_path() / ("." + name + ".part");
  std::ofstream out(part, std::ios::binary);
  out << bytes;
  out.close();
  if (!out) {
    fs::remove(part);
    throw std::runtime_error("cannot write " + path.string() + ": is the disk full?");
  }
  fs::rename(part, path);
}

void list_outcomes(Session& session) {
  Json list = Json::array();
  std::error_code error;
  for (const auto& file : fs::directory_iterator(admin_doors(session).outcomes_dir, error))
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
  keep_outcomes(admin_doors(session), name, session.request().body);
  reply_json(
      session,
      {{"object", "skillyard.outcomes"}, {"name", name}, {"bytes", session.request().body.size()}},
      201);
}

void remove_outcomes(Session& session) {
  const std::string& name = session.argument();
  std::error_code error;
  if (!is_file_name(name) || !fs::remove(fs::path(admin_doors(session).outcomes_dir) / name, error))
    return reply_problem(session, Fault::no_such_row,
                         "there is no uploaded file `" + name + "`; GET /eval/outcomes", "name");
  reply_json(session, {{"object", "skillyard.outcomes"}, {"name", name}, {"deleted", true}});
}

void start_eval(Session& session) {
  Json body;
  if (!read_wish(session, body)) return;
  const Wish wish(body, admin_doors(session));
  if (refuse_wish(session, wish.faults)) return;
  start_job(session, job_id(session, "eval"), body,
            [policy = wish.policy, options = wish.options,
             gate = wish.gate](const router::JobProgress& progress) {
              return router::run_evaluation(*policy, options, gate, progress);
            });
}

void list_evals(Session& session) {
  reply_jobs(session, "eval");
}

}  // namespace http
