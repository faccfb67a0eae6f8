// The filters, tests, functions and methods that templates of chat models use, with the meaning
// they have in Jinja 3 and Python. A name that is not here is an Error that says so.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "experts/moe/jinja_value.h"

namespace moe::jinja {

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;

  /// The argument at `index` or called `name`; null when it is not given.
  const Value* find(std::size_t index, std::string_view name) const;
};

/// What a rendering lends to the built-in functions.
struct Runtime {
  Heap& heap;
  std::chrono::sys_seconds now;  // for strftime_now, UTC
};

/// `text`, charged to the budget.
Value make_text(Runtime& runtime, std::string text);

Value apply_filter(std::string_view name, const Value& subject, const Arguments& arguments,
                   Runtime& runtime);
bool apply_test(std::string_view name, const Value& subject, const Arguments& arguments);
/// The function of that name; undefined when there is none.
Value find_function(const std::string& name);
Value call_function(std::string_view name, const Arguments& arguments, Runtime& runtime);
Value call_method(std::string_view name, const Value& object, const Arguments& arguments,
                  Runtime& runtime);

/// object.key and object[key] without methods; undefined when there is no such thing.
Value find_item(const Value& object, const Value& key, Runtime& runtime);

/// What a for loop runs over: the items, the keys, the characters; nothing for undefined.
List items_of(const Value& value, Runtime& runtime);

bool contains(const Value& container, const Value& item);
std::int64_t length_of(const Value& value);

}  // namespace moe::jinja
