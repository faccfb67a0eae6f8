#include "router/learn/outcomes.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <cmath>
#include <filesystem>
#include <fstream>

namespace router {
namespace {

class Outcomes : public ::testing::Test {
 protected:
  std::string write(const std::string& bytes) {
    std::ofstream(path_, std::ios::binary) << bytes;
    return path_;
  }

  std::string write_gzip(const std::string& text, std::size_t cut = 0) {
    gzFile file = gzopen(path_.c_str(), "wb");
    gzwrite(file, text.data(), static_cast<unsigned>(text.size()));
    gzclose(file);
    if (cut) std::filesystem::resize_file(path_, std::filesystem::file_size(path_) - cut);
    return path_;
  }

  void TearDown() override { std::filesystem::remove(path_); }

  std::string path_ = ::testing::TempDir() + "outcomes_" + std::to_string(::getpid()) + ".jsonl";
};

std::string line(int id, double score = 1) {
  return "{\"id\":\"q" + std::to_string(id) + "\",\"text\":\"text " + std::to_string(id * 7919) +
         "\",\"domain\":\"maths\",\"outcomes\":{\"a\":{\"score\":" + std::to_string(score) +
         ",\"cost\":0.5},\"b\":{\"score\":0,\"cost\":null}}}\n";
}

TEST_F(Outcomes, ReadsPlainAndGzipAlike) {
  for (bool gzip : {false, true}) {
    const std::string text = line(1) + "\n" + line(2, 0.25);
    OutcomeReader reader(gzip ? write_gzip(text) : write(text));
    OutcomeRow row;
    ASSERT_TRUE(reader.next(row));
    EXPECT_EQ(row.id, "q1");
    EXPECT_EQ(row.skills, std::vector<std::string>{"maths"});
    ASSERT_EQ(row.outcomes.size(), 2u);
    EXPECT_EQ(row.outcomes[0].cost_usd, 0.5f);
    EXPECT_EQ(row.outcomes[1].cost_usd, -1.f);
    ASSERT_TRUE(reader.next(row));
    EXPECT_EQ(row.outcomes[0].score, 0.25f);
    EXPECT_EQ(row.line, 3u);
    EXPECT_FALSE(reader.next(row));
    EXPECT_EQ(reader.faults_total(), 0u);
  }
}

TEST_F(Outcomes, NamesEveryFaultWithItsLine) {
  const std::string text =
      line(1) + "{\"id\":\"x\"\n" + line(1) + line(2, 1.5) + "[]\n" +
      "{\"id\":\"n\",\"text\":\"\xff\xfe\",\"outcomes\":{}}\n" +
      "{\"id\":\"m\",\"outcomes\":{}}\n" +
      "{\"id\":\"c\",\"text\":\"t\",\"outcomes\":{\"a\":{\"score\":1,\"cost\":-1}}}\n" + line(3);
  OutcomeReader reader(write(text));
  OutcomeRow row;
  std::vector<std::string> ids;
  while (reader.next(row)) ids.push_back(row.id);
  EXPECT_EQ(ids, (std::vector<std::string>{"q1", "q3"}));
  std::vector<std::size_t> lines;
  for (const Fault& fault : reader.faults()) lines.push_back(fault.line);
  EXPECT_EQ(lines, (std::vector<std::size_t>{2, 3, 4, 5, 6, 7, 8}));
  EXPECT_NE(describe(reader.faults(), reader.faults_total()).find(":6: not valid UTF-8"),
            std::string::npos);
}

TEST_F(Outcomes, SaysThatAGzipWasCut) {
  std::string text;
  for (int i = 0; i < 3000; ++i) text += line(i);
  OutcomeReader reader(write_gzip(text, 2000));
  OutcomeRow row;
  std::size_t rows = 0;
  while (reader.next(row)) ++rows;
  EXPECT_LT(rows, 3000u);
  ASSERT_GE(reader.faults_total(), 1u);
  EXPECT_NE(describe(reader.faults(), reader.faults_total()).find("cut short"), std::string::npos);
}

TEST_F(Outcomes, LimitsAreKept) {
  ReadLimits limits;
  limits.line_bytes_max = 200;
  limits.faults_max = 2;
  OutcomeReader reader(write(line(1) + std::string(500, 'x') + "\n" + "{}\n{}\n{}\n" + line(2)),
                       false, limits);
  OutcomeRow row;
  std::size_t rows = 0;
  while (reader.next(row)) ++rows;
  EXPECT_EQ(rows, 2u);
  EXPECT_EQ(reader.faults().size(), 2u);
  EXPECT_EQ(reader.faults_total(), 4u);
}

TEST(Split, IsUniformAndDependsOnTheSeed) {
  int below = 0, moved = 0;
  for (int i = 0; i < 10'000; ++i) {
    const std::uint64_t id = hash_of_id("row" + std::to_string(i));
    below += split_point(id, 1) < 0.7;
    moved += (split_point(id, 1) < 0.7) != (split_point(id, 2) < 0.7);
  }
  EXPECT_NEAR(below, 7000, 200);
  EXPECT_NEAR(moved, 4200, 250);
}

TEST(OutcomeFile, MissingIsAClearError) {
  EXPECT_THROW(OutcomeReader("no/such/file.jsonl"), std::runtime_error);
}

}  // namespace
}  // namespace router
