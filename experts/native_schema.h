// OpenAI's `response_format` -> the shape that a native model's reply is kept in. Pure.
// https://platform.openai.com/docs/guides/structured-outputs, JSON Schema 2020-12
//
// What cannot be held to is refused by its name, never ignored: `pattern`, lengths, ranges,
// formats, recursion. Keywords that only describe (title, description, default, examples) pass.
// An object gets its properties in the schema's order and no others.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "experts/moe/json_guide.h"

namespace experts {

constexpr std::size_t kSchemaNodesMax = 2048;  // sub-schemas, each use of a $ref counted

struct ReplyShape {
  std::optional<moe::JsonShape> shape;
  std::string error;  // a sentence for the client when there is none
};

/// `response_format`: the client's JSON object, of type json_object or json_schema.
ReplyShape shape_of(std::string_view response_format);

}  // namespace experts
