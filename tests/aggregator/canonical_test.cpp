#include "aggregator/canonical.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

namespace aggregator {
namespace {

using nlohmann::json;

// tests/aggregator/replies.jsonl: a line with "question" opens a group, the lines after it are
// replies with the key that a strict human reader would give them, null for "gives no answer".
TEST(Canonical, ReadsMessyRepliesAsAStrictHumanWould) {
  std::ifstream file(SOURCE_DIR "/tests/aggregator/replies.jsonl");
  ASSERT_TRUE(file);
  Question question;
  std::string line;
  int replies = 0, questions = 0;
  while (std::getline(file, line)) {
    const json row = json::parse(line);
    if (row.contains("question")) {
      std::optional<AnswerType> declared;
      if (row.contains("type")) declared = answer_type_of(row["type"].get<std::string>());
      question =
          read_question(row["question"].get<std::string>(), declared, row.value("schema", ""));
      ++questions;
      continue;
    }
    ++replies;
    const Canonical answer = canonical(question, row["reply"].get<std::string>());
    const json got = answer.found ? json(answer.key) : json(nullptr);
    EXPECT_EQ(got, row["truth"]) << name_of(question.type) << " of " << question.text.substr(0, 40)
                                 << "\n"
                                 << line;
  }
  EXPECT_GE(replies, 200);
  EXPECT_GE(questions, 15);
}

TEST(Canonical, DetectsTheTypeFromTheQuestion) {
  const auto type = [](std::string_view text) { return name_of(read_question(text).type); };
  EXPECT_EQ(type("Pick one.\nA. red\nB. blue"), "choice");
  EXPECT_EQ(type("Pick one: (a) red (b) blue (c) green"), "choice");
  EXPECT_EQ(type("Choose:\n1. red\n2. blue\n3. green"), "choice");
  EXPECT_EQ(type("How many apples are left?"), "number");
  EXPECT_EQ(type("Is 7 a prime?"), "yes_no");
  EXPECT_EQ(type("In which year did it start?"), "date");
  EXPECT_EQ(type("Who wrote Emma?"), "short_text");
  EXPECT_EQ(type("Return JSON with the fields a and b."), "json");
  EXPECT_EQ(type("Write a function that sorts."), "code");
  EXPECT_EQ(type("Explain entropy."), "free_text");
  EXPECT_EQ(type("Dear A. Smith, thank you for the letter about B."), "free_text");
  EXPECT_EQ(type(""), "free_text");
  const Question many =
      read_question("Which?\nA. one\nB. two, with\na second line\nC. three\n\nThink first.");
  ASSERT_EQ(many.options.size(), 3u);
  EXPECT_EQ(many.options[1].text, "two, with a second line");
  EXPECT_EQ(many.options[2].text, "three");
  for (std::size_t i = 0; i < kAnswerTypes; ++i) {
    const auto one = static_cast<AnswerType>(i);
    EXPECT_EQ(answer_type_of(name_of(one)), one);
    EXPECT_EQ(read_question("How many?", one).type, one);  // what is declared wins
  }
  EXPECT_EQ(answer_type_of("anything"), std::nullopt);
}

TEST(Canonical, RefinesFromRepliesOnlyWhatTheTextLeftOpen) {
  const Question open = read_question("Tell me about it.");
  EXPECT_EQ(refine(open, {"\\boxed{3}", "so \\boxed{4}"}).type, AnswerType::number);
  EXPECT_EQ(refine(open, {"{\"a\":1}", "```json\n{\"a\":2}\n```"}).type, AnswerType::json);
  EXPECT_EQ(refine(open, {"Paris", "London"}).type, AnswerType::short_text);
  EXPECT_EQ(refine(open, {"Paris", "London.\n\nIt is large, and there is much to say."}).type,
            AnswerType::free_text);
  const Question declared = read_question("Tell me about it.", AnswerType::free_text);
  EXPECT_EQ(refine(declared, {"Paris", "London"}).type, AnswerType::free_text);
}

TEST(Canonical, SurvivesHostileRepliesWithinBounds) {
  const Question choice = read_question("Which?\nA. one\nB. two");
  EXPECT_EQ(canonical(choice, std::string(5'000'000, 'x') + "\nThe answer is B.").key, "B");
  EXPECT_FALSE(canonical(choice, std::string(1'000'000, '\xff')).found);
  EXPECT_EQ(canonical(choice, "The answer is \xff\xfe B.").found, false);
  EXPECT_EQ(canonical(choice, std::string("B\0", 2)).key, "B");
  const Question number = read_question("How many?");
  std::string boxes, fractions;
  for (int i = 0; i < 20'000; ++i) boxes += "\\boxed{\\text{";
  for (int i = 0; i < 20'000; ++i) fractions += "\\frac{";
  EXPECT_FALSE(canonical(number, boxes).found);
  EXPECT_FALSE(canonical(number, fractions).found);
  EXPECT_FALSE(canonical(number, std::string(100'000, '9')).found);
  const Question object = read_question("Return JSON.");
  EXPECT_FALSE(canonical(object, std::string(50'000, '[')).found);
  EXPECT_FALSE(canonical(object, std::string(30'000, '[') + std::string(30'000, ']')).found);
  EXPECT_FALSE(canonical(object, "{\"a\":\"\xff\"}").found);
}

/// Every value of "answer" that a data set holds, with the question's text.
template <class Visit>
bool visit_answers(const std::string& name, Visit visit) {
  const char* root = std::getenv("SKILLYARD_DATA");
  if (!root) return false;
  gzFile file = gzopen((std::string(root) + "/routing/" + name).c_str(), "rb");
  if (!file) return false;
  std::string line;
  char buffer[1 << 16];
  while (gzgets(file, buffer, sizeof buffer)) {
    line += buffer;
    if (line.back() != '\n') continue;
    const json row = json::parse(line);
    line.clear();
    const Question question = read_question(std::string(row["text"]), AnswerType::choice);
    for (const auto& [expert, outcome] : row["outcomes"].items()) {
      const auto answer = outcome.find("answer");
      if (answer != outcome.end() && answer->is_string()) visit(question, std::string(*answer));
    }
  }
  gzclose(file);
  return true;
}

bool is_label(const Question& question, std::string_view label) {
  return std::any_of(question.options.begin(), question.options.end(),
                     [&](const Option& option) { return option.label == label; });
}

TEST(Canonical, ReadsEveryRecordedLetterAndNothingElse) {
  std::size_t letters = 0, wrong = 0, unlisted = 0, words = 0;
  const auto check = [&](const Question& question, const std::string& answer) {
    const Canonical read = canonical(question, answer);
    const std::string letter = answer.substr(0, 1);
    const bool bare =
        answer.size() == 1 || answer.substr(1).find_first_not_of(").: (") == std::string::npos;
    if (bare && is_label(question, letter)) {
      ++letters;
      wrong += read.key != letter;
    } else if (bare) {
      ++unlisted;  // a letter that the question does not offer
      wrong += read.found;
    } else {
      ++words;  // "I do", "A hypothesis": an answer only where it is an option's whole text
      const bool is_text = std::any_of(question.options.begin(), question.options.end(),
                                       [&](const Option& option) { return option.text == answer; });
      wrong += read.found && !is_text && answer != "13";
    }
    if (wrong == 1 && read.found) ADD_FAILURE() << answer << " read as " << read.key;
  };
  if (!visit_answers("mmlu_pro.fit.jsonl.gz", check)) {
    GTEST_SKIP() << "SKILLYARD_DATA is not set: the recorded answers are not at hand";
  }
  visit_answers("routerbench11.fit.jsonl.gz", check);
  EXPECT_EQ(wrong, 0u) << "of " << letters;
  EXPECT_GT(letters, 200'000u);
  std::printf("recorded answers: %zu letters, %zu letters that are no option, %zu phrases\n",
              letters, unlisted, words);
}

}  // namespace
}  // namespace aggregator
