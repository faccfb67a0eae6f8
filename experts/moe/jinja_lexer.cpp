#include <algorithm>
#include <array>
#include <cctype>

#include "experts/moe/jinja_parser.h"
#include "experts/moe/unicode.h"

namespace moe::jinja {
namespace {

bool is_space(char c) {
  return std::isspace(static_cast<unsigned char>(c)) != 0;
}

bool starts_name(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_';
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {
    // Jinja's default keep_trailing_newline = false.
    if (source_.ends_with('\n')) source_.remove_suffix(1);
  }

  std::vector<Lexeme> run() {
    while (at_ < source_.size()) lex_text();
    out_.push_back({Token::end, "", line_});
    return std::move(out_);
  }

 private:
  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0';
  }

  bool sees(std::string_view text) const { return source_.substr(at_).starts_with(text); }

  void advance(std::size_t n) {
    line_ +=
        static_cast<int>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(at_),
                                    source_.begin() + static_cast<std::ptrdiff_t>(at_ + n), '\n'));
    at_ += n;
  }

  // Text up to the next tag, then the tag.
  void lex_text() {
    const std::size_t begin = at_;
    const int line = line_;
    std::size_t tag = source_.find('{', at_);
    while (tag != std::string_view::npos && tag + 1 < source_.size() &&
           std::string_view("{%#").find(source_[tag + 1]) == std::string_view::npos) {
      tag = source_.find('{', tag + 1);
    }
    if (tag == std::string_view::npos || tag + 1 >= source_.size()) tag = source_.size();
    std::string_view text = source_.substr(begin, tag - begin);
    advance(tag - at_);
    if (at_ < source_.size()) {
      const char kind = peek(1);
      const char control = peek(2);
      if (control == '-') {
        while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
      } else if (kind != '{' && control != '+') {
        text = without_indent(text, begin);
      }
      emit_text(text, line);
      lex_tag(kind, control == '-' || (control == '+' && kind != '{'));
    } else {
      emit_text(text, line);
    }
  }

  // lstrip_blocks: blanks between the start of the line and a block or comment go away.
  std::string_view without_indent(std::string_view text, std::size_t begin) const {
    std::size_t end = text.size();
    while (end > 0 && (text[end - 1] == ' ' || text[end - 1] == '\t')) --end;
    const bool line_start =
        end > 0 ? text[end - 1] == '\n' : begin == 0 || source_[begin - 1] == '\n';
    return line_start ? text.substr(0, end) : text;
  }

  void emit_text(std::string_view text, int line) {
    if (!text.empty()) out_.push_back({Token::text, std::string(text), line});
  }

  void lex_tag(char kind, bool controlled) {
    const int line = line_;
    advance(controlled ? 3 : 2);
    if (kind == '#') {
      const std::size_t end = source_.find("#}", at_);
      if (end == std::string_view::npos) throw Error("a comment without its end \"#}\"", line);
      const char control = end > at_ ? source_[end - 1] : '\0';
      advance(end + 2 - at_);
      close_tag(kind, control);
      return;
    }
    if (kind == '%' && lex_raw()) return;
    out_.push_back({kind == '{' ? Token::print_begin : Token::block_begin, "", line});
    lex_code(kind, line);
  }

  // What the tag's end does to the text that follows it.
  void close_tag(char kind, char control) {
    if (control == '-') {
      while (is_space(peek()) && at_ < source_.size()) advance(1);
    } else if (kind != '{' && control != '+') {  // trim_blocks
      if (peek() == '\n') advance(1);
    }
  }

  // {% raw %} ... {% endraw %}; the start tag's "{%" is already taken.
  bool lex_raw() {
    std::size_t i = at_;
    const auto skip_spaces = [&] {
      while (i < source_.size() && is_space(source_[i])) ++i;
    };
    skip_spaces();
    if (!source_.substr(i).starts_with("raw")) return false;
    i += 3;
    skip_spaces();
    if (!source_.substr(i).starts_with("%}") && !source_.substr(i).starts_with("-%}")) return false;
    throw Error("the block \"raw\" is not supported", line_);
  }

  void lex_code(char kind, int opened_line) {
    int depth = 0;  // of brackets: "}}" inside a mapping ends no tag
    const std::string_view end = kind == '{' ? "}}" : "%}";
    while (true) {
      while (at_ < source_.size() && is_space(peek())) advance(1);
      if (at_ >= source_.size()) throw Error("a tag without its end", opened_line);
      const bool controlled =
          (peek() == '-' || peek() == '+') && source_.substr(at_ + 1).starts_with(end);
      if (depth == 0 && (sees(end) || controlled)) {
        const char control = controlled ? peek() : '\0';
        out_.push_back({kind == '{' ? Token::print_end : Token::block_end, "", line_});
        advance(controlled ? 3 : 2);
        close_tag(kind, control);
        return;
      }
      lex_one(depth);
    }
  }

  void lex_one(int& depth) {
    const char c = peek();
    if (starts_name(c)) {
      lex_while(Token::name, [](char x) { return starts_name(x) || is_digit(x); });
    } else if (is_digit(c)) {
      lex_number();
    } else if (c == '\'' || c == '"') {
      lex_string(c);
    } else {
      lex_operator(depth);
    }
  }

  template <class Test>
  void lex_while(Token kind, Test test) {
    std::size_t end = at_;
    while (end < source_.size() && test(source_[end])) ++end;
    out_.push_back({kind, std::string(source_.substr(at_, end - at_)), line_});
    advance(end - at_);
  }

  void lex_number() {
    std::size_t end = at_;
    const auto digits = [&] {
      while (end < source_.size() && (is_digit(source_[end]) || source_[end] == '_')) ++end;
    };
    digits();
    bool real = false;
    if (end + 1 < source_.size() && source_[end] == '.' && is_digit(source_[end + 1])) {
      real = true;
      ++end;
      digits();
    }
    std::string text(source_.substr(at_, end - at_));
    std::erase(text, '_');
    out_.push_back({real ? Token::real : Token::integer, text, line_});
    advance(end - at_);
  }

  void lex_string(char quote) {
    const int line = line_;
    std::string text;
    advance(1);
    while (at_ < source_.size() && peek() != quote) {
      if (peek() == '\\' && at_ + 1 < source_.size()) {
        advance(1);
        append_escape(text);
      } else {
        text += peek();
        advance(1);
      }
    }
    if (at_ >= source_.size()) throw Error("a string without its end", line);
    advance(1);
    out_.push_back({Token::string, std::move(text), line});
  }

  // The character after a backslash, as in a Python string.
  void append_escape(std::string& text) {
    const char c = peek();
    advance(1);
    constexpr std::string_view kNames = "ntrbfav0\\'\"\n";
    constexpr std::string_view kBytes = std::string_view("\n\t\r\b\f\a\v\0\\'\"", 11);
    const std::size_t simple = kNames.find(c);
    if (simple < kBytes.size()) {
      text += kBytes[simple];
    } else if (c == 'x' || c == 'u' || c == 'U') {
      append_utf8(text, lex_hex(c == 'x' ? 2 : c == 'u' ? 4 : 8));
    } else if (c != '\n') {  // a backslash at a line's end joins the lines
      text += '\\';
      text += c;
    }
  }

  char32_t lex_hex(std::size_t digits) {
    char32_t code = 0;
    for (std::size_t i = 0; i < digits; ++i) {
      const char c = peek();
      if (std::isxdigit(static_cast<unsigned char>(c)) == 0) throw Error("a broken escape", line_);
      code = code * 16 + static_cast<char32_t>(is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
      advance(1);
    }
    if (code > 0x10FFFF) throw Error("an escape beyond U+10FFFF", line_);
    return code;
  }

  void lex_operator(int& depth) {
    constexpr std::array<std::string_view, 6> kTwo = {"==", "!=", "<=", ">=", "//", "**"};
    for (const auto two : kTwo) {
      if (!sees(two)) continue;
      out_.push_back({Token::op, std::string(two), line_});
      advance(2);
      return;
    }
    const char c = peek();
    if (std::string_view("+-*/%~|=<>.,:()[]{}").find(c) == std::string_view::npos) {
      throw Error(std::string("the character \"") + c + "\" in a tag", line_);
    }
    if (c == '(' || c == '[' || c == '{') ++depth;
    if ((c == ')' || c == ']' || c == '}') && depth > 0) --depth;
    out_.push_back({Token::op, std::string(1, c), line_});
    advance(1);
  }

  std::string_view source_;
  std::size_t at_ = 0;
  int line_ = 1;
  std::vector<Lexeme> out_;
};

}  // namespace

// Jinja reads every kind of line end as "\n".
std::vector<Lexeme> tokenize(std::string_view source) {
  std::string unified;
  for (std::size_t i = 0; i < source.size(); ++i) {
    const bool before_line_feed = i + 1 < source.size() && source[i + 1] == '\n';
    if (source[i] == '\r' && before_line_feed) continue;
    unified += source[i] == '\r' ? '\n' : source[i];
  }
  return Lexer(unified).run();
}

}  // namespace moe::jinja
