// What an expert's HTTP status and error object mean for us. Pure.
#pragma once

#include "experts/call.h"
#include "experts/reply_json.h"

namespace experts {

/// Of a response that is not 2xx, and of an error object inside one that is (status 200).
///
///   400, 404, 413, 422, other 4xx      refused, or filtered when the error names a content policy
///   401, 402, 403                      credentials
///   408, 504                           timed_out
///   425, 502, 503, 529                 overloaded
///   429                                limited
///   other 5xx, or no status            failed
///   1xx, 3xx                           malformed
Outcome outcome_of(int status, const UpstreamError& error);

/// Whether the same expert may be asked again after this. Nothing has reached the client.
bool is_retryable(Outcome outcome, const UpstreamError& error);

}  // namespace experts
