#include "http/chat.h"

#include <algorithm>

#include "http/model_name.h"
#include "http/net_thread.h"
#include "http/sse.h"
#include "router/version_text.h"

namespace http {

namespace asio = boost::asio;

namespace {

/// Names the decision, the caller's limits and who may answer; a problem when that is nobody we
/// know.
std::optional<Problem> complete(Session& session, router::Query& query) {
  query.id = "dec_";
  query.id.append(session.sortable());
  query.seed = session.thread().chance()();
  query.unix_us = session.began_unix_us();
  query.call.request_id = session.request_id();
  query.call.deadline = session.deadline();
  const std::string& explain = session.request().explain;
  query.knobs.explain |= explain == "1" || explain == "true";
  const Doors& doors = session.thread().doors();
  const bool known =
      query.expert.empty() ? doors.knows_pool(query.pool) : doors.knows_expert(query.expert);
  if (const Key* key = session.visitor()) {
    if (auto problem = bound_by(*key, query)) return problem;
  }
  if (known) return std::nullopt;
  Problem problem;
  problem.fault = Fault::model_not_found;
  problem.param = "model";
  problem.message =
      "the model `" + query.model + "` does not exist; GET /v1/models lists those that do";
  return problem;
}

void add_decision_fields(Session& session, const router::Query& query) {
  Response& response = session.response();
  response.add("x-skillyard-decision", query.id);
  if (query.expert.empty() && query.call.task == experts::Task::chat) {
    const std::uint64_t version = session.thread().doors().policy_version();
    response.add("x-skillyard-policy", router::version_text(version));
  }
}

/// Why there is no answer.
Problem reason_for_none(const Session& session, const NetThread& thread,
                        const aggregator::Answer& answer) {
  if (!session.overdue()) return problem_of(answer);
  Problem problem;
  problem.fault = thread.draining() ? Fault::draining : Fault::deadline;
  problem.message = thread.draining() ? "the service is shutting down"
                                      : "the request took longer than its total deadline";
  return problem;
}

/// Embeddings were asked of a pool that has nobody to make them.
Problem no_encoder(const router::Query& query) {
  Problem problem;
  problem.fault = Fault::unsupported;
  problem.param = "model";
  problem.message = "no expert of `" + std::string(kOwnPrefix) + query.pool +
                    "` makes embeddings; one that does says so: \"capabilities\": "
                    "{\"embeddings\": true}";
  return problem;
}

/// A reply in one piece, good or bad. Returns the code of the problem, empty when it is good.
std::string_view reply_whole(Session& session, const router::Query& query,
                             aggregator::Answer& answer) {
  Response& response = session.response();
  if (answer.ok()) {
    experts::Reply& reply = answer.replies[answer.chosen];
    add_server(response, reply.expert);
    response.body = answer.text.empty() ? std::move(reply.wire) : body_of(answer);
    if (query.knobs.explain) add_explanation(response.body, explanation_of(answer, query));
    return {};
  }
  const experts::Reply* reply = culprit(answer);
  if (reply != nullptr) response.add("x-skillyard-expert", reply->expert);
  if (reply != nullptr && passed_on(*reply) && !session.overdue()) {
    response.status = reply->status;
    response.body = reply->wire;
    return experts::name_of(reply->outcome);
  }
  const bool encodes = query.call.task == experts::Task::embeddings;
  const Problem problem = encodes && answer.replies.empty() && !session.overdue()
                              ? no_encoder(query)
                              : reason_for_none(session, session.thread(), answer);
  fill(response, problem);
  return code_of(problem.fault);
}

/// A panel has other replies left when the expert that was streaming breaks off; the client has
/// not.
bool broke_off(const aggregator::Answer& answer) {
  return answer.ok() &&
         std::any_of(answer.replies.begin(), answer.replies.end(), [](const auto& reply) {
           return reply.started && reply.outcome != experts::Outcome::ok;
         });
}

std::string_view reply_in_stream(Session& session, const router::Query& query, EventStream& stream,
                                 aggregator::Answer& answer) {
  if (broke_off(answer)) {
    Problem problem;
    problem.fault = Fault::upstream_failed;
    problem.message = "the expert that read the others' answers broke off";
    stream.fail(problem);
    return code_of(problem.fault);
  }
  if (answer.ok()) {
    // A panel's answer is there at once, when it was decided.
    if (!answer.votes.empty() && stream.first_event_seconds() < 0)
      stream.put(events_of(answer, query));
    stream.end(query.knobs.explain ? explanation_of(answer, query) : std::string());
    return {};
  }
  if (!session.stream_begun()) return reply_whole(session, query, answer);
  const Problem problem = reason_for_none(session, session.thread(), answer);
  stream.fail(problem);
  return code_of(problem.fault);
}

std::string_view operation_of(const router::Query& query) {
  return query.call.task == experts::Task::embeddings ? "embeddings" : "chat";
}

void record(Session& session, const router::Query& query, const aggregator::Answer& answer,
            std::string_view error, double first_event_s) {
  ChatRecord record;
  record.operation = operation_of(query);
  std::string requested = query.expert;
  if (requested.empty()) requested.append(kOwnPrefix).append(query.pool);
  record.requested = requested;
  if (answer.ok()) record.served = answer.reply().expert;
  record.error = error;
  const auto taken = Session::Clock::now() - session.began();
  record.seconds = std::chrono::duration<double>(taken).count();
  record.first_byte_seconds = first_event_s;
  if (answer.usage.known) {
    record.prompt_tokens = answer.usage.prompt_tokens;
    record.completion_tokens = answer.usage.completion_tokens;
  }
  session.thread().metrics().count_chat(record);
  if (answer.votes.empty()) return;
  session.thread().metrics().count_panel({answer.replies.size(), answer.changed});
}

/// The way of a query once it was read, or of the problem with it: limits, corridor, reply,
/// metrics.
asio::awaitable<void> answer_query(Session& session, router::Query query,
                                   std::optional<Problem> problem) {
  Reservation reservation;
  if (!problem) problem = reservation.take(session, query);
  if (problem) {
    fill(session.response(), *problem);
    ChatRecord refused;
    refused.operation = operation_of(query);
    refused.requested = "other";
    refused.error = code_of(problem->fault);
    session.thread().metrics().count_chat(refused);
    co_return;
  }
  add_decision_fields(session, query);
  const Doors& doors = session.thread().doors();
  if (!query.call.stream) {
    aggregator::Answer answer = co_await doors.answer(query, nullptr);
    reservation.settle(answer);
    const std::string_view error = reply_whole(session, query, answer);
    record(session, query, answer, error, -1);
    co_return;
  }
  session.response().content_type = "text/event-stream";
  session.response().fields.append("cache-control: no-cache\r\nx-accel-buffering: no\r\n");
  EventStream stream(session, query);
  if (query.knobs.explain)
    query.on_asking = [&stream](const auto& names) { stream.tell_asking(names); };
  aggregator::Answer answer = co_await doors.answer(query, &stream);
  reservation.settle(answer);
  const std::string_view error = reply_in_stream(session, query, stream, answer);
  record(session, query, answer, error, stream.first_event_seconds());
}

}  // namespace

std::optional<Problem> read_query(Session& session, router::Query& query) {
  auto problem = session.thread().chat_reader().read(session.request().body, query);
  if (!problem) problem = complete(session, query);
  return problem;
}

asio::awaitable<void> answer_chat(Session& session) {
  router::Query query;
  auto problem = read_query(session, query);
  return answer_query(session, std::move(query), std::move(problem));
}

asio::awaitable<void> answer_embeddings(Session& session) {
  router::Query query;
  auto problem = session.thread().chat_reader().read_embeddings(session.request().body, query);
  if (!problem) problem = complete(session, query);
  return answer_query(session, std::move(query), std::move(problem));
}

}  // namespace http
