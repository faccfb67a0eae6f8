// Dense vectors of passages: the kernel and the index against plain sums, filling in and
// forgetting, fusion with the search by words.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "store/kernels.h"
#include "store/knowledge.h"
#include "store/knowledge_reader.h"
#include "store/knowledge_schema.h"
#include "store/knowledge_vectors.h"
#include "store/schema.h"
#include "tests/store/rows.h"

namespace {

using store::KnowledgeReader;
using store::KnowledgeVectors;
using store::VectorIndex;
using store_test::Scratch;

constexpr std::string_view kEncoder = "tiny-encoder";

store::KnowledgeOptions vectors_at(const std::string& path) {
  store::KnowledgeOptions options;
  options.path = path;
  return options;
}

std::string quantised(const std::vector<float>& values) {
  return store::quantise(values);
}

/// A file with documents of one passage each, named by their first word.
struct VectorHouse {
  Scratch scratch;
  std::string path = scratch.file("knowledge.sqlite");
  store::Knowledge knowledge{vectors_at(path), [] { return store_test::kStartUs; }};
  KnowledgeVectors vectors{vectors_at(path)};
  KnowledgeReader reader{path};

  void add(const std::vector<std::string>& texts, const std::string& collection = "docs") {
    std::int64_t passages = 0;
    std::vector<store::Document> batch;
    for (const auto& text : texts)
      batch.push_back({.source = text.substr(0, text.find(' ')), .text = text});
    knowledge.file(collection, batch, passages);
  }

  std::vector<store::BarePassage> bare(std::int64_t limit = 100) {
    std::vector<std::string> refused;
    return vectors.next(kEncoder, limit, refused);
  }

  /// Gives each passage without a vector the one that `vector_of` its text has.
  template <class VectorOf>
  int fill(VectorOf vector_of, std::int64_t limit = 100) {
    int filled = 0;
    for (auto batch = bare(limit); !batch.empty(); batch = bare(limit)) {
      std::vector<store::PassageVector> made;
      for (const auto& passage : batch)
        made.push_back({passage.id, quantised(vector_of(passage.text))});
      vectors.put(kEncoder, 2, made);
      filled += static_cast<int>(batch.size());
    }
    return filled;
  }

  std::shared_ptr<const VectorIndex> index(std::shared_ptr<const VectorIndex> old = nullptr,
                                           std::size_t bytes_max = 1 << 20) {
    if (!old) old = std::make_shared<VectorIndex>(std::string(kEncoder), bytes_max);
    return reader.refreshed(std::move(old));
  }

  std::vector<std::string> sources(std::string_view text, const std::vector<float>& vector,
                                   const VectorIndex& from,
                                   std::vector<std::string> collections = {}) {
    std::vector<std::string> names;
    const std::string bytes = quantised(vector);
    for (const auto& passage : reader
                                   .search({.text = text,
                             .collections = std::move(collections),
                             .vector = bytes,
                             .index = &from})
                                   .passages)
      names.push_back(passage.source);
    return names;
  }
};

std::vector<float> east_or_north(const std::string& text) {
  return text.find("boat") != text.npos ? std::vector<float>{1, 0} : std::vector<float>{0, 1};
}

TEST(Kernels, AllGiveTheSumsOfPlainLoops) {
  std::mt19937 chance(1);
  std::uniform_int_distribution<int> byte(-127, 127);
  for (const std::size_t stride : {32u, 64u, 384u, 1536u}) {
    constexpr std::size_t kRows = 37;
    std::vector<std::int8_t> rows(stride * kRows), query(stride);
    for (auto& number : rows) number = static_cast<std::int8_t>(byte(chance));
    for (auto& number : query) number = static_cast<std::int8_t>(byte(chance));
    std::fill_n(rows.begin(), stride, std::int8_t{-127});  // the largest sums there are
    std::fill_n(rows.begin() + static_cast<std::ptrdiff_t>(stride), stride, std::int8_t{127});
    std::vector<std::int32_t> fast(kRows), plain(kRows);
    store::kernel::dot_rows(rows.data(), stride, kRows, query.data(), fast.data());
    store::kernel::dot_rows_plain(rows.data(), stride, kRows, query.data(), plain.data());
    EXPECT_EQ(fast, plain) << stride;
    std::fill(query.begin(), query.end(), std::int8_t{127});
    store::kernel::dot_rows(rows.data(), stride, 2, query.data(), fast.data());
    EXPECT_EQ(fast[0], -127 * 127 * static_cast<int>(stride));
    EXPECT_EQ(fast[1], 127 * 127 * static_cast<int>(stride));
  }
}

TEST(Quantise, KeepsDirectionsAndRefusesWhatHasNone) {
  EXPECT_EQ(quantised({1, -0.5, 0}), std::string({127, -64, 0}));
  EXPECT_EQ(quantised({1e-30F, -1e-30F}), std::string({127, -127}));
  EXPECT_EQ(quantised({1e30F, 1e29F}), std::string({127, 13}));
  EXPECT_EQ(quantised({0, 0}), "");
  EXPECT_EQ(quantised({}), "");
  EXPECT_EQ(quantised({1, std::numeric_limits<float>::quiet_NaN()}), "");
  EXPECT_EQ(quantised({1, std::numeric_limits<float>::infinity()}), "");
}

TEST(VectorIndex, FindsWhatComparingWithEachFinds) {
  VectorHouse house;
  std::vector<std::string> texts;
  for (int i = 0; i < 700; ++i) texts.push_back("d" + std::to_string(i) + " text");
  house.add(texts);
  std::mt19937 chance(7);
  std::normal_distribution<float> number;
  std::vector<std::pair<std::int64_t, std::vector<float>>> all;
  for (auto batch = house.bare(64); !batch.empty(); batch = house.bare(64)) {
    std::vector<store::PassageVector> made;
    for (const auto& passage : batch) {
      std::vector<float> values(40);
      for (float& value : values) value = number(chance);
      made.push_back({passage.id, quantised(values)});
      all.emplace_back(passage.id, values);
    }
    house.vectors.put(kEncoder, 40, made);
  }
  ASSERT_EQ(all.size(), 700u);
  const auto index = house.index();
  EXPECT_EQ(index->size(), 700u);
  EXPECT_EQ(index->dimension(), 40u);
  std::vector<float> query(40);
  for (float& value : query) value = number(chance);
  std::vector<std::pair<double, std::int64_t>> truth;
  for (const auto& [passage, values] : all) {
    double dot = 0, norm = 0, query_norm = 0;
    for (std::size_t d = 0; d < 40; ++d) {
      dot += values[d] * query[d];
      norm += values[d] * values[d];
      query_norm += query[d] * query[d];
    }
    truth.emplace_back(dot / std::sqrt(norm * query_norm), passage);
  }
  std::sort(truth.rbegin(), truth.rend());
  const store::PassageRange everywhere;
  const auto hits = index->search(quantised(query), {&everywhere, 1}, 10);
  ASSERT_EQ(hits.size(), 10u);
  for (std::size_t i = 0; i < hits.size(); ++i) {
    // Rounding to int8 may swap neighbours, never move a value by more than a hundredth.
    EXPECT_NEAR(hits[i].similarity, truth[i].first, 0.01) << i;
    EXPECT_TRUE(i == 0 || hits[i - 1].similarity >= hits[i].similarity);
  }
  EXPECT_EQ(hits[0].passage, truth[0].second);
  EXPECT_TRUE(index->search(quantised({1, 2}), {&everywhere, 1}, 10).empty()) << "another length";
  EXPECT_TRUE(index->search(quantised(query), {}, 10).empty()) << "nowhere";
}

TEST(VectorIndex, FollowsWhatIsWrittenAndWhatGoes) {
  VectorHouse house;
  house.add({"boat on the sea", "house on land"});
  EXPECT_EQ(house.fill(east_or_north), 2);
  const auto first = house.index();
  EXPECT_EQ(first->size(), 2u);
  EXPECT_EQ(house.index(first), first) << "nothing is new";
  house.add({"boathouse by the lake"});
  EXPECT_EQ(house.index(first), first) << "it has no vector yet";
  EXPECT_EQ(house.fill(east_or_north), 1);
  const auto second = house.index(first);
  EXPECT_EQ(second->size(), 3u);
  EXPECT_EQ(first->size(), 2u) << "who searches in the old one goes on";
  house.knowledge.remove("docs", "boat");
  house.knowledge.remove("docs", "house");
  EXPECT_EQ(house.sources("", {1, 0}, *second), (std::vector<std::string>{"boathouse"}))
      << "what is gone is not found";
  EXPECT_EQ(house.index(second)->size(), 1u) << "and not kept";
  EXPECT_EQ(house.index(nullptr, 33)->size(), 1u);
  EXPECT_FALSE(house.index(nullptr, 32)->full());
  house.add({"skiff boat", "raft boat"});
  house.fill(east_or_north);
  const auto bounded = house.index(nullptr, 64);
  EXPECT_EQ(bounded->size(), 2u);
  EXPECT_TRUE(bounded->full());
}

TEST(KnowledgeVectors, GoOnWhereTheyWere) {
  VectorHouse house;
  house.add({"one a", "two b", "three c"});
  house.add({"four d"}, "more");
  auto batch = house.bare(2);
  ASSERT_EQ(batch.size(), 2u);
  const auto id = batch[0].id;
  house.vectors.put(kEncoder, 2, std::vector<store::PassageVector>{{id, quantised({1, 0})}});
  // Killed here: one of two is written. Another process goes on.
  KnowledgeVectors again(vectors_at(house.path));
  std::vector<std::string> refused;
  std::vector<std::int64_t> seen;
  for (auto left = again.next(kEncoder, 1, refused); !left.empty();
       left = again.next(kEncoder, 1, refused)) {
    ASSERT_EQ(left.size(), 1u);
    seen.push_back(left[0].id);
    // The encoder refuses it: it is not asked for again.
    again.put(kEncoder, 2, std::vector<store::PassageVector>{{left[0].id, ""}});
  }
  EXPECT_EQ(seen.size(), 3u);
  EXPECT_EQ(std::count(seen.begin(), seen.end(), id), 0);
  EXPECT_TRUE(refused.empty());
  EXPECT_EQ(house.index()->size(), 1u) << "what was refused has none";
  const auto rows = house.reader.collections();
  EXPECT_EQ(rows.at(0).vectors, 3);
  EXPECT_EQ(rows.at(0).encoder, kEncoder);
  EXPECT_EQ(rows.at(0).dimension, 2);
  EXPECT_EQ(rows.at(1).vectors, 1);
}

TEST(KnowledgeVectors, PassOverWhatIsGoneAndComeBackToWhatWasLeft) {
  VectorHouse house;
  house.add({"one a", "two b"});
  const auto batch = house.bare();
  house.knowledge.remove("docs", "one");
  house.vectors.put(kEncoder, 2,
                    std::vector<store::PassageVector>{{batch[0].id, quantised({1, 0})}});
  EXPECT_EQ(house.reader.collections().at(0).vectors, 0);
  EXPECT_EQ(house.bare().size(), 1u) << "asked for before, and not written";
  EXPECT_EQ(house.fill(east_or_north), 1);
  EXPECT_TRUE(house.bare().empty());
}

TEST(KnowledgeVectors, AreOfOneEncoderUntilTheyAreForgotten) {
  VectorHouse house;
  house.add({"boat on the sea", "house on land"});
  house.fill(east_or_north);
  std::vector<std::string> refused;
  EXPECT_TRUE(house.vectors.next("other", 10, refused).empty());
  ASSERT_EQ(refused.size(), 1u);
  for (const char* part : {"`docs`", "`tiny-encoder` (2 numbers)", "`other`",
                           "skillyard knowledge forget-vectors docs"})
    EXPECT_NE(refused[0].find(part), std::string::npos) << part << " is not in " << refused[0];
  house.add({"new here"});
  const auto bare = house.bare();
  ASSERT_EQ(bare.size(), 1u);
  const std::vector<store::PassageVector> two = {{bare[0].id, quantised({1, 0})}};
  const std::vector<store::PassageVector> three = {{bare[0].id, quantised({1, 0, 0})}};
  EXPECT_THROW(house.vectors.put("other", 2, two), std::runtime_error);
  EXPECT_THROW(house.vectors.put(kEncoder, 3, three), std::runtime_error);
  EXPECT_THROW(house.vectors.put(kEncoder, 0, two), std::runtime_error);
  EXPECT_EQ(house.bare().size(), 1u) << "nothing was written";
  EXPECT_EQ(house.index(std::make_shared<VectorIndex>("other", 1 << 20))->size(), 0u);
  EXPECT_EQ(house.vectors.forget("docs"), 2);
  EXPECT_THROW(house.vectors.forget("nothing"), std::runtime_error);
  refused.clear();
  EXPECT_EQ(house.vectors.next("other", 10, refused).size(), 3u);
  EXPECT_TRUE(refused.empty());
  EXPECT_EQ(house.reader.collections().at(0).encoder, "");
}

TEST(Fusion, AddsTheRanksOfBothSearches) {
  VectorHouse house;
  house.add({"alpha harbour", "beta harbour harbour", "gamma boat", "delta field"});
  house.fill([](const std::string& text) {
    if (text.starts_with("gamma")) return std::vector<float>{1, 0};
    if (text.starts_with("alpha")) return std::vector<float>{0.9F, 0.1F};
    return text.starts_with("delta") ? std::vector<float>{0.5F, 0.5F} : std::vector<float>{0, 1};
  });
  const auto index = house.index();
  // By words: beta, alpha. By vectors: gamma, alpha, delta, beta.
  const double by_alpha = 1 / 62.0 + 1 / 62.0, by_beta = 1 / 61.0 + 1 / 64.0;
  ASSERT_GT(by_alpha, by_beta);
  EXPECT_EQ(house.sources("harbour", {1, 0}, *index),
            (std::vector<std::string>{"alpha", "beta", "gamma", "delta"}));
  const auto words = house.reader.search({.text = "harbour"});
  ASSERT_EQ(words.passages.size(), 2u);
  EXPECT_EQ(words.passages[0].source, "beta");
  EXPECT_EQ(words.score_best, words.passages[0].score);
  EXPECT_EQ(words.score_next, words.passages[1].score);
  const std::string vector = quantised({1, 0});
  const auto both =
      house.reader.search({.text = "harbour", .limit = 3, .vector = vector, .index = index.get()});
  ASSERT_EQ(both.passages.size(), 3u);
  EXPECT_EQ(both.score_best, words.score_best) << "the numbers by words stay";
  EXPECT_NEAR(both.passages[0].similarity, 0.994, 0.002);
  EXPECT_EQ(both.passages[2].score, 0) << "gamma has none of the words";
  EXPECT_NEAR(both.passages[2].similarity, 1, 1e-6);
  // A query without a known word is found by its vector alone; in a collection as asked.
  EXPECT_EQ(house.sources("zzz", {1, 0}, *index).at(0), "gamma");
  house.add({"epsilon boat"}, "other");
  house.fill([](const std::string&) { return std::vector<float>{1, 0}; });
  EXPECT_EQ(house.sources("zzz", {1, 0}, *house.index(), {"other"}),
            (std::vector<std::string>{"epsilon"}));
  EXPECT_TRUE(house.sources("zzz", {1, 0}, *house.index(), {"nowhere"}).empty());
}

TEST(KnowledgeSchema, TakesOverAFileWithoutVectors) {
  Scratch scratch;
  const std::string path = scratch.file("knowledge.sqlite");
  {
    store::Db db(path, store::Access::read_write, 1'000);
    store::prepare_writer(db, 1 << 20, store::kKnowledgeMark);
    store::migrate(db, store::knowledge_migrations().first(1), store::kKnowledgeMark);
    db.exec(
        "INSERT INTO collections(id, name, created_us, next_passage) VALUES(1, 'docs', 1, 1);"
        "INSERT INTO documents VALUES(1, 1, 'a', '', 'text', x'00', 4, 1, 1);"
        "INSERT INTO passages VALUES(1 << 40, 1, 0, 0, '', 'boat')");
  }
  EXPECT_THROW(KnowledgeReader{path}, std::runtime_error);
  KnowledgeVectors vectors(vectors_at(path));
  std::vector<std::string> refused;
  EXPECT_EQ(vectors.next(kEncoder, 10, refused).size(), 1u);
  EXPECT_EQ(KnowledgeReader(path).search({.text = "boat"}).passages.size(), 1u);
}

}  // namespace
