#include "router/panel.h"

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <optional>

#include "router/hearing.h"

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

boost::asio::awaitable<void> ask_in_waves(experts::Pool& pool,
                                          const std::vector<std::string>& names,
                                          const experts::Call& call, aggregator::Aggregation& panel,
                                          Patience patience) {
  using experts::Clock;
  namespace this_coro = boost::asio::this_coro;
  const bool throws = co_await this_coro::throw_if_cancelled();
  co_await this_coro::throw_if_cancelled(false);
  const auto executor = co_await this_coro::executor;
  Hearing hearing(executor, pool, names, call);
  const bool bounded = call.deadline != Clock::time_point::max();
  const auto closing = bounded ? call.deadline - patience.closing : call.deadline;
  Clock::time_point wave_ends = closing;
  bool late = false, stop = false;
  std::optional<experts::Foresight> next;  // who may be asked after the wave at hand
  while (!panel.settled() && !stop) {
    const bool overdue = Clock::now() >= wave_ends && hearing.left() > 0;
    late = late || overdue;
    if (hearing.idle() || overdue) {
      next.reset();
      const double doubt = panel.doubt();
      hearing.ask(std::max(1U, panel.wave()));
      if (hearing.left() > 0) next.emplace(pool, names[hearing.asked()], doubt);
      wave_ends = closing;
      if (hearing.left() > 0) wave_ends = std::min(closing, Clock::now() + patience.wave);
    }
    co_await hearing.wait(wave_ends);
    while (auto heard = hearing.take(late)) panel.add(heard->seat, std::move(heard->reply));
    const auto state = co_await this_coro::cancellation_state;
    const bool cancelled = state.cancelled() != boost::asio::cancellation_type::none;
    stop = cancelled || Clock::now() >= closing;
  }
  next.reset();
  hearing.cancel();
  while (hearing.running() > 0) co_await hearing.wait(Clock::time_point::max());
  while (auto heard = hearing.take(true)) panel.add(heard->seat, std::move(heard->reply));
  co_await this_coro::throw_if_cancelled(throws);
}

std::string_view last_words(const experts::Call& call) {
  const auto last = std::find_if(call.messages.rbegin(), call.messages.rend(),
                                 [](const auto& m) { return m.role == experts::Role::user; });
  return last == call.messages.rend() ? std::string_view() : std::string_view(last->text);
}

boost::asio::awaitable<aggregator::Answer> ask_several(experts::Pool& pool, const PanelTask& task,
                                                       const experts::Call& call,
                                                       experts::Sink* sink) {
  const auto seats = static_cast<std::ptrdiff_t>(task.plan.competence.size());
  const std::vector<std::string> names(task.names.begin(), task.names.begin() + seats);
  experts::Call vote = call;
  vote.stream = false;
  vote.text_wanted = true;
  vote.panel = task.seed | 1;
  aggregator::Aggregation panel(task.plan);
  const std::string& reader = task.reader.empty() ? names.front() : task.reader;
  std::optional<experts::Foresight> ahead;
  const bool reads = task.plan.mode == aggregator::Mode::synthesised ||
                     task.plan.mode == aggregator::Mode::best_of;
  if (reads) ahead.emplace(pool, reader, 1);
  co_await ask_in_waves(pool, names, vote, panel);
  const auto state = co_await boost::asio::this_coro::cancellation_state;
  const bool cancelled = state.cancelled() != boost::asio::cancellation_type::none;
  ahead.reset();
  const bool over = cancelled || experts::Clock::now() >= call.deadline;
  if (panel.wants_reader() && !over) {
    const auto& reading = panel.reading(task.question, task.everyone, task.seed);
    experts::Call question = aggregator::call_of(reading, call);
    // "Answer stands." is not for the client.
    if (task.plan.mode == aggregator::Mode::corrected) question.stream = false;
    experts::Reply reply = co_await pool.ask(reader, question, sink);
    panel.add_reading(std::move(reply));
  }
  aggregator::Answer answer = panel.close();
  const std::vector<std::string> rest(task.names.begin() + seats, task.names.end());
  if (answer.ok() || over || rest.empty() || answer.replies.empty() ||
      !may_fall_back(answer.replies.back()))
    co_return answer;
  aggregator::Answer last = co_await ask_in_turn(pool, rest, call, sink);
  answer.chosen = static_cast<std::uint32_t>(answer.replies.size()) + last.chosen;
  answer.mode = last.mode;
  for (experts::Reply& reply : last.replies) add_up(answer, std::move(reply));
  answer.votes.resize(answer.replies.size());
  co_return answer;
}

}  // namespace router
