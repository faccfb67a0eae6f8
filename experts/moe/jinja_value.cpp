#include "experts/moe/jinja_value.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace moe::jinja {
namespace {

// repr(float): the shortest digits that read back, with ".0" when nothing else marks it as real.
std::string real_text(double number) {
  std::array<char, 32> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  std::string text(digits.data(), end);
  if (text.find_first_of(".enai") == std::string::npos) text += ".0";
  return text;
}

constexpr int kNestingMax = 64;
constexpr std::size_t kTextMax = 16U << 20;    // of one value
constexpr std::size_t kCompareMax = 1U << 20;  // values in one comparison

[[noreturn]] void fail_nesting() {
  throw Error("a value nested more than 64 deep");
}

// Builds the text of a value. A list may hold another twice, and so on: text grows exponentially,
// hence the limit while it is built.
class Printer {
 public:
  std::string take() { return std::move(out_); }

  // str(value)
  void print(const Value& value, int depth) {
    if (depth > kNestingMax) fail_nesting();
    if (const auto* flag = value.as<bool>()) {
      put(*flag ? "True" : "False");
    } else if (const auto* whole = value.as<std::int64_t>()) {
      put(std::to_string(*whole));
    } else if (const auto* real = value.as<double>()) {
      put(real_text(*real));
    } else if (const auto* text = value.text()) {
      put(*text);
    } else if (value.as<None>() != nullptr) {
      put("None");
    } else if (const auto* list = value.list()) {
      put_items(*list, "[]", [&](const Value& item) { repr(item, depth + 1); });
    } else if (const auto* dict = value.dict()) {
      put_items(dict->items, "{}", [&](const auto& item) {
        quote(item.first);
        put(": ");
        repr(item.second, depth + 1);
      });
    } else if (!value.undefined()) {
      put("<function>");
    }
  }

  // json.dumps(value)
  void json(const Value& value, int indent, int depth) {
    if (depth > kNestingMax) fail_nesting();
    if (const auto* flag = value.as<bool>()) {
      put(*flag ? "true" : "false");
    } else if (value.as<None>() != nullptr) {
      put("null");
    } else if (const auto* text = value.text()) {
      json_text(*text);
    } else if (const auto* list = value.list()) {
      json_items(*list, "[]", indent, depth,
                 [&](const Value& item) { json(item, indent, depth + 1); });
    } else if (const auto* dict = value.dict()) {
      json_items(dict->items, "{}", indent, depth, [&](const auto& item) {
        json_text(item.first);
        put(": ");
        json(item.second, indent, depth + 1);
      });
    } else if (is_number(value)) {
      print(value, depth);
    } else {
      throw Error("tojson of " + std::string(type_name(value)));
    }
  }

 private:
  void put(std::string_view text) {
    if (text.size() > kTextMax - out_.size()) throw Error("a value prints as more than 16 MiB");
    out_ += text;
  }

  void repr(const Value& value, int depth) {
    if (value.text() != nullptr) {
      quote(*value.text());
    } else {
      print(value, depth);
    }
  }

  void quote(const std::string& text) {
    const bool has_single = text.find('\'') != std::string::npos;
    const char mark = has_single && text.find('"') == std::string::npos ? '"' : '\'';
    std::string out(1, mark);
    for (const char c : text) {
      if (c == mark || c == '\\') out += '\\';
      out += c == '\n' ? std::string("\\n") : std::string(1, c);
    }
    put(out + mark);
  }

  template <class Items, class Put>
  void put_items(const Items& items, std::string_view brackets, Put put_item) {
    put(brackets.substr(0, 1));
    bool first = true;
    for (const auto& item : items) {
      if (!first) put(", ");
      first = false;
      put_item(item);
    }
    put(brackets.substr(1));
  }

  template <class Items, class Put>
  void json_items(const Items& items, std::string_view brackets, int indent, int depth,
                  Put put_item) {
    if (indent < 0 || items.empty()) return put_items(items, brackets, put_item);
    const auto put_line = [&](int at) {
      put("\n" + std::string(static_cast<std::size_t>(indent * at), ' '));
    };
    put(brackets.substr(0, 1));
    bool first = true;
    for (const auto& item : items) {
      if (!first) put(",");
      first = false;
      put_line(depth + 1);
      put_item(item);
    }
    put_line(depth);
    put(brackets.substr(1));
  }

  void json_text(const std::string& text) {
    constexpr std::string_view kHex = "0123456789abcdef";
    constexpr std::string_view kEscaped = "\"\\\n\r\t\b\f";
    constexpr std::string_view kLetters = "\"\\nrtbf";
    std::string out = "\"";
    for (const char c : text) {
      const std::size_t known = kEscaped.find(c);
      if (known != std::string_view::npos) {
        out += {'\\', kLetters[known]};
      } else if (static_cast<unsigned char>(c) < 0x20) {
        out += {'\\', 'u', '0', '0', kHex[static_cast<unsigned char>(c) >> 4], kHex[c & 15]};
      } else {
        out += c;
      }
    }
    put(out + "\"");
  }

  std::string out_;
};

bool equal_within(const Value& a, const Value& b, int depth, std::size_t& left) {
  if (depth > kNestingMax) fail_nesting();
  if (left-- == 0) throw Error("a comparison of too many values");
  const auto same = [&](const Value& x, const Value& y) {
    return equal_within(x, y, depth + 1, left);
  };
  if (is_number(a) && is_number(b)) return number(a) == number(b);
  if (a.text() != nullptr && b.text() != nullptr) return *a.text() == *b.text();
  if (a.list() != nullptr && b.list() != nullptr) {
    return std::equal(a.list()->begin(), a.list()->end(), b.list()->begin(), b.list()->end(), same);
  }
  if (a.dict() != nullptr && b.dict() != nullptr) {
    const auto& items = a.dict()->items;
    return items.size() == b.dict()->items.size() &&
           std::all_of(items.begin(), items.end(), [&](const auto& item) {
             const Value* other = b.dict()->find(item.first);
             return other != nullptr && same(item.second, *other);
           });
  }
  if (a.as<None>() != nullptr) return b.as<None>() != nullptr;
  return a.undefined() && b.undefined();
}

}  // namespace

const Value* Dict::find(std::string_view key) const {
  for (const auto& [name, value] : items) {
    if (name == key) return &value;
  }
  return nullptr;
}

void Dict::set(std::string_view key, Value value) {
  for (auto& [name, old] : items) {
    if (name == key) {
      old = std::move(value);
      return;
    }
  }
  items.emplace_back(key, std::move(value));
}

const List* Heap::add(List list) {
  charge_bytes(list.size() * sizeof(Value));
  lists_.push_back(std::move(list));
  return &lists_.back();
}

Dict* Heap::add(Dict dict) {
  charge_bytes(dict.items.size() * sizeof(dict.items[0]));
  dicts_.push_back(std::move(dict));
  return &dicts_.back();
}

void Heap::charge_step() {
  if (left_.steps == 0) throw Error("the template runs too long");
  --left_.steps;
}

void Heap::charge_bytes(std::size_t bytes) {
  if (bytes > left_.bytes) throw Error("the template makes too much text");
  left_.bytes -= bytes;
}

bool is_true(const Value& value) {
  if (const auto* flag = value.as<bool>()) return *flag;
  if (const auto* text = value.text()) return !text->empty();
  if (const auto* list = value.list()) return !list->empty();
  if (const auto* dict = value.dict()) return !dict->items.empty();
  if (is_number(value)) return number(value) != 0;
  return value.as<const Statement*>() != nullptr || value.as<Builtin>() != nullptr;
}

bool equal(const Value& a, const Value& b) {
  std::size_t left = kCompareMax;
  return equal_within(a, b, 0, left);
}

bool less(const Value& a, const Value& b) {
  if (is_number(a) && is_number(b)) return number(a) < number(b);
  if (a.text() != nullptr && b.text() != nullptr) return *a.text() < *b.text();
  throw Error("cannot order " + std::string(type_name(a)) + " and " + std::string(type_name(b)));
}

std::string_view type_name(const Value& value) {
  constexpr std::array<std::string_view, 10> kNames = {"an undefined value",
                                                       "none",
                                                       "a boolean",
                                                       "an integer",
                                                       "a real number",
                                                       "a text",
                                                       "a list",
                                                       "a mapping",
                                                       "a macro",
                                                       "a function"};
  return kNames[value.data.index()];
}

bool is_number(const Value& value) {
  return value.as<bool>() != nullptr || value.as<std::int64_t>() != nullptr ||
         value.as<double>() != nullptr;
}

double number(const Value& value) {
  if (const auto* real = value.as<double>()) return *real;
  if (const auto* whole = value.as<std::int64_t>()) return static_cast<double>(*whole);
  const auto* flag = value.as<bool>();
  return flag != nullptr && *flag ? 1 : 0;
}

std::int64_t integer(const Value& value, std::string_view what) {
  if (const auto* whole = value.as<std::int64_t>()) return *whole;
  if (const auto* flag = value.as<bool>()) return *flag ? 1 : 0;
  throw Error(std::string(what) + " is " + std::string(type_name(value)) + ", expected an integer");
}

std::string to_text(const Value& value) {
  Printer printer;
  printer.print(value, 0);
  return printer.take();
}

std::string to_json(const Value& value, int indent) {
  Printer printer;
  printer.json(value, indent, 0);
  return printer.take();
}

}  // namespace moe::jinja
