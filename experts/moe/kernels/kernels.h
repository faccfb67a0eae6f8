// The arithmetic of the engine as a table of functions, one table per instruction set.
//
// All tables compute the same numbers, bit for bit: sums run over 16 lanes in one fixed order,
// integer parts are exact, and every multiply-add is fused. So an answer depends neither on the
// machine nor on how many rows were computed together; tests compare with ==.
//
// Activations are rounded once per row to 16-bit integers: against K-quants each 32 with a scale of
// their own, in two planes of bytes, so that products of bytes are summed exactly; against the
// types in blocks of 32 with one scale a row. The error is below that of llama.cpp's 8 bits by a
// factor of more than 1,000 in the mean square. The coarse table leaves the low plane out: 8 bits
// in blocks of 32, where llama.cpp has 256, and nearly half the work. F32, F16 and BF16 weights
// meet the floats.
//
// Plain C types only: the files that implement this are compiled for newer processors.
#pragma once

#include <cstddef>
#include <cstdint>

namespace moe {

/// 32 activations: x = scale * q, q = 256 * high + low in [-32512, 32512].
struct ActBlock {
  float scale;
  float sum;                // scale * (sum of q): what a minimum is multiplied by
  std::int32_t offsets[2];  // -32 * (sum of q) of each 16: Q6_K weights are stored with 32 added
  std::int8_t high[32], low[32];
};

/// One activation row, in the forms the weight types read; those that no matrix wants may be null.
struct ActRow {
  const float* f32 = nullptr;  // [n]: F32, F16 and BF16
  // Types in blocks of 32.
  const std::int16_t* q = nullptr;  // [n] round(f32 / scale)
  const float* sums = nullptr;      // [n / 32] sum of q over each 32: for types with a minimum
  float scale = 0;
  const ActBlock* blocks = nullptr;  // [n / 32]: K-quants
};

struct Kernels {
  const char* name;

  /// The same, but K-quants meet activations of 8 bits; null: this is such a table.
  const Kernels* coarse;

  /// out[c * stride + r] = <w_r, x_c> for weight rows r and activation rows c. `type` is a runnable
  /// TensorType, n a multiple of its block. Each result is independent of w_rows and x_rows.
  /// `next` is the weight row with which the caller will go on, so that its bytes can be asked for
  /// in time; may be null.
  void (*matmul)(std::uint32_t type, const unsigned char* w, std::size_t row_bytes, std::size_t n,
                 std::size_t w_rows, const ActRow* x, std::size_t x_rows, float* out,
                 std::size_t stride, const unsigned char* next);

  /// Fills q [n] and sums [n / 32], returns the scale. n is a multiple of 32.
  float (*quantize_row)(const float* x, std::size_t n, std::int16_t* q, float* sums);

  /// Fills blocks [n / 32]. n is a multiple of 32. Coarse: the low planes are zero.
  void (*quantize_blocks)(const float* x, std::size_t n, ActBlock* blocks);

  /// out = x / sqrt(mean(x^2) + eps) * weight; out may be x.
  void (*rms_norm)(const float* x, const float* weight, std::size_t n, float eps, float* out);

  void (*add)(float* y, const float* x, std::size_t n);                  // y += x
  void (*add_scaled)(float* y, const float* x, float a, std::size_t n);  // y += a x
  void (*silu_mul)(float* gate, const float* up, std::size_t n);         // gate = silu(gate) up

  /// scores[i] = <q, k_i> * scale for `count` keys, `stride` floats apart.
  void (*score)(const float* q, const float* k, std::size_t stride, std::size_t count,
                std::size_t dim, float scale, float* scores);
  void (*softmax)(float* x, std::size_t n);
  /// out[dim] += sum over i, in order, of p[i] * v_i.
  void (*mix)(const float* p, const float* v, std::size_t stride, std::size_t count,
              std::size_t dim, float* out);
};

extern const Kernels kPortable;
extern const Kernels kAvx2;    // AVX2, FMA, F16C
extern const Kernels kAvx512;  // AVX-512 F, BW, VL, DQ, VNNI

/// One weight row as floats.
void dequantize(std::uint32_t type, const unsigned char* w, std::size_t n, float* out);

/// The best table that this processor runs; the choice is made once.
const Kernels& pick_kernels(bool coarse = false);

/// Whether this processor can run `kernels`; tests compare all that can.
bool can_run(const Kernels& kernels);

}  // namespace moe
