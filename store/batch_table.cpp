#include "store/batch_table.h"

#include <sqlite3.h>

#include <new>
#include <string>

#include "store/decision_columns.h"

// SQLite calls these functions; no exception may pass through it.
namespace store {
namespace {

struct Table : sqlite3_vtab {
  const BatchRows* rows = nullptr;
};

struct Cursor : sqlite3_vtab_cursor {
  const std::vector<Decision>* decisions = nullptr;
  std::size_t at = 0;
  std::string scratch;  // of the current row's encoded columns
};

Cursor& of(sqlite3_vtab_cursor* cursor) {
  return *static_cast<Cursor*>(cursor);
}

int connect(sqlite3* db, void* rows, int, const char* const*, sqlite3_vtab** out, char**) {
  try {
    const std::string shape = "CREATE TABLE batch(" + decision_column_names() + ", text)";
    const int code = sqlite3_declare_vtab(db, shape.c_str());
    if (code != SQLITE_OK) return code;
    auto* table = new Table();
    table->rows = static_cast<const BatchRows*>(rows);
    *out = table;
    return SQLITE_OK;
  } catch (const std::bad_alloc&) {
    return SQLITE_NOMEM;
  }
}

int disconnect(sqlite3_vtab* table) {
  delete static_cast<Table*>(table);
  return SQLITE_OK;
}

int plan(sqlite3_vtab*, sqlite3_index_info*) {
  return SQLITE_OK;
}  // always from first to last

int open(sqlite3_vtab*, sqlite3_vtab_cursor** out) {
  *out = new (std::nothrow) Cursor();
  return *out == nullptr ? SQLITE_NOMEM : SQLITE_OK;
}

int close(sqlite3_vtab_cursor* cursor) {
  delete static_cast<Cursor*>(cursor);
  return SQLITE_OK;
}

int rewind(sqlite3_vtab_cursor* cursor, int, const char*, int, sqlite3_value**) {
  of(cursor).decisions = static_cast<Table*>(cursor->pVtab)->rows->decisions;
  of(cursor).at = 0;
  return SQLITE_OK;
}

int next(sqlite3_vtab_cursor* cursor) {
  ++of(cursor).at;
  return SQLITE_OK;
}

int at_end(sqlite3_vtab_cursor* cursor) {
  return of(cursor).at >= of(cursor).decisions->size() ? 1 : 0;
}

int column(sqlite3_vtab_cursor* cursor, sqlite3_context* to, int place) {
  const Decision& row = (*of(cursor).decisions)[of(cursor).at];
  const auto columns = decision_columns();
  const auto index = static_cast<std::size_t>(place);
  try {
    if (index < columns.size()) {
      columns[index].give(to, row, of(cursor).scratch);
    } else if (!row.text.empty()) {
      sqlite3_result_text(to, row.text.data(), static_cast<int>(row.text.size()), SQLITE_STATIC);
    }
    return SQLITE_OK;
  } catch (const std::bad_alloc&) {
    return SQLITE_NOMEM;
  }
}

int row_id(sqlite3_vtab_cursor* cursor, sqlite3_int64* id) {
  *id = static_cast<sqlite3_int64>(of(cursor).at);
  return SQLITE_OK;
}

sqlite3_module make_module() {
  sqlite3_module module{};  // without xCreate: there is one such table, and it needs no CREATE
  module.xConnect = connect;
  module.xDisconnect = disconnect;
  module.xBestIndex = plan;
  module.xOpen = open;
  module.xClose = close;
  module.xFilter = rewind;
  module.xNext = next;
  module.xEof = at_end;
  module.xColumn = column;
  module.xRowid = row_id;
  return module;
}

const sqlite3_module kModule = make_module();

}  // namespace

void add_batch_table(Db& db, BatchRows& rows) {
  if (sqlite3_create_module_v2(db.handle(), "batch", &kModule, &rows, nullptr) != SQLITE_OK) {
    throw std::runtime_error("database " + db.path() + ": cannot add the table `batch`");
  }
}

}  // namespace store
