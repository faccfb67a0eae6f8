#include "aggregator/ballot.h"

#include <algorithm>
#include <cmath>
#include <functional>

namespace aggregator {
namespace {

void insert_falling(std::vector<double>& weights, double weight) {
  weights.insert(std::upper_bound(weights.begin(), weights.end(), weight, std::greater<>()),
                 weight);
}

}  // namespace

std::uint32_t choices_of(const Question& question) {
  return question.type == AnswerType::yes_no ? 2u
                                             : static_cast<std::uint32_t>(question.options.size());
}

Ballot::Ballot(Counting counting, std::uint32_t choices, std::vector<double> competence,
               const BallotRules& rules, const std::vector<double>& weights,
               std::vector<Prior> priors)
    : counting_(counting),
      choices_(choices == 0 ? std::max(2u, rules.open_choices) : std::max(2u, choices)),
      rules_(rules),
      competence_(std::move(competence)),
      voted_(competence_.size(), false),
      priors_(std::move(priors)) {
  if (counting_ == Counting::plurality) priors_.clear();
  for (double& theta : competence_) {
    if (!std::isfinite(theta)) theta = 1.0 / choices_;  // nothing known: weight 0
    theta = std::clamp(theta, 1e-9, 1 - 1e-9);
    const std::size_t seat = weight_.size();
    const double odds = seat < weights.size() && std::isfinite(weights[seat])
                            ? weights[seat]
                            : std::log(theta * (choices_ - 1) / (1 - theta));
    weight_.push_back(std::clamp(odds, rules_.weight_min, rules_.weight_max));
  }
  waiting_ = weight_;
  std::sort(waiting_.begin(), waiting_.end(), std::greater<>());
  // Early on there are as many groups as seats at most; no vote moves them again.
  groups_.reserve(competence_.size());
  merged_.reserve(competence_.size());
  rest_.reserve(competence_.size());
  decided_ = competence_.empty();
}

/// The prior of an answer that somebody gives for the first time.
double Ballot::take_prior(std::string_view key) {
  const auto found = std::find_if(priors_.begin(), priors_.end(),
                                  [&](const Prior& prior) { return prior.key == key; });
  if (found == priors_.end()) return 0;
  const double log_odds = found->log_odds;
  priors_.erase(found);
  return log_odds;
}

double Ballot::support_of(const std::vector<double>& weights) const {
  if (counting_ == Counting::plurality) return static_cast<double>(weights.size());
  return log_odds_of(weights);
}

double Ballot::log_odds_of(const std::vector<double>& weights) const {
  double sum = 0, most = -std::numeric_limits<double>::infinity();
  for (std::size_t j = 0; j < weights.size(); ++j) {
    sum += weights[j];
    most = std::max(most, sum / (1 + static_cast<double>(j) * rules_.correlation));
  }
  return most;
}

/// More support; a tie goes to the more competent supporter, then to the one asked first.
bool Ballot::ahead(const Group& a, const Group& b) const {
  if (a.support != b.support) return a.support > b.support;
  if (competence_[a.seat] != competence_[b.seat]) return competence_[a.seat] > competence_[b.seat];
  return a.seat < b.seat;
}

const Ballot::Group* Ballot::leader() const {
  const Group* first = nullptr;
  for (const Group& group : groups_) {
    if (!first || ahead(group, *first)) first = &group;
  }
  return first;
}

/// Whether the leader stays ahead even if every waiting seat votes for one and the same other
/// answer, as far as their weight counts.
bool Ballot::unassailable(const Group& first) {
  if (waiting_.empty()) return true;
  double prior = 0;  // of the likeliest answer that nobody gave
  for (const Prior& one : priors_) prior = std::max(prior, one.log_odds);
  rest_ = waiting_;
  for (double& weight : rest_) weight *= rules_.rest_counts;
  if (support_of(rest_) + prior >= first.support) return false;
  for (const Group& group : groups_) {
    if (&group == &first) continue;
    merged_.resize(group.weights.size() + rest_.size());
    std::merge(group.weights.begin(), group.weights.end(), rest_.begin(), rest_.end(),
               merged_.begin(), std::greater<>());
    if (support_of(merged_) + group.prior >= first.support) return false;
  }
  return true;
}

/// By log-odds in both ways of counting: heads alone say nothing about being right.
double Ballot::posterior_of(const Group& group) const {
  const auto named = static_cast<double>(groups_.size() + priors_.size());
  double sum = std::max(0.0, static_cast<double>(choices_) - named);
  for (const Prior& prior : priors_) sum += std::exp(prior.log_odds);
  for (const Group& other : groups_) sum += std::exp(log_odds_of(other.weights) + other.prior);
  return std::exp(log_odds_of(group.weights) + group.prior) / sum;
}

bool Ballot::add(std::uint32_t seat, std::string_view key) {
  if (seat >= voted_.size() || voted_[seat]) return decided_;
  voted_[seat] = true;
  waiting_.erase(std::find(waiting_.begin(), waiting_.end(), weight_[seat]));
  if (key.empty()) {
    ++unread_;
  } else {
    auto group = std::find_if(groups_.begin(), groups_.end(),
                              [&](const Group& one) { return one.key == key; });
    if (group == groups_.end()) {
      groups_.push_back({std::string(key), {}, 0, seat, take_prior(key)});
      group = groups_.end() - 1;
    }
    insert_falling(group->weights, weight_[seat]);
    group->support = support_of(group->weights) + group->prior;
    const double gain = competence_[seat] - competence_[group->seat];
    if (gain > 0 || (gain == 0 && seat < group->seat)) group->seat = seat;
  }
  const Group* first = leader();
  const std::size_t votes = voted_.size() - waiting_.size() - unread_;
  decided_ = decided_ || waiting_.empty() ||
             (first && (unassailable(*first) ||
                        (votes >= rules_.replies_min && posterior_of(*first) >= rules_.decide_at)));
  return decided_;
}

std::uint32_t Ballot::votes_needed() const {
  if (decided_) return 0;
  std::uint32_t fewest = static_cast<std::uint32_t>(waiting_.size());
  for (std::size_t i = 0; i <= groups_.size(); ++i) {
    // A control character is in no canonical answer.
    const std::string key = i < groups_.size() ? groups_[i].key : "\x01";
    Ballot all_agree = *this;
    std::uint32_t asked = 0;
    for (std::uint32_t seat = 0; seat < voted_.size() && asked < fewest; ++seat) {
      if (voted_[seat]) continue;
      ++asked;
      if (all_agree.add(seat, key)) fewest = asked;
    }
  }
  return fewest;
}

Verdict Ballot::verdict() const {
  Verdict verdict;
  verdict.unread = unread_;
  verdict.votes = static_cast<std::uint32_t>(voted_.size() - waiting_.size()) - unread_;
  const Group* first = leader();
  if (!first) return verdict;
  verdict.key = first->key;
  verdict.seat = first->seat;
  verdict.posterior = posterior_of(*first);
  verdict.agreement = static_cast<double>(first->weights.size()) / verdict.votes;
  return verdict;
}

}  // namespace aggregator
