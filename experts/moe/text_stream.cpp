#include "experts/moe/text_stream.h"

#include <algorithm>
#include <utility>

#include "experts/moe/unicode.h"

namespace moe {

StopCutter::StopCutter(std::vector<std::string> stops) : stops_(std::move(stops)) {
  std::erase_if(stops_, [](const std::string& stop) { return stop.empty(); });
}

std::string StopCutter::push(std::string_view piece) {
  if (met_ != nullptr) return "";
  held_ += piece;
  std::size_t first = std::string::npos;
  for (const std::string& stop : stops_) {
    const std::size_t at = held_.find(stop);
    if (at < first) {
      first = at;
      met_ = &stop;
    }
  }
  const std::size_t sent = met_ != nullptr ? first : held_.size() - open_suffix();
  std::string text = held_.substr(0, sent);
  held_.erase(0, met_ != nullptr ? held_.size() : sent);
  return text;
}

// Length of the longest end of what is held that begins a stop string.
std::size_t StopCutter::open_suffix() const {
  std::size_t longest = 0;
  for (const std::string& stop : stops_) {
    for (std::size_t n = std::min(stop.size() - 1, held_.size()); n > longest; --n) {
      if (std::string_view(held_).ends_with(std::string_view(stop).substr(0, n))) longest = n;
    }
  }
  return longest;
}

std::string StopCutter::finish() {
  return std::exchange(held_, "");
}

TextStream::TextStream(const Tokenizer& tokenizer, std::vector<std::string> stops,
                       bool after_special)
    : tokenizer_(tokenizer),
      cutter_(std::move(stops)),
      drops_space_(after_special && tokenizer.vocabulary().add_space_prefix) {}

std::string TextStream::push(TokenId id) {
  tokenizer_.append_piece(id, bytes_);
  return cutter_.push(take_whole());
}

std::string TextStream::take_whole() {
  if (drops_space_ && !bytes_.empty()) {
    if (bytes_.front() == ' ') bytes_.erase(0, 1);
    drops_space_ = false;
  }
  const std::size_t whole = bytes_.size() - utf8_open_tail(bytes_);
  std::string text = with_valid_utf8(std::string_view(bytes_).substr(0, whole));
  bytes_.erase(0, whole);
  return text;
}

std::string TextStream::finish() {
  std::string text = cutter_.push(with_valid_utf8(bytes_));
  bytes_.clear();
  return text + cutter_.finish();
}

}  // namespace moe
