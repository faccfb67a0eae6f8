#include "router/learn/votes.h"

#include <algorithm>
#include <limits>
#include <unordered_map>

#include "router/learn/outcomes.h"

namespace router {
namespace {

constexpr std::uint8_t kKeysMax = 250;  // different answers to one question

/// The answer whose givers were right most often, if that is mostly.
std::uint8_t right_of(const std::vector<double>& score, const std::vector<double>& givers) {
  std::uint8_t best = 0;
  for (std::size_t k = 1; k < givers.size(); ++k) {
    if (givers[k] == 0 || score[k] < 0.5 * givers[k]) continue;
    if (best == 0 || score[k] > score[best]) best = static_cast<std::uint8_t>(k);
  }
  return best;
}

/// The right answer as the file names it, where nobody gave it.
std::uint8_t told_right(const aggregator::Question& question, const std::vector<std::string>& keys,
                        const std::string& gold) {
  const aggregator::Canonical told = aggregator::canonical(question, gold);
  const auto found = std::find(keys.begin() + 1, keys.end(), told.key);
  if (!told.found || found == keys.end()) return 0;
  return static_cast<std::uint8_t>(found - keys.begin());
}

void read_row(const OutcomeRow& row, const std::vector<std::int32_t>& column, std::size_t at,
              Votes& votes) {
  aggregator::Question question = aggregator::read_question(row.text);
  if (question.type == aggregator::AnswerType::free_text) return;
  std::vector<std::string> keys(1);  // 0 is "none"
  for (const aggregator::Option& option : question.options) keys.push_back(option.label);
  std::vector<double> score(keys.size()), givers(keys.size());
  for (const Outcome& outcome : row.outcomes) {
    const std::int32_t expert = column[outcome.expert];
    if (expert < 0 || outcome.answer.empty()) continue;
    const aggregator::Canonical answer = aggregator::canonical(question, outcome.answer);
    if (!answer.found) continue;
    auto found = std::find(keys.begin() + 1, keys.end(), answer.key);
    if (found == keys.end()) {
      if (keys.size() > kKeysMax) continue;
      found = keys.insert(keys.end(), answer.key);
      score.push_back(0), givers.push_back(0);
    }
    const auto key = static_cast<std::size_t>(found - keys.begin());
    votes.key[at * votes.experts + static_cast<std::size_t>(expert)] =
        static_cast<std::uint8_t>(key);
    if (answer.numeric) {
      votes.number.resize(votes.key.size(), std::numeric_limits<double>::quiet_NaN());
      votes.number[at * votes.experts + static_cast<std::size_t>(expert)] = answer.number;
    }
    score[key] += outcome.score, givers[key] += 1;
  }
  votes.right[at] = right_of(score, givers);
  if (votes.right[at] == 0) votes.right[at] = told_right(question, keys, row.gold);
  votes.choices[at] = describe_choices(question);
  question.text.clear();
  for (aggregator::Option& option : question.options) option.text.clear(), option.key.clear();
  votes.question[at] = std::move(question);
}

}  // namespace

std::size_t Votes::countable() const {
  std::size_t rows = 0;
  for (std::size_t r = 0; r < question.size(); ++r) {
    const auto from = key.begin() + static_cast<std::ptrdiff_t>(r * experts);
    rows += static_cast<std::ptrdiff_t>(experts) -
                std::count(from, from + static_cast<std::ptrdiff_t>(experts), 0) >=
            2;
  }
  return rows;
}

Votes read_votes(const std::vector<std::string>& files, const Table& table) {
  Votes votes;
  votes.experts = table.experts.size();
  votes.question.resize(table.rows());
  votes.key.assign(table.rows() * votes.experts, 0);
  votes.right.assign(table.rows(), 0);
  votes.choices.resize(table.rows());
  std::unordered_map<std::uint64_t, std::size_t> row_of;
  for (std::size_t r = 0; r < table.rows(); ++r) row_of.emplace(table.id_hashes[r], r);
  for (const std::string& path : files) {
    OutcomeReader reader(path, true);
    OutcomeRow row;
    std::vector<std::int32_t> column;
    while (reader.next(row)) {
      const auto at = row_of.find(row.id_hash);
      if (at == row_of.end()) continue;
      for (std::size_t e = column.size(); e < reader.experts().size(); ++e) {
        const auto found =
            std::find(table.experts.begin(), table.experts.end(), reader.experts()[e]);
        column.push_back(found == table.experts.end()
                             ? -1
                             : static_cast<std::int32_t>(found - table.experts.begin()));
      }
      read_row(row, column, at->second, votes);
    }
  }
  return votes;
}

}  // namespace router
