#include "store/knowledge_reader.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "store/knowledge_schema.h"
#include "store/schema.h"
#include "store/utf8.h"

namespace store {
namespace {

constexpr int kBusyWaitMs = 250;
constexpr std::size_t kFrequenciesMax = 65'536;
constexpr double kSaturation = 2.2;  // k1 + 1: what one term adds at most, in units of its idf

Db open_reader(const std::string& path) {
  Db db(path, Access::read_only, kBusyWaitMs);
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

struct KnowledgeReader::Range {
  std::int64_t first = 0;
  std::int64_t last = INT64_MAX;
};

KnowledgeReader::KnowledgeReader(const std::string& path, const SearchRules& rules)
    : rules_(rules),
      db_(open_reader(path)),
      terms_(db_),
      count_(db_.prepare("SELECT ifnull(sum(passages), 0) FROM collections")),
      version_(db_.prepare("PRAGMA data_version")),
      frequency_(db_.prepare("SELECT doc FROM passage_vocabulary WHERE term = ?")),
      search_(db_.prepare(
          "SELECT found.id, c.name, d.source, p.heading, p.text, found.score FROM "
          "(SELECT rowid AS id, rank AS score FROM passage_terms WHERE passage_terms MATCH ?1 "
          "AND rowid BETWEEN ?2 AND ?3 ORDER BY rank LIMIT ?4) AS found "
          "JOIN passages p ON p.id = found.id JOIN documents d ON d.id = p.document "
          "JOIN collections c ON c.id = d.collection ORDER BY found.score, found.id")) {}

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

std::vector<KnowledgeReader::Range> KnowledgeReader::ranges_of(
    const std::vector<std::string>& collections) {
  if (collections.empty()) return {Range{}};
  std::vector<Range> ranges;
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
  if (match.empty()) return found;
  const int limit = std::clamp(query.limit, 0, rules_.passages_max);
  for (const Range& range : ranges_of(query.collections)) {
    const ResetOnExit done{search_};
    search_.bind_text(1, match);
    search_.bind(2, range.first);
    search_.bind(3, range.last);
    search_.bind(4, std::int64_t{limit});
    while (search_.step()) {
      found.passages.push_back({.id = search_.integer(0),
                                .collection = search_.text(1),
                                .source = search_.text(2),
                                .heading = search_.text(3),
                                .text = search_.text(4),
                                .score = -search_.real(5)});
    }
  }
  std::stable_sort(found.passages.begin(), found.passages.end(),
                   [](const Passage& a, const Passage& b) { return a.score > b.score; });
  const std::size_t kept = std::min(found.passages.size(), static_cast<std::size_t>(limit));
  found.passages.erase(found.passages.begin() + static_cast<std::ptrdiff_t>(kept),
                       found.passages.end());
  if (!found.passages.empty()) found.covered = covered_by(found.passages.front(), terms);
  return found;
}

std::vector<CollectionRow> KnowledgeReader::collections() {
  std::vector<CollectionRow> rows;
  Statement list = db_.prepare(
      "SELECT name, documents, passages, bytes, created_us FROM collections ORDER BY name");
  while (list.step()) {
    rows.push_back({.name = list.text(0),
                    .documents = list.integer(1),
                    .passages = list.integer(2),
                    .bytes = list.integer(3),
                    .created_us = list.integer(4)});
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
