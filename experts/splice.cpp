#include "experts/splice.h"

#include <algorithm>

namespace experts {

namespace {

bool is_space(char c) {
  return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

std::size_t skip_spaces(std::string_view text, std::size_t at) {
  while (at < text.size() && is_space(text[at])) ++at;
  return at;
}

/// `at` is on the opening quote; returns the position behind the closing one.
std::size_t skip_string(std::string_view text, std::size_t at) {
  for (std::size_t from = at + 1;;) {
    const std::size_t quote = text.find('"', from);
    if (quote == std::string_view::npos) return text.size();
    std::size_t slash = quote;
    while (slash > at + 1 && text[slash - 1] == '\\') --slash;
    if ((quote - slash) % 2 == 0) return quote + 1;
    from = quote + 1;
  }
}

std::size_t skip_value(std::string_view text, std::size_t at) {
  if (at < text.size() && text[at] == '"') return skip_string(text, at);
  int depth = 0;
  while (at < text.size()) {
    const char c = text[at];
    if (c == '"') {
      at = skip_string(text, at);
      continue;
    }
    if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']') {
      if (depth == 0) return at;  // a number or word that ended with the object around it
      if (--depth == 0) return at + 1;
    } else if (depth == 0 && (c == ',' || is_space(c))) {
      return at;
    }
    ++at;
  }
  return at;
}

}  // namespace

MemberWalk::MemberWalk(std::string_view object) : text_(object), at_(0) {
  at_ = skip_spaces(text_, 0) + 1;  // behind the opening brace
}

std::string_view MemberWalk::next() {
  at_ = skip_spaces(text_, at_);
  if (at_ >= text_.size() || text_[at_] != '"') return {};
  const std::size_t begin = at_;
  at_ = skip_string(text_, at_);
  at_ = skip_spaces(text_, at_) + 1;  // behind the colon
  at_ = skip_spaces(text_, at_);
  at_ = skip_value(text_, at_);
  const std::size_t end = at_;
  at_ = skip_spaces(text_, at_);
  if (at_ < text_.size() && text_[at_] == ',') ++at_;
  return text_.substr(begin, end - begin);
}

std::string_view value_of(std::string_view member) {
  const std::size_t colon = skip_spaces(member, skip_string(member, 0));
  return member.substr(std::min(member.size(), skip_spaces(member, colon + 1)));
}

ElementWalk::ElementWalk(std::string_view array) : text_(array), at_(0) {
  at_ = skip_spaces(text_, 0) + 1;  // behind the opening bracket
}

std::string_view ElementWalk::next() {
  at_ = skip_spaces(text_, at_);
  if (at_ >= text_.size() || text_[at_] == ']') return {};
  const std::size_t begin = at_;
  at_ = skip_value(text_, at_);
  const std::size_t end = at_;
  at_ = skip_spaces(text_, at_);
  if (at_ < text_.size() && text_[at_] == ',') ++at_;
  return text_.substr(begin, end - begin);
}

}  // namespace experts
