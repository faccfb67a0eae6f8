// The tools on a model that they wrote themselves.
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "experts/moe/tools/inspect.h"
#include "experts/moe/tools/logits.h"
#include "experts/moe/tools/synth.h"
#include "tests/moe/cases.h"
#include "tests/moe/runner.h"

namespace moe {
namespace {

class Tools : public ::testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directory(directory_); }

  void TearDown() override { std::filesystem::remove_all(directory_); }

  const std::filesystem::path directory_ =
      std::filesystem::temp_directory_path() / ("skillyard-tools-" + std::to_string(::getpid()));
};

TEST_F(Tools, SynthWritesRunnableModelsOfTheTypesItSays) {
  for (const char* type : {"Q4_K_M", "Q8_0"}) {
    const auto file = directory_ / "tiny.gguf";
    const std::uint64_t size = tools::synth({.shape = "tiny", .type = type, .out = file});
    EXPECT_EQ(size, std::filesystem::file_size(file));
    std::ostringstream text;
    tools::inspect(file, text);
    EXPECT_NE(text.str().find("softmax, top 2 of 8, not renormalised"), std::string::npos)
        << text.str();
    const Model model = Model::open(file);
    // The weights have the spread that synth promises: token vectors have variance 1.
    std::vector<float> row(256);
    const Matrix& table = model.weights.embedding;
    dequantize(table.type, table.row(7), row.size(), row.data());
    double squares = 0;
    for (const float x : row) squares += static_cast<double>(x) * x;
    EXPECT_NEAR(squares / 256, 1, 0.2) << type;
  }
  EXPECT_THROW(tools::synth({.shape = "huge", .out = directory_ / "x"}), std::runtime_error);
  EXPECT_THROW(tools::synth({.type = "Q2_K", .out = directory_ / "x"}), std::runtime_error);
}

TEST_F(Tools, LogitsAreThoseOfTheEngineAloneAndTogether) {
  const auto file = directory_ / "tiny.gguf";
  tools::synth({.shape = "tiny", .out = file});
  std::ofstream(directory_ / "cases.json")
      << R"({"prompts":[{"tokens":[1,5,9],"greedy":[7]},{"tokens":[1],"greedy":[3,2]}]})";
  const Model model = Model::open(file);
  const auto expected = testing::Runner(model, kPortable).run({{1, 5, 9, 7}, {1, 3, 2}}, 4);
  for (const bool batch : {false, true}) {
    const auto report = tools::write_logits({.model = file,
                                             .cases = directory_ / "cases.json",
                                             .out = directory_ / "out.npy",
                                             .batch = batch});
    EXPECT_EQ(report.rows, 7u);
    const auto npy = testing::Npy::read(directory_ / "out.npy");
    ASSERT_EQ(npy.rows, 7u);
    std::vector<float> all;
    for (const auto& sequence : expected) {
      for (const auto& row : sequence) all.insert(all.end(), row.begin(), row.end());
    }
    EXPECT_TRUE(npy.values == all);
  }
}

}  // namespace
}  // namespace moe
