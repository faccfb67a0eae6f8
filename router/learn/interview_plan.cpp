#include "router/learn/interview_plan.h"

#include <algorithm>
#include <map>
#include <stdexcept>

#include "router/learn/outcomes.h"
#include "router/query.h"

namespace router {
namespace {

bool is_wanted(const InterviewOptions& options, const std::string& skill) {
  return options.skills.empty() ||
         std::find(options.skills.begin(), options.skills.end(), skill) != options.skills.end();
}

}  // namespace

InterviewPlan::InterviewPlan(const std::vector<GradedQuestion>& questions, InterviewOptions options)
    : questions_(questions), options_(std::move(options)) {
  if (options_.experts.empty()) throw std::runtime_error("there is no expert to probe");
  std::map<std::string, Race> by_skill;
  for (std::uint32_t i = 0; i < questions_.size(); ++i) {
    if (is_wanted(options_, questions_[i].skill))
      by_skill[questions_[i].skill].questions.push_back(i);
  }
  if (by_skill.empty()) throw std::runtime_error("no question is of the skills that are wanted");
  const auto place = [&](std::uint32_t question) {
    return split_point(hash_of_id(questions_[question].id), options_.seed);
  };
  for (auto& [skill, race] : by_skill) {
    std::stable_sort(race.questions.begin(), race.questions.end(),
                     [&](auto a, auto b) { return place(a) < place(b); });
    for (std::uint32_t e = 0; e < options_.experts.size(); ++e) race.runners.push_back({e});
    races_.push_back(std::move(race));
  }
  if (options_.calls_max == 0) {
    rounds_ = {{options_.experts.size(), options_.per_skill}};
  } else {
    plan_rounds(options_.calls_max / races_.size());
  }
  for (const Race& race : races_) {
    std::size_t put = 0;
    for (const Round& round : rounds_) {
      const auto fresh = std::min(round.questions, race.questions.size() - put);
      put += fresh;
      calls_ += fresh * round.runners;
    }
  }
}

void InterviewPlan::plan_rounds(std::size_t skill_calls) {
  const std::size_t experts = options_.experts.size();
  if (skill_calls < experts)
    throw std::runtime_error("a budget of " + std::to_string(options_.calls_max) +
                             " calls is not one for each of " + std::to_string(experts) +
                             " experts and " + std::to_string(races_.size()) + " skills; " +
                             std::to_string(experts * races_.size()) + " are the least");
  std::size_t rounds = 0;
  for (std::size_t left = experts; left > 1; left = (left + 1) / 2) ++rounds;
  rounds = std::max<std::size_t>(rounds, 1);
  std::size_t runners = experts, budget = skill_calls;
  for (; rounds > 0; --rounds) {
    const std::size_t fresh = std::max<std::size_t>(budget / rounds / runners, rounds_.empty());
    rounds_.push_back({runners, fresh});
    budget -= std::min(budget, fresh * runners);
    runners = (runners + 1) / 2;
  }
}

double call_microusd_max(const InterviewPrice& price, std::size_t prompt_bytes, int tokens_out) {
  return (static_cast<double>(estimate_tokens(prompt_bytes)) * static_cast<double>(price.in) +
          static_cast<double>(tokens_out) * static_cast<double>(price.out)) /
         1e6;
}

double InterviewPlan::cost_usd_max(const std::vector<InterviewPrice>& prices,
                                   int tokens_out) const {
  double micro = 0;
  std::vector<double> cost(options_.experts.size());
  for (const Race& race : races_) {
    std::size_t put = 0;
    for (const Round& round : rounds_) {
      const auto end = std::min(put + round.questions, race.questions.size());
      for (; put < end; ++put) {
        const auto bytes = questions_[race.questions[put]].text.size();
        for (std::size_t e = 0; e < cost.size(); ++e)
          cost[e] = call_microusd_max(prices[e], bytes, tokens_out);
        std::sort(cost.rbegin(), cost.rend());  // who stays in the race is not known: the dearest
        for (std::size_t e = 0; e < round.runners; ++e) micro += cost[e];
      }
    }
  }
  return micro / 1e6;
}

/// The better half by the mean of all answers; of equals those named first.
void InterviewPlan::halve(Race& race) {
  const auto mean = [](const Runner& runner) {
    return runner.count > 0 ? runner.sum / static_cast<double>(runner.count) : -1;
  };
  std::stable_sort(race.runners.begin(), race.runners.end(),
                   [&](const Runner& a, const Runner& b) { return mean(a) > mean(b); });
  race.runners.resize((race.runners.size() + 1) / 2);
  std::sort(race.runners.begin(), race.runners.end(),
            [](const Runner& a, const Runner& b) { return a.expert < b.expert; });
}

std::vector<InterviewPlan::Ask> InterviewPlan::next_round() {
  std::vector<Ask> asks;
  while (asks.empty() && round_ < rounds_.size()) {
    for (Race& race : races_) {
      if (round_ > 0) halve(race);
      const auto end = std::min(race.put + rounds_[round_].questions, race.questions.size());
      for (const Runner& runner : race.runners)
        for (std::size_t q = race.put; q < end; ++q)
          asks.push_back({runner.expert, race.questions[q]});
      race.put = end;
    }
    ++round_;
  }
  // An expert that must be loaded first is asked all that it will be asked.
  std::stable_sort(asks.begin(), asks.end(),
                   [](const Ask& a, const Ask& b) { return a.expert < b.expert; });
  return asks;
}

void InterviewPlan::add(const Ask& ask, float score) {
  const std::string& skill = questions_[ask.question].skill;
  for (Race& race : races_) {
    if (questions_[race.questions[0]].skill != skill) continue;
    for (Runner& runner : race.runners) {
      if (runner.expert != ask.expert) continue;
      runner.sum += static_cast<double>(score);
      ++runner.count;
    }
  }
}

}  // namespace router
