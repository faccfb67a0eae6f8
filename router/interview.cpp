#include "router/interview.h"

#include <algorithm>
#include <optional>
#include <stdexcept>

namespace router {

namespace {

std::vector<InterviewPrice> prices_of(const InterviewTask& task, const experts::Roster& roster) {
  std::vector<InterviewPrice> prices;
  std::string missing;
  for (const std::string& name : task.options.experts) {
    const experts::Entry* entry = roster.find(name);
    if (entry == nullptr) {
      missing += " " + name;
      continue;
    }
    prices.push_back({entry->options.prices.in, entry->options.prices.out});
  }
  if (!missing.empty()) throw std::runtime_error("no such expert:" + missing);
  return prices;
}

/// One task on its way: askers take the calls of a round from it, each as soon as it is free.
class Interviewer {
 public:
  Interviewer(const InterviewTask& task, const InterviewDoors& doors, const GoOn& go_on)
      : task_(task), go_on_(go_on), plan_(task.questions, task.options), calls_(doors) {
    report_.experts = task.options.experts;
    report_.failed.resize(report_.experts.size());
    report_.errors.resize(report_.experts.size());
  }

  InterviewReport run() {
    for (asks_ = plan_.next_round(); !asks_.empty() && !report_.stopped; asks_ = plan_.next_round())
      ask_round();
    std::sort(report_.said.begin(), report_.said.end(), [](const auto& a, const auto& b) {
      return a.expert != b.expert ? a.expert < b.expert : a.question < b.question;
    });
    return std::move(report_);
  }

 private:
  void ask_round() {
    next_ = 0;
    const auto next = [this]() -> std::optional<InterviewCalls::One> {
      if (!may_go_on()) return std::nullopt;
      const InterviewPlan::Ask& ask = asks_[next_++];
      ++report_.calls;
      return InterviewCalls::One{
          report_.experts[ask.expert],
          question_call(task_.questions[ask.question].text, task_.tokens_max, task_.call_ms_max)};
    };
    const auto took = [this](std::size_t number, const experts::Reply& reply) {
      take(asks_[number], reply);
      ++done_;
      look_around();
    };
    calls_.run(task_.concurrency_max, next, took, [this] { return look_around(); });
    // In the order of the plan, whoever was faster.
    for (const auto& [ask, score] : scores_) plan_.add(ask, score);
    scores_.clear();
  }

  /// False: it was given up.
  bool look_around() {
    if (!given_up_ && go_on_ && !go_on_(done_, plan_.calls())) given_up_ = report_.stopped = true;
    return !given_up_;
  }

  bool may_go_on() {
    const bool spent =
        task_.cost_microusd_max > 0 && report_.cost_microusd >= task_.cost_microusd_max;
    if (spent) report_.stopped = true;
    return !report_.stopped && next_ < asks_.size();
  }

  void take(const InterviewPlan::Ask& ask, const experts::Reply& reply) {
    report_.cost_microusd += reply.cost_microusd;
    if (given_up_ && reply.outcome == experts::Outcome::cancelled) return;
    if (reply.outcome != experts::Outcome::ok) {
      ++report_.failed[ask.expert];
      std::string& why = report_.errors[ask.expert];
      if (why.empty()) why = std::string(experts::name_of(reply.outcome)) + ": " + reply.error;
      return;
    }
    InterviewReport::Said said;
    said.expert = ask.expert;
    said.question = ask.question;
    said.graded = grade(task_.questions[ask.question], reply.text);
    said.latency_ms = static_cast<double>(reply.timings.total_us - reply.timings.queued_us) / 1e3;
    if (reply.usage.known) {
      said.cost_microusd = reply.cost_microusd;
      said.tokens_in = reply.usage.prompt_tokens;
      said.tokens_out = reply.usage.completion_tokens;
    }
    scores_.emplace_back(ask, said.graded.score);
    report_.said.push_back(std::move(said));
  }

  const InterviewTask& task_;
  const GoOn& go_on_;
  InterviewPlan plan_;
  InterviewReport report_;
  InterviewCalls calls_;
  std::vector<InterviewPlan::Ask> asks_;  // of this round
  std::vector<std::pair<InterviewPlan::Ask, float>> scores_;
  std::size_t next_ = 0, done_ = 0;
  bool given_up_ = false;  // go_on_ said so
};

}  // namespace

InterviewQuote quote(const InterviewTask& task, const experts::Roster& roster) {
  const auto prices = prices_of(task, roster);
  const InterviewPlan plan(task.questions, task.options);
  return {.experts = prices.size(),
          .skills = plan.skills(),
          .calls = plan.calls(),
          .cost_usd_max = plan.cost_usd_max(prices, task.tokens_max)};
}

InterviewReport interview(const InterviewTask& task, const InterviewDoors& doors,
                          const GoOn& go_on) {
  prices_of(task, *doors.board.current());
  return Interviewer(task, doors, go_on).run();
}

}  // namespace router
