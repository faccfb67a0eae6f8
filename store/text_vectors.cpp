#include "store/text_vectors.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <array>

#include "store/options.h"
#include "store/schema.h"

namespace store {
namespace {

constexpr std::array<std::string_view, 1> kVectorsMigrations = {R"sql(
CREATE TABLE vectors(
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  encoder TEXT NOT NULL,
  text BLOB NOT NULL, -- XXH3-128
  vector BLOB NOT NULL,
  UNIQUE(encoder, text)
) STRICT;
)sql"};

constexpr int kVectorsWaitMs = 10'000;

Db open_file(const std::string& path) {
  Db db(path, Access::read_write, kVectorsWaitMs);
  prepare_writer(db, Options{}.wal_bytes, kVectorsMark);
  migrate(db, kVectorsMigrations, kVectorsMark);
  return db;
}

XXH128_canonical_t hash_of(std::string_view text) {
  XXH128_canonical_t hash;
  XXH128_canonicalFromHash(&hash, XXH3_128bits(text.data(), text.size()));
  return hash;
}

std::string_view bytes_of(const XXH128_canonical_t& hash) {
  return {reinterpret_cast<const char*>(hash.digest), sizeof hash.digest};
}

}  // namespace

TextVectors::TextVectors(const std::string& path)
    : db_(open_file(path)),
      get_(db_.prepare("SELECT vector FROM vectors WHERE encoder = ? AND text = ?")) {}

std::string TextVectors::get(std::string_view encoder, std::string_view text) {
  const ResetOnExit reset{get_};
  const auto hash = hash_of(text);
  get_.bind_text(1, encoder);
  get_.bind_bytes(2, bytes_of(hash));
  return get_.step() ? get_.text(0) : std::string();
}

void TextVectors::put(std::string_view encoder,
                      const std::vector<std::pair<std::string_view, std::string_view>>& vectors) {
  Transaction transaction(db_);
  Statement insert = db_.prepare("REPLACE INTO vectors(encoder, text, vector) VALUES(?, ?, ?)");
  for (const auto& [text, vector] : vectors) {
    const auto hash = hash_of(text);
    insert.bind_text(1, encoder);
    insert.bind_bytes(2, bytes_of(hash));
    insert.bind_bytes(3, vector);
    insert.run();
  }
  Statement forget =
      db_.prepare("DELETE FROM vectors WHERE seq <= (SELECT max(seq) FROM vectors) - ?");
  forget.bind(1, kTextVectorsMax);
  forget.run();
  transaction.commit();
}

}  // namespace store
