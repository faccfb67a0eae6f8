// Any bytes as a response_format: refused with a sentence, or a shape that a guide takes or
// refuses.
#include <cstdint>
#include <stdexcept>
#include <string_view>

#include "experts/native_schema.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  experts::ReplyShape reply = experts::shape_of(text);
  if (reply.shape.has_value() != reply.error.empty()) __builtin_trap();
  if (!reply.shape) return 0;
  try {
    const moe::JsonGuide guide(std::move(*reply.shape));
    guide.accepts("{\"a\":[1,null]}");
  } catch (const std::invalid_argument&) {
  }
  return 0;
}
