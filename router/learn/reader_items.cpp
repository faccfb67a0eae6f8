#include "router/learn/reader_items.h"

#include <algorithm>
#include <map>
#include <stdexcept>
#include <unordered_map>

#include "router/learn/log_rows.h"
#include "router/learn/outcomes.h"
#include "router/splitmix.h"

namespace router {
namespace {

/// Keeps the items of each stratum whose seeded draw is lowest.
class Strata {
 public:
  Strata(std::size_t k, std::size_t items_max)
      : each_max_(std::max<std::size_t>(1, items_max / (k + 1))), drawn_(k + 1), counts_(k + 1) {}

  void add(std::uint64_t draw, ReaderItem item) {
    const std::size_t stratum = item.right_count;
    ++counts_[stratum];
    auto& kept = drawn_[stratum];
    kept.emplace(draw, std::move(item));
    if (kept.size() > each_max_) kept.erase(std::prev(kept.end()));
  }

  void give(ReaderItems& out) {
    out.strata = counts_;
    for (auto& kept : drawn_)
      for (auto& [draw, item] : kept) out.items.push_back(std::move(item));
  }

 private:
  std::size_t each_max_;
  std::vector<std::multimap<std::uint64_t, ReaderItem>> drawn_;
  std::vector<std::size_t> counts_;
};

std::uint64_t draw_of(std::uint64_t hash, std::uint64_t seed) {
  std::uint64_t state = hash ^ seed * 0x9e3779b97f4a7c15U;
  return splitmix(state);
}

void count_right(ReaderItem& item) {
  item.right_count =
      static_cast<std::size_t>(std::count(item.keys.begin(), item.keys.end(), item.right));
}

/// Mean scores of the experts of outcome files, by name.
std::map<std::string, double> mean_scores(const std::vector<std::string>& files) {
  std::map<std::string, std::pair<double, double>> sums;
  for (const std::string& path : files) {
    OutcomeReader reader(path, true);
    OutcomeRow row;
    while (reader.next(row)) {
      for (const Outcome& outcome : row.outcomes) {
        if (outcome.answer.empty()) continue;
        auto& [score, count] = sums[reader.experts()[outcome.expert]];
        score += outcome.score, count += 1;
      }
    }
    if (const std::string faults = describe(reader.faults(), reader.faults_total());
        !faults.empty())
      throw std::runtime_error(faults);
  }
  std::map<std::string, double> means;
  for (const auto& [name, sum] : sums) means[name] = sum.first / sum.second;
  return means;
}

std::vector<std::string> choose_panel(const ReaderItemOptions& options,
                                      const std::map<std::string, double>& means) {
  for (const std::string& name : options.panel) {
    if (!means.contains(name))
      throw std::runtime_error("the outcomes hold no answer of `" + name + "`");
  }
  if (!options.panel.empty()) return options.panel;
  std::vector<std::string> names;
  for (const auto& [name, mean] : means) names.push_back(name);
  std::stable_sort(names.begin(), names.end(),
                   [&](const auto& a, const auto& b) { return means.at(a) > means.at(b); });
  names.resize(std::min(names.size(), options.k));
  if (names.size() < 2)
    throw std::runtime_error(
        "the outcomes hold answers of fewer than two experts: nothing to aggregate");
  return names;
}

/// The row as the panel answered it; false where fewer than two of it did, or nobody knows what is
/// right.
bool read_item(const OutcomeRow& row, const std::vector<std::string>& experts,
               const std::vector<std::string>& panel, const std::map<std::string, double>& means,
               ReaderItem& item) {
  item.question = aggregator::read_question(row.text);
  if (item.question.type == aggregator::AnswerType::free_text) return false;
  item.text = row.text;
  item.right = aggregator::canonical(item.question, row.gold).key;
  for (const std::string& name : panel) {
    const auto found =
        std::find_if(row.outcomes.begin(), row.outcomes.end(), [&](const Outcome& outcome) {
          return experts[outcome.expert] == name && !outcome.answer.empty();
        });
    if (found == row.outcomes.end()) continue;
    item.answers.push_back(found->answer);
    item.keys.push_back(aggregator::canonical(item.question, found->answer).key);
    item.competence.push_back(means.at(name));
  }
  for (const Outcome& outcome : row.outcomes) {
    if (!item.right.empty()) break;
    if (outcome.score >= 1 && !outcome.answer.empty())
      item.right = aggregator::canonical(item.question, outcome.answer).key;
  }
  if (item.right.empty() || item.answers.size() < 2) return false;
  count_right(item);
  return true;
}

void draw_from_files(const ReaderItemOptions& options, Strata& strata, ReaderItems& out) {
  const auto means = mean_scores(options.files);
  out.panel = choose_panel(options, means);
  for (const std::string& path : options.files) {
    OutcomeReader reader(path, true);
    OutcomeRow row;
    while (reader.next(row)) {
      ++out.rows_read;
      ReaderItem item;
      if (!read_item(row, reader.experts(), out.panel, means, item)) continue;
      ++out.rows_usable;
      strata.add(draw_of(row.id_hash, options.seed), std::move(item));
    }
  }
}

/// What users said is right, by decision.
std::unordered_map<std::string, std::string> read_corrections(store::Reader& reader) {
  constexpr int kRowsAtOnce = 1'000;
  std::unordered_map<std::string, std::string> said;
  for (std::int64_t place = 0;;) {
    const store::FeedbackPage page = reader.feedback_after(place, kRowsAtOnce);
    for (const store::Feedback& row : page.rows)
      if (!row.correct_answer.empty()) said[row.decision_id] = row.correct_answer;
    if (page.rows.empty()) return said;
    place = page.last;
  }
}

void draw_from_log(const ReaderItemOptions& options, Strata& strata, ReaderItems& out) {
  store::Reader reader(options.log);
  const auto said = read_corrections(reader);
  read_decisions(
      reader, 0,
      [&](const store::Stored& stored) {
        ++out.rows_read;
        const store::Decision& row = stored.row;
        const auto right = said.find(row.id);
        if (right == said.end() || row.text.empty()) return;
        ReaderItem item;
        item.text = row.text;
        item.question = aggregator::read_question(row.text);
        item.right = aggregator::canonical(item.question, right->second).key;
        for (const store::CallRow& call : row.calls) {
          if (call.vote.empty() || item.answers.size() == options.k) continue;
          item.answers.push_back(call.vote);
          item.keys.push_back(call.vote);
          item.competence.push_back(0.5);
        }
        if (item.right.empty() || item.answers.size() < 2) return;
        count_right(item);
        ++out.rows_usable;
        strata.add(draw_of(hash_of_id(row.id), options.seed), std::move(item));
      },
      [](double) {});
}

}  // namespace

ReaderItems draw_items(const ReaderItemOptions& options) {
  ReaderItems out;
  Strata strata(std::max(options.k, options.panel.size()), options.items_max);
  if (options.log.empty()) {
    draw_from_files(options, strata, out);
  } else {
    draw_from_log(options, strata, out);
  }
  strata.give(out);
  if (out.items.empty())
    throw std::runtime_error(
        options.log.empty()
            ? "no question has two recorded answers and a known right one: the outcomes need "
              "`answer`, and `gold` or a score of 1"
            : options.log + ": none of " + std::to_string(out.rows_read) +
                  " decisions has its text (store.keep_text), two votes and feedback with "
                  "`correct_answer`");
  return out;
}

}  // namespace router
