// Asking: the experts of a Route, in order, until there is an answer.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>
#include <vector>

#include "aggregator/answer.h"
#include "experts/pool.h"
#include "router/query.h"

namespace router {

/// Asks `names` one after the other, best first, until one answers: the next is asked only when the
/// last failed in a way that another expert need not repeat and before the first byte reached the
/// sink. All arguments outlive the coroutine. Never throws for what an expert can do wrong.
boost::asio::awaitable<aggregator::Answer> ask_in_turn(experts::Pool& pool,
                                                       const std::vector<std::string>& names,
                                                       const experts::Call& call,
                                                       experts::Sink* sink);

/// Whether another expert may be asked after this reply.
bool may_fall_back(const experts::Reply& reply);

}  // namespace router
