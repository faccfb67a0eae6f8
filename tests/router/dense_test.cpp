// Policies with an encoder's vectors, on a world in which words say nothing and vectors all.
#include "router/learn/dense.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "router/decide.h"
#include "router/guard.h"
#include "router/learn/evaluate.h"
#include "router/learn/newcomer.h"
#include "router/learn/policy_diff.h"
#include "router/learn/probes.h"
#include "router/learn/train.h"
#include "tests/router/meanings.h"

namespace router {
namespace {

using testing::encoder_of_meanings;
using testing::meaning_of;
using testing::meaning_vector;
using testing::strange_text;

/// `alice` knows the first meaning, `bob` the second, `carol` is fair at all.
std::string make_world(int rows, std::uint64_t seed, const std::string& prefix) {
  std::mt19937_64 random(seed);
  std::string out;
  for (int i = 0; i < rows; ++i) {
    const std::string text = strange_text(random);
    const int meaning = meaning_of(text);
    const auto outcome = [&](double p) {
      return nlohmann::json{{"score", static_cast<double>(random() >> 11) * 0x1p-53 < p ? 1 : 0}};
    };
    nlohmann::json row = {{"id", prefix + std::to_string(i)},
                          {"text", text},
                          {"domain", "m" + std::to_string(meaning)}};
    row["outcomes"]["alice"] = outcome(meaning == 0 ? 0.95 : 0.3);
    row["outcomes"]["bob"] = outcome(meaning == 1 ? 0.95 : 0.3);
    row["outcomes"]["carol"] = outcome(0.62);
    out += row.dump() + "\n";
  }
  return out;
}

class Meanings : public ::testing::Test {
 protected:
  static std::string path(const std::string& name) {
    return ::testing::TempDir() + "dense_test_" + std::to_string(::getpid()) + "_" + name;
  }

  static TrainReport train_with(const std::string& encoder, const VectorsOf& vectors,
                                PolicyPtr* made) {
    TrainOptions options;
    options.files = {path("train.jsonl")};
    options.encoder = encoder;
    options.vectors = vectors;
    return train(options, made);
  }

  static void SetUpTestSuite() {
    std::ofstream(path("train.jsonl")) << make_world(900, 1, "w");
    std::ofstream(path("test.jsonl")) << make_world(600, 2, "t");
    train_with("", nullptr, &words);
    report = train_with("meanings-1", encoder_of_meanings(), &policy);
  }

  static void TearDownTestSuite() {
    for (const char* name : {"train.jsonl", "test.jsonl"}) std::filesystem::remove(path(name));
    words.reset(), policy.reset();
  }

  static EvaluateReport judge(const Policy& judged, const VectorsOf& vectors) {
    EvaluateOptions options;
    options.files = {path("test.jsonl")};
    options.vectors = vectors;
    return evaluate(judged, options);
  }

  static PoolView pool_of(const Policy& of, const std::vector<std::string>& names) {
    PoolView view;
    for (const auto& name : names) view.experts.emplace_back().name = name;
    bind(of, view);
    return view;
  }

  static Features features_of(const std::string& text, bool with_vector) {
    Features features;
    Extractor().extract(text, features);
    if (with_vector) features.vector = store::quantise(meaning_vector(text));
    return features;
  }

  static inline PolicyPtr words, policy;  // without an encoder and with one
  static inline TrainReport report;
};

TEST_F(Meanings, VectorsGainWhatWordsCannot) {
  EXPECT_EQ(report.vectors, 900u);
  EXPECT_TRUE(report.vectors_help);
  EXPECT_GT(report.skill_accuracy, 0.95);
  EXPECT_GT(report.gain[1], 0.1);
  EXPECT_LT(report.gain_by_words, 0.03);
  const auto with = judge(*policy, encoder_of_meanings());
  EXPECT_GT(with.row("policy").gain.lo, 0.1);
  EXPECT_TRUE(with.notes.empty());
  EXPECT_LT(with.calibration_error, 0.1);
  const auto without = judge(*policy, nullptr);
  EXPECT_LT(without.row("policy").gain.mean, 0.04) << "words say nothing";
  EXPECT_GT(without.row("policy").gain.hi, -0.03) << "and do no harm";
  ASSERT_EQ(without.notes.size(), 1u);
  EXPECT_NE(without.notes[0].find("600 of 600 rows are decided by words alone"), std::string::npos)
      << without.notes[0];
}

TEST_F(Meanings, WithoutItsVectorAQueryIsDecidedAsIfThereWereNone) {
  const std::vector<std::string> names = {"carol", "bob", "alice"};
  const PoolView with = pool_of(*policy, names), plain = pool_of(*words, names);
  EXPECT_FALSE(with.guarded);
  EXPECT_EQ(with.by_words.guarded, plain.guarded);
  std::mt19937_64 random(9);
  int moved = 0;
  for (int i = 0; i < 60; ++i) {
    const std::string text = strange_text(random);
    const Route late = decide(Query{}, features_of(text, false), *policy, with);
    const Route never = decide(Query{}, features_of(text, false), *words, plain);
    EXPECT_FALSE(late.with_vector);
    ASSERT_EQ(late.candidates.size(), never.candidates.size());
    for (std::size_t c = 0; c < late.candidates.size(); ++c) {
      EXPECT_EQ(late.candidates[c].expert, never.candidates[c].expert);
      EXPECT_EQ(late.candidates[c].p_correct, never.candidates[c].p_correct);
      EXPECT_EQ(late.candidates[c].utility, never.candidates[c].utility);
    }
    EXPECT_EQ(late.reason, never.reason);
    const Route there = decide(Query{}, features_of(text, true), *policy, with);
    EXPECT_TRUE(there.with_vector);
    const std::string& first = with.experts[there.candidates[0].expert].name;
    const char* knows[] = {"alice", "bob", "carol"};
    moved += first == knows[meaning_of(text)];
    Features other = features_of(text, true);
    other.vector += '\1';
    EXPECT_FALSE(decide(Query{}, other, *policy, with).with_vector) << "another length";
  }
  EXPECT_GE(moved, 57);
}

TEST_F(Meanings, TheFileIsTheSameAndPoliciesWithoutAnEncoderAreAsTheyWere) {
  PolicyPtr again;
  train_with("meanings-1", encoder_of_meanings(), &again);
  Policy one = *policy, two = *again, plain = *words;
  const std::string bytes = encode_policy(one);
  EXPECT_EQ(bytes, encode_policy(two));
  const PolicyPtr read = decode_policy(bytes, "file");
  EXPECT_EQ(read->dense.encoder, "meanings-1");
  EXPECT_EQ(read->dense.weight, policy->dense.weight);
  EXPECT_EQ(read->memory.predicted_by_words, policy->memory.predicted_by_words);
  EXPECT_EQ(bytes[8], static_cast<char>(kPolicyFormat));
  EXPECT_EQ(encode_policy(plain)[8], static_cast<char>(kWordsFormat));
  // Vectors that say nothing leave no trace.
  const VectorsOf noise = [](const std::string&, const std::vector<std::string>& texts,
                             const std::function<void(double)>&) {
    std::vector<std::string> out;
    for (std::size_t i = 0; i < texts.size(); ++i) {
      std::mt19937_64 random(i);
      std::vector<float> vector(16);
      for (float& value : vector) value = static_cast<float>(random() % 1000) - 500;
      out.push_back(store::quantise(vector));
    }
    return out;
  };
  PolicyPtr deaf;
  const auto told = train_with("noise", noise, &deaf);
  EXPECT_EQ(told.vectors, 900u);
  EXPECT_FALSE(told.vectors_help);
  Policy same = *deaf;
  EXPECT_EQ(encode_policy(same), encode_policy(plain));
}

TEST_F(Meanings, AnotherEncoderIsRefused) {
  try {
    judge(*policy, encoder_of_meanings(1));
    FAIL() << "it was judged with the vectors of another encoder";
  } catch (const std::runtime_error& error) {
    EXPECT_NE(std::string(error.what()).find("another model"), std::string::npos) << error.what();
  }
  const VectorsOf nobody = [](const std::string&, const std::vector<std::string>& texts,
                              const std::function<void(double)>&) {
    return std::vector<std::string>(texts.size());
  };
  EXPECT_THROW(train_with("nobody", nobody, nullptr), std::runtime_error);
  EXPECT_THROW(train_with("nobody", nullptr, nullptr), std::runtime_error);
}

TEST_F(Meanings, TwoPoliciesAreComparedWithTheVectorsOfEach) {
  EvaluateOptions options;
  options.files = {path("test.jsonl")};
  options.vectors = encoder_of_meanings();
  const PolicyDiff diff = diff_policies(*words, *policy, options);
  ASSERT_TRUE(diff.replay);
  EXPECT_EQ(diff.replay->by_words, 0u);
  EXPECT_GT(diff.replay->gain.lo, 0.1);
  options.vectors = nullptr;
  EXPECT_EQ(diff_policies(*words, *policy, options).replay->by_words, 600u);
}

TEST_F(Meanings, ProbesAskForTheVectorsOfThoseThatRun) {
  std::mt19937_64 random(5);
  const std::string text = strange_text(random), other = strange_text(random);
  const auto line = [](const std::string& query, const std::string& tag) {
    const std::string skill = "m" + std::to_string(meaning_of(query));
    return nlohmann::json{{"query", query}, {"skill", skill}, {"tags", {tag}}}.dump() + "\n";
  };
  std::istringstream file(line(other, "slow") + line(text, "core"));
  std::vector<std::string> asked;
  ProbeOptions options;
  options.tags = {"core"};
  options.vectors = [&](const std::string& encoder, const std::vector<std::string>& texts,
                        const std::function<void(double)>& progress) {
    asked.insert(asked.end(), texts.begin(), texts.end());
    return encoder_of_meanings()(encoder, texts, progress);
  };
  const ProbeReport probed = run_probes(*policy, read_probes(file, "p.jsonl"), options);
  ASSERT_EQ(probed.results.size(), 1u);
  EXPECT_EQ(probed.results.front().probe, 1u);
  EXPECT_EQ(probed.passed, 1u) << probed.results.front().failed;
  EXPECT_EQ(std::count(asked.begin(), asked.end(), other), 0);
  EXPECT_EQ(std::count(asked.begin(), asked.end(), text), 1);
}

TEST_F(Meanings, ANewcomerGetsAColumnOfTheVectorsToo) {
  std::mt19937_64 random(4);
  std::vector<ProbeOutcome> probes;
  for (int i = 0; i < 60; ++i) {
    ProbeOutcome probe;
    probe.text = strange_text(random);
    probe.score = meaning_of(probe.text) == 2 ? 1 : 0;
    probes.push_back(probe);
  }
  Newcomer made = add_newcomer(*policy, "dave", probes);
  const PolicyPtr whole = decode_policy(encode_policy(made.policy), "file");
  const std::string text = strange_text(random);
  Competence before, after;
  estimate(*policy, features_of(text, true), before);
  estimate(*whole, features_of(text, true), after);
  EXPECT_TRUE(after.with_vector);
  for (std::size_t e = 0; e < before.p.size(); ++e) EXPECT_EQ(before.p[e], after.p[e]);
  EXPECT_EQ(before.skills, after.skills);
  Newcomer twice = add_newcomer(made.policy, "dave", probes);
  EXPECT_EQ(encode_policy(twice.policy), encode_policy(made.policy));
}

TEST_F(Meanings, PartsThatDoNotFitAreRefused) {
  const auto refused = [&](auto change) {
    Policy torn = *policy;
    change(torn);
    const std::string bytes = encode_policy(torn);
    EXPECT_THROW(decode_policy(bytes, "file"), std::runtime_error);
  };
  refused([](Policy& p) { p.dense.weight.pop_back(); });
  refused([](Policy& p) { p.dense.scale.pop_back(); });
  refused([](Policy& p) { p.dense.fingerprint += '\1'; });
  refused([](Policy& p) { p.dense.shift[0] = std::nanf(""); });
  refused([](Policy& p) { p.memory.predicted_by_words.pop_back(); });
}

}  // namespace
}  // namespace router
