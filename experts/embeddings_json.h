// The reply of an embeddings endpoint (platform.openai.com/docs/api-reference/embeddings): pure
// functions over bytes.
//
// What came is checked whole and, where it says what was asked, passed on as it is but for the
// top-level `model`. Some servers answer with numbers whatever `encoding_format` says, which the
// official clients, asking for base64, would take for garbage: then the vectors are written anew.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "experts/call.h"

namespace experts {

struct Vectors {
  bool valid = false;         // a list of embeddings: each index once, all of one length
  std::size_t count = 0;      // of vectors
  std::size_t dimension = 0;  // numbers in each; 0: they came as base64
  std::vector<float> values;  // [count, dimension] f32, row-major, by `index`; finite
  Usage usage;
};

/// Reads a body of any size; memory in proportion to it.
Vectors read_vectors(std::string_view body);

/// `body`, which gave `vectors`, with its model replaced by `name_json`, and with base64 (of f32,
/// little-endian) in place of numbers when `base64`.
std::string renamed_vectors(std::string_view body, const Vectors& vectors,
                            std::string_view name_json, bool base64);

}  // namespace experts
