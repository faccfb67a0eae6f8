#include "router/interview_names.h"

#include <optional>
#include <stdexcept>

#include "router/learn/interview_plan.h"

namespace router {

namespace {

const experts::Entry& entry_of(const NamingTask& task, const experts::Roster& roster) {
  const experts::Entry* entry = roster.find(task.expert);
  if (entry == nullptr) throw std::runtime_error("no such expert: " + task.expert);
  return *entry;
}

}  // namespace

double naming_cost_usd_max(const NamingTask& task, const experts::Roster& roster) {
  const auto& prices = entry_of(task, roster).options.prices;
  double micro = 0;
  for (const std::string& text : task.texts)
    micro +=
        call_microusd_max({prices.in, prices.out}, naming_prompt(text).size(), task.tokens_max);
  return task.passes * micro / 1e6;
}

NamingReport name_skills(const NamingTask& task, const InterviewDoors& doors,
                         const std::function<bool(std::size_t, std::size_t)>& go_on) {
  entry_of(task, *doors.board.current());
  const auto passes = static_cast<std::size_t>(task.passes);
  const std::size_t calls = task.texts.size() * passes;
  NamingReport report;
  std::vector<std::vector<std::string>> said(calls);  // all passes of a row side by side
  std::size_t done = 0;
  const auto next = [&]() -> std::optional<InterviewCalls::One> {
    if (task.cost_microusd_max > 0 && report.cost_microusd >= task.cost_microusd_max)
      report.stopped = true;
    if (report.stopped || report.calls == calls) return std::nullopt;
    const std::size_t number = report.calls++;
    InterviewCalls::One one = {
        task.expert, question_call(naming_prompt(task.texts[number / passes]), task.tokens_max,
                                   task.call_ms_max, task.temperature)};
    one.call.sampling.seed = static_cast<std::int64_t>(number);
    return one;
  };
  const auto take = [&](std::size_t number, const experts::Reply& reply) {
    report.cost_microusd += reply.cost_microusd;
    if (reply.outcome == experts::Outcome::ok) {
      said[number] = read_names(reply.text, task.rules);
    } else if (++report.failed == 1) {
      report.error = std::string(experts::name_of(reply.outcome)) + ": " + reply.error;
    }
    if (go_on && !go_on(++done, calls)) report.stopped = true;
  };
  InterviewCalls(doors).run(task.concurrency_max, next, take);
  for (std::size_t row = 0; row < task.texts.size(); ++row)
    report.names.push_back(agree({&said[row * passes], passes}, task.rules));
  return report;
}

}  // namespace router
