#include "store/knowledge_schema.h"

#include <array>

#include "store/knowledge.h"
#include "store/schema.h"

namespace store {
namespace {

// `passage_terms` is an index over `passages` that holds no text of its own. Triggers keep it and
// the sums of a collection in step, deletes by cascade included. Documents and passages are never
// updated.
constexpr std::string_view kKnowledgeTables = R"sql(
CREATE TABLE collections(
  id INTEGER PRIMARY KEY AUTOINCREMENT CHECK(id < 1 << 22), -- never used again: so are passage ids
  name TEXT NOT NULL UNIQUE,
  created_us INTEGER NOT NULL,
  documents INTEGER NOT NULL DEFAULT 0,
  passages INTEGER NOT NULL DEFAULT 0,
  bytes INTEGER NOT NULL DEFAULT 0,
  next_passage INTEGER NOT NULL DEFAULT 0 CHECK(next_passage < 1 << 40)
) STRICT;

CREATE TABLE documents(
  id INTEGER PRIMARY KEY,
  collection INTEGER NOT NULL REFERENCES collections(id) ON DELETE CASCADE,
  source TEXT NOT NULL,
  title TEXT NOT NULL,
  format TEXT NOT NULL,
  hash BLOB NOT NULL,
  bytes INTEGER NOT NULL,
  passages INTEGER NOT NULL,
  added_us INTEGER NOT NULL,
  UNIQUE(collection, source)
) STRICT;
CREATE INDEX documents_by_hash ON documents(collection, hash);
CREATE TRIGGER documents_insert AFTER INSERT ON documents BEGIN
  UPDATE collections SET documents = documents + 1, passages = passages + new.passages,
    bytes = bytes + new.bytes WHERE id = new.collection;
END;
CREATE TRIGGER documents_delete AFTER DELETE ON documents BEGIN
  UPDATE collections SET documents = documents - 1, passages = passages - old.passages,
    bytes = bytes - old.bytes WHERE id = old.collection;
END;

CREATE TABLE passages(
  id INTEGER PRIMARY KEY, -- collection << 40 | number
  document INTEGER NOT NULL REFERENCES documents(id) ON DELETE CASCADE,
  start INTEGER NOT NULL, -- byte in the document
  fresh INTEGER NOT NULL, -- first byte that the passage before does not hold
  heading TEXT NOT NULL,
  text TEXT NOT NULL
) STRICT;
CREATE INDEX passages_of_document ON passages(document);

CREATE VIRTUAL TABLE passage_terms USING fts5(heading, text, content='passages', content_rowid='id',
  tokenize='porter unicode61 remove_diacritics 2');
CREATE VIRTUAL TABLE passage_vocabulary USING fts5vocab('passage_terms', 'row');

CREATE TRIGGER passages_insert AFTER INSERT ON passages BEGIN
  INSERT INTO passage_terms(rowid, heading, text) VALUES(new.id, new.heading, new.text);
END;
CREATE TRIGGER passages_delete AFTER DELETE ON passages BEGIN
  INSERT INTO passage_terms(passage_terms, rowid, heading, text)
    VALUES('delete', old.id, old.heading, old.text);
END;
)sql";

// What a collection's vectors were made by, and how many of its passages have one. `seq` is the
// order in which they were written: what is new since is a range. Triggers keep the count.
constexpr std::string_view kVectors = R"sql(
CREATE TABLE encodings(
  collection INTEGER PRIMARY KEY REFERENCES collections(id) ON DELETE CASCADE,
  encoder TEXT NOT NULL,
  dimension INTEGER NOT NULL CHECK(dimension BETWEEN 1 AND 8192),
  vectors INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE passage_vectors(
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  passage INTEGER NOT NULL UNIQUE REFERENCES passages(id) ON DELETE CASCADE,
  vector BLOB NOT NULL -- int8, one for each dimension; empty: the encoder refused the passage
) STRICT;
CREATE TRIGGER passage_vectors_insert AFTER INSERT ON passage_vectors BEGIN
  UPDATE encodings SET vectors = vectors + 1 WHERE collection = new.passage >> 40;
END;
CREATE TRIGGER passage_vectors_delete AFTER DELETE ON passage_vectors BEGIN
  UPDATE encodings SET vectors = vectors - 1 WHERE collection = old.passage >> 40;
END;
)sql";

constexpr std::array kKnowledgeMigrations = {kKnowledgeTables, kVectors};

}  // namespace

std::span<const std::string_view> knowledge_migrations() {
  return kKnowledgeMigrations;
}

Db open_knowledge(const KnowledgeOptions& options) {
  Db db(options.path, Access::read_write, options.busy_wait_ms);
  prepare_writer(db, options.wal_bytes, kKnowledgeMark);
  migrate(db, kKnowledgeMigrations, kKnowledgeMark);
  return db;
}

}  // namespace store
