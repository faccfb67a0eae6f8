#include "config/house/admin_commands.h"

#include <CLI/CLI.hpp>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "config/config.h"
#include "config/layers.h"
#include "experts/fetch.h"
#include "http/keys.h"
#include "router/learn/commands.h"
#include "store/admin_book.h"

namespace house {

namespace {

using Json = nlohmann::json;
using Row = std::vector<std::string>;

constexpr std::chrono::milliseconds kLookEvery{300};  // how a job that is waited for is
constexpr const char* kBinary = "application/octet-stream";

/// What the commands share; lives as long as the parse.
struct Desk {
  explicit Desk(int& exit_status) : status(exit_status) {}

  int& status;
  std::string url;  // empty: SKILLYARD_ADMIN, else the usual port
  bool json = false;
  std::string name, text, file, comment, data, role = "client";
  std::vector<std::string> models, collections, outcomes;
  std::string stage;
  double share = 1;
  bool promote = false;
  bool force = false, validate = false, simulate = false, replace = false;
  std::int64_t number = 0, limit = 20, requests = 0, tokens = 0, life_s = 0;
  double usd_day = 0, usd_month = 0;
};

std::string coded(std::string_view text) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/";
  std::string out;
  for (const char c : text) {
    char hex[4];
    std::snprintf(hex, sizeof hex, "%%%02X", static_cast<unsigned char>(c));
    out.append(kPlain.find(c) != std::string_view::npos ? std::string(1, c) : hex);
  }
  return out;
}

std::string address_of(const Desk& desk) {
  if (!desk.url.empty()) return desk.url;
  const char* set = std::getenv("SKILLYARD_ADMIN");
  return set != nullptr && *set != '\0' ? set : "http://127.0.0.1:8301";
}

experts::Fetched ask(const Desk& desk, const std::string& method, const std::string& path,
                     const std::string& body = "{}", const std::string& if_match = "",
                     const char* type = "application/json") {
  experts::FetchRequest request;
  request.method = method;
  request.url = address_of(desk) + path;
  request.body = body;
  request.fields = {std::string("content-type: ") + type, "expect:"};
  if (!if_match.empty()) request.fields.push_back("if-match: " + if_match);
  if (const char* key = std::getenv("SKILLYARD_ADMIN_KEY"))
    request.fields.push_back(std::string("authorization: Bearer ") + key);
  if (const char* ca = std::getenv("SKILLYARD_ADMIN_CA")) request.ca_file = ca;
  return experts::fetch(request);
}

/// The reply's document, or null after the refusal was told.
Json document_of(Desk& desk, const experts::Fetched& fetched) {
  const Json document = Json::parse(fetched.body, nullptr, false);
  if (fetched.status < 400 && !document.is_discarded()) return document;
  desk.status = 1;
  const bool told = document.is_object() && document.contains("error");
  const auto message = told ? document["error"].value("message", "")
                            : "not an answer of this service's administration";
  const char* hint =
      fetched.status == 401 ? "; these commands read it from SKILLYARD_ADMIN_KEY" : "";
  std::cerr << "skillyard: " << message << hint << " (HTTP " << fetched.status << ")\n";
  return {};
}

std::string query_of(const Desk& desk) {
  std::string query = "?comment=" + coded(desk.comment);
  if (desk.force) query += "&force=1";
  if (desk.validate) query += "&validate=1";
  if (desk.simulate) query += "&simulate=1";
  return query;
}

void print_table(const std::vector<Row>& rows) {
  std::vector<std::size_t> widths(rows.front().size());
  for (const auto& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i)
      line += row[i] + (i + 1 < row.size() ? std::string(widths[i] - row[i].size() + 2, ' ') : "");
    std::cout << line << "\n";
  }
}

std::string shown(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_null()) return "-";
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  return value.dump();
}

std::string time_of(const Json& unix_us) {
  if (!unix_us.is_number() || unix_us == 0) return "-";
  const std::time_t seconds = unix_us.get<std::int64_t>() / 1'000'000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

/// A document as it is, or `table(data)` of a list.
template <typename Table>
void print(Desk& desk, const Json& document, Table table) {
  if (document.is_null()) return;
  if (desk.json) {
    std::cout << document.dump(2) << "\n";
  } else {
    table(document);
  }
}

void print_document(const Json& document) {
  std::cout << document.dump(2) << "\n";
}

std::string percent(const Json& interval) {
  char text[64];
  std::snprintf(text, sizeof text, "%.1f%% (%.1f to %.1f)", 100 * interval[0].get<double>(),
                100 * interval[1].get<double>(), 100 * interval[2].get<double>());
  return text;
}

void print_simulation(const Json& told) {
  std::cout << shown(told["queries"]) << " queries replayed, from: " << shown(told["source"])
            << "; " << told["moved"].get<double>() * 100 << "% would ask another expert first\n";
  if (told["queries"] == 0) return;
  std::vector<Row> rows = {{"EXPERT", "SHARE NOW", "SHARE THEN"}};
  for (const auto& expert : told["experts"])
    rows.push_back(
        {shown(expert["expert"]), percent(expert["share_before"]), percent(expert["share_after"])});
  print_table(rows);
  if (!told["gain"].is_null()) std::cout << "score: " << percent(told["gain"]) << " points\n";
  for (const auto& skill : told["skills"])
    if (skill["loses"].get<bool>())
      std::cout << "loses: " << shown(skill["skill"]) << " " << percent(skill["gain"]) << "\n";
}

void print_change(const Json& change) {
  std::cout << shown(change["outcome"]) << ", version " << change["version"];
  if (change["diff"].is_array() && !change["diff"].empty())
    std::cout << ": " << change["diff"].dump();
  std::cout << "\n";
  if (change.contains("simulation")) print_simulation(change["simulation"]);
}

void print_experts(const Json& list) {
  std::vector<Row> rows = {
      {"NAME", "STATE", "HEALTHY", "RUNNING", "QUEUED", "FROM", "VERSION", "PLACE"}};
  for (const auto& item : list["data"]) {
    const auto& status = item["status"];
    const auto& document = item["document"];
    const auto place = document.contains("url") ? document["url"] : document.value("path", Json());
    rows.push_back({shown(item["name"]), shown(status["state"]), shown(status["healthy"]),
                    shown(status.value("inflight", Json())), shown(status.value("queued", Json())),
                    shown(item["origin"]), shown(item["version"]), shown(place)});
  }
  print_table(rows);
}

void print_pools(const Json& list) {
  std::vector<Row> rows = {{"NAME", "FROM", "VERSION", "DEFAULT", "EXPERTS"}};
  for (const auto& item : list["data"]) {
    const auto& document = item["document"];
    std::string members;
    for (const auto& name : document.value("experts", Json::array()))
      members += (members.empty() ? "" : " ") + shown(name);
    rows.push_back({shown(item["name"]), shown(item["origin"]), shown(item["version"]),
                    document.value("default", "-"), members.empty() ? "(all)" : members});
  }
  print_table(rows);
}

void print_keys(const Json& list) {
  std::vector<Row> rows = {{"ID", "KEY", "NAME", "ROLE", "STATE", "EXPIRES", "USD TODAY", "OF"}};
  for (const auto& key : list["data"]) {
    const auto spent = key["spent_microusd_day"].get<double>() / 1e6;
    rows.push_back({shown(key["id"]), shown(key["prefix"]) + "...", shown(key["name"]),
                    shown(key["role"]), shown(key["state"]), time_of(key["expires_us"]),
                    shown(Json(spent)), shown(key["usd_per_day"])});
  }
  print_table(rows);
}

void print_versions(const Json& list) {
  std::vector<Row> rows = {{"VERSION", "WHEN", "WHO", "WHAT", "COMMENT"}};
  for (const auto& version : list["data"])
    rows.push_back({shown(version["version"]), time_of(version["unix_us"]),
                    shown(version["author"]), shown(version["verb"]), shown(version["comment"])});
  print_table(rows);
}

std::string read_input(const std::string& path) {
  if (path == "-") return {std::istreambuf_iterator<char>(std::cin), {}};
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error(path + ": cannot be read");
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Changes a resource that is there, in the state that it is in now.
void change_at(Desk& desk, const std::string& method, const std::string& path,
               const std::string& body) {
  const auto now = ask(desk, "GET", path);
  if (now.status >= 400 && now.status != 404) return document_of(desk, now), void();
  const auto changed = ask(desk, method, path + query_of(desk), body, now.etag);
  print(desk, document_of(desk, changed), print_change);
}

void add_expert(Desk& desk) {
  Json document;
  if (!desk.file.empty()) {
    document = config::parse_text(read_input(desk.file), desk.file);
  } else {
    document = config::document_of(config::parse_expert(desk.text));
  }
  const auto name = document.value("name", "");
  if (name.empty()) throw std::runtime_error("the document has no `name`");
  const auto path = "/admin/experts/" + coded(name);
  if (desk.replace) return change_at(desk, "PUT", path, document.dump());
  const auto made = ask(desk, "PUT", path + query_of(desk), document.dump());
  print(desk, document_of(desk, made), print_change);
}

void move_expert(Desk& desk) {
  const Json patch = {{"stage", desk.stage}, {"share", desk.share}};
  change_at(desk, "PATCH", "/admin/experts/" + coded(desk.name), patch.dump());
}

/// What probes say of an expert, a row for each skill.
void print_newcomer(const Json& report) {
  const auto& asked = report["asked"];
  if (!asked.is_null())
    std::cout << asked["answered"] << " of " << asked["calls"] << " calls answered for "
              << asked["cost_usd"] << " USD, kept as " << shown(asked["outcomes"]) << "\n";
  const auto rate = [](double of, double error) {
    char text[40];
    std::snprintf(text, sizeof text, "%.1f%% +- %.1f", 100 * of, 100 * error);
    return std::string(text);
  };
  std::vector<Row> rows = {{"SKILL", "RIGHT", "PROBES"}};
  const auto& newcomer = report["newcomer"];
  for (const auto& skill : newcomer["skills"])
    rows.push_back({shown(skill["skill"]),
                    rate(skill["rate"].get<double>(), skill["error"].get<double>()),
                    std::to_string(std::lround(skill["outcomes"].get<double>()))});
  rows.push_back(
      {"(all)", rate(newcomer["mean"].get<double>(), newcomer["error"].get<double>()), ""});
  print_table(rows);
}

void print_job(const Json& job) {
  std::cout << shown(job["id"]) << ": " << shown(job["status"]);
  if (job.contains("progress"))
    std::cout << ", " << shown(job["progress"]["stage"]) << " "
              << std::lround(100 * job["progress"]["done"].get<double>()) << "%";
  if (!job["error"].is_null()) std::cout << ": " << shown(job["error"]);
  std::cout << "\n";
  const Json report = job.value("report", Json());
  if (!report.contains("policy")) return;
  if (report.contains("newcomer")) print_newcomer(report);
  std::cout << "policy " << shown(report["policy"])
            << (report["promoted"].is_null() ? ", not promoted: " : ", promoted: ")
            << shown(report["why"]) << "\n";
}

void print_jobs(const Json& list) {
  std::vector<Row> rows = {{"JOB", "STATE", "MADE", "ENDED"}};
  for (const auto& job : list["data"])
    rows.push_back({shown(job["id"]), shown(job["status"]), time_of(job["created_us"]),
                    time_of(job["finished_us"])});
  print_table(rows);
}

/// Starts a job that makes a policy of uploaded outcomes.
void start_job(Desk& desk, const char* path) {
  const Json wish = {{"outcomes", desk.outcomes}, {"promote", desk.promote}};
  print(desk, document_of(desk, ask(desk, "POST", path, wish.dump())), print_job);
}

bool is_under_way(const Json& job) {
  return job.is_object() && (job["status"] == "queued" || job["status"] == "running");
}

/// Until it has ended; its last document.
Json wait_for(Desk& desk, Json job) {
  const auto path = "/admin/jobs/" + shown(job["id"]);
  while (is_under_way(job)) {
    if (job.contains("progress"))
      router::show_progress(shown(job["progress"]["stage"]), job["progress"]["done"].get<double>());
    std::this_thread::sleep_for(kLookEvery);
    job = document_of(desk, ask(desk, "GET", path));
  }
  return job;
}

void print_quote(const Json& quote) {
  std::cout << quote["calls"] << " calls, " << quote["skills"] << " skills: about "
            << quote["cost_usd"] << " USD, at most " << quote["cost_usd_max"] << " USD\n"
            << std::flush;
}

void add_pool(Desk& desk) {
  Json document = {{"name", desk.name}, {"experts", desk.models}};
  if (!desk.text.empty()) document["default"] = desk.text;
  if (!desk.file.empty()) document = config::parse_text(read_input(desk.file), desk.file);
  const auto path = "/admin/pools/" + coded(desk.name);
  if (desk.replace) return change_at(desk, "PUT", path, document.dump());
  print(desk, document_of(desk, ask(desk, "PUT", path + query_of(desk), document.dump())),
        print_change);
}

Json wanted_key(const Desk& desk) {
  Json body = {{"role", desk.role},
               {"name", desk.name},
               {"models", desk.models},
               {"collections", desk.collections}};
  if (desk.requests > 0) body["requests_per_minute"] = desk.requests;
  if (desk.tokens > 0) body["tokens_per_minute"] = desk.tokens;
  if (desk.usd_day > 0) body["usd_per_day"] = desk.usd_day;
  if (desk.usd_month > 0) body["usd_per_month"] = desk.usd_month;
  if (desk.life_s > 0) body["expires_in_s"] = desk.life_s;
  return body;
}

void print_made(const Json& key) {
  std::cerr << "key " << shown(key["id"]) << ", role " << shown(key["role"])
            << ". It is shown this once:\n";
  std::cout << shown(key["secret"]) << "\n";
}

/// A key without the service: straight into the database, for who lost the last admin key.
void add_key_offline(const Desk& desk) {
  const auto path = std::filesystem::path(desk.data) / "skillyard.db";
  if (!std::filesystem::exists(path))
    throw std::runtime_error(path.string() + ": there is no database of the service");
  store::AdminBook book(path.string());
  const auto now_us = std::chrono::duration_cast<std::chrono::microseconds>(
                          std::chrono::system_clock::now().time_since_epoch())
                          .count();
  http::KeyDesk keys(book, false, now_us);
  http::KeyTerms terms;
  terms.name = desk.name;
  const auto role = desk.role == "admin" ? http::Role::admin : http::Role::client;
  const auto expires_us = desk.life_s == 0 ? 0 : now_us + desk.life_s * 1'000'000;
  std::cout << keys.make(role, terms, expires_us, now_us).secret << "\n";
  std::cerr << "a service that runs knows it after SIGHUP\n";
}

using DeskPtr = std::shared_ptr<Desk>;

CLI::App* add(CLI::App& under, const DeskPtr& desk, const char* name, const char* what,
              void (*run)(Desk&)) {
  auto* command = under.add_subcommand(name, what);
  command->add_option("--admin", desk->url,
                      "of the running service [$SKILLYARD_ADMIN or http://127.0.0.1:8301]");
  command->add_flag("--json", desk->json, "for scripts");
  command->callback([desk, run] { run(*desk); });
  return command;
}

void add_change_options(CLI::App* command, const DeskPtr& desk) {
  command->add_option("--comment", desk->comment, "kept with the version");
  command->add_flag("--force", desk->force, "even if a pool is left without a healthy expert");
  command->add_flag("--validate", desk->validate, "say what would happen, change nothing");
  command->add_flag("--simulate", desk->simulate,
                    "replay recent queries under the change, change nothing");
}

void post(Desk& desk, const std::string& path) {
  print(desk, document_of(desk, ask(desk, "POST", path + query_of(desk))), print_change);
}

void add_expert_commands(CLI::App& app, const DeskPtr& desk) {
  auto* expert = app.add_subcommand("expert", "the experts of a running service");
  expert->require_subcommand(1);
  add(*expert, desk, "list", "who is there, and how they are", [](Desk& d) {
    print(d, document_of(d, ask(d, "GET", "/admin/experts?limit=1000")), print_experts);
  });
  auto* adding = add(*expert, desk, "add", "one more expert", add_expert);
  adding->add_option("expert", desk->text,
                     "NAME=URL[,model=NAME][,key-env=VARIABLE] or NAME=FILE.gguf");
  adding->add_option("--file", desk->file,
                     "its document instead, as in the configuration; - stdin");
  adding->add_flag("--replace", desk->replace, "the one of this name");
  add_change_options(adding, desk);
  add(*expert, desk, "show", "its document and how it is",
      [](Desk& d) {
        print(d, document_of(d, ask(d, "GET", "/admin/experts/" + coded(d.name))), print_document);
      })
      ->add_option("name", desk->name)
      ->required();
  add(*expert, desk, "check", "reach it, list its models, have it say one token",
      [](Desk& d) {
        const auto path = "/admin/experts/" + coded(d.name) + "/check";
        const auto checked = document_of(d, ask(d, "POST", path));
        if (checked.is_object() && !checked.value("good", false)) d.status = 1;
        print(d, checked, print_document);
      })
      ->add_option("name", desk->name)
      ->required();
  const auto add_change = [&](const char* name, const char* what, void (*run)(Desk&)) {
    auto* command = add(*expert, desk, name, what, run);
    command->add_option("name", desk->name)->required();
    add_change_options(command, desk);
  };
  add_change("disable", "nobody asks it from the next decision on",
             [](Desk& d) { post(d, "/admin/experts/" + coded(d.name) + "/disable"); });
  add_change("enable", "it may be asked again",
             [](Desk& d) { post(d, "/admin/experts/" + coded(d.name) + "/enable"); });
  auto* moving = add(*expert, desk, "stage", "how far it is on its way in or out", move_expert);
  moving->add_option("name", desk->name)->required();
  moving->add_option("stage", desk->stage)
      ->required()
      ->check(CLI::IsMember({"active", "shadow", "ramp", "draining"}));
  moving->add_option("--share", desk->share, "at stage ramp: of its wins that it gets");
  add_change_options(moving, desk);
  add_change("release", "give it back to the configuration file",
             [](Desk& d) { post(d, "/admin/experts/" + coded(d.name) + "/release"); });
  add_change("remove", "calls that run end",
             [](Desk& d) { change_at(d, "DELETE", "/admin/experts/" + coded(d.name), ""); });
}

void add_pool_commands(CLI::App& app, const DeskPtr& desk) {
  auto* pool = app.add_subcommand("pool", "the pools of a running service");
  pool->require_subcommand(1);
  add(*pool, desk, "list", "pools and their experts", [](Desk& d) {
    print(d, document_of(d, ask(d, "GET", "/admin/pools?limit=1000")), print_pools);
  });
  add(*pool, desk, "show", "its document",
      [](Desk& d) {
        print(d, document_of(d, ask(d, "GET", "/admin/pools/" + coded(d.name))), print_document);
      })
      ->add_option("name", desk->name)
      ->required();
  auto* adding = add(*pool, desk, "add", "one more pool", add_pool);
  adding->add_option("name", desk->name)->required();
  adding->add_option("--member", desk->models, "an expert of it, several times; none: all");
  adding->add_option("--default", desk->text, "the expert that answers where nothing is known");
  adding->add_option("--file", desk->file,
                     "its document instead, as in the configuration; - stdin");
  adding->add_flag("--replace", desk->replace, "the one of this name");
  add_change_options(adding, desk);
  auto* removing = add(*pool, desk, "remove", "nobody can ask it by name any more", [](Desk& d) {
    change_at(d, "DELETE", "/admin/pools/" + coded(d.name), "");
  });
  removing->add_option("name", desk->name)->required();
  add_change_options(removing, desk);
}

void add_key_commands(CLI::App& app, const DeskPtr& desk) {
  auto* key = app.add_subcommand("key", "API keys");
  key->require_subcommand(1);
  add(*key, desk, "list", "keys, without their secrets",
      [](Desk& d) { print(d, document_of(d, ask(d, "GET", "/admin/keys")), print_keys); });
  auto* adding = add(*key, desk, "add", "a new key; stdout gets it, once", [](Desk& d) {
    if (!d.data.empty()) return add_key_offline(d);
    print(d, document_of(d, ask(d, "POST", "/admin/keys", wanted_key(d).dump())), print_made);
  });
  adding->add_option("--role", desk->role)->check(CLI::IsMember({"client", "admin"}));
  adding->add_option("--name", desk->name, "for people");
  adding->add_option("--model", desk->models, "that it may name, several times; none: all");
  adding->add_option("--collection", desk->collections,
                     "of the knowledge that it may reach, several times; none: those of the pool");
  adding->add_option("--requests-per-minute", desk->requests);
  adding->add_option("--tokens-per-minute", desk->tokens);
  adding->add_option("--usd-per-day", desk->usd_day);
  adding->add_option("--usd-per-month", desk->usd_month);
  adding->add_option("--expires-in-s", desk->life_s);
  adding->add_option("--data", desk->data,
                     "folder of the database: without the service, role, name and end only");
  auto* revoking = add(*key, desk, "revoke", "it ends now", [](Desk& d) {
    const auto path = "/admin/keys/" + coded(d.name) + (d.force ? "?force=1" : "");
    print(d, document_of(d, ask(d, "DELETE", path)), print_document);
  });
  revoking->add_option("id", desk->name)->required();
  revoking->add_flag("--force", desk->force, "even the last admin key that works");
  add(*key, desk, "rotate", "a new secret for it; the old one ends now",
      [](Desk& d) {
        print(d, document_of(d, ask(d, "POST", "/admin/keys/" + coded(d.name) + "/rotate")),
              print_made);
      })
      ->add_option("id", desk->name)
      ->required();
}

void add_job_commands(CLI::App& app, const DeskPtr& desk) {
  auto* job = app.add_subcommand("job", "what takes long: training, learning, probes, evaluations");
  job->require_subcommand(1);
  add(*job, desk, "list", "newest first",
      [](Desk& d) { print(d, document_of(d, ask(d, "GET", "/admin/jobs")), print_jobs); });
  const auto add_one = [&](const char* name, const char* what, void (*run)(Desk&)) {
    add(*job, desk, name, what, run)->add_option("id", desk->name)->required();
  };
  add_one("show", "its progress, or what came of it", [](Desk& d) {
    print(d, document_of(d, ask(d, "GET", "/admin/jobs/" + coded(d.name))), print_job);
  });
  add_one("cancel", "stop it", [](Desk& d) {
    const auto path = "/admin/jobs/" + coded(d.name) + "/cancel";
    print(d, document_of(d, ask(d, "POST", path)), print_document);
  });
  const auto add_maker = [&](const char* name, const char* what, void (*run)(Desk&)) {
    auto* command = add(*job, desk, name, what, run);
    command->add_option("--outcomes", desk->outcomes, "uploaded files, several times")->required();
    command->add_flag("--promote", desk->promote, "if the gate lets it through");
  };
  add_maker("train", "a policy of uploaded outcomes",
            [](Desk& d) { start_job(d, "/admin/policies/train"); });
  add_maker("learn", "a policy of these outcomes and the log's grades",
            [](Desk& d) { start_job(d, "/admin/policies/learn"); });
}

}  // namespace

int probe_by_service(const ServiceProbe& probe, const Json& wish) {
  int status = 0;
  Desk desk(status);
  desk.url = probe.admin;
  desk.json = probe.json;
  const auto file = std::filesystem::path(probe.questions).filename().string();
  const auto sent =
      ask(desk, "PUT", "/eval/outcomes/" + coded(file), read_input(probe.questions), "", kBinary);
  if (document_of(desk, sent).is_null()) return status;
  Json body = wish;
  body["questions"] = {file};
  const auto path = "/admin/experts/" + coded(probe.expert) + "/probe";
  const auto quote = document_of(desk, ask(desk, "POST", path + "?dry_run=1", body.dump()));
  if (quote.is_null()) return status;
  if (probe.dry_run || !probe.json) print(desk, quote, print_quote);
  if (probe.dry_run) return status;
  const auto job = document_of(desk, ask(desk, "POST", path, body.dump()));
  if (job.is_null()) return status;
  std::cerr << shown(job["id"]) << ": `skillyard job cancel " << shown(job["id"]) << "` stops it\n";
  const auto ended = wait_for(desk, job);
  print(desk, ended, print_job);
  if (status == 0 && ended["status"] != "done") status = 1;
  return status;
}

void add_admin_commands(CLI::App& app, int& status) {
  const auto desk = std::make_shared<Desk>(status);
  add_expert_commands(app, desk);
  add_pool_commands(app, desk);
  add_key_commands(app, desk);
  add_job_commands(app, desk);
  add(app, desk, "versions", "what administrators changed, newest first", [](Desk& d) {
    if (d.number > 0) {
      const auto path = "/admin/versions/" + std::to_string(d.number);
      return print(d, document_of(d, ask(d, "GET", path)), print_document);
    }
    const auto path = "/admin/versions?limit=" + std::to_string(d.limit);
    print(d, document_of(d, ask(d, "GET", path)), print_versions);
  })->add_option("--show", desk->number, "one of them, with its diff");
  auto* back =
      add(app, desk, "rollback", "everything as it was at a version; 0: as in the file",
          [](Desk& d) { post(d, "/admin/versions/" + std::to_string(d.number) + "/rollback"); });
  back->add_option("version", desk->number)->required();
  add_change_options(back, desk);
}

}  // namespace house
