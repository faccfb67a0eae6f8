#include "store/knowledge_reader.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "store/knowledge_schema.h"
#include "store/schema.h"
#include "store/utf8.h"

namespace store {
namespace {

constexpr int kSearchWaitMs = 250;
constexpr std::size_t kFrequenciesMax = 65'536;
constexpr double kFusion = 60;       // of reciprocal rank fusion, as its authors found it
constexpr double kSaturation = 2.2;  // k1 + 1: what one term adds at most, in units of its idf

Db open_reader(const std::string& path) {
  Db db(path, Access::read_only, kSearchWaitMs);
  check_readable(db, knowledge_migrations(), kKnowledgeMark);
  return db;
}

double weight_of(double passages, double holding) {
  return std::log1p((passages - holding + 0.5) / (holding + 0.5));
}

/// FTS5's inverse document frequency: never below 1e-6.
double idf_of(double passages, double holding) {
  return std::max(1e-6, std::log((passages - holding + 0.5) / (holding + 0.5)));
}

/// One state of the file for all statements of a call.
class Snapshot {
 public:
  explicit Snapshot(Db& db) : db_(db) { db_.exec("BEGIN"); }

  ~Snapshot() {
    try {
      db_.exec("ROLLBACK");
    } catch (const DbError&) {
      // SQLite has ended the transaction by itself.
    }
  }

  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;

 private:
  Db& db_;
};

}  // namespace

struct KnowledgeReader::Term {
  std::string stem;  // as the index has it
  std::string word;  // as the query has it: the index would stem a stem again
  std::int64_t passages = 0;
  double weight = 0;
};

/// A passage on its way into Found.
struct KnowledgeReader::Ranked {
  std::int64_t id = 0;
  double score = 0, similarity = 0, fused = 0;
};

KnowledgeReader::KnowledgeReader(const std::string& path, const SearchRules& rules)
    : rules_(rules),
      db_(open_reader(path)),
      terms_(db_),
      count_(db_.prepare("SELECT ifnull(sum(passages), 0) FROM collections")),
      version_(db_.prepare("PRAGMA data_version")),
      frequency_(db_.prepare("SELECT doc FROM passage_vocabulary WHERE term = ?")),
      search_(db_.prepare("SELECT rowid, rank FROM passage_terms WHERE passage_terms MATCH ?1 "
                          "AND rowid BETWEEN ?2 AND ?3 ORDER BY rank LIMIT ?4")),
      fetch_(db_.prepare("SELECT c.name, d.source, p.heading, p.text FROM passages p JOIN "
                         "documents d ON d.id = p.document JOIN collections c ON c.id = "
                         "d.collection WHERE p.id = ?")) {}

/// How many passages hold a term. Remembered until somebody writes: FTS5 counts a common term anew
/// each time, a millisecond for 25,000 passages.
std::int64_t KnowledgeReader::frequency_of(const std::string& stem) {
  if (const auto known = frequencies_.find(stem); known != frequencies_.end()) return known->second;
  const ResetOnExit done{frequency_};
  frequency_.bind_text(1, stem);
  const std::int64_t passages = frequency_.step() ? frequency_.integer(0) : 0;
  if (frequencies_.size() >= kFrequenciesMax) frequencies_.clear();
  frequencies_.emplace(stem, passages);
  return passages;
}

/// The different terms of a query, rarest first.
std::vector<KnowledgeReader::Term> KnowledgeReader::terms_of(std::string_view text,
                                                             std::int64_t passages) {
  std::set<std::string, std::less<>> seen;
  std::vector<Term> terms;
  terms_.read(text.substr(0, code_point_at(text, rules_.query_bytes_max)),
              [&](std::string_view stem, std::string_view word) {
                if (seen.emplace(stem).second) {
                  terms.push_back({.stem = std::string(stem), .word = std::string(word)});
                }
              });
  for (Term& term : terms) {
    term.passages = frequency_of(term.stem);
    term.weight = weight_of(static_cast<double>(passages), static_cast<double>(term.passages));
  }
  std::stable_sort(terms.begin(), terms.end(),
                   [](const Term& a, const Term& b) { return a.passages < b.passages; });
  return terms;
}

std::vector<PassageRange> KnowledgeReader::ranges_of(const std::vector<std::string>& collections) {
  if (collections.empty()) return {PassageRange{}};
  std::vector<PassageRange> ranges;
  Statement find = db_.prepare("SELECT id FROM collections WHERE name = ?");
  for (const std::string& name : std::set(collections.begin(), collections.end())) {
    find.reset();
    find.bind_text(1, name);
    if (!find.step()) continue;
    const std::int64_t first = find.integer(0) << kCollectionShift;
    ranges.push_back({first, first + (std::int64_t{1} << kCollectionShift) - 1});
  }
  return ranges;
}

/// The share of the terms' weight that a passage holds.
double KnowledgeReader::covered_by(const Passage& passage, const std::vector<Term>& terms) {
  double sum = 0;
  std::unordered_map<std::string_view, double> missing;
  for (const Term& term : terms) {
    sum += term.weight;
    missing.emplace(term.stem, term.weight);
  }
  double covered = 0;
  for (const std::string_view part :
       {std::string_view(passage.heading), std::string_view(passage.text)})
    terms_.read(part, [&](std::string_view stem, std::string_view /*word*/) {
      const auto found = missing.find(stem);
      if (found == missing.end()) return;
      covered += found->second;
      missing.erase(found);
    });
  return sum > 0 ? std::min(1.0, covered / sum) : 0;
}

/// The searched terms as an FTS5 expression; counts them in `found`.
std::string KnowledgeReader::expression_of(const std::vector<Term>& terms, std::int64_t passages,
                                           Found& found) const {
  std::string match;
  std::int64_t postings = 0;
  found.terms = static_cast<int>(terms.size());
  for (const Term& term : terms) {
    if (term.passages == 0) {
      ++found.terms_unknown;
      continue;
    }
    postings += term.passages;
    const auto searched = static_cast<std::size_t>(found.terms_searched);
    if (searched == rules_.terms_max || (searched > 0 && postings > rules_.postings_max)) break;
    match.append(match.empty() ? "\"" : " OR \"");
    for (const char byte : term.word) match.append(byte == '"' ? 2 : 1, byte);
    match += '"';
    ++found.terms_searched;
    found.score_max +=
        kSaturation * idf_of(static_cast<double>(passages), static_cast<double>(term.passages));
  }
  return match;
}

/// The best by BM25, best first; of equals the older.
std::vector<KnowledgeReader::Ranked> KnowledgeReader::rank_by_words(
    const std::string& match, const std::vector<PassageRange>& ranges, std::size_t limit) {
  std::vector<Ranked> ranked;
  for (const PassageRange& range : ranges) {
    const ResetOnExit done{search_};
    search_.bind_text(1, match);
    search_.bind(2, range.first);
    search_.bind(3, range.last);
    search_.bind(4, static_cast<std::int64_t>(limit));
    while (search_.step()) ranked.push_back({.id = search_.integer(0), .score = -search_.real(1)});
  }
  std::stable_sort(ranked.begin(), ranked.end(), [](const Ranked& a, const Ranked& b) {
    return a.score != b.score ? a.score > b.score : a.id < b.id;
  });
  ranked.resize(std::min(ranked.size(), limit));
  return ranked;
}

/// Both rankings as one.
std::vector<KnowledgeReader::Ranked> KnowledgeReader::fused(
    std::vector<Ranked> by_words, std::span<const VectorIndex::Hit> hits) {
  std::unordered_map<std::int64_t, std::size_t> places;
  for (std::size_t i = 0; i < by_words.size(); ++i) {
    by_words[i].fused = 1 / (kFusion + static_cast<double>(i + 1));
    places.emplace(by_words[i].id, i);
  }
  double rank = 0;
  for (const VectorIndex::Hit& hit : hits) {
    const auto [place, is_new] = places.emplace(hit.passage, by_words.size());
    if (is_new) by_words.push_back({.id = hit.passage});
    Ranked& ranked = by_words[place->second];
    if (ranked.similarity != 0) continue;  // encoded twice between two looks at the file
    ranked.similarity = static_cast<double>(hit.similarity);
    ranked.fused += 1 / (kFusion + ++rank);
  }
  std::stable_sort(by_words.begin(), by_words.end(),
                   [](const Ranked& a, const Ranked& b) { return a.fused > b.fused; });
  return by_words;
}

/// Texts and names of the first `limit`; what was deleted since the index was read is passed over.
void KnowledgeReader::fetch(const std::vector<Ranked>& ranked, std::size_t limit, Found& found) {
  for (const Ranked& one : ranked) {
    if (found.passages.size() == limit) return;
    const ResetOnExit done{fetch_};
    fetch_.bind(1, one.id);
    if (!fetch_.step()) continue;
    found.passages.push_back({.id = one.id,
                              .collection = fetch_.text(0),
                              .source = fetch_.text(1),
                              .heading = fetch_.text(2),
                              .text = fetch_.text(3),
                              .score = one.score,
                              .similarity = one.similarity});
  }
}

Found KnowledgeReader::search(const SearchQuery& query) {
  Found found;
  const Snapshot snapshot(db_);
  const ResetOnExit count_done{count_};
  count_.step();
  const std::int64_t passages = count_.integer(0);
  const ResetOnExit version_done{version_};
  version_.step();
  if (version_.integer(0) != seen_version_) frequencies_.clear();
  seen_version_ = version_.integer(0);
  const std::vector<Term> terms = terms_of(query.text, passages);
  const std::string match = expression_of(terms, passages, found);
  const bool dense = query.index != nullptr && !query.vector.empty();
  const auto limit = static_cast<std::size_t>(std::clamp(query.limit, 0, rules_.passages_max));
  const auto depth = dense ? static_cast<std::size_t>(rules_.passages_max) : limit;
  const std::vector<PassageRange> ranges = ranges_of(query.collections);
  std::vector<Ranked> ranked;
  if (!match.empty()) ranked = rank_by_words(match, ranges, depth);
  if (!ranked.empty()) found.score_best = ranked[0].score;
  if (ranked.size() > 1) found.score_next = ranked[1].score;
  if (dense) {
    const auto hits = query.index->search(query.vector, ranges, depth);
    ranked = fused(std::move(ranked), hits);
  }
  fetch(ranked, limit, found);
  if (!found.passages.empty()) found.covered = covered_by(found.passages.front(), terms);
  return found;
}

std::shared_ptr<const VectorIndex> KnowledgeReader::refreshed(
    std::shared_ptr<const VectorIndex> old) {
  const Snapshot snapshot(db_);
  return VectorIndex::refreshed(std::move(old), db_);
}

std::vector<CollectionRow> KnowledgeReader::collections() {
  std::vector<CollectionRow> rows;
  Statement list = db_.prepare(
      "SELECT name, documents, passages, bytes, created_us, e.encoder, e.dimension, e.vectors "
      "FROM collections LEFT JOIN encodings e ON e.collection = collections.id ORDER BY name");
  while (list.step()) {
    rows.push_back({.name = list.text(0),
                    .documents = list.integer(1),
                    .passages = list.integer(2),
                    .bytes = list.integer(3),
                    .created_us = list.integer(4),
                    .encoder = list.text(5),
                    .dimension = list.integer(6),
                    .vectors = list.integer(7)});
  }
  return rows;
}

std::int64_t KnowledgeReader::export_collection(
    std::string_view collection, const std::function<void(std::string_view line)>& each) {
  // The passages tile the document: each gives the bytes that the one before has not.
  Statement rows = db_.prepare(
      "SELECT json_object('id', d.source, 'title', d.title, 'format', d.format, 'text', "
      "(SELECT group_concat(part, '') FROM (SELECT CAST(substr(CAST(text AS BLOB), "
      "fresh - start + 1) AS TEXT) AS part FROM passages WHERE document = d.id ORDER BY id))) "
      "FROM documents d JOIN collections c ON c.id = d.collection WHERE c.name = ? "
      "ORDER BY d.source");
  rows.bind_text(1, collection);
  std::int64_t count = 0;
  for (; rows.step(); ++count) each(rows.text(0));
  return count;
}

}  // namespace store
