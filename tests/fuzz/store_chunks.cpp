// Any bytes as a document: what is no UTF-8 must be known as such; the rest must be cut into
// passages that keep the promises of store/knowledge_chunks.h. The first byte chooses the rules.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "store/knowledge_chunks.h"
#include "store/utf8.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size == 0) return 0;
  store::ChunkRules rules;
  rules.bytes_max = 64 + (bytes[0] & 63);
  rules.overlap_bytes = bytes[0] >> 3;
  rules.heading_bytes_max = bytes[0];
  const auto format = size % 2 == 0 ? store::Format::text : store::Format::markdown;
  const std::string text(reinterpret_cast<const char*>(bytes) + 1, size - 1);
  if (!store::is_utf8(text)) return 0;
  const auto chunks = store::cut(text, format, rules);
  std::string again;
  for (const store::Chunk& chunk : chunks) {
    const std::size_t end = chunk.start + chunk.size;
    if (chunk.size > rules.bytes_max || chunk.start > chunk.fresh || chunk.fresh >= end ||
        chunk.fresh - chunk.start > rules.overlap_bytes || chunk.fresh != again.size() ||
        chunk.heading.size() > rules.heading_bytes_max || !store::is_utf8(chunk.heading) ||
        !store::is_utf8(std::string_view(text).substr(chunk.start, chunk.size))) {
      std::abort();
    }
    again += text.substr(chunk.fresh, end - chunk.fresh);
  }
  if (!chunks.empty() && again != text) std::abort();
  return 0;
}
