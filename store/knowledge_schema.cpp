#include "store/knowledge_schema.h"

#include <array>

namespace store {
namespace {

// `passage_terms` is an index over `passages` that holds no text of its own. Triggers keep it and
// the sums of a collection in step, deletes by cascade included. Documents and passages are never
// updated.
constexpr std::string_view kFirst = R"sql(
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

constexpr std::array kMigrations = {kFirst};

}  // namespace

std::span<const std::string_view> knowledge_migrations() {
  return kMigrations;
}

}  // namespace store
