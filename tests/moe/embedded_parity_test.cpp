// The shipped models (experts/embedded) against the logits that their training framework computes.
//
// embedded_parity.json is written by experts/embedded/training/export.py from the weights as the
// files mean them (Q8_0 values multiplied out), so what differs is the order of sums and the 16-bit
// activations of the engine: the tolerances are far below one quantisation step.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "experts/moe/model.h"
#include "tests/moe/runner.h"

namespace moe {
namespace {

using nlohmann::json;

// Of all compared logits of a model; measured: 1e-9 to 3e-9.
constexpr double kErrorMax = 1e-6;
// Below this distance the best two tokens may change places.
constexpr double kTie = 5e-3;

const std::filesystem::path kPool = std::filesystem::path(SOURCE_DIR) / "experts/embedded";

json read_json(const std::filesystem::path& path) {
  std::ifstream file(path);
  return json::parse(file);
}

/// Squares of what differs and of what is expected.
struct Error {
  double squares = 0, total = 0;
};

/// One position: [id, value, ...], the best token first.
void compare(const std::vector<float>& logits, const json& expected, Error& error) {
  for (std::size_t i = 0; i + 1 < expected.size(); i += 2) {
    const double value = expected[i + 1], ours = logits.at(expected[i].get<std::size_t>());
    error.squares += (ours - value) * (ours - value);
    error.total += value * value;
  }
  const float best = *std::max_element(logits.begin(), logits.end());
  EXPECT_NEAR(logits.at(expected[0].get<std::size_t>()), best, kTie);
}

}  // namespace

TEST(EmbeddedParity, EveryShippedModelHasCases) {
  const json cases =
      read_json(std::filesystem::path(SOURCE_DIR) / "tests/moe/embedded_parity.json");
  const json pool = read_json(kPool / "pool.json");
  ASSERT_FALSE(pool.at("experts").empty());
  for (const auto& expert : pool.at("experts")) {
    EXPECT_TRUE(cases.contains(expert.at("name").get<std::string>())) << expert.at("name");
  }
}

TEST(EmbeddedParity, TheEngineAgreesWithTheTrainingFramework) {
  const json cases =
      read_json(std::filesystem::path(SOURCE_DIR) / "tests/moe/embedded_parity.json");
  for (const auto& [name, prompts] : cases.items()) {
    SCOPED_TRACE(name);
    const Model model = Model::open(kPool / (name + ".gguf"));
    std::vector<std::vector<int>> sequences;
    for (const auto& prompt : prompts) sequences.push_back(prompt.at("tokens"));
    const auto logits = testing::Runner(model, pick_kernels(), 1).run(sequences, 16);
    Error error;
    for (std::size_t s = 0; s < sequences.size(); ++s) {
      const json& rows = prompts[s].at("logits");
      ASSERT_EQ(rows.size(), logits[s].size());
      for (std::size_t i = 0; i < rows.size(); ++i) compare(logits[s][i], rows[i], error);
    }
    EXPECT_LT(error.squares / error.total, kErrorMax);
  }
}

}  // namespace moe
