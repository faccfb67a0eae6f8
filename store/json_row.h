// A row of JSON Lines as a document, read by SQLite's JSON functions: they are in the house, and an
// import waits for the index, not for them.
#pragma once

#include <string>
#include <string_view>

#include "store/db.h"
#include "store/knowledge.h"

namespace store {

class JsonRows {
 public:
  JsonRows();

  /// {"text": TEXT, "id"?: TEXT or integer, "title"?: TEXT, "format"?: "text" | "markdown"}; other
  /// members are not looked at. Returns why the row is no document, or nothing. `source` stays
  /// empty without an "id".
  std::string read(std::string_view row, Document& document);

 private:
  Db db_;
  Statement read_;
};

}  // namespace store
