#include "store/knowledge_terms.h"

#include <sqlite3.h>

#include <algorithm>
#include <iterator>
#include <stdexcept>

#include "store/knowledge_schema.h"

namespace store {
namespace {

/// FTS5's table of functions, handed out by a pointer-typed argument.
fts5_api* find_fts5(sqlite3* db) {
  sqlite3_stmt* raw = nullptr;
  fts5_api* api = nullptr;
  if (sqlite3_prepare_v2(db, "SELECT fts5(?1)", -1, &raw, nullptr) == SQLITE_OK) {
    sqlite3_bind_pointer(raw, 1, static_cast<void*>(&api), "fts5_api_ptr", nullptr);
    sqlite3_step(raw);
  }
  sqlite3_finalize(raw);
  return api;
}

struct EachTerm {
  std::string_view text;
  const TermReader::Each& each;
};

int take_token(void* context, int /*flags*/, const char* token, int size, int start, int end) {
  const auto& reading = *static_cast<const EachTerm*>(context);
  const auto from = static_cast<std::size_t>(start);
  const auto to = static_cast<std::size_t>(end);
  const std::string_view term(token, static_cast<std::size_t>(size));
  reading.each(term, reading.text.substr(from, to - from));
  return SQLITE_OK;
}

}  // namespace

struct TermReader::Tokenizer {
  fts5_tokenizer calls{};
  Fts5Tokenizer* made = nullptr;

  ~Tokenizer() {
    if (made != nullptr) calls.xDelete(made);
  }
};

TermReader::TermReader(Db& db) : tokenizer_(std::make_unique<Tokenizer>()) {
  fts5_api* api = find_fts5(db.handle());
  if (api == nullptr) throw std::runtime_error("knowledge: this SQLite was built without FTS5");
  const std::string name(kTokenizer);
  void* context = nullptr;
  const char* arguments[std::size(kTokenizerArguments)];
  std::copy(std::begin(kTokenizerArguments), std::end(kTokenizerArguments), arguments);
  if (api->xFindTokenizer(api, name.c_str(), &context, &tokenizer_->calls) != SQLITE_OK ||
      tokenizer_->calls.xCreate(context, arguments, std::size(arguments), &tokenizer_->made) !=
          SQLITE_OK) {
    throw std::runtime_error("knowledge: this SQLite has no tokenizer " + name);
  }
}

TermReader::~TermReader() = default;

void TermReader::read(std::string_view text, const Each& each) {
  EachTerm reading{text, each};
  tokenizer_->calls.xTokenize(tokenizer_->made, &reading, FTS5_TOKENIZE_QUERY, text.data(),
                              static_cast<int>(text.size()), take_token);
}

}  // namespace store
