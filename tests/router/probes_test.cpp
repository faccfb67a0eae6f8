// Probes against a policy whose choices are planted by declared skills.
#include "router/learn/probes.h"

#include <gtest/gtest.h>

#include <functional>
#include <sstream>

#include "router/cards.h"

namespace router {
namespace {

std::string error_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "no error";
}

std::vector<Probe> read(const std::string& text) {
  std::istringstream in(text);
  return read_probes(in, "p.jsonl");
}

TEST(Probes, EveryFaultOfAFileAtOnce) {
  const std::string message = error_of([] {
    read(
        "# a comment\n"
        "{\"query\": \"x\"}\n"
        "[]\n"
        "{\"query\": \"x\", \"skill\": 3}\n"
        "{\"query\": \"x\", \"expert\": \"a\", \"quality\": 2}\n"
        "{\"query\": \"x\", \"expert\": \"a\", \"experts\": 1}\n"
        "{\"expert\": [\"a\", \"b\"]}\n"
        "{\"query\": \"fine\", \"expert\": [\"a\", \"b\"], \"tags\": []}\n");
  });
  EXPECT_NE(message.find("6 faults"), std::string::npos) << message;
  EXPECT_NE(message.find("p.jsonl:2: nothing is expected"), std::string::npos);
  EXPECT_NE(message.find("p.jsonl:3: not a JSON object"), std::string::npos);
  EXPECT_NE(message.find("p.jsonl:4: `skill` must be a string"), std::string::npos);
  EXPECT_NE(message.find("p.jsonl:5: `quality` must be a number"), std::string::npos);
  EXPECT_NE(message.find("p.jsonl:6: unknown field `experts`"), std::string::npos);
  EXPECT_NE(message.find("p.jsonl:7: `query` is missing"), std::string::npos);
  EXPECT_EQ(read("\n# nothing\r\n{\"query\": \"q\", \"skill\": \"s\"}\r\n").front().id, "line 3");
}

struct Routed : ::testing::Test {
  // Nothing is learned: each expert declares a skill that is described by its name.
  PolicyPtr policy = compile_cards(
      {},
      {{"plain", {}}, {"gauss", {"prime number theorem"}}, {"portia", {"contract law of tort"}}});

  ProbeReport run(const std::string& text, const ProbeOptions& options = {}) const {
    return run_probes(*policy, read(text), options);
  }
};

TEST_F(Routed, PassesWhatIsRightAndNamesWhatIsNot) {
  const ProbeReport report = run(
      "{\"id\": \"p1\", \"query\": \"prime number theorem\", \"skill\": \"prime number theorem\", "
      "\"expert\": \"gauss\", \"tags\": [\"core\"]}\n"
      "{\"id\": \"p2\", \"query\": \"contract law of tort\", \"expert\": [\"gauss\", \"portia\"], "
      "\"not_expert\": \"gauss\", \"tags\": [\"core\"]}\n"
      "{\"id\": \"p3\", \"query\": \"contract law of tort\", \"skill\": \"prime number theorem\", "
      "\"not_expert\": \"portia\"}\n");
  ASSERT_EQ(report.results.size(), 3u);
  EXPECT_EQ(report.passed, 2u);
  EXPECT_EQ(report.results[2].failed, "skill prime number theorem, not portia");
  EXPECT_EQ(report.tags.at("core"), (std::pair<std::size_t, std::size_t>(2, 2)));
  EXPECT_FALSE(report.ok());
  ProbeOptions lenient;
  lenient.pass_min = 0.6;
  lenient.tag_pass_min["core"] = 1;
  const std::string one_wrong =
      "{\"query\": \"prime number theorem\", \"expert\": \"gauss\", \"tags\": [\"core\"]}\n"
      "{\"query\": \"contract law of tort\", \"expert\": \"portia\"}\n"
      "{\"query\": \"prime number theorem\", \"expert\": \"portia\"}\n";
  EXPECT_TRUE(run(one_wrong, lenient).ok());
  lenient.pass_min = 0.7;
  EXPECT_EQ(run(one_wrong, lenient).shortfalls.size(), 1u);
}

TEST_F(Routed, WhatCanNeverPassIsAnError) {
  EXPECT_NE(error_of([&] {
              run("{\"query\": \"q\", \"skill\": \"art\"}\n");
            }).find("probes:1: the policy has no skill `art`"),
            std::string::npos);
  EXPECT_NE(error_of([&] {
              run("\n{\"query\": \"q\", \"expert\": \"bob\"}\n");
            }).find("probes:2: `bob` is not among the experts"),
            std::string::npos);
  EXPECT_NE(error_of([&] { run(""); }).find("no probe"), std::string::npos);
  ProbeOptions tagged;
  tagged.tag_pass_min["x"] = 1;
  EXPECT_NE(error_of([&] {
              run("{\"query\": \"q\", \"expert\": \"gauss\"}\n", tagged);
            }).find("--pass-tag"),
            std::string::npos);
}

}  // namespace
}  // namespace router
