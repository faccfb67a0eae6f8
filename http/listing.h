// The small endpoints: models, the decision without its execution, health and metrics.
#pragma once

#include <boost/asio/awaitable.hpp>

namespace http {

class Session;

void list_models(Session& session);                            // GET /v1/models
void show_model(Session& session);                             // GET /v1/models/{name...}
boost::asio::awaitable<void> explain_route(Session& session);  // POST /v1/route
void report_live(Session& session);                            // GET /health/live
void report_ready(Session& session);                           // GET /health/ready
void report_metrics(Session& session);                         // GET /metrics

}  // namespace http
