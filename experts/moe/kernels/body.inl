// Every kernel, written once over the lanes that the including file defines (Floats: 16 floats,
// Half: 8 floats, Ints: 16 32-bit sums, Words: 32 16-bit integers). Included inside an anonymous
// namespace, so that each instruction set has its own instances.
//
// Block layouts are GGUF's. A block of 32 weights is decoded to 16-bit integers; K-quants:
// panel.inl.

using Bytes = const unsigned char*;

inline unsigned short load_u16(Bytes p) {
  unsigned short x;
  __builtin_memcpy(&x, p, sizeof x);
  return x;
}

inline float load_f16(Bytes p) {
  return to_f32(load_u16(p));
}

inline std::uint32_t load_u32(Bytes p) {
  std::uint32_t x;
  __builtin_memcpy(&x, p, sizeof x);
  return x;
}

// ---- blocks of 32: value = d * q + m
// -------------------------------------------------------------

struct Q8_0 {
  static constexpr std::size_t kBytes = 34;
  static constexpr bool kMinimum = false;

  static inline Words decode(Bytes p, float& d, float&) {
    d = load_f16(p);
    return widen_i8(p + 2);
  }
};

struct Q4_0 {
  static constexpr std::size_t kBytes = 18;
  static constexpr bool kMinimum = false;

  static inline Words decode(Bytes p, float& d, float&) {
    d = load_f16(p);
    return add_words(widen_nibbles(p + 2), both(-8, -8));
  }
};

struct Q4_1 {
  static constexpr std::size_t kBytes = 20;
  static constexpr bool kMinimum = true;

  static inline Words decode(Bytes p, float& d, float& m) {
    d = load_f16(p);
    m = load_f16(p + 2);
    return widen_nibbles(p + 4);
  }
};

struct Q5_0 {
  static constexpr std::size_t kBytes = 22;
  static constexpr bool kMinimum = false;

  static inline Words decode(Bytes p, float& d, float&) {
    d = load_f16(p);
    const Words q = or_with(widen_nibbles(p + 6), mask_words(load_u32(p + 2), 16));
    return add_words(q, both(-16, -16));
  }
};

struct Q5_1 {
  static constexpr std::size_t kBytes = 24;
  static constexpr bool kMinimum = true;

  static inline Words decode(Bytes p, float& d, float& m) {
    d = load_f16(p);
    m = load_f16(p + 2);
    return or_with(widen_nibbles(p + 8), mask_words(load_u32(p + 4), 16));
  }
};

// ---- float weights
// -------------------------------------------------------------------------------

struct F32 {
  static constexpr std::size_t kBytes = 4;

  static inline Floats decode(Bytes p) { return load(reinterpret_cast<const float*>(p)); }
};

struct F16 {
  static constexpr std::size_t kBytes = 2;

  static inline Floats decode(Bytes p) { return widen_f16(p); }
};

struct BF16 {
  static constexpr std::size_t kBytes = 2;

  static inline Floats decode(Bytes p) { return widen_bf16(p); }
};

/// The last, incomplete 16 of a row, zeros behind.
template <class T>
inline Floats decode_tail(Bytes p, std::size_t count) {
  alignas(64) unsigned char padded[64] = {};
  __builtin_memcpy(padded, p, count * T::kBytes);
  return T::decode(padded);
}

// ---- matrix products
// -----------------------------------------------------------------------------

constexpr std::size_t kColsMax = 32;  // activation rows that stay in the cache meanwhile

/// In blocks of 32 so many activation rows share the decoding of a weight block, in registers.
/// Decoding panels into memory for more of them was slower.
constexpr std::size_t kFusedMax = 4;

/// Asks for weights some blocks ahead: the processor's own prefetching stops at every page of 4
/// KiB.
template <class T>
inline void prefetch(Bytes block) {
  for (std::size_t line = 0; line < T::kBytes; line += 64) __builtin_prefetch(block + 2048 + line);
}

/// One weight row of 32-blocks against kCols activation rows; the minimum of block b goes to lane
/// b % 8.
template <class T, int kCols>
inline void dot_row_32(Bytes w, std::size_t n, const ActRow* x, float* out, std::size_t stride) {
  Floats acc[kCols];
  for (int c = 0; c < kCols; ++c) acc[c] = set(0);
  alignas(32) float low[kCols][8] = {};
  for (std::size_t b = 0; b < n / 32; ++b) {
    float d;
    float m = 0;
    prefetch<T>(w + b * T::kBytes);
    const Words words = T::decode(w + b * T::kBytes, d, m);
    for (int c = 0; c < kCols; ++c) {
      const Ints total = dot(words, load_words(x[c].q + 32 * b));
      acc[c] = fma(to_floats(total), set(d), acc[c]);
      if constexpr (T::kMinimum) low[c][b % 8] = __builtin_fmaf(m, x[c].sums[b], low[c][b % 8]);
    }
  }
  for (int c = 0; c < kCols; ++c) {
    float y = sum(acc[c]);
    if constexpr (T::kMinimum) y += half_sum(half_load(low[c]));
    out[c * stride] = y * x[c].scale;
  }
}

/// Weights that are floats already: kRows x kCols products with the sums in registers.
template <class T, int kRows, int kCols>
inline void micro_f(Bytes w, std::size_t row_bytes, std::size_t n, const ActRow* x, float* out,
                    std::size_t stride) {
  Floats acc[kRows][kCols];
  for (auto& row : acc) {
    for (Floats& a : row) a = set(0);
  }
  std::size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    Floats xv[kCols];
    for (int c = 0; c < kCols; ++c) xv[c] = load(x[c].f32 + i);
    for (int r = 0; r < kRows; ++r) {
      const Floats wv = T::decode(w + r * row_bytes + i * T::kBytes);
      for (int c = 0; c < kCols; ++c) acc[r][c] = fma(wv, xv[c], acc[r][c]);
    }
  }
  if (i < n) {
    for (int r = 0; r < kRows; ++r) {
      const Floats wv = decode_tail<T>(w + r * row_bytes + i * T::kBytes, n - i);
      for (int c = 0; c < kCols; ++c) {
        const Floats xv = decode_tail<F32>(reinterpret_cast<Bytes>(x[c].f32 + i), n - i);
        acc[r][c] = fma(wv, xv, acc[r][c]);
      }
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int c = 0; c < kCols; ++c) out[c * stride + r] = sum(acc[r][c]);
  }
}

template <class T, int kRows>
void rows_f(Bytes w, std::size_t row_bytes, std::size_t n, const ActRow* x, std::size_t cols,
            float* out, std::size_t stride) {
  std::size_t c = 0;
  for (; c + kMicroCols <= cols; c += kMicroCols) {
    micro_f<T, kRows, kMicroCols>(w, row_bytes, n, x + c, out + c * stride, stride);
  }
  for (; c < cols; ++c) micro_f<T, kRows, 1>(w, row_bytes, n, x + c, out + c * stride, stride);
}

template <class T>
void matmul_f(Bytes w, std::size_t row_bytes, std::size_t n, std::size_t rows, const ActRow* x,
              std::size_t cols, float* out, std::size_t stride) {
  std::size_t r = 0;
  for (; r + kMicroRows <= rows; r += kMicroRows) {
    rows_f<T, kMicroRows>(w + r * row_bytes, row_bytes, n, x, cols, out + r, stride);
  }
  for (; r < rows; ++r) rows_f<T, 1>(w + r * row_bytes, row_bytes, n, x, cols, out + r, stride);
}

template <class T>
void matmul_32(Bytes w, std::size_t row_bytes, std::size_t n, std::size_t rows, const ActRow* x,
               std::size_t cols, float* out, std::size_t stride) {
  for (std::size_t first = 0; first < cols; first += kColsMax) {
    const std::size_t end = cols - first < kColsMax ? cols : first + kColsMax;
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t c = first; c < end; c += kFusedMax) {
        const auto row = end - c == 1   ? dot_row_32<T, 1>
                         : end - c == 2 ? dot_row_32<T, 2>
                         : end - c == 3 ? dot_row_32<T, 3>
                                        : dot_row_32<T, 4>;
        row(w + r * row_bytes, n, x + c, out + c * stride + r, stride);
      }
    }
  }
}

#include "experts/moe/kernels/panel.inl"

template <bool kCoarse>
void matmul(std::uint32_t type, Bytes w, std::size_t row_bytes, std::size_t n, std::size_t rows,
            const ActRow* x, std::size_t cols, float* out, std::size_t stride, Bytes next) {
  switch (static_cast<TensorType>(type)) {
    case TensorType::f32:
      return matmul_f<F32>(w, row_bytes, n, rows, x, cols, out, stride);
    case TensorType::f16:
      return matmul_f<F16>(w, row_bytes, n, rows, x, cols, out, stride);
    case TensorType::bf16:
      return matmul_f<BF16>(w, row_bytes, n, rows, x, cols, out, stride);
    case TensorType::q4_0:
      return matmul_32<Q4_0>(w, row_bytes, n, rows, x, cols, out, stride);
    case TensorType::q4_1:
      return matmul_32<Q4_1>(w, row_bytes, n, rows, x, cols, out, stride);
    case TensorType::q5_0:
      return matmul_32<Q5_0>(w, row_bytes, n, rows, x, cols, out, stride);
    case TensorType::q5_1:
      return matmul_32<Q5_1>(w, row_bytes, n, rows, x, cols, out, stride);
    case TensorType::q8_0:
      return matmul_32<Q8_0>(w, row_bytes, n, rows, x, cols, out, stride);
    case TensorType::q4_k:
      return matmul_k<Q4K>(w, row_bytes, n, rows, x, cols, out, stride, next, kCoarse);
    case TensorType::q5_k:
      return matmul_k<Q5K>(w, row_bytes, n, rows, x, cols, out, stride, next, kCoarse);
    case TensorType::q6_k:
      return matmul_k<Q6K>(w, row_bytes, n, rows, x, cols, out, stride, next, kCoarse);
  }
}

// ---- single rows
// ---------------------------------------------------------------------------------

float quantize_row(const float* x, std::size_t n, std::int16_t* q, float* sums) {
  Floats peak = set(0);
  for (std::size_t i = 0; i < n; i += 16) peak = max(abs(load(x + i)), peak);
  const float top = largest(peak);
  const bool usable = top > 0 && top <= 3.0e38f;
  const Floats inverse = set(usable ? 32767.0f / top : 0);
  for (std::size_t b = 0; b < n / 32; ++b) {
    store_rounded(q + 32 * b, mul(load(x + 32 * b), inverse));
    store_rounded(q + 32 * b + 16, mul(load(x + 32 * b + 16), inverse));
    const Ints total = dot(load_words(q + 32 * b), both(1, 1));
    sums[b] = sum(to_floats(total));
  }
  return usable ? top / 32767.0f : 0;
}

/// f(i) for each whole 16, tail(i, count) for the rest.
template <class Body, class Tail>
inline void for_lanes(std::size_t n, Body body, Tail tail) {
  std::size_t i = 0;
  for (; i + 16 <= n; i += 16) body(i);
  if (i < n) tail(i, n - i);
}

inline Floats load_tail(const float* p, std::size_t count) {
  return decode_tail<F32>(reinterpret_cast<Bytes>(p), count);
}

inline void store_tail(float* p, Floats x, std::size_t count) {
  float row[16];
  store(row, x);
  __builtin_memcpy(p, row, count * sizeof(float));
}

void rms_norm(const float* x, const float* weight, std::size_t n, float eps, float* out) {
  Floats squares = set(0);
  for_lanes(
      n, [&](std::size_t i) { squares = fma(load(x + i), load(x + i), squares); },
      [&](std::size_t i, std::size_t count) {
        const Floats v = load_tail(x + i, count);
        squares = fma(v, v, squares);
      });
  const float mean = sum(squares) / static_cast<float>(n);
  const Floats factor = set(1.0f / __builtin_sqrtf(mean + eps));
  for_lanes(
      n, [&](std::size_t i) { store(out + i, mul(mul(load(x + i), factor), load(weight + i))); },
      [&](std::size_t i, std::size_t count) {
        const Floats y = mul(mul(load_tail(x + i, count), factor), load_tail(weight + i, count));
        store_tail(out + i, y, count);
      });
}

void add(float* y, const float* x, std::size_t n) {
  for_lanes(
      n, [&](std::size_t i) { store(y + i, add(load(y + i), load(x + i))); },
      [&](std::size_t i, std::size_t count) {
        store_tail(y + i, add(load_tail(y + i, count), load_tail(x + i, count)), count);
      });
}

void add_scaled(float* y, const float* x, float a, std::size_t n) {
  const Floats factor = set(a);
  for_lanes(
      n, [&](std::size_t i) { store(y + i, fma(load(x + i), factor, load(y + i))); },
      [&](std::size_t i, std::size_t count) {
        store_tail(y + i, fma(load_tail(x + i, count), factor, load_tail(y + i, count)), count);
      });
}

/// e^x within 2 units in the last place (polynomial of the Cephes library), 0 below -87.
inline Floats exponential(Floats x) {
  const Floats clamped = min(max(x, set(-87.3f)), set(88.3f));
  const Floats n = round(mul(clamped, set(1.44269504088896341f)));
  Floats r = fma(n, set(-0.693359375f), clamped);
  r = fma(n, set(2.12194440e-4f), r);
  Floats p = set(1.9875691500e-4f);
  p = fma(p, r, set(1.3981999507e-3f));
  p = fma(p, r, set(8.3334519073e-3f));
  p = fma(p, r, set(4.1665795894e-2f));
  p = fma(p, r, set(1.6666665459e-1f));
  p = fma(p, r, set(5.0000001201e-1f));
  return mul(add(fma(p, mul(r, r), r), set(1.0f)), power_of_two(n));
}

inline Floats silu_mul_lanes(Floats gate, Floats up) {
  const Floats bottom = add(exponential(mul(gate, set(-1.0f))), set(1.0f));
  return mul(div(gate, bottom), up);
}

void silu_mul(float* gate, const float* up, std::size_t n) {
  for_lanes(
      n, [&](std::size_t i) { store(gate + i, silu_mul_lanes(load(gate + i), load(up + i))); },
      [&](std::size_t i, std::size_t count) {
        store_tail(gate + i, silu_mul_lanes(load_tail(gate + i, count), load_tail(up + i, count)),
                   count);
      });
}

void score(const float* q, const float* k, std::size_t stride, std::size_t count, std::size_t dim,
           float scale, float* scores) {
  for (std::size_t i = 0; i < count; ++i) {
    const float* key = k + i * stride;
    Floats acc = set(0);
    for_lanes(
        dim, [&](std::size_t j) { acc = fma(load(q + j), load(key + j), acc); },
        [&](std::size_t j, std::size_t tail) {
          acc = fma(load_tail(q + j, tail), load_tail(key + j, tail), acc);
        });
    scores[i] = sum(acc) * scale;
  }
}

void softmax(float* x, std::size_t n) {
  float top = x[0];
  for (std::size_t i = 1; i < n; ++i) top = x[i] > top ? x[i] : top;
  const Floats shift = set(-top);
  Floats total = set(0);
  for_lanes(
      n,
      [&](std::size_t i) {
        const Floats e = exponential(add(load(x + i), shift));
        store(x + i, e);
        total = add(total, e);
      },
      [&](std::size_t i, std::size_t count) {
        store_tail(x + i, exponential(add(load_tail(x + i, count), shift)), count);
        total = add(total, load_tail(x + i, count));
      });
  const Floats inverse = set(1.0f / sum(total));
  for_lanes(
      n, [&](std::size_t i) { store(x + i, mul(load(x + i), inverse)); },
      [&](std::size_t i, std::size_t count) {
        store_tail(x + i, mul(load_tail(x + i, count), inverse), count);
      });
}

void mix(const float* p, const float* v, std::size_t stride, std::size_t count, std::size_t dim,
         float* out) {
  for_lanes(
      dim,
      [&](std::size_t j) {
        Floats acc = load(out + j);
        for (std::size_t i = 0; i < count; ++i) acc = fma(set(p[i]), load(v + i * stride + j), acc);
        store(out + j, acc);
      },
      [&](std::size_t j, std::size_t tail) {
        Floats acc = load_tail(out + j, tail);
        for (std::size_t i = 0; i < count; ++i) {
          acc = fma(set(p[i]), load_tail(v + i * stride + j, tail), acc);
        }
        store_tail(out + j, acc, tail);
      });
}

template <bool kCoarse>
constexpr Kernels make_table(const char* name, const Kernels* coarse) {
  return {name,     coarse, matmul<kCoarse>, quantize_row, quantize_blocks<kCoarse>,
          rms_norm, add,    add_scaled,      silu_mul,     score,
          softmax,  mix};
}
