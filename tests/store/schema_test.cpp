#include "store/schema.h"

#include <gtest/gtest.h>

#include <fstream>
#include <functional>

#include "store/journal.h"
#include "store/reader.h"
#include "store/writer.h"
#include "tests/store/rows.h"

namespace {

using store::Access;
using store::Db;
using store_test::decision;
using store_test::Scratch;

store::Options schema_options(const std::string& path) {
  store::Options options;
  options.path = path;
  return options;
}

std::string sentence_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TEST(Schema, FreshFileHasTheSettingsThatDurabilityNeeds) {
  const Scratch scratch;
  store::Writer writer(schema_options(scratch.file()));
  Db& db = writer.db();
  EXPECT_EQ(db.prepare("PRAGMA synchronous").step(), true);
  EXPECT_EQ(db.integer("PRAGMA synchronous"), 2) << "FULL";
  EXPECT_EQ(db.integer("PRAGMA foreign_keys"), 1);
  EXPECT_EQ(db.integer("PRAGMA auto_vacuum"), 2) << "INCREMENTAL";
  EXPECT_EQ(db.integer("SELECT journal_mode = 'wal' FROM pragma_journal_mode"), 1);
  EXPECT_EQ(db.integer("PRAGMA user_version"), std::ssize(store::migrations()));
  EXPECT_EQ(db.integer("SELECT count(*) FROM pragma_table_list WHERE schema = 'main' AND "
                       "type = 'table' AND NOT strict AND name NOT LIKE 'sqlite%'"),
            0)
      << "every table is STRICT";
  EXPECT_THROW(db.exec("INSERT INTO losses VALUES(1, 'soon', 2, 3)"), store::DbError);
}

TEST(Schema, OlderFileIsBroughtUpToDateAndKeepsItsRows) {
  const Scratch scratch;
  {
    store::Writer writer(schema_options(scratch.file()));
    store::Batch batch;
    batch.decisions.push_back(decision(1));
    EXPECT_EQ(writer.commit(batch), 1u);
  }
  std::vector<std::string_view> steps(store::migrations().begin(), store::migrations().end());
  steps.push_back(
      "ALTER TABLE decisions ADD COLUMN tenant TEXT; UPDATE decisions SET tenant = 'a'");
  Db db(scratch.file(), Access::read_write, 0);
  store::migrate(db, steps);
  EXPECT_EQ(db.integer("PRAGMA user_version"), std::ssize(steps));
  EXPECT_EQ(db.integer("SELECT count(*) FROM decisions WHERE tenant = 'a'"), 1);
  store::migrate(db, steps);  // nothing left to do
  EXPECT_EQ(db.integer("PRAGMA user_version"), std::ssize(steps));
}

TEST(Schema, FailedMigrationLeavesNothingBehind) {
  const Scratch scratch;
  { const store::Writer writer(schema_options(scratch.file())); }
  std::vector<std::string_view> steps(store::migrations().begin(), store::migrations().end());
  steps.push_back("CREATE TABLE half(x); SELECT * FROM nowhere");
  Db db(scratch.file(), Access::read_write, 0);
  EXPECT_TRUE(contains(sentence_of([&] { store::migrate(db, steps); }), "nowhere"));
  EXPECT_EQ(db.integer("PRAGMA user_version"), std::ssize(store::migrations()));
  EXPECT_EQ(db.integer("SELECT count(*) FROM sqlite_schema WHERE name = 'half'"), 0);
}

TEST(Schema, NewerFileIsRefusedWithASentence) {
  const Scratch scratch;
  { const store::Writer writer(schema_options(scratch.file())); }
  Db(scratch.file(), Access::read_write, 0).exec("PRAGMA user_version = 99");
  for (const bool writing : {true, false}) {
    const std::string sentence = sentence_of([&] {
      writing ? void(store::Writer(schema_options(scratch.file())))
              : void(store::Reader(scratch.file()));
    });
    EXPECT_TRUE(contains(sentence, scratch.file())) << sentence;
    EXPECT_TRUE(contains(sentence, "schema version 99")) << sentence;
    EXPECT_TRUE(contains(sentence, "newer build")) << sentence;
  }
}

TEST(Schema, AnotherProgramsFileIsRefusedAndNotTouched) {
  const Scratch scratch;
  Db(scratch.file(), Access::read_write, 0).exec("CREATE TABLE theirs(x)");
  const std::string sentence =
      sentence_of([&] { const store::Journal journal(schema_options(scratch.file()), {}); });
  EXPECT_TRUE(contains(sentence, "another program")) << sentence;
  Db db(scratch.file(), Access::read_only, 0);
  EXPECT_EQ(db.integer("SELECT count(*) FROM sqlite_schema"), 1);
  EXPECT_EQ(db.integer("SELECT journal_mode = 'delete' FROM pragma_journal_mode"), 1);
}

TEST(Schema, DamagedFileIsRefusedWithASentence) {
  const Scratch scratch;
  std::ofstream(scratch.file()) << std::string(20'000, 'z');
  const std::string sentence =
      sentence_of([&] { const store::Journal journal(schema_options(scratch.file()), {}); });
  EXPECT_TRUE(contains(sentence, scratch.file())) << sentence;
  EXPECT_TRUE(contains(sentence, "not a database")) << sentence;
  EXPECT_TRUE(contains(sentence, "move the file")) << sentence;
}

TEST(Schema, MissingDirectoryAndMissingFileAreSaid) {
  const Scratch scratch;
  const std::string path = scratch.file("no/such.db");
  EXPECT_TRUE(
      contains(sentence_of([&] { const store::Journal j(schema_options(path), {}); }), path));
  EXPECT_TRUE(contains(sentence_of([&] { const store::Reader r(path); }), path));
}

}  // namespace
