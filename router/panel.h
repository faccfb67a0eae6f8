// Asking: the experts of a Route, in order until there is an answer, or several at once until their
// votes are decided.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "aggregator/aggregate.h"
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

/// How long a panel waits for those who are late.
struct Patience {
  std::chrono::milliseconds wave{20'000};  // then the next are asked beside them
  std::chrono::milliseconds closing{100};  // before the call's deadline the votes at hand decide
};

/// What a panel is asked, beside the call itself.
struct PanelTask {
  aggregator::Plan plan;              // by seat
  std::vector<std::string> names;     // the seats, then those to ask when every seat failed
  std::vector<std::string> everyone;  // names that an expert that reads the answers must not see
  std::string question;               // the client's last words
  std::string reader;  // who reads the answers, where the plan wants it; empty: the first seat
  std::uint64_t seed = 0;
};

/// A panel from the first wave to its answer: votes, then an expert that reads the answers where
/// the plan wants one (streamed into `sink` when the call is), then, with no reply that is ok, the
/// remaining names in turn. The votes themselves are never streamed. Arguments outlive it.
boost::asio::awaitable<aggregator::Answer> ask_several(experts::Pool& pool, const PanelTask& task,
                                                       const experts::Call& call,
                                                       experts::Sink* sink);

/// The question of a conversation: its last user message, whole.
std::string_view last_words(const experts::Call& call);

/// Asks the seats of `panel`, names by seat, in waves: as many at once as could settle it. Replies
/// of a wave are counted in the order of the seats, so that a replay counts the same; who is late
/// is counted when it comes. When the panel is settled, the deadline is near, or the coroutine is
/// cancelled, the calls still running are cancelled and waited for, which is prompt. `call` is not
/// streamed and wants text. All arguments outlive the coroutine. Never throws for what an expert
/// can do wrong.
boost::asio::awaitable<void> ask_in_waves(experts::Pool& pool,
                                          const std::vector<std::string>& names,
                                          const experts::Call& call, aggregator::Aggregation& panel,
                                          Patience patience = {});

}  // namespace router
