#include "aggregator/aggregate.h"

#include <algorithm>
#include <cmath>

namespace aggregator {
namespace {

bool is_ok(const experts::Reply& reply) {
  return reply.outcome == experts::Outcome::ok;
}

void add_up(Answer& answer) {
  answer.usage.known = !answer.replies.empty();
  for (const experts::Reply& reply : answer.replies) {
    answer.usage.prompt_tokens += reply.usage.prompt_tokens;
    answer.usage.completion_tokens += reply.usage.completion_tokens;
    answer.usage.cached_tokens += reply.usage.cached_tokens;
    answer.usage.known = answer.usage.known && (reply.usage.known || !is_ok(reply));
    answer.cost_microusd += reply.cost_microusd;
  }
}

}  // namespace

Mode ModeTable::mode_of(std::uint32_t skill, AnswerType type) const {
  for (const Exception& exception : exceptions) {
    if (exception.skill == skill && exception.type == type) return exception.mode;
  }
  return by_type[static_cast<std::size_t>(type)];
}

Aggregation::Aggregation(Plan plan)
    : plan_(std::move(plan)), gone_(plan_.competence.size(), false) {
  if (!votes()) return;
  const auto counting = plan_.mode == Mode::plurality ? Counting::plurality : Counting::weighted;
  ballot_.emplace(counting, choices_of(plan_.question), plan_.competence, plan_.ballot,
                  plan_.weights, plan_.priors);
}

double Aggregation::competence_of(std::uint32_t seat) const {
  return seat < plan_.competence.size() ? plan_.competence[seat] : 0;
}

/// Marks the seat as heard and says whether every seat is.
bool Aggregation::leave(std::uint32_t seat) {
  if (seat < gone_.size()) gone_[seat] = true;
  return std::all_of(gone_.begin(), gone_.end(), [](bool gone) { return gone; });
}

bool Aggregation::add(std::uint32_t seat, experts::Reply reply) {
  const bool ok = is_ok(reply);
  const bool first = seat >= gone_.size() || !gone_[seat];
  Entry entry{seat, {}, first};
  if (ok && plan_.mode != Mode::single) {
    entry.canonical = canonical(plan_.question, reply.text, plan_.limits);
  }
  ok_ += ok;
  const bool nobody_left = leave(seat);
  if (plan_.mode == Mode::single) {
    settled_ = settled_ || ok || nobody_left;
  } else if (ballot_) {
    const bool decided = first && ballot_->add(seat, entry.canonical.key);
    settled_ = settled_ || nobody_left || (decided && ok_ >= plan_.replies_min);
  } else {
    settled_ = settled_ || nobody_left;
  }
  entries_.push_back(std::move(entry));
  replies_.push_back(std::move(reply));
  return settled_;
}

bool Aggregation::withdraw(std::uint32_t seat) {
  const bool known = seat < gone_.size() && !gone_[seat];
  const bool nobody_left = leave(seat);
  const bool decided = ballot_ && known && ballot_->add(seat, "");
  settled_ = settled_ || nobody_left || (decided && ok_ >= plan_.replies_min);
  return settled_;
}

std::uint32_t Aggregation::wave() const {
  if (settled_) return 0;
  const auto left = static_cast<std::uint32_t>(std::count(gone_.begin(), gone_.end(), false));
  if (plan_.mode == Mode::single) return std::min(left, 1u);
  if (!ballot_) return left;
  const std::uint32_t short_of = plan_.replies_min > ok_ ? plan_.replies_min - ok_ : 1;
  return std::min(left, std::max(ballot_->votes_needed(), short_of));
}

double Aggregation::doubt() const {
  if (!ballot_) return 0;
  double agreed = 1;
  std::uint32_t asked = wave();
  for (std::uint32_t seat = 0; seat < gone_.size() && asked > 0; ++seat) {
    if (gone_[seat]) continue;
    agreed *= competence_of(seat);
    --asked;
  }
  return 1 - agreed;
}

/// The reply whose seat is most competent, among those that are ok; the earlier one where seats
/// tie.
std::optional<std::uint32_t> Aggregation::most_competent(bool with_answer) const {
  std::optional<std::uint32_t> best;
  for (std::uint32_t i = 0; i < replies_.size(); ++i) {
    if (reader_ == i || !is_ok(replies_[i])) continue;
    if (with_answer && !entries_[i].canonical.found) continue;
    if (!best || competence_of(entries_[i].seat) > competence_of(entries_[*best].seat)) best = i;
  }
  return best;
}

bool Aggregation::wants_reader() const {
  if (plan_.mode == Mode::corrected) return !reader_ && ok_ >= 1 && !plan_.passages.empty();
  const bool reads = plan_.mode == Mode::synthesised || plan_.mode == Mode::best_of;
  return reads && !reader_ && ok_ >= 2;
}

const Synthesis& Aggregation::reading(std::string_view question,
                                      const std::vector<std::string>& names, std::uint64_t seed,
                                      const SynthesisRules& rules) {
  if (plan_.mode == Mode::corrected) {
    Answer draft;
    decide_vote(draft);
    synthesis_ = write_correction(question, replies_[draft.chosen].text, plan_.passages,
                                  plan_.question.type, names, seed, rules);
    return synthesis_;
  }
  std::vector<std::string_view> answers;
  shown_.clear();
  for (std::uint32_t i = 0; i < replies_.size(); ++i) {
    if (!is_ok(replies_[i])) continue;
    shown_.push_back(i);
    answers.push_back(replies_[i].text);
  }
  const Task task = plan_.mode == Mode::best_of ? Task::choose : Task::write;
  synthesis_ = write_synthesis(task, question, answers, plan_.question.type, names, seed, rules);
  return synthesis_;
}

void Aggregation::add_reading(experts::Reply reply) {
  reader_ = static_cast<std::uint32_t>(replies_.size());
  Entry entry;
  entry.seat = kNoSeat;
  if (is_ok(reply) && plan_.mode != Mode::best_of) {
    entry.canonical = canonical(plan_.question, reply.text, plan_.limits);
  }
  entries_.push_back(std::move(entry));
  replies_.push_back(std::move(reply));
}

void Aggregation::decide_single(Answer& answer) const {
  std::optional<std::uint32_t> best;
  if (plan_.mode == Mode::single) {  // the first that is ok
    const auto first = std::find_if(replies_.begin(), replies_.end(), is_ok);
    if (first != replies_.end()) best = static_cast<std::uint32_t>(first - replies_.begin());
  } else {
    best = most_competent(false);
  }
  if (!best) return;
  answer.mode = Mode::single;
  answer.chosen = *best;
  answer.confidence = static_cast<float>(competence_of(entries_[*best].seat));
}

void Aggregation::decide_vote(Answer& answer) const {
  const Verdict verdict = ballot_->verdict();
  if (verdict.seat == kNoSeat) return decide_single(answer);
  for (std::uint32_t i = 0; i < entries_.size(); ++i) {
    if (entries_[i].seat == verdict.seat && entries_[i].counted) answer.chosen = i;
  }
  answer.mode = plan_.mode == Mode::corrected ? Mode::weighted : plan_.mode;
  answer.confidence = static_cast<float>(verdict.posterior);
  answer.agreement = static_cast<float>(verdict.agreement);
}

void Aggregation::decide_fused(Answer& answer) const {
  const auto best = most_competent(true);
  if (!best) return decide_single(answer);
  answer.chosen = *best;
  answer.confidence = static_cast<float>(competence_of(entries_[*best].seat));
  if (plan_.question.type == AnswerType::json) {
    std::vector<WeightedJson> documents;
    for (const Entry& entry : entries_) {
      if (!entry.canonical.found || !entry.counted) continue;
      documents.push_back({entry.canonical.key, competence_of(entry.seat)});
    }
    FusedJson fused = fuse_json(documents, plan_.question.schema, plan_.fuse, plan_.limits);
    answer.mode = fused.fused ? Mode::fused : Mode::single;
    answer.agreement = static_cast<float>(fused.agreement);
    if (fused.fused && fused.text != entries_[*best].canonical.key) answer.text = fused.text;
    return;
  }
  std::vector<WeightedNumber> numbers;
  std::vector<std::uint32_t> who;
  for (std::uint32_t i = 0; i < entries_.size(); ++i) {
    const Entry& entry = entries_[i];
    if (!entry.canonical.numeric || !entry.counted) continue;
    numbers.push_back({entry.canonical.number, competence_of(entry.seat)});
    who.push_back(i);
  }
  answer.mode = numbers.empty() ? Mode::single : Mode::fused;
  if (numbers.empty()) return;
  const FusedNumber fused = fuse_numbers(numbers, plan_.fuse);
  answer.chosen = who[fused.chosen];
  std::size_t same = 0;
  for (const WeightedNumber& number : numbers) same += number.value == fused.value;
  answer.agreement = static_cast<float>(same) / static_cast<float>(numbers.size());
}

void Aggregation::decide_read(Answer& answer) const {
  decide_single(answer);
  if (!reader_ || !is_ok(replies_[*reader_])) return;
  if (plan_.mode == Mode::best_of) {
    const auto chosen = read_chosen(synthesis_, replies_[*reader_].text);
    if (!chosen) return;
    answer.chosen = shown_[*chosen];
    answer.mode = Mode::best_of;
    answer.confidence = static_cast<float>(competence_of(entries_[answer.chosen].seat));
    return;
  }
  const auto written = read_written(synthesis_, replies_[*reader_].text);
  if (!written) return;
  answer.chosen = *reader_;
  answer.mode = Mode::synthesised;
  if (*written != replies_[*reader_].text) answer.text = *written;
}

/// The vote's answer, unless the reader wrote it anew. How sure that is nobody has measured.
void Aggregation::decide_corrected(Answer& answer) const {
  decide_vote(answer);
  if (!reader_ || !is_ok(replies_[*reader_])) return;
  const auto written = read_correction(synthesis_, replies_[*reader_].text);
  if (!written) return;
  answer.chosen = *reader_;
  answer.mode = Mode::corrected;
  answer.confidence = 0;
  if (*written != replies_[*reader_].text) answer.text = *written;
}

Answer Aggregation::close() {
  Answer answer;
  if (ok_ > 0) {
    if (plan_.mode == Mode::corrected) {
      decide_corrected(answer);
    } else if (ballot_) {
      decide_vote(answer);
    } else if (plan_.mode == Mode::fused) {
      decide_fused(answer);
    } else if (plan_.mode == Mode::synthesised || plan_.mode == Mode::best_of) {
      decide_read(answer);
    } else {
      decide_single(answer);
    }
  }
  const bool several = plan_.competence.size() > 1 || plan_.mode == Mode::corrected;
  if (plan_.mode != Mode::single && several) {
    for (const Entry& entry : entries_) answer.votes.push_back(entry.canonical.key);
    // What the client would have got from the first seat alone.
    const auto first = std::find_if(entries_.begin(), entries_.end(),
                                    [](const Entry& entry) { return entry.seat == 0; });
    if (answer.ok() && first != entries_.end()) {
      const auto at = static_cast<std::uint32_t>(first - entries_.begin());
      const bool same_key =
          first->canonical.found && first->canonical.key == entries_[answer.chosen].canonical.key;
      answer.changed = answer.chosen != at && !same_key;
      answer.changed = answer.changed || !answer.text.empty();
    }
  }
  answer.replies = std::move(replies_);
  add_up(answer);
  return answer;
}

}  // namespace aggregator
