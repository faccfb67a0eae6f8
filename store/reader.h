// The log's way out: queries by purpose, on a read-only connection of their own (WAL: readers and
// the writer do not wait for each other). One Reader belongs to one thread at a time; it blocks on
// the disk, so net threads do not call it.
//
// A row is seen once it is committed, at most Options::group_wait_ms after put(). Who must see it
// at once calls Journal::flush() first.
//
// Throws std::runtime_error when the file cannot be read (missing, damaged, another version).
// Damage inside one row is a value: Stored::fault.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "store/db.h"
#include "store/rows.h"

namespace store {

struct Stored {
  Decision row;
  std::string fault;  // what of the row is damaged and was left out; empty: nothing
};

class Reader {
 public:
  /// `path` was opened by a Journal before.
  explicit Reader(const std::string& path);

  std::optional<Stored> decision(std::string_view id);

 private:
  Db db_;
  Statement by_id_;
};

}  // namespace store
