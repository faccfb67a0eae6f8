// JSON of untrusted replies, bounded. For this room's .cpp files only: pulls in nlohmann-json.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "aggregator/options.h"

namespace aggregator {

/// Nothing when the text is not one JSON value, too long or too deep.
std::optional<nlohmann::json> parse_bounded(std::string_view text, const ReadLimits& limits);

/// Numbers without a fraction become integers, strings lose outer space: equal dumps, equal
/// answers.
void normalise(nlohmann::json& value);

/// The part of JSON Schema that decides whether an answer has the agreed shape: type, enum,
/// required, properties, additionalProperties: false, items, minItems, maxItems, minimum, maximum.
/// Keywords that are not in this list constrain nothing.
bool fits(const nlohmann::json& value, const nlohmann::json& schema, std::size_t depth);

}  // namespace aggregator
