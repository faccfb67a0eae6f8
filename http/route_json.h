// A decision about a query as JSON, for /v1/route and /v1/decisions/{id}. A cold path.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "router/decision.h"

namespace http {

/// Skills with their shares, candidates best first with the terms of their utility, the reason.
nlohmann::ordered_json json_of(const router::LoggedRoute& logged);

}  // namespace http
