#include "experts/events.h"

#include <algorithm>
#include <cstring>

namespace experts {
namespace {

/// Offset of `c` in [begin, end), or end.
std::size_t find_byte(const std::string& text, char c, std::size_t begin, std::size_t end) {
  const void* found = std::memchr(text.data() + begin, c, end - begin);
  return found == nullptr ? end
                          : static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
}

/// Inside quotes it is a JSON string that means itself.
bool needs_no_escape(std::string_view text) {
  unsigned char high = 0;
  bool special = false;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    high |= byte;
    special |= byte < 0x20 || c == '"' || c == '\\';
  }
  return !special && (high < 0x80 || simdjson::validate_utf8(text));
}

}  // namespace

StreamState EventReader::read(std::string& pending, std::string& out) {
  pending.reserve(pending.size() + kJsonPadding);
  StreamState state = done_ ? StreamState::done : StreamState::open;
  std::size_t event_begin = 0;
  std::size_t begin = 0, end = 0;
  while (state == StreamState::open && find_line(pending, begin, end)) {
    if (end > begin) {
      take_line(pending, std::string_view(pending).substr(begin, end - begin));
    } else {
      state = dispatch(pending, out);
      event_begin = line_;
    }
  }
  pending.erase(0, event_begin);
  line_ -= event_begin;
  scan_ -= event_begin;
  data_begin_ -= std::min(data_begin_, event_begin);
  if (state == StreamState::open && pending.size() > options_.event_bytes_max) {
    oversize_ = true;
    return StreamState::malformed;
  }
  return state;
}

StreamState EventReader::end() const {
  return done_ || finished_ > index_max_ ? StreamState::done : StreamState::open;
}

bool EventReader::find_line(const std::string& pending, std::size_t& begin, std::size_t& end) {
  if (skip_lf_ && line_ < pending.size()) {
    skip_lf_ = false;
    if (pending[line_] == '\n') scan_ = ++line_;
  }
  if (at_start_ && pending.size() >= 3) {
    at_start_ = false;
    if (pending.starts_with("\xEF\xBB\xBF")) scan_ = line_ = 3;
  }
  const std::size_t lf = find_byte(pending, '\n', scan_, pending.size());
  end = find_byte(pending, '\r', scan_, lf);
  if (end == pending.size()) {
    scan_ = end;
    return false;
  }
  begin = line_;
  const bool cr = pending[end] == '\r';
  const bool crlf = cr && end + 1 == lf && lf < pending.size();
  skip_lf_ = cr && end + 1 == pending.size();
  line_ = scan_ = end + (crlf ? 2 : 1);
  return true;
}

void EventReader::take_line(const std::string& pending, std::string_view line) {
  constexpr std::string_view kData = "data";
  if (!line.starts_with(kData)) return;  // comments, `event`, `id`, `retry`
  line.remove_prefix(kData.size());
  if (!line.empty() && line.front() != ':') return;
  if (!line.empty()) line.remove_prefix(1);
  if (line.starts_with(' ')) line.remove_prefix(1);
  if (++data_lines_ == 1) {
    data_begin_ = static_cast<std::size_t>(line.data() - pending.data());
    data_size_ = line.size();
    return;
  }
  // JSON has line breaks only where any white space will do.
  if (data_lines_ == 2) joined_.assign(pending, data_begin_, data_size_);
  joined_.append(1, ' ').append(line);
}

StreamState EventReader::dispatch(const std::string& pending, std::string& out) {
  const int lines = std::exchange(data_lines_, 0);
  if (lines == 0) return StreamState::open;
  if (lines > 1) joined_.reserve(joined_.size() + kJsonPadding);
  const std::string_view data = lines > 1
                                    ? std::string_view(joined_)
                                    : std::string_view(pending).substr(data_begin_, data_size_);
  if (data.find_first_not_of(' ') == data.npos) return StreamState::open;
  if (data == "[DONE]") {
    done_ = true;
    return StreamState::done;
  }
  if (data.size() > options_.event_bytes_max) {
    oversize_ = true;
    return StreamState::malformed;
  }
  return read_chunk(data, out);
}

bool EventReader::repeat_chunk(std::string_view json, std::string& out) {
  const std::size_t around = before_.size() + after_.size();
  if (around == 0 || json.size() < around) return false;
  if (!json.starts_with(before_) || !json.ends_with(after_)) return false;
  const std::string_view content = json.substr(before_.size(), json.size() - around);
  if (!needs_no_escape(content)) return false;
  if (options_.text_wanted) reply_.text.append(content);
  out.append(renamed_before_).append(json.substr(before_.size())).append("\n\n");
  return true;
}

void EventReader::note_pattern(std::string_view json, const ReplyFacts& facts) {
  const bool fits = facts.contents == 1 && facts.choices == 1 && facts.finished == 0 &&
                    !facts.usage.known && facts.model_end > facts.model_begin &&
                    facts.model_end <= facts.content_begin;
  before_ = fits ? json.substr(0, facts.content_begin) : std::string_view();
  after_ = fits ? json.substr(facts.content_end) : std::string_view();
  if (!fits) return;
  renamed_before_ = "data: ";
  append_renamed(renamed_before_, before_, facts, options_.name_json);
}

StreamState EventReader::read_chunk(std::string_view json, std::string& out) {
  if (repeat_chunk(json, out)) return StreamState::open;
  ReplyFacts facts = read_reply(parser_, json, options_.text_wanted ? &reply_.text : nullptr);
  if (!facts.valid) return StreamState::malformed;
  if (facts.error.present) {
    error_ = std::move(facts.error);
    return StreamState::error;
  }
  if (facts.usage.known) reply_.usage = facts.usage;
  if (!facts.has_choices && !facts.usage.known) return StreamState::malformed;
  if (!facts.finish_reason.empty()) reply_.finish_reason = facts.finish_reason;
  finished_ += facts.finished;
  index_max_ = std::max(index_max_, facts.index_max);
  const bool only_usage = facts.choices == 0 && facts.usage.known;
  if (only_usage && !options_.usage_wanted) return StreamState::open;
  out.append("data: ");
  append_renamed(out, json, facts, options_.name_json);
  out.append("\n\n");
  note_pattern(json, facts);
  return StreamState::open;
}

}  // namespace experts
