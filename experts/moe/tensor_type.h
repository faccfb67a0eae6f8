// The element types a GGUF tensor can have: names, block sizes, and which of them this engine runs.
//
// Numbers and block layouts are those of the GGUF format (ggml's `ggml_type`). A type that is known
// here but not runnable is still measured correctly, so that `inspect` can describe any file and a
// refusal can name the type.
#pragma once

#include <cstdint>

namespace moe {

enum class TensorType : std::uint32_t {
  f32 = 0,
  f16 = 1,
  q4_0 = 2,
  q4_1 = 3,
  q5_0 = 6,
  q5_1 = 7,
  q8_0 = 8,
  q4_k = 12,
  q5_k = 13,
  q6_k = 14,
  bf16 = 30,
};

/// Elements and bytes of one block; `elements` divides a row's length.
struct TypeTraits {
  const char* name = "";  // as the field writes it: "Q4_K"
  std::uint32_t elements = 0;
  std::uint32_t bytes = 0;
};

/// nullptr for a number that the format does not define.
const TypeTraits* traits_of(std::uint32_t type);
const TypeTraits& traits_of(TensorType type);

/// True for the enumerators of TensorType.
bool is_runnable(std::uint32_t type);

}  // namespace moe
