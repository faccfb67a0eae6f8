#include "http/admin.h"
#include "http/admin_doors.h"
#include "http/keys.h"
#include "http/net_thread.h"

namespace http {

namespace {

using Json = nlohmann::json;

constexpr std::size_t kNamesMax = 1'000;  // of models, of collections; of one key
constexpr std::size_t kNameBytesMax = 128;
constexpr std::int64_t kLimitMax = 1'000'000'000;
constexpr std::int64_t kMicrousdMax = 1'000'000'000'000;  // a million dollars
constexpr std::int64_t kLifeSecondsMax = 100LL * 366 * 86'400;

KeyDesk& desk_of(Session& session) {
  return *admin_doors(session).keys;
}

Json json_of(const Key& key, std::int64_t now_us) {
  Account& account = *key.account;
  const std::lock_guard lock(account.mutex);
  const char* state = key.revoked_us != 0 ? "revoked" : key.usable(now_us) ? "usable" : "expired";
  return {{"id", key.id},
          {"prefix", key.prefix},
          {"name", key.terms.name},
          {"role", name_of(key.role)},
          {"state", state},
          {"created_us", key.created_us},
          {"expires_us", key.expires_us == 0 ? Json() : Json(key.expires_us)},
          {"revoked_us", key.revoked_us == 0 ? Json() : Json(key.revoked_us)},
          {"models", key.terms.models},
          {"collections", key.terms.collections},
          {"requests_per_minute", key.terms.requests_per_minute},
          {"tokens_per_minute", key.terms.tokens_per_minute},
          {"usd_per_day", static_cast<double>(key.terms.microusd_per_day) / 1e6},
          {"usd_per_month", static_cast<double>(key.terms.microusd_per_month) / 1e6},
          {"spent_microusd_day", account.purse.spent_day(now_us)},
          {"spent_microusd_month", account.purse.spent_month(now_us)},
          {"reserved_microusd", account.purse.reserved()},
          {"overruns", account.overruns}};
}

/// What is wanted of a new key; faults are told all at once.
struct Wanted {
  Role role = Role::client;
  KeyTerms terms;
  std::int64_t life_s = 0;  // 0: without end
  std::vector<std::string> faults;
};

void read_integer(const Json& value, const std::string& name, std::int64_t max, std::int64_t& into,
                  Wanted& wanted) {
  if (value.is_number_integer() && value >= 0 && value <= max) {
    into = value.get<std::int64_t>();
  } else {
    wanted.faults.push_back(name + ": must be an integer from 0 (no limit) to " +
                            std::to_string(max));
  }
}

void read_dollars(const Json& value, const std::string& name, std::int64_t& into, Wanted& wanted) {
  const double most = static_cast<double>(kMicrousdMax) / 1e6;
  if (value.is_number() && value.get<double>() >= 0 && value.get<double>() <= most) {
    into = static_cast<std::int64_t>(value.get<double>() * 1e6 + 0.5);
  } else {
    wanted.faults.push_back(name + ": must be USD, a number from 0 (no limit) to 1000000");
  }
}

void read_names(const Json& value, const std::string& name, const char* listed_by,
                std::vector<std::string>& into, Wanted& wanted) {
  const auto is_text = [](const Json& item) { return item.is_string(); };
  if (value.is_array() && value.size() <= kNamesMax &&
      std::all_of(value.begin(), value.end(), is_text)) {
    into = value.get<std::vector<std::string>>();
  } else {
    wanted.faults.push_back(name + ": must be names as " + listed_by + " lists them, at most " +
                            std::to_string(kNamesMax));
  }
}

void read_word(const std::string& name, const Json& value, Wanted& wanted) {
  KeyTerms& terms = wanted.terms;
  if (name == "role" && (value == "client" || value == "admin")) {
    wanted.role = value == "admin" ? Role::admin : Role::client;
  } else if (name == "role") {
    wanted.faults.push_back("role: must be client or admin");
  } else if (name == "name" && value.is_string() &&
             value.get<std::string>().size() <= kNameBytesMax) {
    terms.name = value.get<std::string>();
  } else if (name == "name") {
    wanted.faults.push_back("name: must be a string of at most 128 bytes");
  } else if (name == "models") {
    read_names(value, name, "GET /v1/models", terms.models, wanted);
  } else if (name == "collections") {
    read_names(value, name, "GET /admin/knowledge", terms.collections, wanted);
  } else if (name == "requests_per_minute") {
    read_integer(value, name, kLimitMax, terms.requests_per_minute, wanted);
  } else if (name == "tokens_per_minute") {
    read_integer(value, name, kLimitMax, terms.tokens_per_minute, wanted);
  } else if (name == "usd_per_day") {
    read_dollars(value, name, terms.microusd_per_day, wanted);
  } else if (name == "usd_per_month") {
    read_dollars(value, name, terms.microusd_per_month, wanted);
  } else if (name == "expires_in_s") {
    read_integer(value, name, kLifeSecondsMax, wanted.life_s, wanted);
  } else {
    wanted.faults.push_back(
        name +
        ": unknown; a key has role, name, models, collections, "
        "requests_per_minute, tokens_per_minute, usd_per_day, usd_per_month and expires_in_s");
  }
}

void reply_made(Session& session, const KeyDesk::Made& made, int status) {
  Json body = json_of(*made.key, session.began_unix_us());
  body["object"] = "skillyard.key";
  body["secret"] = made.secret;
  session.response().fields.append("cache-control: no-store\r\n");
  reply_json(session, body, status);
}

void say_unknown(Session& session) {
  reply_problem(session, Fault::no_such_row,
                "there is no key `" + session.argument() + "` that is not revoked", "id");
}

bool is_last_admin(const KeyDesk& desk, const Key& key, std::int64_t now_us) {
  if (key.role != Role::admin || !key.usable(now_us)) return false;
  const auto ring = desk.ring();
  return std::none_of(ring->keys.begin(), ring->keys.end(), [&](const auto& other) {
    return other->role == Role::admin && other->id != key.id && other->usable(now_us);
  });
}

std::shared_ptr<const Key> key_of(Session& session) {
  const auto ring = desk_of(session).ring();
  for (const auto& key : ring->keys)
    if (key->id == session.argument()) return key;
  return nullptr;
}

}  // namespace

void list_keys(Session& session) {
  Json list = Json::array();
  const auto ring = desk_of(session).ring();
  for (const auto& key : ring->keys) list.push_back(json_of(*key, session.began_unix_us()));
  reply_json(session, {{"object", "list"}, {"data", std::move(list)}, {"has_more", false}});
}

void show_key(Session& session) {
  const auto key = key_of(session);
  if (!key) return say_unknown(session);
  reply_json(session, json_of(*key, session.began_unix_us()));
}

void make_key(Session& session) {
  const AdminOptions& limits = admin_doors(session).options;
  Json body;
  if (auto problem = read_json(session.request().body, limits.document_depth_max, body))
    return fill(session.response(), *problem);
  if (!body.is_object())
    return reply_problem(session, Fault::bad_json, "the body must be one JSON object");
  Wanted wanted;
  for (const auto& [name, value] : body.items()) read_word(name, value, wanted);
  if (!wanted.faults.empty()) {
    std::string message = wanted.faults.front();
    for (std::size_t i = 1; i < wanted.faults.size(); ++i) message += "; " + wanted.faults[i];
    return reply_problem(session, Fault::bad_value, message);
  }
  const auto now_us = session.began_unix_us();
  const auto expires_us = wanted.life_s == 0 ? 0 : now_us + wanted.life_s * 1'000'000;
  reply_made(session, desk_of(session).make(wanted.role, wanted.terms, expires_us, now_us), 201);
}

void rotate_key(Session& session) {
  const auto made = desk_of(session).rotate(session.argument(), session.began_unix_us());
  if (!made) return say_unknown(session);
  reply_made(session, *made, 200);
}

void revoke_key(Session& session) {
  QueryFields query(session.request().query(), {"force"});
  if (query.problem()) return fill(session.response(), *query.problem());
  const auto key = key_of(session);
  if (!key) return say_unknown(session);
  if (!query.flag("force") && is_last_admin(desk_of(session), *key, session.began_unix_us()))
    return reply_problem(session, Fault::strands,
                         "this is the last admin key that works: nobody could administer any more; "
                         "make another one first, or add `force=1` to the query");
  const auto revoked = desk_of(session).revoke(key->id, session.began_unix_us());
  reply_json(session, json_of(*revoked, session.began_unix_us()));
}

}  // namespace http
