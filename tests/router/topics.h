// Questions of a small made-up world: three topics that share no word but how they begin.
#pragma once

#include <random>
#include <string>

namespace router::testing {

inline std::string topic_text(int topic, std::mt19937_64& random) {
  static const char* const kTopics[3][6] = {
      {"integral", "derivative", "matrix", "theorem", "prime", "equation"},
      {"enzyme", "protein", "membrane", "neuron", "tissue", "genome"},
      {"treaty", "empire", "revolution", "monarch", "parliament", "dynasty"}};
  std::string text = "question about";
  for (int w = 0; w < 5; ++w) text += std::string(" ") + kTopics[topic][random() % 6];
  return text;
}

}  // namespace router::testing
