// What an interview found, as lines of an outcome file.
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "router/interview.h"
#include "router/interview_names.h"
#include "router/learn/outcomes.h"

namespace router {

namespace {

using Json = nlohmann::ordered_json;

Json outcome_of(const InterviewReport::Said& said) {
  const double usd = static_cast<double>(said.cost_microusd) / 1e6;
  Json outcome = {{"score", said.graded.score},
                  {"cost", said.cost_microusd < 0 ? Json() : Json(usd)}};
  outcome["answer"] = said.graded.answer.empty() ? Json() : Json(said.graded.answer);
  outcome["latency_ms"] = said.latency_ms;
  if (said.tokens_in >= 0) outcome["tokens_in"] = said.tokens_in;
  if (said.tokens_out >= 0) outcome["tokens_out"] = said.tokens_out;
  return outcome;
}

std::string line_of(const Json& row) {
  return row.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

/// By question, what each expert said.
std::map<std::uint32_t, Json> outcomes_of(const InterviewReport& report) {
  std::map<std::uint32_t, Json> found;
  for (const auto& said : report.said)
    found[said.question][report.experts[said.expert]] = outcome_of(said);
  return found;
}

std::string line_of(const GradedQuestion& question, const Json& outcomes) {
  Json row = {{"id", question.id}, {"text", question.text}};
  if (!question.skill.empty()) row["domain"] = question.skill;
  row["outcomes"] = outcomes;
  row["gold"] = question.gold;
  return line_of(row);
}

}  // namespace

std::string annotated_lines(const std::string& path,
                            const std::vector<std::vector<std::string>>& names) {
  OutcomeReader reader(path);
  reader.take_ungraded();
  OutcomeRow row;
  std::string lines;
  for (std::size_t r = 0; reader.next(row) && r < names.size(); ++r) {
    Json fields = Json::parse(reader.line());
    fields.erase("domain");
    fields["skills"] = names[r];
    lines += line_of(fields);
  }
  refuse_faults(reader);
  return lines;
}

std::string outcome_lines(const InterviewTask& task, const InterviewReport& report) {
  std::string lines;
  for (const auto& [question, outcomes] : outcomes_of(report))
    lines += line_of(task.questions[question], outcomes);
  return lines;
}

std::string merged_lines(const std::string& old, const InterviewTask& task,
                         const InterviewReport& report) {
  auto fresh = outcomes_of(report);
  std::map<std::string, std::uint32_t> by_id;
  for (const auto& [question, outcomes] : fresh) by_id[task.questions[question].id] = question;
  OutcomeReader reader(old);
  OutcomeRow row;
  std::string lines;
  while (reader.next(row)) {
    Json line = Json::parse(reader.line());
    if (const auto asked = by_id.find(row.id); asked != by_id.end()) {
      line["outcomes"].update(fresh[asked->second]);
      fresh.erase(asked->second);
    }
    lines += line_of(line);
  }
  refuse_faults(reader);
  for (const auto& [question, outcomes] : fresh)
    lines += line_of(task.questions[question], outcomes);
  return lines;
}

}  // namespace router
