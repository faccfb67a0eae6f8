// A decision about a query as JSON, for /v1/route and /v1/decisions/{id}[/explain]. A
// cold path.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "router/decision.h"
#include "router/explain.h"

namespace http {

/// Skills with their shares, candidates best first with the terms of their utility, the reason.
nlohmann::ordered_json json_of(const router::LoggedRoute& logged);

/// What bound the decision, the evidence, what would have changed it, and the sentences.
nlohmann::ordered_json json_of(const router::Explanation& explanation);

}  // namespace http
