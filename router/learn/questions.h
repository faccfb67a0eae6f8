// Graded questions: what experts are probed with, and how a reply to one is graded.
//
// A file of questions is an outcome file whose rows need no outcomes (router/learn/outcomes.h):
//   {"id","text","domain","gold"}
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace router {

struct GradedQuestion {
  std::string id, text, skill, gold;  // skill: the row's domain, may be empty
};

struct QuestionFile {
  std::vector<GradedQuestion> questions;  // in the order of the file
  std::size_t without_gold = 0;           // rows that cannot be graded, left out
};

/// Throws std::runtime_error that names every fault of the file, and for one without a question.
QuestionFile read_questions(const std::string& path);

struct Graded {
  float score = 0;     // 1: the reply's answer is the right one; 0: another one, or none
  std::string answer;  // as the reply writes it, at most a line; empty: none was found
};

/// By the aggregator's canonical forms. The type of the answer is read from the question, else from
/// `gold`. Pure.
Graded grade(const GradedQuestion& question, std::string_view reply);

}  // namespace router
