// The body of an embeddings reply: whatever the bytes, either no list of vectors, or one whose
// renamed form, as numbers and as base64, is one again.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "experts/embeddings_json.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  const experts::Vectors vectors = experts::read_vectors(body);
  if (!vectors.valid) return 0;
  if (vectors.values.size() != vectors.count * vectors.dimension) std::abort();
  for (const bool base64 : {false, true}) {
    const auto again =
        experts::read_vectors(experts::renamed_vectors(body, vectors, "\"x\"", base64));
    if (!again.valid || again.count != vectors.count) std::abort();
    if (again.dimension != (base64 ? 0 : vectors.dimension)) std::abort();
  }
  return 0;
}
