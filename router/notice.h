// What a pool says itself, instead of an expert: that a question is outside of what it was trained
// for, and what it can do.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>

#include "aggregator/answer.h"
#include "experts/expert.h"
#include "router/policy.h"
#include "router/query.h"

namespace router {

/// The sentences, from the skills of the policy, which is not empty.
std::string outside_notice(const Policy& policy);

/// `text` as the whole answer to `query`: a reply of `skillyard/<pool>`, in one piece or, when the
/// call is streamed, through `sink`. Costs nothing. Arguments outlive the coroutine.
boost::asio::awaitable<aggregator::Answer> give_notice(const std::string& text, const Query& query,
                                                       experts::Sink* sink);

}  // namespace router
