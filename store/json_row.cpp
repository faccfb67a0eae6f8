#include "store/json_row.h"

#include "store/utf8.h"

namespace store {
namespace {

/// Whether a string of the row holds U+0000: SQLite would silently end the string there.
bool has_escaped_nul(std::string_view row) {
  constexpr std::string_view kNul = "\\u0000";
  for (std::size_t at = row.find(kNul); at != std::string_view::npos; at = row.find(kNul, at + 1)) {
    std::size_t first = at;  // of the backslashes that end here: pairs of them are text
    while (first > 0 && row[first - 1] == '\\') --first;
    if ((at - first) % 2 == 0) return true;
  }
  return false;
}

}  // namespace

JsonRows::JsonRows()
    : db_(":memory:", Access::read_write, 0),
      read_(
          db_.prepare("SELECT json_type(?1), json_type(?1, '$.text'), json_extract(?1, '$.text'), "
                      "json_type(?1, '$.id'), json_extract(?1, '$.id'), "
                      "json_type(?1, '$.title'), json_extract(?1, '$.title'), "
                      "json_extract(?1, '$.format') WHERE json_valid(?1)")) {}

std::string JsonRows::read(std::string_view row, Document& document) {
  if (row.find('\0') != std::string_view::npos || has_escaped_nul(row)) return "binary";
  if (!is_utf8(row)) return "not UTF-8";
  const ResetOnExit done{read_};
  read_.bind_text(1, row);
  if (!read_.step()) return "not JSON";
  if (read_.text(0) != "object") return "not a JSON object";
  if (read_.text(1) != "text") return "no \"text\" of type string";
  document.text = read_.text(2);
  const std::string id_type = read_.text(3);
  if (id_type == "text" || id_type == "integer") {
    document.source = read_.text(4);
  } else if (!id_type.empty() && id_type != "null") {
    return "\"id\" is neither a string nor an integer";
  }
  if (read_.text(5) == "text") document.title = read_.text(6);
  const std::string format = read_.text(7);
  if (format == "markdown") {
    document.format = Format::markdown;
  } else if (!format.empty() && format != "text") {
    return "\"format\" is neither \"text\" nor \"markdown\"";
  }
  return "";
}

}  // namespace store
