// Training, the policy file and the decision, on a small world whose right answers are known.
#include "router/policy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "router/decide.h"
#include "router/guard.h"
#include "router/learn/evaluate.h"
#include "router/learn/train.h"
#include "tests/router/topics.h"

namespace router {
namespace {

using testing::topic_text;

/// Three topics; `alice` is good at the first, `bob` at the second, `carol` fair everywhere and
/// dear. Without `specialists` all are equal coins and nothing can be learned.
std::string make_world(int rows, bool specialists, std::uint64_t seed,
                       const std::string& prefix = "w") {
  std::mt19937_64 random(seed);
  auto chance = [&](double p) { return (random() >> 11) * 0x1p-53 < p ? 1 : 0; };
  std::string out;
  for (int i = 0; i < rows; ++i) {
    const int topic = static_cast<int>(random() % 3);
    const std::string text = topic_text(topic, random);
    nlohmann::json row;
    row["id"] = prefix + std::to_string(i);
    row["text"] = text;
    row["domain"] = std::string(1, static_cast<char>('x' + topic));
    auto outcome = [&](double p, double cost) {
      return nlohmann::json{{"score", chance(p)}, {"cost", cost}};
    };
    row["outcomes"]["alice"] = outcome(!specialists ? 0.6 : topic == 0 ? 0.95 : 0.3, 0.001);
    row["outcomes"]["bob"] = outcome(!specialists ? 0.6 : topic == 1 ? 0.95 : 0.3, 0.002);
    row["outcomes"]["carol"] = outcome(0.62, 0.010);
    out += row.dump() + "\n";
  }
  return out;
}

struct World : ::testing::Test {
  static std::string path(const std::string& name) {
    return ::testing::TempDir() + "policy_test_" + std::to_string(::getpid()) + "_" + name;
  }

  static void SetUpTestSuite() {
    std::ofstream(path("train.jsonl")) << make_world(900, true, 1);
    std::ofstream(path("test.jsonl")) << make_world(900, true, 2, "t");
    TrainOptions options;
    options.files = {path("train.jsonl")};
    options.out = path("policy");
    report = new TrainReport(train(options));
    policy = new PolicyPtr(load_policy(path("policy")));
  }

  static void TearDownTestSuite() {
    for (const char* name : {"train.jsonl", "test.jsonl", "policy"})
      std::filesystem::remove(path(name));
    delete report;
    delete policy;
  }

  static PoolView pool() {
    PoolView view;
    for (const char* name : {"carol", "bob", "alice", "stranger"}) {
      view.experts.emplace_back();
      view.experts.back().name = name;
    }
    bind(**policy, view);
    return view;
  }

  static Route route(const std::string& text, const PoolView& view, Query query = {}) {
    Extractor extractor;
    Features features;
    extractor.extract(text, features);
    return decide(query, features, **policy, view);
  }

  static inline TrainReport* report = nullptr;
  static inline PolicyPtr* policy = nullptr;
};

TEST_F(World, LearnsWhoIsGoodAtWhat) {
  EXPECT_GT(report->skill_accuracy, 0.98);
  EXPECT_GT(report->gain[1], 0.05);
  EXPECT_FALSE(report->guarded);
  const PoolView view = pool();
  const Route maths = route("the prime theorem of a matrix", view),
              cells = route("enzyme and neuron tissue", view);
  ASSERT_EQ(maths.eligible(), 3u);
  EXPECT_EQ(view.experts[maths.candidates[0].expert].name, "alice");
  EXPECT_EQ(view.experts[cells.candidates[0].expert].name, "bob");
  EXPECT_EQ(maths.reason, Reason::learned);
  EXPECT_EQ(maths.candidates.back().bar, Bar::absent);
  EXPECT_NEAR(maths.candidates[0].p_correct, 0.95, 0.08);
}

TEST_F(World, TellsWhatIsOutsideFromWhatIsOnlyNew) {
  PoolView view = pool();
  int outside = 0, rows = 0;
  std::ifstream file(path("test.jsonl"));
  for (std::string line; std::getline(file, line); ++rows)
    outside += route(nlohmann::json::parse(line)["text"], view).outside;
  EXPECT_LE(outside, rows / 20);
  const std::string strange = "how long must bread with honey stay in an oven";
  const Route asked = route(strange, view);
  EXPECT_TRUE(asked.outside);
  EXPECT_GT(asked.general, 0.5F);
  EXPECT_EQ(asked.k, 1u) << "by default somebody is asked as ever";
  EXPECT_FALSE(route("equation prime theorem matrix derivative integral", view).outside);
  view.answers_outside = true;
  const Route kept = route(strange, view);
  EXPECT_EQ(kept.reason, Reason::outside);
  EXPECT_EQ(kept.k, 0u);
  EXPECT_TRUE(kept.abstained);
  EXPECT_EQ(route("genome tissue neuron membrane protein enzyme", view).reason, Reason::learned);
  Query query;
  query.needs.json_schema = true;  // words would break its schema
  EXPECT_EQ(route(strange, view, query).k, 1u);
}

TEST_F(World, EvaluatesWhatDecideWouldDo) {
  EvaluateOptions options;
  options.files = {path("test.jsonl")};
  options.picks = path("picks");
  const EvaluateReport judged = evaluate(**policy, options);
  const PolicyRow &mine = judged.row("policy"), &best = judged.row("best_single");
  EXPECT_GT(mine.gain.lo, 0);
  EXPECT_GE(judged.row("oracle").score, mine.score);
  EXPECT_GT(*mine.aiq, *judged.row("fixed_mix").aiq);
  // The picks file is the same decision, row for row.
  std::ifstream picks(path("picks"));
  const PoolView view = pool();
  std::string line;
  double score = 0;
  std::size_t rows = 0;
  std::map<std::string, std::string> texts;
  std::ifstream test(path("test.jsonl"));
  while (std::getline(test, line)) {
    const auto row = nlohmann::json::parse(line);
    texts[row["id"]] = row["text"];
  }
  while (std::getline(picks, line)) {
    const auto pick = nlohmann::json::parse(line);
    score += pick["score"].get<double>();
    ++rows;
    const Route again = route(texts[pick["id"]], view);
    ASSERT_EQ(view.experts[again.candidates[0].expert].name, pick["expert"].get<std::string>());
  }
  EXPECT_EQ(rows, judged.rows);
  EXPECT_NEAR(score / static_cast<double>(rows), mine.score, 1e-9);
  EXPECT_NEAR(mine.score - best.score, mine.gain.mean, 1e-9);
  std::filesystem::remove(path("picks"));
}

TEST_F(World, RefusesRowsThatItWasTrainedOn) {
  EvaluateOptions options;
  options.files = {path("train.jsonl")};
  EXPECT_THROW(evaluate(**policy, options), std::runtime_error);
  options.allow_overlap = true;
  EXPECT_EQ(evaluate(**policy, options).rows_overlapping, 900u);
}

TEST_F(World, QualityMovesAlongTheFrontier) {
  const PoolView view = pool();
  for (const char* text :
       {"prime theorem", "enzyme tissue", "treaty empire", "nothing known here"}) {
    double cost = -1, p = -1;
    for (int step = 0; step <= 20; ++step) {
      Query query;
      query.knobs.quality = step / 20.0;
      const Candidate first = route(text, view, query).candidates[0];
      EXPECT_GE(first.cost_microusd, cost) << text << " at " << step;
      EXPECT_GE(first.p_correct + 0.2, p);
      cost = first.cost_microusd, p = first.p_correct;
      if (step == 0) {
        EXPECT_EQ(view.experts[first.expert].name, "alice");
      }
    }
  }
}

TEST_F(World, BarsAreHonoured) {
  PoolView view = pool();
  Query query;
  query.knobs.cost_microusd_max = 1500;
  Route out = route("enzyme tissue", view, query);
  EXPECT_EQ(out.eligible(), 1u);
  EXPECT_EQ(out.reason, Reason::only_one);
  EXPECT_EQ(view.experts[out.candidates[0].expert].name, "alice");
  view.experts[1].healthy = false;
  view.experts[2].capabilities = 0;
  query = {};
  query.needs.tools = true;
  out = route("enzyme tissue", view, query);
  EXPECT_EQ(view.experts[out.candidates[0].expert].name, "carol");
  view.experts[0].context_tokens = 10;
  query.needs.tokens_in_estimate = 11;
  EXPECT_EQ(route("enzyme tissue", view, query).reason, Reason::nobody);
}

TEST_F(World, ExplorationLogsItsPropensity) {
  PoolView view = pool();
  view.explore = 0.3;
  std::map<std::uint32_t, double> count, propensity;
  const int rounds = 4000;
  for (int i = 0; i < rounds; ++i) {
    Query query;
    query.seed = static_cast<std::uint64_t>(i) * 77;
    const Route out = route("prime theorem", view, query);
    count[out.candidates[0].expert] += 1.0 / rounds;
    propensity[out.candidates[0].expert] = out.propensity;
  }
  ASSERT_EQ(count.size(), 3u);
  for (auto [expert, share] : count) EXPECT_NEAR(share, propensity[expert], 0.03);
}

TEST_F(World, ANewcomerGetsItsShareOfItsWinsAndTheSameQueriesAgain) {
  PoolView view = pool();
  view.experts[2].share = 0.3F;  // alice
  view.explore = 0.1;
  int got = 0, kept = 0, drawn = 0;
  double propensity = 0, expected = 0;
  const int rounds = 3000;
  for (int i = 0; i < rounds; ++i) {
    Query query;
    query.seed = static_cast<std::uint64_t>(i) * 77;
    const std::string text = "prime theorem number " + std::to_string(i);
    query.text = text;
    const Route out = route(text, view, query);
    const bool alice = view.experts[out.candidates[0].expert].name == "alice";
    got += alice, drawn += out.reason == Reason::explored;
    if (alice) propensity = out.propensity;
    expected = 0.9 * 0.3 + 0.1 / 3;
    view.experts[2].share = 0.6F;
    view.explore = 0;
    const Route more = route(text, view, query);
    kept += alice && out.reason == Reason::learned &&
            view.experts[more.candidates[0].expert].name == "alice";
    view.experts[2].share = 0.3F;
    view.explore = 0.1;
    if (!alice && out.reason != Reason::explored) {
      EXPECT_EQ(out.candidates[2].bar, Bar::shadow);
    }
  }
  EXPECT_NEAR(propensity, expected, 1e-6);
  EXPECT_NEAR(static_cast<double>(got) / rounds, expected, 0.03);
  EXPECT_GT(drawn, rounds / 30);
  EXPECT_GT(kept, 0.8 * got);  // all but those that were drawn by exploration alone
}

TEST_F(World, AShadowIsWeighedAndNeverChosen) {
  PoolView view = pool();
  view.experts[2].share = 0;
  view.explore = 0.5;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Query query;
    query.seed = seed;
    const Route out = route("prime theorem", view, query);
    ASSERT_EQ(out.eligible(), 2u);
    const auto shadow = std::find_if(out.candidates.begin(), out.candidates.end(),
                                     [](const auto& c) { return c.bar == Bar::shadow; });
    ASSERT_NE(shadow, out.candidates.end());
    EXPECT_EQ(view.experts[shadow->expert].name, "alice");
    EXPECT_GT(shadow->utility,
              out.candidates[0].utility);  // it would have won, and the log says so
  }
}

TEST_F(World, WhereOnlyNewcomersAreLeftTheBestIsAsked) {
  PoolView view = pool();
  for (PoolExpert& expert : view.experts) expert.share = 0.001F;
  const Route out = route("prime theorem", view);
  EXPECT_EQ(view.experts[out.candidates[0].expert].name, "alice");
  EXPECT_NEAR(out.propensity, 1, 0.01);
}

TEST_F(World, SameInputsSameBytes) {
  TrainOptions options;
  options.files = {path("train.jsonl")};
  PolicyPtr again;
  train(options, &again);
  EXPECT_EQ(again->version, (*policy)->version);
  EXPECT_EQ(again->trained_ids.size(), 900u);
}

TEST_F(World, EveryDamagedFileIsRefused) {
  std::ifstream in(path("policy"), std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(in)), {});
  ASSERT_NO_THROW(decode_policy(bytes, "p"));
  std::mt19937_64 random(9);
  for (int i = 0; i < 60; ++i) {
    std::string bad = bytes;
    bad[random() % bad.size()] ^= static_cast<char>(1 << random() % 8);
    EXPECT_THROW(decode_policy(bad, "p"), std::runtime_error);
    EXPECT_THROW(decode_policy(bytes.substr(0, random() % bytes.size()), "p"), std::runtime_error);
  }
  std::string newer = bytes;
  newer[8] = 9;
  try {
    decode_policy(newer, "p");
    FAIL();
  } catch (const std::runtime_error& error) {
    EXPECT_NE(std::string(error.what()).find("newer"), std::string::npos) << error.what();
  }
  EXPECT_THROW(load_policy(path("absent")), std::runtime_error);
}

TEST(Guard, StaysWithTheBestWhereNothingCanBeLearned) {
  const std::string path = ::testing::TempDir() + "guard_" + std::to_string(::getpid());
  std::ofstream(path) << make_world(900, false, 5);
  TrainOptions options;
  options.files = {path};
  PolicyPtr policy;
  const TrainReport report = train(options, &policy);
  EvaluateOptions judged;
  std::ofstream(path) << make_world(2000, false, 6, "t");
  judged.files = {path};
  const EvaluateReport result = evaluate(*policy, judged);
  EXPECT_GT(result.row("policy").gain.hi, -0.01) << report.guarded;
  std::filesystem::remove(path);
}

TEST(Train, BadInputIsAClearError) {
  const std::string path = ::testing::TempDir() + "bad_" + std::to_string(::getpid());
  TrainOptions options;
  options.files = {path};
  auto message = [&](const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
    try {
      train(options);
      return std::string("no error");
    } catch (const std::runtime_error& error) {
      return std::string(error.what());
    }
  };
  EXPECT_NE(message("").find("no row"), std::string::npos);
  EXPECT_NE(message(make_world(3, true, 1)).find("only 3 rows"), std::string::npos);
  EXPECT_NE(message(make_world(5, true, 1) + make_world(1, true, 1)).find(":6: the id"),
            std::string::npos);
  options.experts = {"alice", "dave"};
  EXPECT_NE(message(make_world(50, true, 1)).find("dave"), std::string::npos);
  options.experts = {};
  std::string one_class;
  for (int i = 0; i < 40; ++i) {
    one_class += "{\"id\":\"" + std::to_string(i) +
                 "\",\"text\":\"same\",\"outcomes\":{\"a\":{\"score\":1}}}\n";
  }
  EXPECT_EQ(message(one_class), "no error");
  std::filesystem::remove(path);
}

TEST(Decide, WithoutAPolicyTheDefaultComesFirst) {
  PoolView view;
  view.experts.resize(3);
  view.default_expert = 1;
  const Route out = decide(Query{}, Features{}, Policy{}, view);
  EXPECT_EQ(out.reason, Reason::fallback);
  EXPECT_EQ(out.candidates[0].expert, 1u);
  EXPECT_EQ(out.policy_version, 0u);
}

}  // namespace
}  // namespace router
