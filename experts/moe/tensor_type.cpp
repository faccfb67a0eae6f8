#include "experts/moe/tensor_type.h"

#include <array>

namespace moe {

namespace {

struct Row {
  std::uint32_t number;
  TypeTraits traits;
  bool runnable;
};

constexpr std::array kTypes = {
    Row{0, {"F32", 1, 4}, true},          Row{1, {"F16", 1, 2}, true},
    Row{2, {"Q4_0", 32, 18}, true},       Row{3, {"Q4_1", 32, 20}, true},
    Row{6, {"Q5_0", 32, 22}, true},       Row{7, {"Q5_1", 32, 24}, true},
    Row{8, {"Q8_0", 32, 34}, true},       Row{9, {"Q8_1", 32, 36}, false},
    Row{10, {"Q2_K", 256, 84}, false},    Row{11, {"Q3_K", 256, 110}, false},
    Row{12, {"Q4_K", 256, 144}, true},    Row{13, {"Q5_K", 256, 176}, true},
    Row{14, {"Q6_K", 256, 210}, true},    Row{15, {"Q8_K", 256, 292}, false},
    Row{16, {"IQ2_XXS", 256, 66}, false}, Row{17, {"IQ2_XS", 256, 74}, false},
    Row{18, {"IQ3_XXS", 256, 98}, false}, Row{19, {"IQ1_S", 256, 50}, false},
    Row{20, {"IQ4_NL", 32, 18}, false},   Row{21, {"IQ3_S", 256, 110}, false},
    Row{22, {"IQ2_S", 256, 82}, false},   Row{23, {"IQ4_XS", 256, 136}, false},
    Row{24, {"I8", 1, 1}, false},         Row{25, {"I16", 1, 2}, false},
    Row{26, {"I32", 1, 4}, false},        Row{27, {"I64", 1, 8}, false},
    Row{28, {"F64", 1, 8}, false},        Row{29, {"IQ1_M", 256, 56}, false},
    Row{30, {"BF16", 1, 2}, true},        Row{34, {"TQ1_0", 256, 54}, false},
    Row{35, {"TQ2_0", 256, 66}, false},   Row{39, {"MXFP4", 32, 17}, false},
};

const Row* find(std::uint32_t type) {
  for (const Row& row : kTypes) {
    if (row.number == type) return &row;
  }
  return nullptr;
}

}  // namespace

const TypeTraits* traits_of(std::uint32_t type) {
  const Row* row = find(type);
  return row != nullptr ? &row->traits : nullptr;
}

const TypeTraits& traits_of(TensorType type) {
  return find(static_cast<std::uint32_t>(type))->traits;
}

bool is_runnable(std::uint32_t type) {
  const Row* row = find(type);
  return row != nullptr && row->runnable;
}

}  // namespace moe
