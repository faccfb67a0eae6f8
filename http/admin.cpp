#include "http/admin.h"

#include <algorithm>

#include "http/admin_doors.h"
#include "http/net_thread.h"
#include "http/workers.h"

namespace http {

namespace {

using Json = nlohmann::json;

constexpr std::int64_t kPageRows = 100;

/// `/admin/experts/...`: experts.
std::string kind_of(const Session& session) {
  constexpr std::size_t kHead = 7;  // "/admin/"
  const auto path = session.request().path().substr(kHead);
  return std::string(path.substr(0, path.find('/')));
}

Json json_of(const Shown& shown, const AdminDoors& doors) {
  Json json = {{"name", shown.name},
               {"document", shown.document},
               {"origin", shown.origin},
               {"version", shown.version},
               {"etag", shown.etag}};
  if (shown.kind == "experts") json["status"] = doors.status(shown.name);
  return json;
}

/// The edit of the resource that the path names, or nothing after the reply says why not.
std::optional<Edit> edit_of(Session& session, Edit::Verb verb) {
  Edit edit;
  edit.verb = verb;
  edit.kind = kind_of(session);
  edit.name = session.argument();
  if (!begin_edit(session, edit)) return std::nullopt;
  return edit;
}

void change(Session& session, Edit::Verb verb) {
  if (const auto edit = edit_of(session, verb)) finish_edit(session, *edit);
}

void change_with_body(Session& session, Edit::Verb verb) {
  auto edit = edit_of(session, verb);
  if (!edit) return;
  const AdminOptions& limits = admin_doors(session).options;
  if (session.request().body.size() > limits.document_bytes_max)
    return reply_problem(
        session, Fault::body_too_large,
        "a document is at most " + std::to_string(limits.document_bytes_max) + " bytes");
  if (auto problem = read_json(session.request().body, limits.document_depth_max, edit->document))
    return fill(session.response(), *problem);
  finish_edit(session, *edit);
}

std::optional<std::int64_t> number_of(const std::string& text) {
  const bool digits =
      !text.empty() && text.size() <= 15 &&
      std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (!digits) return std::nullopt;
  return std::stoll(text);
}

}  // namespace

void list_resources(Session& session) {
  QueryFields query(session.request().query(), {"name", "origin", "enabled", "limit", "after"});
  const auto limit =
      query.integer("limit", kPageRows, 1, admin_doors(session).options.versions_page_max);
  if (query.problem()) return fill(session.response(), *query.problem());
  const auto name = query.text("name"), origin = query.text("origin"), after = query.text("after");
  const auto enabled = query.text("enabled");
  auto all = admin_doors(session).list(kind_of(session));
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  Json page = Json::array();
  bool more = false;
  for (const auto& shown : all) {
    if (shown.name.find(name) == std::string::npos || shown.name <= after) continue;
    if (!origin.empty() && shown.origin != origin) continue;
    const bool on = shown.document.value("enabled", true);
    if (!enabled.empty() && on != query.flag("enabled")) continue;
    more = static_cast<std::int64_t>(page.size()) == limit;
    if (more) break;
    page.push_back(json_of(shown, admin_doors(session)));
  }
  Json body = {{"object", "list"}, {"has_more", more}};
  body["next"] = more ? page.back()["name"] : Json();
  body["data"] = std::move(page);
  reply_json(session, body);
}

void show_resource(Session& session) {
  for (const auto& shown : admin_doors(session).list(kind_of(session))) {
    if (shown.name != session.argument()) continue;
    session.response().add("etag", shown.etag);
    return reply_json(session, json_of(shown, admin_doors(session)));
  }
  reply_problem(session, Fault::no_such_row,
                "there is no " + kind_of(session) + "/" + session.argument(), "name");
}

void put_resource(Session& session) {
  change_with_body(session, Edit::Verb::put);
}

void patch_resource(Session& session) {
  change_with_body(session, Edit::Verb::patch);
}

void remove_resource(Session& session) {
  change(session, Edit::Verb::remove);
}

void release_resource(Session& session) {
  change(session, Edit::Verb::release);
}

void enable_expert(Session& session) {
  change(session, Edit::Verb::enable);
}

void disable_expert(Session& session) {
  change(session, Edit::Verb::disable);
}

boost::asio::awaitable<void> check_expert(Session& session) {
  const AdminDoors& doors = admin_doors(session);
  std::optional<Json> checked;
  std::string failure;
  std::function<void()> job = [&] {
    try {
      checked = doors.check(session.argument());
    } catch (const std::runtime_error& error) {
      failure = error.what();
    }
  };
  co_await doors.workers->run(std::move(job));
  if (!failure.empty()) {
    reply_problem(session, Fault::bad_resource, failure);
  } else if (checked) {
    reply_json(session, *checked);
  } else {
    reply_problem(session, Fault::no_such_row, "there is no experts/" + session.argument(), "name");
  }
}

void show_config(Session& session) {
  reply_json(session, admin_doors(session).config());
}

void list_versions(Session& session) {
  QueryFields query(session.request().query(), {"before", "limit"});
  const auto before = query.integer("before", 0, 0, INT64_MAX);
  const auto limit =
      query.integer("limit", kPageRows, 1, admin_doors(session).options.versions_page_max);
  if (query.problem()) return fill(session.response(), *query.problem());
  Json page = admin_doors(session).versions(before, static_cast<int>(limit));
  const bool more = static_cast<std::int64_t>(page.size()) == limit;
  Json body = {{"object", "list"}, {"has_more", more}};
  body["next"] = more ? page.back()["version"] : Json();
  body["data"] = std::move(page);
  reply_json(session, body);
}

void show_version(Session& session) {
  const auto number = number_of(session.argument());
  auto version = number ? admin_doors(session).version(*number) : std::nullopt;
  if (version) return reply_json(session, *version);
  reply_problem(session, Fault::no_such_row, "there is no version " + session.argument(),
                "version");
}

void roll_back(Session& session) {
  const auto number = number_of(session.argument());
  if (!number)
    return reply_problem(session, Fault::no_such_row, "a version is a number; GET /admin/versions",
                         "version");
  Edit edit;
  edit.verb = Edit::Verb::rollback;
  edit.version = *number;
  if (begin_edit(session, edit)) finish_edit(session, edit);
}

}  // namespace http
