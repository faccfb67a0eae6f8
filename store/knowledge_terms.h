// The words of a text as the index has them, by SQLite's own tokenizer (sqlite.org/fts5.html,
// section 7): what is found in a query is exactly what was stored, and nothing of a query is ever
// read as FTS5's query language.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "store/db.h"

namespace store {

class TermReader {
 public:
  /// `term` is folded and stemmed, `word` the bytes of the text that it came from; both live until
  /// the call returns.
  using Each = std::function<void(std::string_view term, std::string_view word)>;

  /// The connection outlives this object. Throws DbError when SQLite was built without FTS5.
  explicit TermReader(Db& db);
  ~TermReader();

  void read(std::string_view text, const Each& each);

 private:
  struct Tokenizer;
  std::unique_ptr<Tokenizer> tokenizer_;
};

}  // namespace store
