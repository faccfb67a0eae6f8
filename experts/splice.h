// Where the members of a JSON object and the elements of an array lie in their text.
//
// The text must already have been validated (the walk only looks for the ends of strings and
// brackets); simdjson's document does not keep byte positions, and re-serialising a request would
// change what the client sent.
#pragma once

#include <cstddef>
#include <string_view>

namespace experts {

class MemberWalk {
 public:
  /// `object` is a valid JSON object with nothing but white space around it; it outlives the walk.
  explicit MemberWalk(std::string_view object);

  /// The next member as written, `"key" : value` without surrounding white space or comma; empty at
  /// the end.
  std::string_view next();

 private:
  std::string_view text_;
  std::size_t at_;
};

/// The value of a member as MemberWalk gives it.
std::string_view value_of(std::string_view member);

class ElementWalk {
 public:
  /// `array` is a valid JSON array; it outlives the walk.
  explicit ElementWalk(std::string_view array);

  /// The next element as written; empty at the end.
  std::string_view next();

 private:
  std::string_view text_;
  std::size_t at_;
};

}  // namespace experts
