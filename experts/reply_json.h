// What we read from, and change in, the JSON that an expert sends: pure functions over bytes.
//
// simdjson's on-demand parser does the reading; it checks UTF-8, strings and structure, and walk()
// checks what it skips, so that nothing which is not JSON is passed on. Only the top-level `model`
// is changed, in place by position: every other byte stays as the expert sent it.
#pragma once

#include <simdjson.h>

#include <string>
#include <string_view>

#include "experts/call.h"

namespace experts {

/// Bytes that must be readable behind any JSON text given to this room's readers.
inline constexpr std::size_t kJsonPadding = simdjson::SIMDJSON_PADDING;

/// An error object that an expert sent instead of, or inside of, an answer.
struct UpstreamError {
  bool present = false;
  std::string message;  // may hold anything, also our key: clean before use
  std::string code;     // `code` or `type`, as text
  int status = 0;       // `code` when it is a number from 400 to 599
};

/// What one JSON object, a completion or a chunk of one, says about itself.
struct ReplyFacts {
  bool valid = false;             // a JSON object of the agreed shape
  std::size_t model_begin = 0;    // the top-level `model` value, as offsets into the text;
  std::size_t model_end = 0;      // both 0: there is none
  std::size_t content_begin = 0;  // the content of choice 0, a string, as it is written, without
  std::size_t content_end = 0;    // quotes; both 0: there is none, or more than one
  int contents = 0;               // strings that claim to be it
  bool has_choices = false;
  std::size_t choices = 0;
  std::string_view
      finish_reason;           // of choice 0; into the text, without quotes; empty: null or none
  std::int64_t finished = 0;   // choices with a finish_reason
  std::int64_t index_max = 0;  // largest `index` of a choice
  Usage usage;
  UpstreamError error;
};

/// Reads `text`, which must be followed by kJsonPadding readable bytes. When `content` is not null,
/// the content of choice 0 (message or delta) is appended to it.
ReplyFacts read_reply(simdjson::ondemand::parser& parser, std::string_view text,
                      std::string* content);

/// The error in an error body: OpenAI's shape, or a bare `message` or `detail`, or nothing.
UpstreamError read_error(simdjson::ondemand::parser& parser, std::string& body);

/// Appends `text` with its model replaced by `name_json` (or with a model, if it had none).
void append_renamed(std::string& out, std::string_view text, const ReplyFacts& facts,
                    std::string_view name_json);

}  // namespace experts
