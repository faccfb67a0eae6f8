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
  if (reader.faults_total() > 0)
    throw std::runtime_error(std::to_string(reader.faults_total()) + " faults in the questions\n" +
                             describe(reader.faults(), reader.faults_total()));
  if (file.questions.empty())
    throw std::runtime_error(path +
                             ": no question with a \"gold\" answer; {\"id\", \"text\", \"domain\", "
                             "\"gold\"} a line is expected");
  return file;
}

Graded grade(const GradedQuestion& question, std::string_view reply) {
  using namespace aggregator;
  const Question asked = refine(read_question(question.text), {question.gold});
  const Canonical right = canonical(asked, question.gold), said = canonical(asked, reply);
  Graded graded;
  graded.answer = said.shown;
  graded.score = right.found && said.found && right.key == said.key ? 1.F : 0.F;
  return graded;
}

}  // namespace router
