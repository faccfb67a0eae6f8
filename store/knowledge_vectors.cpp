#include "store/knowledge_vectors.h"

#include <set>
#include <stdexcept>

#include "store/knowledge_schema.h"
#include "store/schema.h"

namespace store {
namespace {

constexpr std::size_t kDimensionMax = 8'192;

std::string another_encoder(const std::string& collection, const std::string& has,
                            std::int64_t dimension, std::string_view wanted) {
  return "collection `" + collection + "` has vectors of `" + has + "` (" +
         std::to_string(dimension) + " numbers), not of `" + std::string(wanted) +
         "`: it is searched by words alone until `skillyard knowledge forget-vectors " +
         collection + "`, or until that encoder is configured again";
}

}  // namespace

KnowledgeVectors::KnowledgeVectors(const KnowledgeOptions& options)
    : db_(open_knowledge(options)) {}

std::vector<BarePassage> KnowledgeVectors::next(std::string_view encoder, std::int64_t limit,
                                                std::vector<std::string>& refused) {
  std::vector<BarePassage> bare;
  Statement lacking = db_.prepare(
      "SELECT c.id, c.name, e.encoder, e.dimension FROM collections c LEFT JOIN encodings e ON "
      "e.collection = c.id WHERE c.passages > ifnull(e.vectors, 0) OR e.encoder <> ?1 "
      "ORDER BY c.id");
  lacking.bind_text(1, encoder);
  std::vector<std::int64_t> open;
  while (lacking.step()) {
    const bool other = !lacking.is_null(2) && lacking.text(2) != encoder;
    if (other) {
      refused.push_back(
          another_encoder(lacking.text(1), lacking.text(2), lacking.integer(3), encoder));
    } else {
      open.push_back(lacking.integer(0));
    }
  }
  Statement pick = db_.prepare(
      "SELECT p.id, p.heading, p.text FROM passages p WHERE p.id > ?1 AND p.id < ?2 AND NOT EXISTS "
      "(SELECT 1 FROM passage_vectors v WHERE v.passage = p.id) ORDER BY p.id LIMIT ?3");
  for (const std::int64_t collection : open) {
    // From where it was left; then once more from the start, for what was passed over.
    for (const bool again : {false, true}) {
      std::int64_t& after = after_[collection];
      if (again || after == 0) after = (collection << kCollectionShift) - 1;
      pick.reset();
      pick.bind(1, after);
      pick.bind(2, (collection + 1) << kCollectionShift);
      pick.bind(3, limit);
      while (pick.step()) {
        after = pick.integer(0);
        const std::string heading = pick.text(1);
        bare.push_back({after, heading.empty() ? pick.text(2) : heading + "\n" + pick.text(2)});
      }
      if (!bare.empty()) return bare;
    }
  }
  return bare;
}

void KnowledgeVectors::record(std::int64_t collection, std::string_view encoder,
                              std::size_t dimension) {
  Statement make = db_.prepare(
      "INSERT INTO encodings(collection, encoder, dimension) VALUES(?, ?, ?) ON CONFLICT DO "
      "NOTHING");
  make.bind(1, collection);
  make.bind_text(2, encoder);
  make.bind(3, static_cast<std::int64_t>(dimension));
  make.run();
  Statement is = db_.prepare(
      "SELECT e.encoder, e.dimension, c.name FROM encodings e JOIN collections c ON c.id = "
      "e.collection WHERE e.collection = ?");
  is.bind(1, collection);
  if (!is.step()) return;
  const bool same = is.text(0) == encoder && is.integer(1) == static_cast<std::int64_t>(dimension);
  if (same) return;
  if (is.text(0) != encoder)
    throw std::runtime_error(another_encoder(is.text(2), is.text(0), is.integer(1), encoder));
  throw std::runtime_error(
      "collection `" + is.text(2) + "` has vectors of " + std::to_string(is.integer(1)) +
      " numbers, and `" + std::string(encoder) + "` now sends " + std::to_string(dimension) +
      ": is it another model? `skillyard knowledge forget-vectors " + is.text(2) + "` starts anew");
}

void KnowledgeVectors::put(std::string_view encoder, std::size_t dimension,
                           std::span<const PassageVector> vectors) {
  if (dimension == 0 || dimension > kDimensionMax)
    throw std::runtime_error("`" + std::string(encoder) + "` sends vectors of " +
                             std::to_string(dimension) + " numbers; 1 to " +
                             std::to_string(kDimensionMax) + " are kept");
  Transaction transaction(db_);
  Statement is_there = db_.prepare("SELECT 1 FROM passages WHERE id = ?");
  Statement insert = db_.prepare(
      "INSERT INTO passage_vectors(passage, vector) VALUES(?, ?) ON CONFLICT DO NOTHING");
  std::set<std::int64_t> recorded;
  for (const PassageVector& one : vectors) {
    is_there.reset();
    is_there.bind(1, one.passage);
    if (!is_there.step()) continue;
    const std::int64_t collection = one.passage >> kCollectionShift;
    if (recorded.insert(collection).second) record(collection, encoder, dimension);
    insert.bind(1, one.passage);
    insert.bind_bytes(2, one.vector);
    insert.run();
  }
  transaction.commit();
}

std::int64_t KnowledgeVectors::forget(std::string_view collection) {
  Transaction transaction(db_);
  Statement find = db_.prepare("SELECT id FROM collections WHERE name = ?");
  find.bind_text(1, collection);
  if (!find.step())
    throw std::runtime_error("there is no collection `" + std::string(collection) + "`");
  const std::int64_t id = find.integer(0);
  find.reset();
  Statement remove = db_.prepare("DELETE FROM passage_vectors WHERE passage >= ? AND passage < ?");
  remove.bind(1, id << kCollectionShift);
  remove.bind(2, (id + 1) << kCollectionShift);
  remove.run();
  const std::int64_t count = db_.changes();
  Statement origin = db_.prepare("DELETE FROM encodings WHERE collection = ?");
  origin.bind(1, id);
  origin.run();
  transaction.commit();
  after_.erase(id);
  return count;
}

}  // namespace store
