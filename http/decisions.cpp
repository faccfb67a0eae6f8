#include "http/decisions.h"

#include <charconv>
#include <nlohmann/json.hpp>

#include "http/admin.h"
#include "http/model_name.h"
#include "http/net_thread.h"
#include "http/records.h"
#include "http/route_json.h"
#include "http/routes.h"
#include "router/gate_record.h"
#include "router/version_text.h"

namespace http {

namespace asio = boost::asio;

namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr int kPageRowsDefault = 20;
constexpr int kPageRowsMax = 200;  // a page with routes and calls is about 3 KB a row
constexpr std::size_t kFeedbackTextMax = 16 * 1024;
constexpr int kFeedbackDepthMax = 8;
constexpr std::chrono::seconds kFeedbackPatience{2};

std::string safe_text(const OrderedJson& json) {
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

void refuse(Session& session, Fault fault, std::string param, std::string message) {
  reply_problem(session, fault, std::move(message), std::move(param));
}

/// The log, or null after the response says that there is none.
Records* records_of(Session& session) {
  Records* records = session.thread().doors().records;
  if (records == nullptr) refuse(session, Fault::not_found, "", "this service keeps no decisions");
  return records;
}

OrderedJson json_of(const store::CallRow& call) {
  return {
      {"expert", call.expert},
      {"outcome", call.outcome},
      {"status", call.status},
      {"attempts", call.attempts},
      {"prompt_tokens", call.usage_known ? OrderedJson(call.prompt_tokens) : OrderedJson()},
      {"completion_tokens", call.usage_known ? OrderedJson(call.completion_tokens) : OrderedJson()},
      {"cost_microusd", call.cost_microusd},
      {"queued_us", call.queued_us},
      {"first_byte_us", call.first_byte_us},
      {"total_us", call.total_us},
      {"vote", call.vote.empty() ? OrderedJson() : OrderedJson(call.vote)}};
}

/// What the gate did; null: it was not asked.
OrderedJson retrieval_of(const store::Decision& row) {
  if (row.gate.empty()) return {};
  const OrderedJson json = OrderedJson::parse(row.gate, nullptr, false);
  return json.is_object() ? json : OrderedJson();
}

OrderedJson json_of(const store::Stored& stored) {
  const store::Decision& row = stored.row;
  OrderedJson calls = OrderedJson::array();
  for (const store::CallRow& call : row.calls) calls.push_back(json_of(call));
  OrderedJson json = {{"object", "skillyard.decision"},
                      {"id", row.id},
                      {"unix_us", row.unix_us},
                      {"model", row.model},
                      {"pool", row.pool},
                      {"expert", row.expert},
                      {"outcome", row.outcome},
                      {"mode", row.mode},
                      {"finish_reason", row.finish_reason},
                      {"reason", row.reason},
                      {"abstained", row.abstained},
                      {"propensity", row.propensity},
                      {"policy_version", router::version_text(row.policy_version)},
                      {"query_hash", std::to_string(row.query_hash)},
                      {"text", row.text.empty() ? OrderedJson() : OrderedJson(row.text)},
                      {"stream", row.stream},
                      {"prompt_tokens", row.prompt_tokens},
                      {"completion_tokens", row.completion_tokens},
                      {"cost_microusd", row.cost_microusd},
                      {"decide_us", row.decide_us},
                      {"first_byte_us", row.first_byte_us},
                      {"total_us", row.total_us},
                      {"confidence", row.confidence},
                      {"changed", row.changed},
                      {"retrieval", retrieval_of(row)},
                      {"calls", std::move(calls)}};
  if (!stored.fault.empty()) json["damaged"] = stored.fault;
  return json;
}

std::optional<std::int64_t> integer_of(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// The filter in the query string, or nothing after the response says what is wrong with it.
std::optional<store::DecisionFilter> filter_of(Session& session) {
  store::DecisionFilter filter;
  filter.limit = kPageRowsDefault;
  std::string_view rest = session.request().query();
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
    const std::string name(pair.substr(0, pair.find('=')));
    const std::string value = percent_decoded(pair.substr(std::min(pair.size(), name.size() + 1)));
    const auto integer = integer_of(value);
    if (name == "pool") {
      filter.pool = value;
    } else if (name == "expert") {
      filter.expert = value;
    } else if (name == "before") {
      filter.before = value;
    } else if (name == "since_us" && integer && *integer >= 0) {
      filter.since_us = *integer;
    } else if (name == "limit" && integer && *integer >= 1 && *integer <= kPageRowsMax) {
      filter.limit = static_cast<int>(*integer);
    } else {
      refuse(
          session, Fault::bad_value, name,
          "the query may hold pool, expert, before (an id), since_us (0 or more) and limit (1 to " +
              std::to_string(kPageRowsMax) + ")");
      return std::nullopt;
    }
  }
  return filter;
}

/// A fresh row may still be on its way to the disk: looks again behind a flush.
std::optional<store::Stored> find_decision(store::Reader& reader, store::Journal& journal,
                                           const std::string& id) {
  auto found = reader.decision(id);
  if (found) return found;
  journal.flush(std::chrono::steady_clock::now() + kFeedbackPatience);
  return reader.decision(id);
}

bool text_fits(const nlohmann::json& body, const char* name, std::string& into) {
  if (!body.contains(name) || body[name].is_null()) return true;
  if (!body[name].is_string()) return false;
  into = body[name].get<std::string>();
  return into.size() <= kFeedbackTextMax;
}

/// The body as feedback, or nothing after the response says what is wrong with it.
std::optional<store::Feedback> feedback_of(Session& session) {
  nlohmann::json body;
  if (auto problem = read_json(session.request().body, kFeedbackDepthMax, body)) {
    fill(session.response(), *problem);
    return std::nullopt;
  }
  if (!body.is_object()) {
    refuse(session, Fault::bad_json, "", "the body must be a JSON object");
    return std::nullopt;
  }
  for (const auto& [key, value] : body.items()) {
    if (key == "score" || key == "correct_answer" || key == "comment") continue;
    refuse(session, Fault::unknown_field, key, "feedback holds score, correct_answer and comment");
    return std::nullopt;
  }
  store::Feedback feedback;
  feedback.decision_id = session.argument();
  feedback.unix_us = session.began_unix_us();
  const bool scored = body.contains("score") && body["score"].is_number();
  feedback.score = scored ? body["score"].get<double>() : -1;
  if (!(feedback.score >= 0 && feedback.score <= 1)) {
    refuse(session, Fault::bad_value, "score", "`score` must be a number from 0 to 1");
    return std::nullopt;
  }
  if (!text_fits(body, "correct_answer", feedback.correct_answer) ||
      !text_fits(body, "comment", feedback.comment)) {
    refuse(session, Fault::bad_value, "comment",
           "`correct_answer` and `comment` must be strings of at most " +
               std::to_string(kFeedbackTextMax) + " bytes");
    return std::nullopt;
  }
  return feedback;
}

/// The route as it was decided; nothing when its bytes cannot be read.
std::optional<router::LoggedRoute> route_of(const store::Decision& row) {
  auto logged = router::decode_route(row.route);
  if (logged) logged->route.policy_version = row.policy_version;  // kept in a column
  return logged;
}

void say_no_decision(Session& session) {
  refuse(session, Fault::no_such_row, "id",
         "there is no decision `" + session.argument() + "` in the log");
}

}  // namespace

asio::awaitable<void> list_decisions(Session& session) {
  Records* records = records_of(session);
  if (records == nullptr) co_return;
  const auto filter = filter_of(session);
  if (!filter) co_return;
  store::DecisionPage page;
  std::function<void(store::Reader&)> job = [&](store::Reader& reader) {
    page = reader.decisions(*filter);
  };
  co_await records->ask(std::move(job));
  OrderedJson list = OrderedJson::array();
  for (const store::Stored& stored : page.rows) list.push_back(json_of(stored));
  OrderedJson body = {
      {"object", "list"}, {"data", std::move(list)}, {"has_more", !page.next.empty()}};
  body["next"] = page.next.empty() ? OrderedJson() : OrderedJson(page.next);
  session.response().body = safe_text(body);
}

asio::awaitable<void> show_decision(Session& session) {
  Records* records = records_of(session);
  if (records == nullptr) co_return;
  std::optional<store::Stored> decision;
  std::vector<store::Feedback> feedback;
  std::function<void(store::Reader&)> job = [&](store::Reader& reader) {
    decision = find_decision(reader, records->journal(), session.argument());
    if (decision) feedback = reader.feedback_of(session.argument());
  };
  co_await records->ask(std::move(job));
  if (!decision) co_return say_no_decision(session);
  OrderedJson body = json_of(*decision);
  const auto route = route_of(decision->row);
  body["route"] = route ? json_of(*route) : OrderedJson();
  body["feedback"] = OrderedJson::array();
  for (const store::Feedback& row : feedback) {
    body["feedback"].push_back({{"unix_us", row.unix_us},
                                {"score", row.score},
                                {"correct_answer", row.correct_answer},
                                {"comment", row.comment}});
  }
  session.response().body = safe_text(body);
}

asio::awaitable<void> explain_decision(Session& session) {
  Records* records = records_of(session);
  if (records == nullptr) co_return;
  std::optional<store::Stored> decision;
  std::function<void(store::Reader&)> job = [&](store::Reader& reader) {
    decision = find_decision(reader, records->journal(), session.argument());
  };
  co_await records->ask(std::move(job));
  if (!decision) co_return say_no_decision(session);
  const store::Decision& row = decision->row;
  const auto logged = route_of(row);
  if (!logged) {
    refuse(session, Fault::no_such_row, "id",
           "the route of this decision was not kept, or by a build that this one cannot read");
    co_return;
  }
  router::Query query;
  read_model_name(row.model,
                  query);  // the knobs that stood in the name; refused names are not logged
  query.text = row.text;
  auto explanation = session.thread().doors().explain(query, *logged);
  if (const auto record = router::decode_gate(row.gate)) {
    for (auto& sentence : tell(*record)) explanation.sentences.push_back(std::move(sentence));
  }
  OrderedJson body = {
      {"object", "skillyard.explanation"}, {"id", row.id}, {"route", json_of(*logged)}};
  body["retrieval"] = retrieval_of(row);
  body["explanation"] = json_of(explanation);
  session.response().body = safe_text(body);
}

asio::awaitable<void> take_feedback(Session& session) {
  Records* records = records_of(session);
  if (records == nullptr) co_return;
  auto feedback = feedback_of(session);
  if (!feedback) co_return;
  bool known = false;
  std::function<void(store::Reader&)> job = [&](store::Reader& reader) {
    known = find_decision(reader, records->journal(), session.argument()).has_value();
  };
  co_await records->ask(std::move(job));
  if (!known) co_return say_no_decision(session);
  if (records->journal().put(std::move(*feedback)) == 0) {
    refuse(session, Fault::log_full, "", "the log takes nothing at this moment; try again");
    co_return;
  }
  session.response().status = 202;
  session.response().body =
      safe_text({{"object", "skillyard.feedback"}, {"decision", session.argument()}});
}

}  // namespace http
