// Values of a template while it is rendered, with Python's rules where Jinja has Python's.
//
// A Value is small and copied freely; lists and dicts live in the Heap of one rendering and are
// referred to by pointer, so that they have Python's reference semantics (a namespace is a Dict).
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace moe::jinja {

struct Value;
struct Statement;
using List = std::vector<Value>;

/// In insertion order; templates look at a handful of keys, so that a search beats a hash.
struct Dict {
  std::vector<std::pair<std::string, Value>> items;

  const Value* find(std::string_view key) const;
  void set(std::string_view key, Value value);
};

struct Undefined {
  std::string name;  // what was looked up, for messages
};

struct None {};

/// A function that is always there, such as range.
struct Builtin {
  std::string_view name;
};

/// `data`: Statement is a macro.
struct Value {
  std::variant<Undefined, None, bool, std::int64_t, double, std::string, const List*, Dict*,
               const Statement*, Builtin>
      data;

  Value() = default;

  Value(None none) : data(none) {}

  Value(bool flag) : data(flag) {}

  Value(std::int64_t number) : data(number) {}

  Value(double number) : data(number) {}

  Value(std::string text) : data(std::move(text)) {}

  Value(const char* text) : data(std::string(text)) {}

  Value(const List* list) : data(list) {}

  Value(Dict* dict) : data(dict) {}

  Value(const Statement* macro) : data(macro) {}

  Value(Builtin function) : data(function) {}

  Value(Undefined undefined) : data(std::move(undefined)) {}

  template <class T>
  const T* as() const {
    return std::get_if<T>(&data);
  }

  const std::string* text() const { return as<std::string>(); }

  const List* list() const {
    const auto* list = as<const List*>();
    return list != nullptr ? *list : nullptr;
  }

  Dict* dict() const {
    const auto* dict = as<Dict*>();
    return dict != nullptr ? *dict : nullptr;
  }

  bool undefined() const { return as<Undefined>() != nullptr; }
};

/// What is wrong in a template or in what it was given; `line` counts from 1, 0: not known here.
/// `refused` says that the template itself called raise_exception.
struct Error : std::runtime_error {
  explicit Error(const std::string& what, int at_line = 0, bool by_template = false)
      : std::runtime_error(what), line(at_line), refused(by_template) {}

  int line;
  bool refused;
};

/// What one rendering may use up, so that no template can run or grow without end.
struct Budget {
  std::size_t steps = 5'000'000;   // expressions and statements evaluated
  std::size_t bytes = 64U << 20;   // texts and list elements made, all together
  int macro_depth = 32;
};

class Heap {
 public:
  explicit Heap(Budget budget) : left_(budget) {}

  const List* add(List list);
  Dict* add(Dict dict);

  /// Throws Error when the budget is used up.
  void charge_step();
  void charge_bytes(std::size_t bytes);

 private:
  Budget left_;
  std::deque<List> lists_;
  std::deque<Dict> dicts_;
};

bool is_true(const Value& value);
bool equal(const Value& a, const Value& b);
/// a < b for numbers and for texts. Throws Error for others.
bool less(const Value& a, const Value& b);
std::string_view type_name(const Value& value);

/// Numbers, booleans as 0 and 1 among them.
bool is_number(const Value& value);
double number(const Value& value);
/// Throws Error when it is no integer; `what` is the message's subject.
std::int64_t integer(const Value& value, std::string_view what);

/// str(value): what {{ value }} prints.
std::string to_text(const Value& value);
/// json.dumps(value, ensure_ascii=False, indent=indent); indent < 0: on one line.
std::string to_json(const Value& value, int indent);

}  // namespace moe::jinja
