// A streamed reply: bytes as they come -> whole server-sent events for the client (WHATWG HTML,
// 9.2.6: CR, LF or CRLF ends a line; comments are dropped; `data` lines of one event are joined).
// Pure: no I/O, no clock; bytes may be cut anywhere.
#pragma once

#include <simdjson.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "experts/call.h"
#include "experts/reply_json.h"

namespace experts {

struct StreamOptions {
  std::string_view name_json;  // what becomes the model of every event
  bool usage_wanted = false;   // pass the usage-only event on
  bool text_wanted = false;    // collect the content of choice 0 in Reply::text
  std::size_t event_bytes_max = 1 << 20;
};

enum class StreamState : std::uint8_t {
  open,       // more to come
  done,       // `[DONE]`: what follows is not looked at
  error,      // an error event; see error()
  malformed,  // not JSON, not a chunk, or an event over the limit
};

class EventReader {
 public:
  EventReader(simdjson::ondemand::parser& parser, const StreamOptions& options, Reply& reply)
      : parser_(parser), options_(options), reply_(reply) {}

  /// Takes whole events off the front of `pending` and appends what the client gets to `out`. What
  /// is left in `pending` is the beginning of an event. Usage, finish_reason and text go to the
  /// Reply.
  StreamState read(std::string& pending, std::string& out);

  /// After the last byte: `done` when every choice that was seen has its finish_reason although
  /// nobody said `[DONE]`; `open` means that the stream was cut.
  StreamState end() const;

  const UpstreamError& error() const { return error_; }

  bool oversize() const { return oversize_; }

 private:
  /// Finds the next line end at or behind scan_; false when there is none yet.
  bool find_line(const std::string& pending, std::size_t& begin, std::size_t& end);
  void take_line(const std::string& pending, std::string_view line);
  StreamState dispatch(const std::string& pending, std::string& out);
  StreamState read_chunk(std::string_view json, std::string& out);
  bool repeat_chunk(std::string_view json, std::string& out);
  void note_pattern(std::string_view json, const ReplyFacts& facts);

  simdjson::ondemand::parser& parser_;
  const StreamOptions options_;
  Reply& reply_;

  // Offsets into `pending`, which begins with the event being read.
  std::size_t line_ = 0;        // where the next line begins
  std::size_t scan_ = 0;        // no line end before this
  std::size_t data_begin_ = 0;  // the event's first data line
  std::size_t data_size_ = 0;
  int data_lines_ = 0;
  std::string joined_;    // all data lines, when there is more than one
  bool skip_lf_ = false;  // the last byte of the previous read was CR
  bool at_start_ = true;  // a byte order mark may come

  // The last event around its content. Most events of a stream differ in nothing else: what was
  // found out about the last one then holds for the next.
  std::string before_, after_;  // empty: the last one is no pattern
  std::string renamed_before_;  // as the client gets it

  std::int64_t finished_ = 0;  // choices that said why they ended
  std::int64_t index_max_ = 0;
  bool done_ = false;
  bool oversize_ = false;
  UpstreamError error_;
};

}  // namespace experts
