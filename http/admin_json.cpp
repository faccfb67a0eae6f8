// What the administrators' endpoints read and write in common.
#include <spdlog/spdlog.h>

#include <charconv>
#include <set>

#include "http/admin.h"
#include "http/admin_doors.h"
#include "http/json_text.h"
#include "http/keys.h"
#include "http/net_thread.h"
#include "http/routes.h"

namespace http {

namespace {

using Json = nlohmann::json;

constexpr std::size_t kCommentBytesMax = 1024;

Fault fault_of(Edited::Verdict verdict) {
  using Verdict = Edited::Verdict;
  switch (verdict) {
    case Verdict::unknown:
      return Fault::no_such_row;
    case Verdict::stale:
      return Fault::stale;
    case Verdict::unmatched:
      return Fault::unmatched;
    case Verdict::strands:
      return Fault::strands;
    default:
      return Fault::bad_resource;
  }
}

std::string sentence_of(const Edit& edit, const Edited& edited) {
  using Verdict = Edited::Verdict;
  const std::string what = edit.verb == Edit::Verb::rollback
                               ? "version " + std::to_string(edit.version)
                               : edit.kind + "/" + edit.name;
  switch (edited.verdict) {
    case Verdict::unknown:
      return "there is no " + what + " to work on" +
             (edit.verb == Edit::Verb::rollback ? ", or it is older than the versions kept" : "");
    case Verdict::stale:
      return what + " is not in the state that If-Match or If-None-Match names: somebody else " +
             "changed it; read it again and repeat the change on what it says now";
    case Verdict::unmatched:
      return what + " is there: say which state of it you change with `If-Match: " + edited.etag +
             "` (or `*`: whatever it is)";
    default:
      break;
  }
  std::string sentence = std::to_string(edited.faults.size());
  sentence.append(edited.faults.size() == 1 ? " fault: " : " faults: ");
  for (std::size_t i = 0; i < edited.faults.size(); ++i)
    sentence.append(i == 0 ? "" : "; ").append(edited.faults[i]);
  return sentence;
}

}  // namespace

std::string_view name_of(Edit::Verb verb) {
  switch (verb) {
    case Edit::Verb::put:
      return "put";
    case Edit::Verb::patch:
      return "patch";
    case Edit::Verb::remove:
      return "remove";
    case Edit::Verb::enable:
      return "enable";
    case Edit::Verb::disable:
      return "disable";
    case Edit::Verb::release:
      return "release";
    case Edit::Verb::rollback:
      return "rollback";
    case Edit::Verb::promote:
      return "promote";
  }
  return "";
}

std::optional<Problem> read_json(std::string_view text, int depth_max, Json& into) {
  std::vector<std::set<std::string>> keys;
  std::string fault;
  const Json::parser_callback_t watch = [&](int depth, Json::parse_event_t event, Json& value) {
    if (depth > depth_max && fault.empty())
      fault = "the body is more than " + std::to_string(depth_max) + " levels deep";
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end && !keys.empty()) keys.pop_back();
    if (event == Json::parse_event_t::key && !keys.empty()) {
      const auto name = value.get<std::string>();
      if (!keys.back().insert(name).second && fault.empty())
        fault = "the member `" + name + "` stands twice in one object";
    }
    return fault.empty();
  };
  Problem problem;
  problem.fault = Fault::bad_json;
  try {
    into = Json::parse(text, watch);
  } catch (const Json::exception& error) {  // a number that no double holds is no parse_error
    std::string what = error.what();  // `[json.exception.parse_error.101] parse error at line 2...`
    problem.message =
        "the body is not JSON: " + what.substr(std::min(what.find("] ") + 2, what.size()));
    return problem;
  }
  if (fault.empty()) return std::nullopt;
  problem.message = fault;
  return problem;
}

QueryFields::QueryFields(std::string_view query, std::vector<std::string_view> known) {
  while (!query.empty()) {
    const auto pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
    if (pair.empty()) continue;
    const std::string name(pair.substr(0, pair.find('=')));
    std::string coded(pair.substr(std::min(pair.size(), name.size() + 1)));
    std::replace(coded.begin(), coded.end(), '+', ' ');
    fields_.emplace_back(name, percent_decoded(coded));
    if (problem_ || std::find(known.begin(), known.end(), name) != known.end()) continue;
    problem_.emplace();
    problem_->fault = Fault::unknown_field;
    problem_->param = name;
    problem_->message = "the query may hold";
    for (std::size_t i = 0; i < known.size(); ++i)
      problem_->message.append(i == 0 ? " " : ", ").append(known[i]);
    if (known.empty()) problem_->message.append(" nothing here");
  }
}

std::string QueryFields::text(std::string_view name) const {
  for (const auto& [field, value] : fields_)
    if (field == name) return value;
  return "";
}

bool QueryFields::flag(std::string_view name) const {
  const auto value = text(name);
  return value == "1" || value == "true";
}

std::int64_t QueryFields::integer(std::string_view name, std::int64_t otherwise, std::int64_t min,
                                  std::int64_t max) {
  const auto value = text(name);
  if (value.empty()) return otherwise;
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error == std::errc() && end == value.data() + value.size() && number >= min && number <= max)
    return number;
  if (!problem_) {
    problem_.emplace();
    problem_->fault = Fault::bad_value;
    problem_->param = name;
    problem_->message = "`" + std::string(name) + "` must be an integer from " +
                        std::to_string(min) + " to " + std::to_string(max);
  }
  return otherwise;
}

void reply_json(Session& session, const Json& body, int status) {
  session.response().status = status;
  session.response().body = body.dump(-1, ' ', false, Json::error_handler_t::replace);
}

const AdminDoors& admin_doors(Session& session) {
  return *session.thread().doors().admin;
}

void reply_problem(Session& session, Fault fault, std::string message, std::string param) {
  Problem problem;
  problem.fault = fault;
  problem.message = std::move(message);
  problem.param = std::move(param);
  fill(session.response(), problem);
}

bool begin_edit(Session& session, Edit& edit) {
  const Request& request = session.request();
  const QueryFields query(request.query(), {"validate", "simulate", "force", "comment"});
  if (query.problem()) return fill(session.response(), *query.problem()), false;
  edit.simulate = query.flag("simulate");
  edit.validate = edit.simulate || query.flag("validate");
  edit.force = query.flag("force");
  edit.comment = query.text("comment").substr(0, kCommentBytesMax);
  edit.if_match = request.if_match;
  edit.creates_only = request.if_none_match == "*";
  edit.unix_us = session.began_unix_us();
  edit.author = author_of(session);
  return true;
}

std::string author_of(const Session& session) {
  const Key* key = session.visitor();
  if (key == nullptr) return "loopback";
  return key->terms.name.empty() ? key->id : key->terms.name;
}

void finish_edit(Session& session, const Edit& edit) {
  using Verdict = Edited::Verdict;
  const Edited edited = admin_doors(session).edit(edit);
  const bool good = edited.verdict == Verdict::applied || edited.verdict == Verdict::valid ||
                    edited.verdict == Verdict::unchanged;
  if (!good) {
    reply_problem(session, fault_of(edited.verdict), sentence_of(edit, edited));
    if (edited.faults.empty()) return;
    Json body = Json::parse(session.response().body);
    body["error"]["faults"] = edited.faults;
    return reply_json(session, body, session.response().status);
  }
  if (edited.verdict == Verdict::applied)
    spdlog::info("[{}] version {} by {}: {} {}/{}", session.request_id(), edited.version,
                 edit.author, name_of(edit.verb), edit.kind, edit.name);
  if (!edited.etag.empty() && edited.verdict != Verdict::valid)
    session.response().add("etag", edited.etag);
  const char* outcome = edited.verdict == Verdict::applied ? "applied"
                        : edited.verdict == Verdict::valid ? "valid"
                                                           : "unchanged";
  const bool created = edited.created && edited.verdict == Verdict::applied;
  Json body = {{"object", "skillyard.change"},
               {"outcome", outcome},
               {"version", edited.version},
               {"document", edited.document},
               {"diff", edited.diff}};
  if (!edited.simulation.is_null()) body["simulation"] = edited.simulation;
  reply_json(session, body, created ? 201 : 200);
}

}  // namespace http
