// The engine against the double-precision reference, on random models of every architecture; and
// the reference against the exact logits of the parity data, so that it can be trusted.
#include "tests/moe/reference.h"

#include <gtest/gtest.h>

#include "tests/moe/cases.h"
#include "tests/moe/planted.h"
#include "tests/moe/runner.h"

namespace moe {
namespace {

using testing::Planted;
using testing::PlantedShape;
using testing::Reference;
using testing::Runner;

std::vector<PlantedShape> shapes() {
  return {
      {.architecture = "llama"},
      {.architecture = "llama", .experts = 0},
      {.architecture = "qwen2", .experts = 0, .biases = true},
      {.architecture = "qwen3", .head = 24, .experts = 0, .q_norm = 24, .k_norm = 24},
      {.architecture = "olmoe",
       .heads_kv = 4,
       .experts = 16,
       .used = 4,
       .q_norm = 64,
       .k_norm = 64},
      {.architecture = "qwen2moe",
       .used = 3,
       .biases = true,
       .shared_ffn = 48,
       .shared_gate = true},
      {.architecture = "qwen3moe", .head = 32, .used = 4, .q_norm = 32, .k_norm = 32},
      {.architecture = "deepseek", .shared_ffn = 64, .dense_layers = 1},
      {.architecture = "deepseek2", .shared_ffn = 64, .dense_layers = 1, .latent = true},
      {.architecture = "deepseek2",
       .shared_ffn = 32,
       .latent = true,
       .latent_split = true,
       .yarn_factor = 4},
      {.architecture = "deepseek2",
       .experts = 16,
       .used = 4,
       .shared_ffn = 32,
       .latent = true,
       .latent_split = true,
       .q_rank = 32,
       .sigmoid = true},
      {.architecture = "granite", .experts = 0, .factors = true},
      {.architecture = "granitemoe", .experts = 16, .used = 4, .shared_ffn = 48, .factors = true},
      {.architecture = "granitemoe"},
  };
}

TEST(Reference, TheEngineAgreesOnEveryArchitecture) {
  for (PlantedShape shape : shapes()) {
    for (const std::uint64_t seed : {1, 2, 3}) {
      shape.seed = seed;
      const Planted planted(shape);
      std::mt19937 random(static_cast<unsigned>(seed));
      std::vector<int> tokens(40);
      for (int& token : tokens) token = static_cast<int>(random() % shape.vocabulary);
      const Eigen::MatrixXd exact = Reference(planted.model.gguf).run(tokens);
      const auto ours = Runner(planted.model, pick_kernels()).run({tokens}, 16)[0];
      double worst = 0;
      for (std::size_t t = 0; t < tokens.size(); ++t) {
        for (std::size_t i = 0; i < ours[t].size(); ++i) {
          worst = std::max(worst, std::abs(static_cast<double>(ours[t][i]) -
                                           exact(static_cast<int>(t), static_cast<int>(i))));
        }
      }
      EXPECT_LE(worst, 2e-4) << shape.architecture << " seed " << seed;
    }
  }
}

TEST(Reference, AgreesWithTheExactLogitsOfTheParityData) {
  const auto data = testing::data_directory();
  if (data.empty()) GTEST_SKIP() << "SKILLYARD_DATA is not set";
  for (const char* name : {"qwen2moe-nano.Q4_0", "deepseek2-v3-nano.F32", "deepseek2-nano.Q8_0"}) {
    const testing::Cases cases =
        testing::Cases::read(data / "moe-parity" / (std::string(name) + ".json"));
    const Gguf gguf = Gguf::open(cases.model);
    const auto& prompt = cases.prompts[2];
    const Eigen::MatrixXd logits = Reference(gguf).run(prompt.sequence());
    for (int t = 0; t < logits.rows(); ++t) {
      for (int i = 0; i < logits.cols(); ++i) {
        const std::size_t at = (prompt.first_row + static_cast<std::size_t>(t)) * cases.exact.cols;
        ASSERT_NEAR(logits(t, i), cases.exact.values[at + static_cast<std::size_t>(i)], 1e-5)
            << name;
      }
    }
  }
}

}  // namespace
}  // namespace moe
