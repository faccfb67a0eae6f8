// Where the top-level members of a JSON object lie in its text.
//
// The text must already have been validated (the walk only looks for the ends of strings and
// brackets); simdjson's document does not keep byte positions, and re-serialising a request would
// change what the client sent.
#pragma once

#include <cstddef>
#include <string_view>

namespace http {

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

}  // namespace http
