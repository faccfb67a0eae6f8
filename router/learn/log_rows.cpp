#include "router/learn/log_rows.h"

#include <algorithm>

namespace router {
namespace {

constexpr int kPageRows = 1'000;

void add(Grade& grade, double score, double weight) {
  grade.sum += score * weight;
  grade.weight += weight;
}

}  // namespace

Grades read_grades(store::Reader& reader) {
  Grades grades;
  for (std::int64_t place = 0;;) {
    const store::FeedbackPage page = reader.feedback_after(place, kPageRows);
    for (const store::Feedback& row : page.rows) add(grades[row.decision_id], row.score, 1);
    if (page.rows.empty()) break;
    place = page.last;
  }
  for (std::int64_t place = 0;;) {
    const store::OutcomePage page = reader.outcomes_after(place, kPageRows);
    for (const store::Outcome& row : page.rows)
      if (!row.decision_id.empty()) add(grades[row.decision_id], row.score, row.weight);
    if (page.rows.empty()) break;
    place = page.last;
  }
  return grades;
}

void read_decisions(store::Reader& reader, std::int64_t since_us,
                    const std::function<void(const store::Stored&)>& take,
                    const std::function<void(double)>& progress) {
  const double total = static_cast<double>(std::max<std::int64_t>(1, reader.counts().decisions));
  store::DecisionFilter filter;
  filter.since_us = since_us;
  filter.limit = kPageRows;
  for (std::size_t seen = 0; seen < kLogDecisionsMax;) {
    const store::DecisionPage page = reader.decisions(filter);
    for (const store::Stored& stored : page.rows) take(stored);
    seen += page.rows.size();
    progress(std::min(1.0, static_cast<double>(seen) / total));
    if (page.next.empty()) break;
    filter.before = page.next;
  }
}

}  // namespace router
