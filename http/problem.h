// What can go wrong with a request, as a value, and the one place that knows the status codes.
//
// Every failure leaves as OpenAI's shape: {"error":{"message","type","param","code"}}.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "aggregator/answer.h"
#include "http/request.h"

namespace http {

enum class Fault : std::uint8_t {
  bad_http,     // not a request as RFC 9112 has it, or one that two readers could read differently
  incomplete,   // the client closed its side in the middle of a request
  bad_version,  // not HTTP/1.0 or 1.1
  header_too_large,  // bytes or number of fields
  target_too_long,
  body_too_large,
  bad_expectation,  // Expect: anything but 100-continue
  transfer_coding,  // Transfer-Encoding: anything but chunked
  content_coding,   // Content-Encoding of a request
  media_type,       // a body that is not JSON by its own word
  request_timeout,  // header or body took too long
  not_found,        // no such path
  method_not_allowed,
  bad_json,       // not JSON, not UTF-8, too deep, a key twice
  missing,        // a required field
  bad_value,      // wrong type or out of range
  unknown_field,  // in strict mode, or in our own object
  unsupported,    // understood, and not something this service does
  model_not_found,
  no_such_row,  // decision, feedback: unknown id
  log_full,     // the journal's queue
  bodies_full,  // all request bodies together
  connections_full,
  draining,
  internal,
  unauthorized,      // no API key, or none that is known
  forbidden,         // a key that may not do this
  rate_limited,      // the key's own limits
  budget_spent,      //
  stale,             // If-Match names another state
  unmatched,         // a change without If-Match
  bad_resource,      // a document that the configuration cannot take
  strands,           // a change that leaves a pool without expert, or nobody to administer
  nobody,            // no expert can answer: pool empty, or all barred
  deadline,          // the request's own total deadline
  cancelled,         // the client went away; nobody reads this
  upstream_refused,  // the expert says the request is wrong, and sent no body that says why
  upstream_filtered,
  upstream_limited,
  upstream_overloaded,
  upstream_failed,
  upstream_credentials,
  upstream_unreachable,
  upstream_timed_out,
  upstream_malformed  // cut or malformed
};

struct Problem {
  Fault fault = Fault::internal;
  std::string message;     // a sentence: what, where, what would be right
  std::string param;       // the field, `messages[2].content`; empty: null
  int retry_after_s = -1;  // -1: none
};

int status_of(Fault fault);

/// `invalid_request_error` and so on; a literal.
std::string_view type_of(Fault fault);

/// OpenAI's `code`; a literal, empty when there is none.
std::string_view code_of(Fault fault);

/// The JSON object {"error":{...}}.
std::string body_of(const Problem& problem);

/// Fills status, body and Retry-After; keeps other header lines.
void fill(Response& response, const Problem& problem);

/// Why an answer is none: the last expert that was really tried decides.
Problem problem_of(const aggregator::Answer& answer);

/// True when the reply's own error body and status are passed on to the client as they are.
bool passed_on(const experts::Reply& reply);

/// The reply that speaks for an answer that failed, or null when no expert was asked.
const experts::Reply* culprit(const aggregator::Answer& answer);

}  // namespace http
