#include "store/decision_row.h"

#include "store/calls_blob.h"

namespace store {
namespace {

// SQLite's integers are signed; hashes and seeds keep their 64 bits.
std::int64_t to_signed(std::uint64_t value) {
  return static_cast<std::int64_t>(value);
}

std::uint64_t to_unsigned(std::int64_t value) {
  return static_cast<std::uint64_t>(value);
}

}  // namespace

void bind_decision(Statement& statement, const Decision& row, std::string& calls_bytes) {
  encode_calls(row.calls, calls_bytes);
  int place = 0;
  statement.bind_text(++place, row.id);
  statement.bind(++place, row.unix_us);
  statement.bind_text_or_null(++place, row.pool);
  statement.bind_text_or_null(++place, row.expert);
  statement.bind_text(++place, row.model);
  statement.bind_text_or_null(++place, row.outcome);
  statement.bind_text_or_null(++place, row.reason);
  statement.bind_text_or_null(++place, row.mode);
  statement.bind_text_or_null(++place, row.gate);
  statement.bind_text_or_null(++place, row.finish_reason);
  statement.bind(++place, std::int64_t{row.abstained});
  statement.bind(++place, std::int64_t{row.stream});
  statement.bind(++place, row.propensity);
  statement.bind(++place, to_signed(row.policy_version));
  statement.bind(++place, to_signed(row.query_hash));
  statement.bind(++place, to_signed(row.features_hash));
  statement.bind(++place, to_signed(row.seed));
  statement.bind(++place, row.prompt_tokens);
  statement.bind(++place, row.completion_tokens);
  statement.bind(++place, row.cached_tokens);
  statement.bind(++place, row.cost_microusd);
  statement.bind(++place, row.decide_us);
  row.first_byte_us < 0 ? statement.bind_null(++place) : statement.bind(++place, row.first_byte_us);
  statement.bind(++place, row.total_us);
  statement.bind_bytes(++place, calls_bytes);
  row.route.empty() ? statement.bind_null(++place) : statement.bind_bytes(++place, row.route);
}

std::string read_decision(const Statement& statement, int first, Decision& row) {
  int column = first;
  row.id = statement.text(column++);
  row.unix_us = statement.integer(column++);
  row.pool = statement.text(column++);
  row.expert = statement.text(column++);
  row.model = statement.text(column++);
  row.outcome = statement.text(column++);
  row.reason = statement.text(column++);
  row.mode = statement.text(column++);
  row.gate = statement.text(column++);
  row.finish_reason = statement.text(column++);
  row.abstained = statement.integer(column++) != 0;
  row.stream = statement.integer(column++) != 0;
  row.propensity = statement.real(column++);
  row.policy_version = to_unsigned(statement.integer(column++));
  row.query_hash = to_unsigned(statement.integer(column++));
  row.features_hash = to_unsigned(statement.integer(column++));
  row.seed = to_unsigned(statement.integer(column++));
  row.prompt_tokens = statement.integer(column++);
  row.completion_tokens = statement.integer(column++);
  row.cached_tokens = statement.integer(column++);
  row.cost_microusd = statement.integer(column++);
  row.decide_us = statement.integer(column++);
  row.first_byte_us = statement.is_null(column) ? -1 : statement.integer(column);
  ++column;
  row.total_us = statement.integer(column++);
  const bool whole = decode_calls(statement.text(column++), row.calls);
  row.route = statement.text(column);
  return whole ? std::string() : "column `calls` of decision " + row.id + " is damaged";
}

}  // namespace store
