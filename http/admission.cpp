#include "http/admission.h"

#include <algorithm>
#include <chrono>
#include <mutex>

#include "http/admin_doors.h"
#include "http/keys.h"
#include "http/model_name.h"
#include "http/net_thread.h"

namespace http {

namespace {

constexpr std::int64_t kTokensOutGuess = 256;  // of a reply whose length nobody bounded, for rates

std::int64_t wall_now_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

bool turn_back(Session& session, Fault fault, std::string message) {
  Problem problem;
  problem.fault = fault;
  problem.message = std::move(message);
  if (fault == Fault::unauthorized) session.response().add("www-authenticate", "Bearer");
  fill(session.response(), problem);
  session.thread().doors().keys->count_refusal();
  return false;
}

/// The Host of a request that a web page cannot have sent by pointing its own name at this machine.
bool is_loopback_host(std::string_view host) {
  const auto port = host.rfind(':');
  const bool has_port = port != std::string_view::npos && host.find(']', port) == host.npos;
  if (has_port) host = host.substr(0, port);
  const bool is_number = host.find_first_not_of("0123456789.") == host.npos;
  return same_word(host, "localhost") || host == "[::1]" || (is_number && host.starts_with("127."));
}

/// Administrators without a key: on loopback, until the first admin key is made.
bool authorize_keyless_admin(Session& session, const AdminDoors& admin) {
  if (admin.on_loopback && is_loopback_host(session.request().host)) return true;
  if (admin.on_loopback)
    return turn_back(session, Fault::forbidden,
                     "without an admin key only requests to a loopback address are answered; make "
                     "one with `skillyard key add --role admin`");
  return turn_back(session, Fault::unauthorized,
                   "this listener can be reached from other machines and there is no admin key "
                   "yet: make one on this machine with `skillyard key add --role admin --data DIR` "
                   "and send SIGHUP");
}

/// `1s`, `6m0s`, `250ms`, as OpenAI writes them.
std::string duration_text(std::int64_t us) {
  const std::int64_t ms = (us + 999) / 1000;
  if (ms < 1000) return std::to_string(ms) + "ms";
  const std::int64_t s = (ms + 999) / 1000;
  if (s < 60) return std::to_string(s) + "s";
  return std::to_string(s / 60) + "m" + std::to_string(s % 60) + "s";
}

void add_rate_fields(Response& response, std::string_view what, Bucket& bucket,
                     std::int64_t now_us) {
  if (bucket.limit() == 0) return;
  const auto add = [&](const char* kind, const std::string& value) {
    std::string name = "x-ratelimit-";
    name.append(kind).append("-").append(what);
    response.add(name, value);
  };
  add("limit", std::to_string(bucket.limit()));
  add("remaining", std::to_string(bucket.remaining(now_us)));
  add("reset", duration_text(bucket.reset_us(now_us)));
}

int seconds_up(std::int64_t us) {
  return static_cast<int>(std::min<std::int64_t>((us + 999'999) / 1'000'000, INT32_MAX));
}

Problem rate_problem(std::string_view what, const Bucket& bucket, std::int64_t amount,
                     std::int64_t wait_us) {
  Problem problem;
  problem.fault = Fault::rate_limited;
  problem.message = "this key may use " + std::to_string(bucket.limit()) + " " + std::string(what) +
                    " per minute";
  if (wait_us < 0) {
    problem.message += ", and this request alone is estimated at " + std::to_string(amount) +
                       ": it can never pass; ask for fewer tokens";
  } else {
    problem.retry_after_s = std::max(1, seconds_up(wait_us));
    problem.message += "; try again in " + duration_text(wait_us);
  }
  return problem;
}

Problem purse_problem(std::int64_t microusd, std::int64_t wait_us) {
  Problem problem;
  problem.fault = Fault::budget_spent;
  problem.message =
      "this key's budget does not cover what this request could cost (up to " +
      std::to_string(microusd) +
      " micro-USD) beside what is spent and what calls that run have set aside; a lower max_tokens "
      "sets less aside";
  problem.retry_after_s = std::max(1, seconds_up(wait_us));
  return problem;
}

std::optional<Problem> bound_collections(const Key& key, router::Query& query) {
  const auto& reach = key.terms.collections;
  auto& wanted = query.knobs.collections;
  if (reach.empty()) return std::nullopt;
  if (wanted.empty()) wanted = reach;
  for (const auto& name : wanted) {
    if (std::find(reach.begin(), reach.end(), name) != reach.end()) continue;
    Problem problem;
    problem.fault = Fault::forbidden;
    problem.param = "skillyard.collections";
    problem.message = "this key may not look into the collection `" + name + "`";
    return problem;
  }
  return std::nullopt;
}

}  // namespace

std::optional<Problem> bound_by(const Key& key, router::Query& query) {
  const std::string name =
      query.expert.empty() ? std::string(kOwnPrefix) + query.pool : query.expert;
  if (key.may_name(name)) return bound_collections(key, query);
  Problem problem;
  problem.fault = Fault::forbidden;
  problem.param = "model";
  problem.message = "this key may not use the model `" + name + "`; GET /v1/models lists those";
  problem.message.append(" that it may");
  return problem;
}

bool authorize(Session& session, Access access) {
  const Doors& doors = session.thread().doors();
  if (doors.keys == nullptr) return true;
  const bool admin_side = doors.admin != nullptr;
  const std::string& presented = session.request().authorization;
  auto key = presented.empty() ? nullptr : doors.keys->find(presented, session.began_unix_us());
  session.admit(key);
  if (access == Access::open) return true;
  const bool asked = admin_side ? doors.keys->ring()->admin_made : doors.keys->required();
  if (!asked && admin_side) return authorize_keyless_admin(session, *doors.admin);
  if (!asked) return true;
  if (key == nullptr)
    return turn_back(session, Fault::unauthorized,
                     presented.empty() ? "send an API key: `authorization: Bearer sk-sky-...`"
                                       : "the API key is not known here, expired or revoked");
  if (access == Access::admin && key->role != Role::admin)
    return turn_back(session, Fault::forbidden, "this needs a key of the role admin");
  return true;
}

std::optional<Problem> Reservation::take(Session& session, const router::Query& query) {
  const Key* key = session.visitor();
  if (key == nullptr || key->account == nullptr) return std::nullopt;
  const std::int64_t now_us = session.began_unix_us();
  Account& account = *key->account;
  const std::int64_t out =
      query.needs.tokens_out_max > 0 ? query.needs.tokens_out_max : kTokensOutGuess;
  const std::int64_t tokens = query.needs.tokens_in_estimate + out * query.needs.choices;
  const Doors& doors = session.thread().doors();
  CostBound bound;
  if (account.purse.limited() && doors.cost_bound) bound = doors.cost_bound(query);
  const std::int64_t microusd = bound.call_microusd * bound.calls;

  const std::lock_guard lock(account.mutex);
  std::optional<Problem> problem;
  if (!account.requests.take(1, now_us)) {
    problem = rate_problem("requests", account.requests, 1, account.requests.wait_us(1, now_us));
  } else if (!account.tokens.take(tokens, now_us)) {
    problem =
        rate_problem("tokens", account.tokens, tokens, account.tokens.wait_us(tokens, now_us));
  } else if (!account.purse.reserve(microusd, now_us)) {
    account.tokens.settle(-tokens, now_us);
    problem = purse_problem(microusd, account.purse.wait_us(microusd, now_us));
  }
  add_rate_fields(session.response(), "requests", account.requests, now_us);
  add_rate_fields(session.response(), "tokens", account.tokens, now_us);
  if (problem) return problem;
  account_ = key->account;
  bound_ = bound;
  microusd_ = microusd;
  tokens_ = tokens;
  rated_ = true;
  return std::nullopt;
}

std::optional<Problem> Reservation::take_money(const Key& key, const CostBound& bound,
                                               std::int64_t now_us) {
  if (key.account == nullptr) return std::nullopt;
  const std::int64_t microusd = bound.call_microusd * bound.calls;
  const std::lock_guard lock(key.account->mutex);
  Purse& purse = key.account->purse;
  if (!purse.reserve(microusd, now_us))
    return purse_problem(microusd, purse.wait_us(microusd, now_us));
  account_ = key.account;
  bound_ = bound;
  microusd_ = microusd;
  return std::nullopt;
}

void Reservation::settle(const aggregator::Answer& answer) {
  if (!account_) return;
  std::int64_t microusd = answer.cost_microusd;
  std::int64_t tokens = answer.usage.prompt_tokens + answer.usage.completion_tokens;
  for (const auto& reply : answer.replies) {
    const bool worked = reply.started || reply.outcome == experts::Outcome::ok;
    if (reply.usage.known || !worked) continue;
    microusd +=
        bound_.call_microusd;  // it did not say what it used, or was cut off before it could
    tokens += tokens_ / std::max<std::int64_t>(1, bound_.calls);
  }
  settle(microusd, tokens);
}

void Reservation::settle(std::int64_t microusd, std::int64_t tokens) {
  const auto account = std::move(account_);
  account_.reset();
  const std::int64_t now_us = wall_now_us();
  const std::lock_guard lock(account->mutex);
  account->purse.settle(microusd_, microusd, now_us);
  if (rated_) account->tokens.settle(tokens - tokens_, now_us);
  if (microusd > microusd_ && account->purse.limited()) ++account->overruns;
}

Reservation::~Reservation() {
  if (account_) settle(microusd_, tokens_);
}

}  // namespace http
