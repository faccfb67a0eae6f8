// A document cut into passages along its own structure. Pure.
//
// Passages tile the document: the first begins at its first byte, the last ends at its last one,
// and each begins at or before the end of the one before, so that `[fresh, start + size)` of all of
// them is the document again, byte for byte. They end between code points, where possible between
// paragraphs, else lines, sentences, words. A Markdown section begins a new passage unless the
// passage before would stay very short; within a section the end of one is repeated in the next.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "store/options.h"

namespace store {

enum class Format : std::uint8_t { text, markdown };

struct Chunk {
  std::size_t start = 0;
  std::size_t fresh = 0;  // from here on the bytes are not in the chunk before
  std::size_t size = 0;   // from start; at most ChunkRules::bytes_max
  std::string heading{};  // "Chapter > Section" of Markdown at `fresh`, clipped; else empty
};

/// `text` is well-formed UTF-8. Nothing for a text without a visible byte.
/// Throws std::runtime_error for rules that cannot be kept (see ChunkRules).
std::vector<Chunk> cut(std::string_view text, Format format, const ChunkRules& rules);

}  // namespace store
