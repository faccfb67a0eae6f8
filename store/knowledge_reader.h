// The way out of the knowledge file: search, lists, export, on a read-only connection of its own.
// One KnowledgeReader belongs to one thread at a time; it blocks on the disk, so net threads do not
// call it. What an import commits is seen by the next call.
//
// Every call throws std::runtime_error when the file cannot be read.
//
// Ranking is BM25 (Robertson and Zaragoza 2009) as FTS5 computes it, k1 = 1.2, b = 0.75, over
// heading and text, with the document frequencies of the whole file. Any passage that holds one of
// the searched terms may be found. A query is words and nothing else: see store/knowledge_terms.h.
//
// With the query's vector and an index of the passages' (store/vector_index.h), the ranks of both
// searches are fused: reciprocal rank fusion (Cormack, Clarke and Buettcher 2009), 1 / (60 + rank)
// summed, over the first SearchRules::passages_max of each.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "store/db.h"
#include "store/knowledge_terms.h"
#include "store/options.h"
#include "store/vector_index.h"

namespace store {

struct Passage {
  std::int64_t id = 0;  // never given to another passage
  std::string collection;
  std::string source;
  std::string heading;
  std::string text;
  double score = 0;       // BM25, larger is better; 0: not among the best by words
  double similarity = 0;  // cosine of the vectors; 0: not among the most similar
};

struct SearchQuery {
  std::string_view text;
  std::vector<std::string> collections{};  // empty: all; unknown names hold nothing
  int limit = 5;                           // at most SearchRules::passages_max
  std::string_view vector{};               // by quantise(); empty: by words alone
  const VectorIndex* index = nullptr;      // needed with a vector
};

/// What was found, with the numbers that say how much it is worth (the probe of
/// router/retrieval.h). A term's weight is ln(1 + (N - n + 0.5) / (n + 0.5)) for n of N passages
/// that hold it.
struct Found {
  std::vector<Passage> passages;  // best first
  int terms = 0;                  // different terms of the query
  int terms_unknown = 0;          // that no passage holds
  int terms_searched = 0;
  double score_max = 0;   // what BM25 could reach at most with the searched terms
  double score_best = 0;  // BM25 of the best two passages by words, wherever they stand
  double score_next = 0;
  double covered = 0;  // share of the weight of all terms that the best passage holds, 0..1
};

struct CollectionRow {
  std::string name;
  std::int64_t documents = 0;
  std::int64_t passages = 0;
  std::int64_t bytes = 0;
  std::int64_t created_us = 0;
  std::string encoder{};  // of its vectors; empty: there are none
  std::int64_t dimension = 0;
  std::int64_t vectors = 0;  // passages that have one, or that the encoder refused
};

class KnowledgeReader {
 public:
  /// `path` was opened by a Knowledge before.
  explicit KnowledgeReader(const std::string& path, const SearchRules& rules = {});

  Found search(const SearchQuery& query);

  /// By name.
  std::vector<CollectionRow> collections();

  /// `old` with the vectors that came since (VectorIndex::refreshed).
  std::shared_ptr<const VectorIndex> refreshed(std::shared_ptr<const VectorIndex> old);

  /// Each document as a line of JSON Lines that `add` reads back to the same state:
  /// {"id","title","format","text"}. One snapshot, whatever is written meanwhile. Returns how many.
  std::int64_t export_collection(std::string_view collection,
                                 const std::function<void(std::string_view line)>& each);

 private:
  struct Term;
  struct Ranked;

  std::vector<Term> terms_of(std::string_view text, std::int64_t passages);
  std::int64_t frequency_of(const std::string& stem);
  std::string expression_of(const std::vector<Term>& terms, std::int64_t passages,
                            Found& found) const;
  std::vector<PassageRange> ranges_of(const std::vector<std::string>& collections);
  std::vector<Ranked> rank_by_words(const std::string& match,
                                    const std::vector<PassageRange>& ranges, std::size_t limit);
  static std::vector<Ranked> fused(std::vector<Ranked> by_words,
                                   std::span<const VectorIndex::Hit> hits);
  void fetch(const std::vector<Ranked>& ranked, std::size_t limit, Found& found);
  double covered_by(const Passage& passage, const std::vector<Term>& terms);

  SearchRules rules_;
  Db db_;
  TermReader terms_;
  Statement count_, version_, frequency_, search_, fetch_;
  std::unordered_map<std::string, std::int64_t> frequencies_;  // of terms, as of seen_version_
  std::int64_t seen_version_ = -1;
};

}  // namespace store
