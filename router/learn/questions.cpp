#include "router/learn/questions.h"

#include <stdexcept>

#include "aggregator/canonical.h"
#include "router/learn/outcomes.h"

namespace router {

QuestionFile read_questions(const std::string& path) {
  OutcomeReader reader(path);
  reader.take_ungraded();
  QuestionFile file;
  OutcomeRow row;
  while (reader.next(row)) {
    if (row.gold.empty()) {
      ++file.without_gold;
      continue;
    }
    file.questions.push_back({row.id, row.text, row.skills.empty() ? "" : row.skills[0], row.gold});
  }
  refuse_faults(reader);
  if (file.questions.empty())
    throw std::runtime_error(path +
                             ": no question with a \"gold\" answer; {\"id\", \"text\", \"domain\", "
                             "\"gold\"} a line is expected");
  return file;
}

namespace {

using namespace aggregator;

/// What a question expects: what its text says, where that reads the right answer ("Can you help?
/// What is 3 + 4?" only looks like one of yes or no), else the first type that does.
Question expectation_of(const GradedQuestion& question) {
  Question asked = read_question(question.text);
  if (asked.type != AnswerType::free_text && canonical(asked, question.gold).found) return asked;
  for (const auto type : {AnswerType::number, AnswerType::yes_no, AnswerType::date,
                          AnswerType::list, AnswerType::short_text}) {
    Question declared = read_question(question.text, type);
    if (canonical(declared, question.gold).found) return declared;
  }
  return asked;
}

}  // namespace

Graded grade(const GradedQuestion& question, std::string_view reply) {
  const Question asked = expectation_of(question);
  const Canonical right = canonical(asked, question.gold), said = canonical(asked, reply);
  Graded graded;
  graded.answer = said.shown;
  graded.score = right.found && said.found && right.key == said.key ? 1.F : 0.F;
  return graded;
}

}  // namespace router
