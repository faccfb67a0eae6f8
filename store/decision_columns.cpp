#include "store/decision_columns.h"

#include <sqlite3.h>

#include "store/calls_blob.h"

namespace store {
namespace {

void give(sqlite3_context* to, const std::string& text) {
  if (text.empty()) return;  // a result that is not set is NULL
  sqlite3_result_text(to, text.data(), static_cast<int>(text.size()), SQLITE_STATIC);
}

void give(sqlite3_context* to, double value) {
  sqlite3_result_double(to, value);
}

void give(sqlite3_context* to, bool value) {
  sqlite3_result_int(to, value ? 1 : 0);
}

void give(sqlite3_context* to, std::int64_t value) {
  sqlite3_result_int64(to, value);
}

// SQLite's integers are signed; hashes and seeds keep their 64 bits.
void give(sqlite3_context* to, std::uint64_t value) {
  sqlite3_result_int64(to, static_cast<std::int64_t>(value));
}

void take(const Statement& from, int column, std::string& text) {
  text = from.text(column);
}

void take(const Statement& from, int column, double& value) {
  value = from.real(column);
}

void take(const Statement& from, int column, bool& value) {
  value = from.integer(column) != 0;
}

void take(const Statement& from, int column, std::int64_t& value) {
  value = from.integer(column);
}

void take(const Statement& from, int column, std::uint64_t& value) {
  value = static_cast<std::uint64_t>(from.integer(column));
}

/// A field whose type says how it is stored.
template <auto kField>
constexpr Column plain(const char* name) {
  return {name,
          [](sqlite3_context* to, const Decision& row, std::string&) { give(to, row.*kField); },
          [](const Statement& from, int column, Decision& row) {
            take(from, column, row.*kField);
            return true;
          }};
}

/// A time that may not have happened: -1 in the row, NULL in the table.
template <auto kField>
constexpr Column moment(const char* name) {
  return {name,
          [](sqlite3_context* to, const Decision& row, std::string&) {
            if (row.*kField >= 0) give(to, row.*kField);
          },
          [](const Statement& from, int column, Decision& row) {
            row.*kField = from.is_null(column) ? -1 : from.integer(column);
            return true;
          }};
}

void give_bytes(sqlite3_context* to, const std::string& bytes) {
  sqlite3_result_blob(to, bytes.data(), static_cast<int>(bytes.size()), SQLITE_STATIC);
}

void give_calls(sqlite3_context* to, const Decision& row, std::string& scratch) {
  encode_calls(row.calls, scratch);
  give_bytes(to, scratch);
}

bool take_calls(const Statement& from, int column, Decision& row) {
  return decode_calls(from.text(column), row.calls);
}

void give_route(sqlite3_context* to, const Decision& row, std::string&) {
  if (!row.route.empty()) give_bytes(to, row.route);
}

bool take_route(const Statement& from, int column, Decision& row) {
  row.route = from.text(column);
  return true;
}

// In the table's order: the writer relies on it.
constexpr Column kColumns[] = {
    plain<&Decision::id>("id"),
    plain<&Decision::unix_us>("unix_us"),
    plain<&Decision::pool>("pool"),
    plain<&Decision::expert>("expert"),
    plain<&Decision::model>("model"),
    plain<&Decision::outcome>("outcome"),
    plain<&Decision::reason>("reason"),
    plain<&Decision::mode>("mode"),
    plain<&Decision::gate>("gate"),
    plain<&Decision::finish_reason>("finish_reason"),
    plain<&Decision::abstained>("abstained"),
    plain<&Decision::stream>("stream"),
    plain<&Decision::propensity>("propensity"),
    plain<&Decision::policy_version>("policy_version"),
    plain<&Decision::query_hash>("query_hash"),
    plain<&Decision::features_hash>("features_hash"),
    plain<&Decision::seed>("seed"),
    plain<&Decision::prompt_tokens>("prompt_tokens"),
    plain<&Decision::completion_tokens>("completion_tokens"),
    plain<&Decision::cached_tokens>("cached_tokens"),
    plain<&Decision::cost_microusd>("cost_microusd"),
    plain<&Decision::decide_us>("decide_us"),
    moment<&Decision::first_byte_us>("first_byte_us"),
    plain<&Decision::total_us>("total_us"),
    {"calls", give_calls, take_calls},
    {"route", give_route, take_route},
    plain<&Decision::confidence>("confidence"),
    plain<&Decision::changed>("changed"),
};

}  // namespace

std::span<const Column> decision_columns() {
  return kColumns;
}

std::string decision_column_names() {
  std::string names;
  for (const Column& column : kColumns) names.append(names.empty() ? "" : ", ").append(column.name);
  return names;
}

std::string read_decision(const Statement& from, int first, Decision& row) {
  std::string damaged;
  int place = first;
  for (const Column& column : kColumns) {
    if (!column.take(from, place++, row))
      damaged.append(damaged.empty() ? "" : ", ").append(column.name);
  }
  return damaged.empty() ? damaged : "decision " + row.id + ": damaged column: " + damaged;
}

}  // namespace store
