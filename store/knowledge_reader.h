// The way out of the knowledge file: search, lists, export, on a read-only connection of its own.
// One KnowledgeReader belongs to one thread at a time; it blocks on the disk, so net threads do not
// call it. What an import commits is seen by the next call.
//
// Every call throws std::runtime_error when the file cannot be read.
//
// Ranking is BM25 (Robertson and Zaragoza 2009) as FTS5 computes it, k1 = 1.2, b = 0.75, over
// heading and text, with the document frequencies of the whole file. Any passage that holds one of
// the searched terms may be found. A query is words and nothing else: see store/knowledge_terms.h.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "store/db.h"
#include "store/knowledge_terms.h"
#include "store/options.h"

namespace store {

struct Passage {
  std::int64_t id = 0;  // never given to another passage
  std::string collection;
  std::string source;
  std::string heading;
  std::string text;
  double score = 0;  // BM25, larger is better
};

struct SearchQuery {
  std::string_view text;
  std::vector<std::string> collections{};  // empty: all; unknown names hold nothing
  int limit = 5;                           // at most SearchRules::passages_max
};

/// What was found, with the numbers that say how much it is worth (the probe of
/// router/retrieval.h). A term's weight is ln(1 + (N - n + 0.5) / (n + 0.5)) for n of N passages
/// that hold it.
struct Found {
  std::vector<Passage> passages;  // best first
  int terms = 0;                  // different terms of the query
  int terms_unknown = 0;          // that no passage holds
  int terms_searched = 0;
  double score_max = 0;  // what BM25 could reach at most with the searched terms
  double covered = 0;    // share of the weight of all terms that the best passage holds, 0..1
};

struct CollectionRow {
  std::string name;
  std::int64_t documents = 0;
  std::int64_t passages = 0;
  std::int64_t bytes = 0;
  std::int64_t created_us = 0;
};

class KnowledgeReader {
 public:
  /// `path` was opened by a Knowledge before.
  explicit KnowledgeReader(const std::string& path, const SearchRules& rules = {});

  Found search(const SearchQuery& query);

  /// By name.
  std::vector<CollectionRow> collections();

  /// Each document as a line of JSON Lines that `add` reads back to the same state:
  /// {"id","title","format","text"}. One snapshot, whatever is written meanwhile. Returns how many.
  std::int64_t export_collection(std::string_view collection,
                                 const std::function<void(std::string_view line)>& each);

 private:
  struct Term;
  struct Range;

  std::vector<Term> terms_of(std::string_view text, std::int64_t passages);
  std::int64_t frequency_of(const std::string& stem);
  std::string expression_of(const std::vector<Term>& terms, std::int64_t passages,
                            Found& found) const;
  std::vector<Range> ranges_of(const std::vector<std::string>& collections);
  double covered_by(const Passage& passage, const std::vector<Term>& terms);

  SearchRules rules_;
  Db db_;
  TermReader terms_;
  Statement count_, version_, frequency_, search_;
  std::unordered_map<std::string, std::int64_t> frequencies_;  // of terms, as of seen_version_
  std::int64_t seen_version_ = -1;
};

}  // namespace store
