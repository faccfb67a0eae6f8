#include "store/knowledge.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>

#include "store/journal.h"
#include "store/knowledge_import.h"
#include "store/knowledge_reader.h"
#include "tests/store/rows.h"

namespace {

using store::Document;
using store::Filed;
using store::Found;
using store::ImportCounts;
using store::Knowledge;
using store::KnowledgeReader;
using store_test::Scratch;
namespace fs = std::filesystem;

std::int64_t stopped_clock() {
  return store_test::kStartUs;
}

store::KnowledgeOptions knowledge_at(const std::string& path) {
  store::KnowledgeOptions options;
  options.path = path;
  options.chunks = {.bytes_max = 200, .overlap_bytes = 40};
  return options;
}

/// A file with a knowledge set, and both its doors.
struct House {
  Scratch scratch;
  std::string path = scratch.file("knowledge.sqlite");
  Knowledge knowledge{knowledge_at(path), stopped_clock};
  KnowledgeReader reader{path};

  Filed file(const Document& document, const std::string& collection = "docs") {
    std::int64_t passages = 0;
    return knowledge.file(collection, {&document, 1}, passages).at(0);
  }

  Found search(std::string_view text, std::vector<std::string> collections = {}, int limit = 5) {
    return reader.search({.text = text, .collections = std::move(collections), .limit = limit});
  }

  std::vector<std::string> sources(std::string_view text,
                                   std::vector<std::string> collections = {}) {
    std::vector<std::string> sources;
    for (const auto& passage : search(text, std::move(collections)).passages)
      sources.push_back(passage.source);
    return sources;
  }

  std::string exported(const std::string& collection = "docs") {
    std::string lines;
    reader.export_collection(collection,
                             [&](std::string_view line) { lines.append(line).append("\n"); });
    return lines;
  }
};

/// Nothing of an index without its passage, no passage without its document, sums that are right.
void expect_consistent(const std::string& path) {
  store::Db db(path, store::Access::read_write, 1'000);
  EXPECT_EQ(db.integer("SELECT integrity_check = 'ok' FROM pragma_integrity_check"), 1);
  EXPECT_EQ(db.integer("SELECT count(*) FROM pragma_foreign_key_check"), 0);
  // FTS5 compares its index with the passages' texts, word by word; it throws where they differ.
  EXPECT_NO_THROW(
      db.exec("INSERT INTO passage_terms(passage_terms, rank) VALUES('integrity-check', 1)"));
  EXPECT_EQ(db.integer("SELECT count(*) FROM collections c WHERE passages != (SELECT count(*) FROM "
                       "passages WHERE id >> 40 = c.id) OR documents != (SELECT count(*) FROM "
                       "documents WHERE collection = c.id)"),
            0);
  EXPECT_EQ(db.integer("SELECT count(*) FROM documents d WHERE passages != (SELECT count(*) FROM "
                       "passages WHERE document = d.id)"),
            0);
}

std::string long_text(const std::string& word, int sentences) {
  std::string text;
  for (int i = 0; i < sentences; ++i)
    text += "Sentence " + std::to_string(i) + " speaks of " + word + ".\n";
  return text;
}

TEST(Knowledge, FindsWhatWasFiledAndSaysHowWell) {
  House house;
  EXPECT_EQ(house.file({.source = "a", .text = "The heron waits at the river for fish."}),
            Filed::added);
  EXPECT_EQ(house.file({.source = "b", .text = "A river barge carries coal and gravel."}),
            Filed::added);
  EXPECT_EQ(house.file({.source = "c", .text = "Coal is mined underground."}), Filed::added);
  EXPECT_EQ(house.file({.source = "d", .text = "Nothing to do with it."}), Filed::added);
  const Found found = house.search("Where do HERONS fish?");
  ASSERT_FALSE(found.passages.empty());
  EXPECT_EQ(found.passages[0].source, "a");
  EXPECT_EQ(found.passages[0].collection, "docs");
  EXPECT_GT(found.passages[0].score, 0);
  EXPECT_LE(found.passages[0].score, found.score_max);
  EXPECT_EQ(found.terms, 4);
  EXPECT_EQ(found.terms_unknown, 1) << "where";
  // ln(1 + 3.5/1.5) for heron and fish (one of four passages), the same for `do`, which d holds;
  // ln(1 + 4.5/0.5) for the unknown one.
  EXPECT_NEAR(found.covered,
              2 * std::log1p(3.5 / 1.5) / (3 * std::log1p(3.5 / 1.5) + std::log1p(4.5 / 0.5)),
              1e-12);
  EXPECT_TRUE(house.search("zebra").passages.empty());
  EXPECT_EQ(house.search("zebra").terms_unknown, 1);
  EXPECT_TRUE(house.search("").passages.empty());
}

// A second road to the same numbers: BM25 by hand over three passages.
TEST(Knowledge, ScoreIsBm25) {
  House house;
  house.file({.source = "a", .text = "owl owl mouse"});
  house.file({.source = "b", .text = "mouse trap with cheese"});
  house.file({.source = "c", .text = "nothing here"});
  house.file({.source = "d", .text = "cheese and nothing"});
  house.file({.source = "e", .text = "more of nothing"});
  const double idf = std::log((5 - 1 + 0.5) / (1 + 0.5));
  const double average = (3 + 4 + 2 + 3 + 3) / 5.0;
  const double expected = idf * 2 * 2.2 / (2 + 1.2 * (1 - 0.75 + 0.75 * 3 / average));
  const Found found = house.search("owl");
  ASSERT_EQ(found.passages.size(), 1u);
  EXPECT_NEAR(found.passages[0].score, expected, 1e-9);
  EXPECT_NEAR(found.score_max, 2.2 * idf, 1e-9);
  EXPECT_DOUBLE_EQ(found.covered, 1);
}

TEST(Knowledge, QueryIsWordsNeverSyntax) {
  House house;
  house.file({.source = "a", .text = "near the column of not and or prefix star"});
  house.file({.source = "b", .text = "unrelated words only"});
  house.file({.source = "c", .text = "more unrelated prose"});
  const std::vector<std::string> hostile = {"NOT near",
                                            "near AND star",
                                            "\"near",
                                            "near\" OR \"b",
                                            "text:near",
                                            "ne*",
                                            "^near",
                                            "NEAR(near star, 2)",
                                            "near)",
                                            "(((",
                                            "- near",
                                            "{heading}: near",
                                            "near + star",
                                            "';DROP TABLE passages;--",
                                            std::string("near\0star", 9),
                                            "near \xff\xfe\xc3 star",
                                            std::string(100'000, '"') + " near"};
  for (const std::string& query : hostile) {
    Found found;
    ASSERT_NO_THROW(found = house.search(query)) << query;
    for (const auto& passage : found.passages) EXPECT_EQ(passage.source, "a") << query;
  }
  EXPECT_EQ(house.sources("NOT near"), std::vector<std::string>{"a"}) << "NOT is a word";
  EXPECT_TRUE(house.sources("ne*").empty()) << "no prefix search";
  expect_consistent(house.path);
}

TEST(Knowledge, SearchIsBounded) {
  House house;
  std::vector<Document> documents;
  for (int i = 0; i < 400; ++i) {
    documents.push_back({.source = std::to_string(i),
                         .text = "everywhere " + std::string(i == 7 ? "rare" : "other") + " word" +
                                 std::to_string(i)});
  }
  std::int64_t passages = 0;
  house.knowledge.file("docs", documents, passages);
  KnowledgeReader bounded(house.path, {.terms_max = 3, .postings_max = 100, .passages_max = 4});
  std::string all = "everywhere rare other";
  const Found found = bounded.search({.text = all, .limit = 1'000});
  EXPECT_EQ(found.terms_searched, 1) << "the others are held by too many";
  ASSERT_EQ(found.passages.size(), 1u);
  EXPECT_EQ(found.passages[0].source, "7");
  EXPECT_EQ(bounded.search({.text = "everywhere", .limit = 1'000}).passages.size(), 4u)
      << "the only term is searched for, however common";
  EXPECT_EQ(bounded.search({.text = "word1 word2 word3 word4 word5"}).terms_searched, 3);
}

TEST(Knowledge, SearchKeepsToItsCollections) {
  House house;
  house.file({.source = "a", .text = "badger one"}, "first");
  house.file({.source = "b", .text = "badger two"}, "second");
  house.file({.source = "c", .text = "badger three"}, "third");
  house.file({.source = "d", .text = "quiet"}, "fourth");
  EXPECT_EQ(house.sources("badger").size(), 3u);
  EXPECT_EQ(house.sources("badger", {"second"}), std::vector<std::string>{"b"});
  EXPECT_EQ(house.sources("badger", {"second", "third", "nowhere", "third"}).size(), 2u);
  EXPECT_TRUE(house.sources("badger", {"nowhere"}).empty());
}

TEST(Knowledge, SameContentIsFiledOnce) {
  House house;
  const Document document{.source = "a", .text = long_text("otters", 20)};
  EXPECT_EQ(house.file(document), Filed::added);
  const std::string before = house.exported();
  EXPECT_EQ(house.file(document), Filed::unchanged);
  EXPECT_EQ(house.file({.source = "copy", .text = document.text}), Filed::duplicate);
  EXPECT_EQ(house.file({.source = "copy", .text = document.text}, "elsewhere"), Filed::added);
  EXPECT_EQ(house.exported(), before);
  EXPECT_EQ(house.file({.source = "a", .text = long_text("beavers", 3)}), Filed::replaced);
  EXPECT_TRUE(house.sources("otters", {"docs"}).empty());
  EXPECT_EQ(house.sources("beavers"), std::vector<std::string>{"a"});
  EXPECT_EQ(house.file({.source = "a", .text = "  "}), Filed::empty) << "and the old one is gone";
  EXPECT_TRUE(house.sources("beavers").empty());
  expect_consistent(house.path);
}

TEST(Knowledge, OtherRulesCutAnew) {
  House house;
  const Document document{.source = "a", .text = long_text("otters", 20)};
  house.file(document);
  store::KnowledgeOptions wide = knowledge_at(house.path);
  wide.chunks = {.bytes_max = 2'000, .overlap_bytes = 0};
  std::int64_t passages = 0;
  EXPECT_EQ(Knowledge(wide, stopped_clock).file("docs", {&document, 1}, passages)[0],
            Filed::replaced);
  EXPECT_EQ(passages, 1);
  expect_consistent(house.path);
}

TEST(Knowledge, BadDocumentsAreValues) {
  House house;
  store::KnowledgeOptions options = knowledge_at(house.path);
  options.document_bytes_max = 100;
  Knowledge small(options, stopped_clock);
  const std::vector<Document> batch = {{.source = "nul", .text = std::string("a\0b", 3)},
                                       {.source = "latin", .text = "caf\xe9"},
                                       {.source = "large", .text = std::string(101, 'x')},
                                       {.source = "blank", .text = " \n"},
                                       {.source = "good", .text = "fine"},
                                       {.source = "\xff", .text = "name"}};
  std::int64_t passages = 0;
  EXPECT_EQ(small.file("docs", batch, passages),
            (std::vector<Filed>{Filed::binary, Filed::not_utf8, Filed::too_large, Filed::empty,
                                Filed::added, Filed::not_utf8}));
  EXPECT_EQ(passages, 1);
  EXPECT_THROW(small.file("no spaces", {}, passages), std::runtime_error);
  EXPECT_THROW(small.file("", {}, passages), std::runtime_error);
}

TEST(Knowledge, ExportComesBackToTheSameState) {
  House house;
  const std::string markdown = "# Otters\n\n" + long_text("otters", 30) + "\n## Food\n\n" +
                               long_text("fish \"and\" \xc3\xa9levage\t\\", 30);
  house.file({.source = "b/otters.md",
              .title = "Book",
              .format = store::Format::markdown,
              .text = markdown});
  house.file({.source = "a", .text = "\r\n\r\nbegins with lines\r\n" + std::string(500, 'x')});
  const std::string lines = house.exported();
  House other;
  std::istringstream in(lines);
  const ImportCounts counts =
      import_stream(other.knowledge, "docs", in, "-", store::Reading::automatic, {});
  EXPECT_EQ(counts.added, 2);
  EXPECT_EQ(other.exported(), lines);
  std::istringstream again(lines);
  EXPECT_EQ(
      import_stream(house.knowledge, "docs", again, "-", store::Reading::automatic, {}).unchanged,
      2)
      << "byte for byte what was filed";
}

TEST(Knowledge, DeletedWordsLeaveTheFile) {
  House house;
  house.file({.source = "a", .text = long_text("xylographic", 50)});
  house.file({.source = "b", .text = long_text("quagmire", 50)});
  house.file({.source = "c", .text = long_text("zymurgy", 50)}, "kept");
  const auto bytes_hold = [&](const std::string& word) {
    store::Db(house.path, store::Access::read_write, 1'000).exec("PRAGMA wal_checkpoint(TRUNCATE)");
    std::ifstream in(house.path, std::ios::binary);
    std::ostringstream all;
    all << in.rdbuf();
    return all.str().find(word) != std::string::npos;
  };
  ASSERT_TRUE(bytes_hold("xylograph"));
  EXPECT_EQ(house.knowledge.remove("docs", "a").documents, 1);
  EXPECT_EQ(house.knowledge.remove("docs", "a").documents, 0);
  EXPECT_FALSE(bytes_hold("xylograph"));
  ASSERT_TRUE(bytes_hold("quagmir"));
  std::int64_t told = 0;
  const auto removed = house.knowledge.remove_collection(
      "docs", [&](const store::Removed& sum) { told = sum.documents; });
  EXPECT_EQ(removed.documents, 1);
  EXPECT_EQ(told, 1);
  EXPECT_FALSE(bytes_hold("quagmir"));
  EXPECT_EQ(house.reader.collections().size(), 1u);
  EXPECT_EQ(house.sources("zymurgy"), (std::vector<std::string>{"c", "c", "c", "c", "c"}));
  expect_consistent(house.path);
}

TEST(Knowledge, FileOfAnotherKindIsRefused) {
  const Scratch scratch;
  {
    store::Options options;
    options.path = scratch.file();
    const store::Journal journal(options, {});
  }
  EXPECT_THROW(Knowledge(knowledge_at(scratch.file()), stopped_clock), std::runtime_error);
  EXPECT_THROW(KnowledgeReader(scratch.file()), std::runtime_error);
  EXPECT_THROW(KnowledgeReader(scratch.file("nowhere")), std::runtime_error);
}

TEST(KnowledgeImport, TakesAFolderAndNamesWhatItLeavesOut) {
  House house;
  const auto write = [&](const std::string& name, const std::string& text) {
    const fs::path path = house.scratch.file("in/" + name);
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
    return path.string();
  };
  write("a.md", "\xef\xbb\xbf# Heading\n\nheron\n");
  write("deep/er/b.txt", "badger");
  write("copy.txt", "badger");
  write("picture.png", std::string("\x89PNG\0\0", 6));
  write("latin.txt", "caf\xe9");
  write("empty.txt", "");
  write(".hidden", "secret");
  write(".git/object", "secret");
  write("large.txt", std::string(70'000, 'x'));
  const std::string rows = write("rows.jsonl",
                                 "{\"id\":\"r1\",\"text\":\"otter\",\"title\":\"Rivers\"}\n"
                                 "\n"
                                 "{\"id\":7,\"text\":\"marten\"}\n"
                                 "{\"text\":\"no name\"}\n"
                                 "not json\n[1]\n{\"id\":\"x\"}\n{\"text\":5}\n"
                                 "{\"text\":\"\\ud800\"}\n{\"text\":\"a\\u0000b\"}\n"
                                 "{\"id\":[],\"text\":\"x\"}\n"
                                 "{\"text\":\"" +
                                     std::string(70'000, 'y') +
                                     "\"}\n"
                                     "{\"id\":\"last\",\"text\":\"without newline\"}");
  fs::create_directory_symlink(house.scratch.file("in"), house.scratch.file("in/loop"));
  fs::create_symlink(house.scratch.file("nowhere"), house.scratch.file("in/dangling"));
  ASSERT_EQ(mkfifo(house.scratch.file("in/pipe").c_str(), 0600), 0);
  store::KnowledgeOptions options = knowledge_at(house.path);
  options.document_bytes_max = 65'536;
  options.batch_documents = 3;
  Knowledge knowledge(options, stopped_clock);
  std::vector<std::string> lines;
  double share = 0;
  const store::ImportHooks hooks = {
      .left_out = [&](std::string_view line) { lines.emplace_back(line); },
      .progress = [&](const ImportCounts&, double now) { share = now; }};
  const ImportCounts counts =
      import_path(knowledge, "docs", house.scratch.file("in"), store::Reading::automatic, hooks);
  EXPECT_EQ(counts.added, 6) << "a.md, one badger, r1, 7, :4, last";
  EXPECT_EQ(counts.left_out, std::ssize(lines));
  EXPECT_EQ(share, 1);
  std::sort(lines.begin(), lines.end());
  const std::string in = house.scratch.file("in/");
  EXPECT_EQ(lines,
            (std::vector<std::string>{
                in + "deep/er/b.txt: the same content is there under another name",
                in + "empty.txt: empty", in + "large.txt: too large", in + "latin.txt: not UTF-8",
                in + "picture.png: binary", rows + ":10: binary",
                rows + ":11: \"id\" is neither a string nor an integer", rows + ":12: too large",
                rows + ":5: not JSON", rows + ":6: not a JSON object",
                rows + ":7: no \"text\" of type string", rows + ":8: no \"text\" of type string",
                rows + ":9: not UTF-8"}));
  EXPECT_EQ(house.search("otter").passages.at(0).heading, "Rivers");
  EXPECT_EQ(house.search("heron").passages.at(0).heading, "Heading");
  EXPECT_TRUE(house.sources("secret").empty());
  EXPECT_EQ(import_path(knowledge, "docs", house.scratch.file("in"), store::Reading::automatic, {})
                .unchanged,
            6);
  EXPECT_THROW(import_path(knowledge, "docs", in + "none", store::Reading::automatic, {}),
               std::runtime_error);
  expect_consistent(house.path);
}

// Files vanish between the listing and the reading: the first hook call removes what is left.
TEST(KnowledgeImport, VanishedFilesAreToldAndTheRestGoesOn) {
  House house;
  fs::create_directory(house.scratch.file("in"));
  for (const char* name : {"1", "2", "3"}) {
    std::ofstream(house.scratch.file("in/") + name) << "text " << name;
  }
  store::KnowledgeOptions options = knowledge_at(house.path);
  options.batch_documents = 1;
  Knowledge knowledge(options, stopped_clock);
  std::vector<std::string> lines;
  const store::ImportHooks hooks = {
      .left_out = [&](std::string_view line) { lines.emplace_back(line); },
      .progress = [&](const ImportCounts&, double) { fs::remove(house.scratch.file("in/2")); }};
  const auto counts =
      import_path(knowledge, "docs", house.scratch.file("in"), store::Reading::automatic, hooks);
  EXPECT_EQ(counts.added, 2);
  EXPECT_EQ(lines, std::vector<std::string>{house.scratch.file("in/2: gone since it was listed")});
}

// A child replaces a set of documents over and over and is killed in the middle: every document
// must be there as one of its versions, and a batch must not be half done.
TEST(Knowledge, KilledImportLeavesTheOldOrTheNewState) {
  const Scratch scratch;
  const std::string path = scratch.file("knowledge.sqlite");
  constexpr int kDocuments = 12;
  const auto version = [](int number) {
    std::vector<Document> batch;
    for (int i = 0; i < kDocuments; ++i) {
      batch.push_back({.source = std::to_string(i),
                       .text = "document " + std::to_string(i) + "\n\n" +
                               long_text("version" + std::to_string(number), 10 + i)});
    }
    return batch;
  };
  for (int round = 0; round < 5; ++round) {
    int channel[2];
    ASSERT_EQ(pipe(channel), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      close(channel[0]);
      store::KnowledgeOptions options = knowledge_at(path);
      options.wal_bytes = 128 << 10;  // checkpoints among the commits
      Knowledge knowledge(options, stopped_clock);
      std::int64_t passages = 0;
      for (int number = 0;; ++number) {
        knowledge.file("docs", version(number), passages);
        if (write(channel[1], &number, sizeof number) != sizeof number) _exit(1);
      }
    }
    close(channel[1]);
    int number = 0;
    int told = -1;
    while (told < 2 + 3 * round && read(channel[0], &number, sizeof number) == sizeof number)
      told = number;
    kill(child, SIGKILL);
    while (read(channel[0], &number, sizeof number) == sizeof number) told = number;
    close(channel[0]);
    waitpid(child, nullptr, 0);
    ASSERT_GE(told, 2 + 3 * round);

    KnowledgeReader reader(path);
    std::vector<std::string> now;
    reader.export_collection("docs", [&](std::string_view line) { now.emplace_back(line); });
    ASSERT_EQ(now.size(), static_cast<std::size_t>(kDocuments));
    const bool is_next = now[0].find("version" + std::to_string(told) + ".") == std::string::npos;
    House expected;
    std::int64_t passages = 0;
    expected.knowledge.file("docs", version(told + (is_next ? 1 : 0)), passages);
    std::string all;
    for (const std::string& line : now) all += line + "\n";
    EXPECT_EQ(all, expected.exported());
    expect_consistent(path);
  }
}

}  // namespace
