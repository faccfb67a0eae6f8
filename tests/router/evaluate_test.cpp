// The evaluator: other ways of routing, its figures against a second count, the gate.
#include "router/learn/evaluate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "router/learn/baselines.h"
#include "router/learn/gate_expression.h"
#include "router/learn/policy_diff.h"
#include "router/learn/report.h"
#include "router/learn/train.h"

namespace router {
namespace {

std::string path_of(const std::string& name) {
  return ::testing::TempDir() + "evaluate_test_" + std::to_string(::getpid()) + "_" + name;
}

double coin(std::uint64_t& state) {
  state = state * 6364136223846793005ull + 1442695040888963407ull;
  return static_cast<double>(state >> 11) * 0x1p-53;
}

/// Two topics; `maths` and `law` know one each, `cheap` knows half of everything for little.
std::string make_rows(int rows, std::uint64_t seed, const std::string& prefix) {
  static const char* const kWords[2][4] = {{"integral", "matrix", "theorem", "prime"},
                                           {"tort", "contract", "statute", "appeal"}};
  std::string out;
  for (int i = 0; i < rows; ++i) {
    const int topic = coin(seed) < 0.5 ? 0 : 1;
    nlohmann::json row;
    row["id"] = prefix + std::to_string(i);
    std::string text = "a question on";
    for (int w = 0; w < 4; ++w) text += std::string(" ") + kWords[topic][int(coin(seed) * 4)];
    row["text"] = text;
    row["domain"] = topic == 0 ? "numbers & <proofs>" : "law, \"civil\"";
    const auto outcome = [&](double p, double cost) {
      return nlohmann::json{{"score", coin(seed) < p ? 1 : 0}, {"cost", cost}};
    };
    row["outcomes"]["maths"] = outcome(topic == 0 ? 0.9 : 0.4, 0.004);
    row["outcomes"]["law"] = outcome(topic == 1 ? 0.9 : 0.4, 0.005);
    row["outcomes"]["cheap"] = outcome(0.5, 0.0001);
    out += row.dump() + "\n";
  }
  return out;
}

struct Judged : ::testing::Test {
  static void SetUpTestSuite() {
    std::ofstream(path_of("rows.jsonl")) << make_rows(900, 7, "r");
    TrainOptions options;
    options.files = {path_of("rows.jsonl")};
    options.share = 0.6;
    train(options, &policy);
    judging.files = options.files;
    judging.held_out_part = true;
    judging.baselines = true;
    report = evaluate(*policy, judging);
  }

  static void TearDownTestSuite() {
    std::filesystem::remove(path_of("rows.jsonl"));
    policy.reset();
  }

  static inline PolicyPtr policy;
  static inline EvaluateOptions judging;
  static inline EvaluateReport report;
};

// arXiv 2503.05641, worked by hand: A {alg 3, geo -1}, B {alg 1, geo 2}.
TEST(Symbolic, RecruitsAsItsCodeDoes) {
  const SymbolicProfile profile = make_symbolic({{3, 1}, {-1, 2}});
  EXPECT_NEAR(profile.gamma[0], 4.0 / 13, 1e-12);
  EXPECT_NEAR(profile.recruit({0}, {1, 1})[0], 0.5714, 1e-4);
  EXPECT_NEAR(profile.recruit({1}, {1, 1})[1], 1, 1e-12);
  const SymbolicProfile shifted = make_symbolic({{-1, 3}});
  EXPECT_NEAR(shifted.gamma[0], 1.0 / 26, 1e-12);
  // Nobody above zero: the sums are shifted to a least one of 1.
  const SymbolicProfile poor = make_symbolic({{-4, -2}});
  const double a = 1 * poor.gamma[0], b = 3 * poor.gamma[1];
  EXPECT_NEAR(poor.recruit({0}, {1, 1})[0], a / (a + b), 1e-12);
  EXPECT_NEAR(poor.recruit({0}, {1, 0})[0], 1, 1e-12);
}

TEST_F(Judged, HasEveryRowAndTheyAddUp) {
  for (const char* name :
       {"policy", "random", "best_single", "oracle", "cheapest", "fixed_mix", "round_robin", "knn",
        "length", "routellm_threshold", "symbolic_moe", "best_per_skill"}) {
    const PolicyRow& row = report.row(name);
    double shares = 0, over_skills = 0, rows = 0;
    for (const auto& [expert, share] : row.shares) shares += share;
    for (std::size_t i = 0; i < report.skills.size(); ++i) {
      over_skills += row.skill_score[i] * static_cast<double>(report.skills[i].rows);
      rows += static_cast<double>(report.skills[i].rows);
    }
    EXPECT_NEAR(shares, 1, 1e-9) << name;
    EXPECT_NEAR(over_skills / rows, row.score, 1e-9) << name;
    EXPECT_NEAR(row.gain.mean, row.score - report.row("best_single").score, 1e-9) << name;
    EXPECT_LE(row.gain.lo, row.gain.mean) << name;
    EXPECT_LE(row.score, report.row("oracle").score) << name;
  }
  EXPECT_EQ(report.notes.size(), 0u);
  // Where topics decide everything, those who know the topic win and the blind ones do not.
  EXPECT_GT(report.row("policy").gain.lo, 0.1);
  EXPECT_GT(report.row("best_per_skill").gain.lo, 0.1);
  EXPECT_GT(report.row("knn").gain.lo, 0.05);
  EXPECT_LT(report.row("length").gain.hi, 0);
  EXPECT_NEAR(report.row("fixed_mix").cost.value(), report.row("policy").cost.value(), 1e-6);
}

TEST_F(Judged, RegretIsTheDistanceToTheOracle) {
  double regret = 0;
  std::size_t rows = 0;
  for (std::size_t i = 0; i < report.regret_by_right.size(); ++i) {
    regret += report.regret_by_right[i] * static_cast<double>(report.rows_by_right[i]);
    rows += report.rows_by_right[i];
  }
  EXPECT_EQ(rows, report.rows);
  EXPECT_NEAR(regret / static_cast<double>(rows),
              report.row("oracle").score - report.row("policy").score, 1e-9);
  EXPECT_EQ(report.regret_by_right.front(), 0);  // nobody was right
  EXPECT_EQ(report.regret_by_right.back(), 0);   // everybody was
  // Binary outcomes: every row with a regret loses one.
  EXPECT_NEAR(static_cast<double>(report.near_misses.lost), regret, 1e-6);
  EXPECT_LE(report.near_misses.near, report.near_misses.lost);
}

// The replay of two policies against two evaluations of the same rows.
TEST_F(Judged, DiffAgreesWithTwoEvaluations) {
  TrainOptions fewer;
  fewer.files = judging.files;
  fewer.share = 0.6;
  fewer.limit = 60;
  PolicyPtr small;
  train(fewer, &small);
  const PolicyDiff diff = diff_policies(*small, *policy, judging);
  ASSERT_TRUE(diff.replay);
  EXPECT_NEAR(diff.replay->after, report.row("policy").score, 1e-9);
  EXPECT_NEAR(diff.replay->before, evaluate(*small, judging).row("policy").score, 1e-9);
  EXPECT_NEAR(diff.replay->gain.mean, diff.replay->after - diff.replay->before, 1e-9);
  EXPECT_EQ(diff.replay->rows, report.rows);
  for (std::size_t e = 0; e < diff.replay->experts.size(); ++e) {
    const auto& shares = report.row("policy").shares;
    const auto share = shares.find(diff.replay->experts[e]);
    EXPECT_NEAR(diff.replay->share_after[e], share == shares.end() ? 0 : share->second, 1e-9);
  }
  const PolicyDiff none = diff_policies(*policy, *policy, judging);
  EXPECT_EQ(none.replay->same, 1);
  EXPECT_EQ(none.replay->worse(1), 0u);
  EXPECT_TRUE(none.changes.empty());
}

TEST_F(Judged, FlipTableAsksForRewordedRows) {
  EXPECT_TRUE(report.flips.empty());
  EvaluateOptions options = judging;
  options.rewordings = true;
  const EvaluateReport reworded = evaluate(*policy, options);
  ASSERT_EQ(reworded.flips.size(), 6u);
  std::map<std::string, FlipRow> flips;
  for (const FlipRow& flip : reworded.flips) flips[flip.name] = flip;
  // The rows are small letters without marks or options: these leave them as they are.
  for (const char* name : {"lower case", "no punctuation", "no options"}) {
    EXPECT_EQ(flips[name].changed, 0) << name;
    EXPECT_EQ(flips[name].flipped, 0) << name;
    EXPECT_NEAR(flips[name].score, report.row("policy").score, 1e-9) << name;
  }
  EXPECT_EQ(flips["upper case"].changed, 1);
  EXPECT_LT(flips["upper case"].flipped, 0.05);
  EXPECT_GT(flips["typing errors"].changed, 0.1);
  // A row whose four words are misspelt says nothing; most keep enough.
  EXPECT_LT(flips["typing errors"].flipped, 0.25);
  EXPECT_NE(to_json(reworded).find("\"rewordings\""), std::string::npos);
}

TEST_F(Judged, CountsLoadsWhereExpertsDoNotFit) {
  EXPECT_FALSE(report.row("policy").loads);
  EvaluateOptions options = judging;
  options.resident = 1;
  const EvaluateReport tight = evaluate(*policy, options);
  const double once = 1000 / static_cast<double>(tight.rows);
  EXPECT_NEAR(tight.row("best_single").loads.value(), once, 1e-9);
  // Two topics in turn at random: nearly every second query changes the expert.
  EXPECT_GT(tight.row("policy").loads.value(), 350);
  EXPECT_LT(tight.row("policy").loads_collated.value(), 30);
  EXPECT_FALSE(tight.row("oracle").loads);
  options.resident = 3;
  EXPECT_LE(evaluate(*policy, options).row("policy").loads.value(), 3 * once + 1e-9);
}

TEST_F(Judged, SameSeedSameBytes) {
  EvaluateReport again = evaluate(*policy, judging);
  EXPECT_EQ(to_json(again), to_json(report));
  EXPECT_EQ(to_csv(again), to_csv(report));
  again.policies[0].gain.lo += 1e-9;
  EXPECT_NE(to_json(again), to_json(report));
}

TEST_F(Judged, CsvQuotesWhatItMust) {
  const std::string csv = to_csv(report);
  EXPECT_NE(csv.find("policy,\"law, \"\"civil\"\"\","), std::string::npos) << csv;
  std::istringstream lines(csv);
  std::string line;
  std::set<std::ptrdiff_t> commas;
  while (std::getline(lines, line)) {
    const auto quoted = std::count(line.begin(), line.end(), '"') > 0;
    commas.insert(std::count(line.begin(), line.end(), ',') - quoted);
  }
  EXPECT_EQ(commas.size(), 1u);
}

// Every tag that is opened is closed, texts are escaped, and nothing is loaded from anywhere.
TEST_F(Judged, HtmlStandsAlone) {
  const std::string html = to_html(report);
  EXPECT_NE(html.find("numbers &amp; &lt;proofs&gt;"), std::string::npos);
  EXPECT_EQ(html.find("<proofs>"), std::string::npos);
  EXPECT_NE(html.find("law, &quot;civil&quot;"), std::string::npos);
  for (const char* outside : {"http:", "https:", "src=", "url(", "@import", "<script", "<link"})
    EXPECT_EQ(html.find(outside), std::string::npos) << outside;
  std::vector<std::string> open;
  const std::set<std::string> empty = {"meta", "!doctype"};
  for (std::size_t at = html.find('<'); at != std::string::npos; at = html.find('<', at + 1)) {
    const std::size_t end = html.find_first_of(" >\n", at + 1), close = html.find('>', at);
    const std::string tag = html.substr(at + 1, end - at - 1);
    if (tag[0] == '/') {
      ASSERT_FALSE(open.empty());
      ASSERT_EQ(open.back(), tag.substr(1)) << html.substr(at, 80);
      open.pop_back();
    } else if (!empty.contains(tag) && html[close - 1] != '/') {
      open.push_back(tag);
    }
  }
  EXPECT_TRUE(open.empty());
  EXPECT_EQ(html.find("nan"), std::string::npos);
  EXPECT_EQ(html, to_html(evaluate(*policy, judging)));
}

TEST_F(Judged, GateHoldsOrSaysWhatFailed) {
  const auto passes = [](const char* text) { return GateExpression(text).judge(report).passed; };
  EXPECT_TRUE(passes("gain.lo>=0 && score>=0.5"));
  EXPECT_TRUE(passes("score >= best_single.score + 1% && oracle.score <= 1"));
  EXPECT_FALSE(passes("score > oracle.score || !(rows > 10)"));
  EXPECT_TRUE(passes("gain.lo > 2 || gain.lo > 0 && skills_worse == 0"));
  EXPECT_FALSE(passes("(gain.lo > 2 || gain.lo > 0) && skills_worse != 0"));
  EXPECT_TRUE(passes("skills[\"law, \"civil\"\"].rows > 10 && ece < 0.2 && cost < -0.1 + 0.2"));
  const GateVerdict verdict = GateExpression("score > 2").judge(report);
  EXPECT_NE(verdict.why.find("fails  score > 2"), std::string::npos) << verdict.why;
}

TEST_F(Judged, GateErrorsNameTheirPlace) {
  const auto message = [](const std::string& text) -> std::string {
    try {
      (void)GateExpression(text).judge(report);
    } catch (const std::runtime_error& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_NE(message("score").find("column 6, at the end: a comparison"), std::string::npos);
  EXPECT_NE(message("score > 1 gain < 2").find("column 11, at `gain < 2`"), std::string::npos);
  EXPECT_NE(message("(score > 1").find("`)` is missing"), std::string::npos);
  EXPECT_NE(message("score > ").find("a number or a figure's name"), std::string::npos);
  EXPECT_NE(message("scored > 1").find("no figure `scored`"), std::string::npos);
  EXPECT_NE(message("apgr > 0.5").find("--strong and --weak"), std::string::npos);
  EXPECT_NE(message("skills[\"art\"].gain > 0").find("no row is of the skill `art`"),
            std::string::npos);
  EXPECT_NE(message(std::string(5000, '(')).find("longer than"), std::string::npos);
  EXPECT_NE(message(std::string(100, '(') + "1<2").find("nested deeper"), std::string::npos);
}

}  // namespace
}  // namespace router
