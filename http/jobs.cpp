// Jobs: queued, listed, shown, cancelled. What they do is the business of who starts them.
#include <algorithm>
#include <filesystem>

#include "http/admin.h"
#include "http/admin_doors.h"
#include "http/net_thread.h"
#include "http/wishes.h"

namespace http {

namespace fs = std::filesystem;

namespace {

using Json = nlohmann::json;

constexpr std::size_t kFilesMax = 64;  // of one job
constexpr std::size_t kJobNamesMax = 1'000;
constexpr std::size_t kFileNameBytesMax = 100;
constexpr std::size_t kPage = 100;

std::string kind_of(const std::string& id) {
  return id.substr(0, id.find('_'));
}

Json json_of(const store::EvalRun& run, const router::Jobs& jobs) {
  const auto maybe = [](std::int64_t us) { return us == 0 ? Json() : Json(us); };
  const auto kind = kind_of(run.id);
  Json json = {{"object", kind == "eval" ? "skillyard.eval_run" : "skillyard.job"},
               {"id", run.id},
               {"kind", kind},
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

/// The job that the path names, or the reply that there is none.
std::optional<store::EvalRun> find_job(Session& session) {
  auto run = admin_doors(session).eval_book->find(session.argument());
  const bool eval_only = session.request().path().starts_with("/eval/");
  if (run && eval_only && kind_of(run->id) != "eval") run.reset();
  if (!run)
    reply_problem(session, Fault::no_such_row,
                  "there is no " + std::string(eval_only ? "evaluation run" : "job") + " `" +
                      session.argument() + "`; GET " + (eval_only ? "/eval/runs" : "/admin/jobs"),
                  "id");
  return run;
}

}  // namespace

bool is_file_name(const std::string& name) {
  constexpr std::string_view kAllowed =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
  return !name.empty() && name.size() <= kFileNameBytesMax && name[0] != '.' &&
         name.find_first_not_of(kAllowed) == std::string::npos;
}

void WishReader::read_names(const std::string& name, const Json& value,
                            std::vector<std::string>& into) {
  const auto is_text = [](const Json& item) { return item.is_string(); };
  if (value.is_array() && value.size() <= kJobNamesMax &&
      std::all_of(value.begin(), value.end(), is_text)) {
    into = value.get<std::vector<std::string>>();
  } else {
    faults.push_back(name + ": must be a list of names");
  }
}

void WishReader::read_text(const std::string& name, const Json& value, std::string& into) {
  if (value.is_string())
    into = value.get<std::string>();
  else
    faults.push_back(name + ": must be a string");
}

void WishReader::read_flag(const std::string& name, const Json& value, bool& into) {
  if (value.is_boolean())
    into = value.get<bool>();
  else
    faults.push_back(name + ": must be true or false");
}

void WishReader::read_number(const std::string& name, const Json& value, double low, double high,
                             double& into) {
  if (value.is_number() && value >= low && value <= high)
    into = value.get<double>();
  else
    faults.push_back(name + ": must be a number from " + Json(low).dump() + " to " +
                     Json(high).dump());
}

void WishReader::read_files(const std::string& name, const Json& value,
                            std::vector<std::string>& into) {
  std::vector<std::string> files;
  read_names(name, value, files);
  if (files.size() > kFilesMax) faults.push_back(name + ": at most 64 files");
  for (const std::string& file : files) {
    const fs::path path = fs::path(doors_.outcomes_dir) / file;
    if (is_file_name(file) && fs::exists(path))
      into.push_back(path.string());
    else
      faults.push_back(name + ": there is no uploaded file `" + file +
                       "`; PUT /eval/outcomes/NAME");
  }
}

bool read_wish(Session& session, Json& into) {
  const auto depth_max = admin_doors(session).options.document_depth_max;
  if (auto problem = read_json(session.request().body, depth_max, into))
    return fill(session.response(), *problem), false;
  if (into.is_object()) return true;
  reply_problem(session, Fault::bad_resource, "the body must be an object");
  return false;
}

bool refuse_wish(Session& session, const std::vector<std::string>& faults) {
  if (faults.empty()) return false;
  std::string sentence = "this job cannot be made: ";
  for (std::size_t i = 0; i < faults.size(); ++i)
    sentence.append(i == 0 ? "" : "; ").append(faults[i]);
  reply_problem(session, Fault::bad_resource, sentence);
  Json body = Json::parse(session.response().body);
  body["error"]["faults"] = faults;
  reply_json(session, body, session.response().status);
  return true;
}

std::string job_id(Session& session, const char* kind) {
  return std::string(kind) + "_" + std::string(session.sortable());
}

void start_job(Session& session, const std::string& id, const Json& request, JobWork work) {
  const AdminDoors& doors = admin_doors(session);
  store::EvalRun run;
  run.id = id;
  run.created_us = session.began_unix_us();
  run.request = request.dump();
  run.status = "queued";
  if (!doors.jobs->start({run, std::move(work)}))
    return reply_problem(session, Fault::rate_limited,
                         "as many jobs wait as are allowed; cancel one or come back later");
  reply_json(session, json_of(run, *doors.jobs), 202);
}

void reply_jobs(Session& session, const std::string& kind) {
  const AdminDoors& doors = admin_doors(session);
  Json list = Json::array();
  for (const auto& run : doors.eval_book->list(static_cast<int>(store::kEvalRunsMax))) {
    if (list.size() < kPage && (kind.empty() || kind_of(run.id) == kind))
      list.push_back(json_of(run, *doors.jobs));
  }
  reply_json(session, {{"object", "list"}, {"data", std::move(list)}, {"has_more", false}});
}

void list_jobs(Session& session) {
  reply_jobs(session, "");
}

void show_job(Session& session) {
  if (const auto run = find_job(session))
    reply_json(session, json_of(*run, *admin_doors(session).jobs));
}

void show_job_page(Session& session) {
  const auto run = find_job(session);
  if (!run) return;
  if (run->html.empty())
    return reply_problem(session, Fault::no_such_row,
                         "this run has no report; its status is " + run->status, "id");
  session.response().content_type = "text/html; charset=utf-8";
  session.response().body = run->html;
}

void cancel_job(Session& session) {
  const auto run = find_job(session);
  if (!run) return;
  if (!admin_doors(session).jobs->cancel(run->id))
    return reply_problem(session, Fault::bad_resource,
                         "this job is not under way; its status is " + run->status, "id");
  const bool eval = kind_of(run->id) == "eval";
  reply_json(session,
             {{"object", eval ? "skillyard.eval_run" : "skillyard.job"},
              {"id", run->id},
              {"cancelling", true}},
             202);
}

}  // namespace http
