#include "store/knowledge.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <stdexcept>

#include "store/knowledge_schema.h"
#include "store/schema.h"
#include "store/utf8.h"

namespace store {
namespace {

constexpr std::size_t kCollectionNameMax = 64;
constexpr std::int64_t kRemoveStep = 200;  // documents of one transaction
constexpr std::uint64_t kChunkerVersion = 1;

void check_name(std::string_view name) {
  const bool known =
      name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789._-") == std::string_view::npos;
  if (known && !name.empty() && name.size() <= kCollectionNameMax) return;
  throw std::runtime_error("collection name `" + std::string(name.substr(0, kCollectionNameMax)) +
                           "`: use 1 to 64 of a-z, 0-9, dot, dash and underscore");
}

std::string_view name_of(Format format) {
  return format == Format::markdown ? "markdown" : "text";
}

/// XXH3-128 over what decides the passages: the content, and the way it is cut.
std::string hash_of(const Document& document, const ChunkRules& rules) {
  XXH3_state_t state;
  XXH3_128bits_reset(&state);
  const std::uint64_t head[] = {
      kChunkerVersion,         static_cast<std::uint64_t>(document.format),
      rules.bytes_max,         rules.overlap_bytes,
      rules.heading_bytes_max, document.title.size()};
  XXH3_128bits_update(&state, head, sizeof head);
  XXH3_128bits_update(&state, document.title.data(), document.title.size());
  XXH3_128bits_update(&state, document.text.data(), document.text.size());
  const XXH128_hash_t hash = XXH3_128bits_digest(&state);
  return {reinterpret_cast<const char*>(&hash), sizeof hash};
}

std::string heading_of(const Document& document, const Chunk& chunk) {
  if (document.title.empty() || chunk.heading.empty()) return document.title + chunk.heading;
  return document.title + " > " + chunk.heading;
}

}  // namespace

std::string_view name_of(Filed filed) {
  switch (filed) {
    case Filed::added:
      return "added";
    case Filed::replaced:
      return "replaced";
    case Filed::unchanged:
      return "unchanged";
    case Filed::duplicate:
      return "the same content is there under another name";
    case Filed::empty:
      return "empty";
    case Filed::binary:
      return "binary";
    case Filed::not_utf8:
      return "not UTF-8";
    case Filed::too_large:
      return "too large";
  }
  return "";
}

struct Knowledge::Place {
  std::int64_t collection = 0;
  std::int64_t next_passage = 0;
};

Knowledge::Knowledge(const KnowledgeOptions& options, Clock clock)
    : options_(options),
      clock_(std::move(clock)),
      db_(open_knowledge(options)),
      by_source_(db_.prepare("SELECT id, hash FROM documents WHERE collection = ? AND source = ?")),
      by_hash_(db_.prepare("SELECT 1 FROM documents WHERE collection = ? AND hash = ?")),
      insert_document_(db_.prepare("INSERT INTO documents(collection, source, title, format, hash, "
                                   "bytes, passages, added_us) VALUES(?, ?, ?, ?, ?, ?, ?, ?)")),
      insert_passage_(db_.prepare("INSERT INTO passages(id, document, start, fresh, heading, text) "
                                  "VALUES(?, ?, ?, ?, ?, ?)")),
      delete_document_(db_.prepare("DELETE FROM documents WHERE id = ?")) {}

std::int64_t Knowledge::find_collection(std::string_view name) {
  Statement find = db_.prepare("SELECT id FROM collections WHERE name = ?");
  find.bind_text(1, name);
  return find.step() ? find.integer(0) : 0;
}

Knowledge::Place Knowledge::open_collection(std::string_view name) {
  Statement make =
      db_.prepare("INSERT INTO collections(name, created_us) VALUES(?, ?) ON CONFLICT DO NOTHING");
  make.bind_text(1, name);
  make.bind(2, clock_());
  make.run();
  Statement find = db_.prepare("SELECT id, next_passage FROM collections WHERE name = ?");
  find.bind_text(1, name);
  find.step();
  return {find.integer(0), find.integer(1)};
}

std::vector<Filed> Knowledge::file(std::string_view collection, std::span<const Document> batch,
                                   std::int64_t& passages) {
  check_name(collection);
  std::vector<Filed> filed;
  filed.reserve(batch.size());
  Transaction transaction(db_);
  Place place = open_collection(collection);
  const std::int64_t first = place.next_passage;
  for (const Document& document : batch) filed.push_back(file_one(place, document));
  Statement update = db_.prepare("UPDATE collections SET next_passage = ? WHERE id = ?");
  update.bind(1, place.next_passage);
  update.bind(2, place.collection);
  update.run();
  transaction.commit();
  passages += place.next_passage - first;
  return filed;
}

Filed Knowledge::file_one(Place& place, const Document& document) {
  if (document.text.size() > options_.document_bytes_max ||
      document.source.size() > options_.name_bytes_max ||
      document.title.size() > options_.name_bytes_max) {
    return Filed::too_large;
  }
  for (const std::string_view part : {document.text, document.source, document.title}) {
    if (part.find('\0') != std::string_view::npos) return Filed::binary;
    if (!is_utf8(part)) return Filed::not_utf8;
  }
  const std::string hash = hash_of(document, options_.chunks);
  const ResetOnExit source_done{by_source_};
  by_source_.bind(1, place.collection);
  by_source_.bind_text(2, document.source);
  const std::int64_t known = by_source_.step() ? by_source_.integer(0) : 0;
  if (known != 0 && by_source_.text(1) == hash) return Filed::unchanged;
  by_source_.reset();
  const ResetOnExit hash_done{by_hash_};
  by_hash_.bind(1, place.collection);
  by_hash_.bind_bytes(2, hash);
  const bool elsewhere = by_hash_.step();
  by_hash_.reset();
  if (known != 0) {  // the source is not what it was, whatever it is now
    delete_document_.bind(1, known);
    delete_document_.run();
  }
  if (elsewhere) return Filed::duplicate;
  if (insert(place, document, hash) == 0) return Filed::empty;
  return known != 0 ? Filed::replaced : Filed::added;
}

/// The number of passages.
std::int64_t Knowledge::insert(Place& place, const Document& document, std::string_view hash) {
  const std::vector<Chunk> chunks = cut(document.text, document.format, options_.chunks);
  if (chunks.empty()) return 0;
  const std::string_view text = document.text;
  insert_document_.bind(1, place.collection);
  insert_document_.bind_text(2, document.source);
  insert_document_.bind_text(3, document.title);
  insert_document_.bind_text(4, name_of(document.format));
  insert_document_.bind_bytes(5, hash);
  insert_document_.bind(6, std::ssize(text));
  insert_document_.bind(7, std::ssize(chunks));
  insert_document_.bind(8, clock_());
  insert_document_.run();
  const std::int64_t id = db_.last_rowid();
  for (const Chunk& chunk : chunks) {
    const std::string heading = heading_of(document, chunk);
    insert_passage_.bind(1, place.collection << kCollectionShift | place.next_passage++);
    insert_passage_.bind(2, id);
    insert_passage_.bind(3, static_cast<std::int64_t>(chunk.start));
    insert_passage_.bind(4, static_cast<std::int64_t>(chunk.fresh));
    insert_passage_.bind_text(5, heading);
    insert_passage_.bind_text(6, text.substr(chunk.start, chunk.size));
    insert_passage_.run();
  }
  return std::ssize(chunks);
}

/// Runs a DELETE that returns the passages of each document.
Removed Knowledge::remove_some(Statement& statement) {
  Removed removed;
  while (statement.step()) {
    ++removed.documents;
    removed.passages += statement.integer(0);
  }
  return removed;
}

Removed Knowledge::remove(std::string_view collection, std::string_view source) {
  Statement statement =
      db_.prepare("DELETE FROM documents WHERE collection = ? AND source = ? RETURNING passages");
  statement.bind(1, find_collection(collection));
  statement.bind_text(2, source);
  const Removed removed = remove_some(statement);
  if (removed.documents > 0) forget_words();
  return removed;
}

Removed Knowledge::remove_collection(std::string_view collection,
                                     const std::function<void(const Removed&)>& progress) {
  Removed removed;
  const std::int64_t id = find_collection(collection);
  if (id == 0) return removed;
  Statement statement = db_.prepare(
      "DELETE FROM documents WHERE id IN (SELECT id FROM documents WHERE collection = ? LIMIT ?) "
      "RETURNING passages");
  statement.bind(1, id);
  statement.bind(2, kRemoveStep);
  for (bool more = true; more;) {
    const Removed step = remove_some(statement);  // a transaction of its own
    more = step.documents > 0;
    removed.documents += step.documents;
    removed.passages += step.passages;
    if (progress) progress(removed);
  }
  Statement last = db_.prepare("DELETE FROM collections WHERE id = ? AND documents = 0");
  last.bind(1, id);
  last.run();
  forget_words();
  return removed;
}

void Knowledge::forget_words() {
  // The index only marks what was deleted; merging it into one piece writes it anew without.
  db_.exec("INSERT INTO passage_terms(passage_terms) VALUES('optimize')");
  db_.prepare("PRAGMA incremental_vacuum").run();
}

}  // namespace store
