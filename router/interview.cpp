#include "router/interview.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace router {

namespace asio = boost::asio;

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

experts::Call call_of(const InterviewTask& task, const GradedQuestion& question) {
  experts::Call call;
  const nlohmann::json message = {{"role", "user"}, {"content", question.text}};
  const nlohmann::json fields = {{"messages", {message}}, {"max_tokens", task.tokens_max}};
  const std::string object = fields.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  call.wire = object.substr(1, object.size() - 2);
  call.messages = {{experts::Role::user, question.text}};
  call.sampling.tokens_max = task.tokens_max;
  call.sampling.seed = 0;
  call.text_wanted = true;
  call.batch = true;
  call.deadline = experts::Clock::now() + std::chrono::milliseconds(task.call_ms_max);
  return call;
}

/// One task on its way: askers take the calls of a round from it, each as soon as it is free.
class Interviewer {
 public:
  Interviewer(const InterviewTask& task, const InterviewDoors& doors, const GoOn& go_on)
      : task_(task),
        go_on_(go_on),
        plan_(task.questions, task.options),
        pool_(loop_, doors.board, {}, doors.maker, doors.wrapper) {
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
    const auto askers =
        std::min<std::size_t>(static_cast<std::size_t>(task_.concurrency_max), asks_.size());
    running_ = askers;
    for (std::size_t i = 0; i < askers; ++i) {
      asio::co_spawn(loop_, ask_one_by_one(), [this](const std::exception_ptr& fault) {
        if (fault) std::rethrow_exception(fault);
        if (--running_ == 0) loop_.stop();  // the Pool keeps a timer
      });
    }
    loop_.restart();
    loop_.run();
    // In the order of the plan, whoever was faster.
    for (const auto& [ask, score] : scores_) plan_.add(ask, score);
    scores_.clear();
  }

  bool may_go_on() {
    const bool spent =
        task_.cost_microusd_max > 0 && report_.cost_microusd >= task_.cost_microusd_max;
    if (spent) report_.stopped = true;
    return !report_.stopped && next_ < asks_.size();
  }

  asio::awaitable<void> ask_one_by_one() {
    while (may_go_on()) {
      const InterviewPlan::Ask ask = asks_[next_++];
      ++report_.calls;
      const experts::Call call = call_of(task_, task_.questions[ask.question]);
      const std::string& name = report_.experts[ask.expert];
      const experts::Reply reply = co_await pool_.ask(name, call, nullptr);
      take(ask, reply);
      ++done_;
      if (go_on_ && !go_on_(done_, plan_.calls())) report_.stopped = true;
    }
  }

  void take(const InterviewPlan::Ask& ask, const experts::Reply& reply) {
    report_.cost_microusd += reply.cost_microusd;
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
  asio::io_context loop_{1};
  experts::Pool pool_;
  std::vector<InterviewPlan::Ask> asks_;  // of this round
  std::vector<std::pair<InterviewPlan::Ask, float>> scores_;
  std::size_t next_ = 0, running_ = 0, done_ = 0;
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
