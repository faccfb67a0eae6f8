#include "router/panel.h"

namespace router {

namespace {

void add_up(aggregator::Answer& answer, experts::Reply&& reply) {
  answer.usage.prompt_tokens += reply.usage.prompt_tokens;
  answer.usage.completion_tokens += reply.usage.completion_tokens;
  answer.usage.cached_tokens += reply.usage.cached_tokens;
  answer.usage.known |= reply.usage.known;
  answer.cost_microusd += reply.cost_microusd;
  answer.replies.push_back(std::move(reply));
}

}  // namespace

bool may_fall_back(const experts::Reply& reply) {
  using experts::Outcome;
  if (reply.started) return false;
  switch (reply.outcome) {
    case Outcome::ok:
    case Outcome::refused:   // another expert would be asked the same wrong thing
    case Outcome::filtered:  // never rerouted silently
    case Outcome::cancelled:
      return false;
    case Outcome::limited:
    case Outcome::overloaded:
    case Outcome::failed:
    case Outcome::credentials:
    case Outcome::unreachable:
    case Outcome::timed_out:
    case Outcome::cut:
    case Outcome::malformed:
    case Outcome::open_circuit:
      return true;
  }
  return false;
}

boost::asio::awaitable<aggregator::Answer> ask_in_turn(experts::Pool& pool,
                                                       const std::vector<std::string>& names,
                                                       const experts::Call& call,
                                                       experts::Sink* sink) {
  aggregator::Answer answer;
  for (const auto& name : names) {
    experts::Reply reply = co_await pool.ask(name, call, sink);
    const bool ok = reply.outcome == experts::Outcome::ok;
    const bool go_on = may_fall_back(reply) && experts::Clock::now() < call.deadline;
    // The client hears of the last failure that it can do something about: the first expert's.
    if (ok || !go_on) answer.chosen = static_cast<std::uint32_t>(answer.replies.size());
    add_up(answer, std::move(reply));
    if (ok) answer.mode = aggregator::Mode::single;
    if (!go_on) break;
  }
  co_return answer;
}

}  // namespace router
