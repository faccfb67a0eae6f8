#include "http/problem.h"

#include "http/json_text.h"

namespace http {

namespace {

struct Row {
  int status;
  std::string_view type;
  std::string_view code;
};

constexpr std::string_view kInvalid = "invalid_request_error";
constexpr std::string_view kServer = "server_error";
constexpr std::string_view kUpstream = "upstream_error";

constexpr Row row_of(Fault fault) {
  switch (fault) {
    case Fault::bad_http:
      return {400, kInvalid, "bad_http"};
    case Fault::incomplete:
      return {400, kInvalid, "incomplete_request"};
    case Fault::bad_version:
      return {505, kInvalid, "http_version_not_supported"};
    case Fault::header_too_large:
      return {431, kInvalid, "header_too_large"};
    case Fault::target_too_long:
      return {414, kInvalid, "uri_too_long"};
    case Fault::body_too_large:
      return {413, kInvalid, "request_too_large"};
    case Fault::bad_expectation:
      return {417, kInvalid, "expectation_failed"};
    case Fault::transfer_coding:
      return {501, kInvalid, "unsupported_transfer_coding"};
    case Fault::content_coding:
      return {415, kInvalid, "unsupported_content_encoding"};
    case Fault::media_type:
      return {415, kInvalid, "unsupported_media_type"};
    case Fault::request_timeout:
      return {408, kInvalid, "request_timeout"};
    case Fault::not_found:
      return {404, kInvalid, "unknown_url"};
    case Fault::method_not_allowed:
      return {405, kInvalid, "method_not_allowed"};
    case Fault::bad_json:
      return {400, kInvalid, "invalid_json"};
    case Fault::missing:
      return {400, kInvalid, "missing_required_parameter"};
    case Fault::bad_value:
      return {400, kInvalid, "invalid_value"};
    case Fault::unknown_field:
      return {400, kInvalid, "unknown_parameter"};
    case Fault::unsupported:
      return {400, kInvalid, "unsupported_capability"};
    case Fault::model_not_found:
      return {404, kInvalid, "model_not_found"};
    case Fault::no_such_row:
      return {404, kInvalid, "not_found"};
    case Fault::log_full:
      return {503, kServer, "overloaded"};
    case Fault::bodies_full:
      return {503, kServer, "overloaded"};
    case Fault::connections_full:
      return {503, kServer, "overloaded"};
    case Fault::draining:
      return {503, kServer, "shutting_down"};
    case Fault::internal:
      return {500, kServer, "internal_error"};
    case Fault::unauthorized:
      return {401, "authentication_error", "invalid_api_key"};
    case Fault::forbidden:
      return {403, "permission_error", "permission_denied"};
    case Fault::rate_limited:
      return {429, "rate_limit_error", "rate_limit_exceeded"};
    case Fault::budget_spent:
      return {429, "insufficient_quota", "insufficient_quota"};
    case Fault::stale:
      return {412, kInvalid, "stale_etag"};
    case Fault::unmatched:
      return {428, kInvalid, "if_match_required"};
    case Fault::bad_resource:
      return {422, kInvalid, "invalid_configuration"};
    case Fault::strands:
      return {409, kInvalid, "needs_force"};
    case Fault::nobody:
      return {503, kServer, "no_expert_available"};
    case Fault::deadline:
      return {504, kServer, "deadline_exceeded"};
    case Fault::cancelled:
      return {499, kServer, "client_closed_request"};
    case Fault::upstream_refused:
      return {400, kInvalid, "refused_by_expert"};
    case Fault::upstream_filtered:
      return {400, kInvalid, "content_policy_violation"};
    case Fault::upstream_limited:
      return {429, "rate_limit_error", "rate_limit_exceeded"};
    case Fault::upstream_overloaded:
      return {503, kServer, "overloaded"};
    case Fault::upstream_failed:
      return {502, kUpstream, "upstream_error"};
    case Fault::upstream_credentials:
      return {502, kUpstream, "upstream_credentials"};
    case Fault::upstream_unreachable:
      return {502, kUpstream, "upstream_unreachable"};
    case Fault::upstream_timed_out:
      return {504, kUpstream, "upstream_timeout"};
    case Fault::upstream_malformed:
      return {502, kUpstream, "upstream_malformed"};
  }
  return {500, kServer, "internal_error"};
}

Fault fault_of(experts::Outcome outcome) {
  using experts::Outcome;
  switch (outcome) {
    case Outcome::ok:
      return Fault::internal;
    case Outcome::refused:
      return Fault::upstream_refused;
    case Outcome::filtered:
      return Fault::upstream_filtered;
    case Outcome::limited:
      return Fault::upstream_limited;
    case Outcome::overloaded:
      return Fault::upstream_overloaded;
    case Outcome::failed:
      return Fault::upstream_failed;
    case Outcome::credentials:
      return Fault::upstream_credentials;
    case Outcome::unreachable:
      return Fault::upstream_unreachable;
    case Outcome::timed_out:
      return Fault::upstream_timed_out;
    case Outcome::cut:
      return Fault::upstream_malformed;
    case Outcome::malformed:
      return Fault::upstream_malformed;
    case Outcome::cancelled:
      return Fault::cancelled;
    case Outcome::open_circuit:
      return Fault::upstream_overloaded;
  }
  return Fault::internal;
}

std::string_view sentence_of(Fault fault) {
  switch (fault) {
    case Fault::upstream_refused:
      return "the expert refused this request";
    case Fault::upstream_filtered:
      return "the expert's content policy refused this request";
    case Fault::upstream_limited:
      return "the expert's rate limit is reached";
    case Fault::upstream_overloaded:
      return "the experts for this request are overloaded";
    case Fault::upstream_failed:
      return "the expert failed";
    case Fault::upstream_credentials:
      return "the expert did not accept this service's own credentials; the operator has to renew "
             "them";
    case Fault::upstream_unreachable:
      return "the expert cannot be reached";
    case Fault::upstream_timed_out:
      return "the expert did not answer in time";
    case Fault::upstream_malformed:
      return "the expert's reply was cut off or not readable";
    case Fault::cancelled:
      return "the client closed the connection";
    default:
      return "an internal fault; the service's log has it under this request id";
  }
}

}  // namespace

int status_of(Fault fault) {
  return row_of(fault).status;
}

std::string_view type_of(Fault fault) {
  return row_of(fault).type;
}

std::string_view code_of(Fault fault) {
  return row_of(fault).code;
}

std::string body_of(const Problem& problem) {
  const Row row = row_of(problem.fault);
  std::string out = R"({"error":{"message":)";
  append_string(out, problem.message);
  out.append(R"(,"type":)");
  append_string(out, row.type);
  out.append(R"(,"param":)");
  if (problem.param.empty()) {
    out.append("null");
  } else {
    append_string(out, problem.param);
  }
  out.append(R"(,"code":)");
  append_string(out, row.code);
  out.append("}}");
  return out;
}

void fill(Response& response, const Problem& problem) {
  response.status = status_of(problem.fault);
  response.content_type = "application/json";
  response.body = body_of(problem);
  if (problem.retry_after_s >= 0)
    response.add("retry-after", std::to_string(problem.retry_after_s));
}

const experts::Reply* culprit(const aggregator::Answer& answer) {
  const experts::Reply* last = nullptr;
  for (const auto& reply : answer.replies) {
    if (reply.outcome == experts::Outcome::ok) continue;
    const bool tried = reply.outcome != experts::Outcome::open_circuit;
    if (last == nullptr || tried) last = &reply;
  }
  return last;
}

bool passed_on(const experts::Reply& reply) {
  const bool verdict =
      reply.outcome == experts::Outcome::refused || reply.outcome == experts::Outcome::filtered;
  // 401, 403 and 407 would blame the client's key for ours.
  const bool own_fault = reply.status == 401 || reply.status == 403 || reply.status == 407;
  return verdict && reply.status >= 400 && reply.status < 500 && !own_fault &&
         reply.wire.starts_with('{');
}

Problem problem_of(const aggregator::Answer& answer) {
  const experts::Reply* reply = culprit(answer);
  Problem problem;
  if (reply == nullptr) {
    problem.fault = Fault::nobody;
    problem.message =
        "no expert can answer this request: the pool is empty, or every expert in it is unfit for "
        "what was asked or not healthy. Add one with `skillyard serve --expert NAME=URL` (an "
        "OpenAI-compatible base URL) or in the configuration; POST /v1/route shows why each was "
        "barred";
    return problem;
  }
  problem.fault = fault_of(reply->outcome);
  problem.message = sentence_of(problem.fault);
  problem.message.append(" (expert ").append(reply->expert);
  if (!reply->error.empty()) problem.message.append(": ").append(reply->error);
  problem.message.push_back(')');
  if (problem.fault == Fault::upstream_limited || problem.fault == Fault::upstream_overloaded) {
    problem.retry_after_s = reply->retry_after_s >= 0 ? reply->retry_after_s : 1;
  }
  return problem;
}

}  // namespace http
