#include "http/listing.h"

#include <nlohmann/json.hpp>

#include "http/chat.h"
#include "http/keys.h"
#include "http/net_thread.h"
#include "http/route_json.h"

namespace http {

namespace {

using OrderedJson = nlohmann::ordered_json;

/// Bytes that are not UTF-8 (an expert's name from a file) become U+FFFD instead of an exception.
std::string text_of(const OrderedJson& json) {
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

bool may_see(const Session& session, const Model& model) {
  return session.visitor() == nullptr || session.visitor()->may_name(model.id);
}

OrderedJson json_of(const Model& model) {
  OrderedJson json = {{"id", model.id},
                      {"object", "model"},
                      {"created", model.created_s},
                      {"owned_by", model.owned_by}};
  if (!model.state.empty())
    json["skillyard"] = {{"state", model.state}, {"load_wait_ms", model.load_wait_ms}};
  return json;
}

}  // namespace

void list_models(Session& session) {
  OrderedJson list = OrderedJson::array();
  for (const Model& model : session.thread().doors().models())
    if (may_see(session, model)) list.push_back(json_of(model));
  session.response().body = text_of({{"object", "list"}, {"data", std::move(list)}});
}

void show_model(Session& session) {
  for (const Model& model : session.thread().doors().models()) {
    if (model.id != session.argument() || !may_see(session, model)) continue;
    session.response().body = text_of(json_of(model));
    return;
  }
  Problem problem;
  problem.fault = Fault::model_not_found;
  problem.param = "model";
  problem.message = "the model `" + session.argument() + "` does not exist";
  fill(session.response(), problem);
}

boost::asio::awaitable<void> explain_route(Session& session) {
  router::Query query;
  const auto problem = read_query(session, query);
  if (problem) {
    fill(session.response(), *problem);
    co_return;
  }
  const auto& prepare = session.thread().doors().prepare;
  if (prepare) co_await prepare(query);
  OrderedJson body = {{"object", "skillyard.route"}, {"id", query.id}, {"model", query.model}};
  body.update(json_of(session.thread().doors().route(query)));
  session.response().body = text_of(body);
}

void report_live(Session& session) {
  session.response().body = R"({"status":"ok"})";
}

void report_ready(Session& session) {
  const std::string why = session.thread().draining() ? "the service is shutting down"
                                                      : session.thread().doors().unready();
  if (!why.empty()) session.response().status = 503;
  OrderedJson body = {{"status", why.empty() ? "ready" : "not_ready"}};
  if (!why.empty()) body["reason"] = why;
  session.response().body = text_of(body);
}

void report_metrics(Session& session) {
  Response& response = session.response();
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  session.thread().all_metrics().write(response.body);
  if (session.thread().doors().metrics) session.thread().doors().metrics(response.body);
}

}  // namespace http
