// K-quants against activations in two planes of bytes, included by body.inl.
//
// A panel is kPanel weight rows, one per lane: their blocks are turned on the fly so that a lane
// holds four neighbouring weights of one row, and stay in registers while every activation row
// passes by. A lane never meets another, so a sum has one order by construction: that in which
// blocks of 32 (Q6_K: 16) are decoded, their products exact in integers, then one multiply-add for
// the scale and one for the minimum.

/// Panel rows of K-quants with 8 sub-blocks of 32, a scale and a minimum each.
struct ScalesAndMinimums {
  RowFloats scale[8], minimum[8];
};

/// The 6-bit packing of Q4_K and Q5_K: a block starts with two halves and 12 bytes.
inline void load_scales(Bytes p, std::size_t stride, ScalesAndMinimums& s) {
  Rows head[4];
  load_rows(p, stride, head);
  const RowFloats d = low_halves(head[0]);
  const RowFloats m = mul(low_halves(shift_right<16>(head[0])), row_set(-1));
  const Rows scales[2] = {
      and_with(head[1], 0x3f3f3f3f),
      or_with(and_with(head[3], 0x0f0f0f0f), and_with(shift_right<2>(head[1]), 0x30303030))};
  const Rows minimums[2] = {and_with(head[2], 0x3f3f3f3f),
                            or_with(and_with(shift_right<4>(head[3]), 0x0f0f0f0f),
                                    and_with(shift_right<2>(head[2]), 0x30303030))};
  for (int i = 0; i < 2; ++i) {
    s.scale[4 * i] = mul(d, to_floats(and_with(scales[i], 255)));
    s.scale[4 * i + 1] = mul(d, to_floats(and_with(shift_right<8>(scales[i]), 255)));
    s.scale[4 * i + 2] = mul(d, to_floats(and_with(shift_right<16>(scales[i]), 255)));
    s.scale[4 * i + 3] = mul(d, to_floats(shift_right<24>(scales[i])));
    s.minimum[4 * i] = mul(m, to_floats(and_with(minimums[i], 255)));
    s.minimum[4 * i + 1] = mul(m, to_floats(and_with(shift_right<8>(minimums[i]), 255)));
    s.minimum[4 * i + 2] = mul(m, to_floats(and_with(shift_right<16>(minimums[i]), 255)));
    s.minimum[4 * i + 3] = mul(m, to_floats(shift_right<24>(minimums[i])));
  }
}

struct Q4K {
  static constexpr std::size_t kBytes = 144;
  static constexpr int kTop = 15;   // largest weight
  static constexpr int kParts = 1;  // scales in 32 weights

  template <class Use>
  [[gnu::always_inline]] static inline void decode(Bytes p, std::size_t stride, const Use& use) {
    ScalesAndMinimums s;
    load_scales(p, stride, s);
    for (std::size_t pair = 0; pair < 4; ++pair) {
      Rows packed[8], w[8];
      load_rows(p + 16 + 32 * pair, stride, packed);
      load_rows(p + 32 + 32 * pair, stride, packed + 4);
      for (int i = 0; i < 8; ++i) w[i] = and_with(packed[i], 0x0f0f0f0f);
      use(2 * pair, 0, w, s.scale[2 * pair], s.minimum[2 * pair]);
      for (int i = 0; i < 8; ++i) w[i] = and_with(shift_right<4>(packed[i]), 0x0f0f0f0f);
      use(2 * pair + 1, 0, w, s.scale[2 * pair + 1], s.minimum[2 * pair + 1]);
    }
  }
};

struct Q5K {
  static constexpr std::size_t kBytes = 176;
  static constexpr int kTop = 31;
  static constexpr int kParts = 1;

  template <class Use>
  [[gnu::always_inline]] static inline void decode(Bytes p, std::size_t stride, const Use& use) {
    ScalesAndMinimums s;
    load_scales(p, stride, s);
    Rows high[8];  // the next two sub-blocks' fifth bits are each byte's lowest two
    load_rows(p + 16, stride, high);
    load_rows(p + 32, stride, high + 4);
    for (std::size_t pair = 0; pair < 4; ++pair) {
      Rows packed[8], w[8];
      load_rows(p + 48 + 32 * pair, stride, packed);
      load_rows(p + 64 + 32 * pair, stride, packed + 4);
      for (int i = 0; i < 8; ++i) {
        w[i] =
            or_with(and_with(packed[i], 0x0f0f0f0f), shift_left<4>(and_with(high[i], 0x01010101)));
      }
      use(2 * pair, 0, w, s.scale[2 * pair], s.minimum[2 * pair]);
      for (int i = 0; i < 8; ++i) {
        w[i] = or_with(and_with(shift_right<4>(packed[i]), 0x0f0f0f0f),
                       shift_left<3>(and_with(high[i], 0x02020202)));
        high[i] = shift_right<2>(high[i]);
      }
      use(2 * pair + 1, 0, w, s.scale[2 * pair + 1], s.minimum[2 * pair + 1]);
    }
  }
};

struct Q6K {
  static constexpr std::size_t kBytes = 210;
  static constexpr int kTop = 63;
  static constexpr int kParts = 2;

  template <class Use>
  [[gnu::always_inline]] static inline void decode(Bytes p, std::size_t stride, const Use& use) {
    Rows packed_scales[4], tail[4];
    load_rows(p + 192, stride, packed_scales);
    load_rows(p + 194, stride, tail);
    const RowFloats d = low_halves(shift_right<16>(tail[3]));
    RowFloats scale[16];
    for (int i = 0; i < 4; ++i) {
      scale[4 * i] = mul(d, to_floats(shift_sign<24>(shift_left<24>(packed_scales[i]))));
      scale[4 * i + 1] = mul(d, to_floats(shift_sign<24>(shift_left<16>(packed_scales[i]))));
      scale[4 * i + 2] = mul(d, to_floats(shift_sign<24>(shift_left<8>(packed_scales[i]))));
      scale[4 * i + 3] = mul(d, to_floats(shift_sign<24>(packed_scales[i])));
    }
    for (std::size_t quarter = 0; quarter < 4; ++quarter) {
      const std::size_t half = quarter / 2, part = quarter % 2;
      Rows high[4], packed[4], w[4];
      load_rows(p + 128 + 16 * quarter, stride, high);
      for (std::size_t j = 0; j < 2; ++j) {  // sub-blocks j and j + 2 share bytes
        load_rows(p + 64 * half + 32 * j + 16 * part, stride, packed);
        const std::size_t at = 4 * half + j;
        for (int i = 0; i < 4; ++i) {
          w[i] = or_with(and_with(packed[i], 0x0f0f0f0f),
                         shift_left<4>(and_with(high[i], 0x03030303)));
        }
        use(at, part, w, scale[2 * at + part], row_set(0));
        for (int i = 0; i < 4; ++i) {
          w[i] = or_with(and_with(shift_right<4>(packed[i]), 0x0f0f0f0f),
                         and_with(high[i], 0x30303030));
          high[i] = shift_right<2>(high[i]);
        }
        use(at + 2, part, w, scale[2 * at + 4 + part], row_set(0));
      }
    }
  }
};

/// 32 / kParts weights of each panel row against kCols activation rows.
template <class T, int kCols>
inline void add_products(const Rows* w, std::size_t part, RowFloats scale, RowFloats minimum,
                         const ActBlock* const* x, bool coarse, std::size_t block, RowFloats* acc) {
  constexpr int kQuads = 8 / T::kParts;
  const ActBlock* blocks[kCols];
  const std::int8_t *high[kCols], *low[kCols];
  Rows total[kCols];
  for (int c = 0; c < kCols; ++c) {
    blocks[c] = x[c] + block;
    high[c] = blocks[c]->high + 4 * kQuads * part;
    low[c] = blocks[c]->low + 4 * kQuads * part;
    total[c] = repeat(T::kParts == 1 ? 0 : blocks[c]->offsets[part]);
  }
  dot_rows<kQuads, T::kTop, kCols>(w, high, low, coarse, total);
  for (int c = 0; c < kCols; ++c) {
    const RowFloats factor = mul(scale, row_set(blocks[c]->scale));
    RowFloats sum = fma(to_floats(total[c]), factor, acc[c]);
    if constexpr (T::kParts == 1) sum = fma(minimum, row_set(blocks[c]->sum), sum);
    acc[c] = sum;
  }
}

/// kPanel weight rows, `row_bytes` apart, against kCols activation rows, or, if 0, `cols`.
/// Meanwhile asks for as many bytes from `next` on, evenly: the processor's own prefetching does
/// not follow kPanel rows at once.
template <class T, int kCols>
void multiply_panel(Bytes w, std::size_t row_bytes, std::size_t n, const ActBlock* const* x,
                    bool coarse, std::size_t cols, RowFloats* out, Bytes next) {
  RowFloats own[kCols == 0 ? 1 : kCols];  // in registers
  RowFloats* acc = kCols == 0 ? out : own;
  if (kCols != 0) cols = kCols;
  for (std::size_t c = 0; c < cols; ++c) acc[c] = row_set(0);
  constexpr std::size_t kLines = (kPanel * T::kBytes / 8 + 63) / 64;
  for (std::size_t b = 0; b < n / 256; ++b, next += kPanel * T::kBytes) {
    T::decode(
        w + b * T::kBytes, row_bytes,
        [&](std::size_t j, std::size_t part, const Rows* q, RowFloats scale, RowFloats minimum)
            __attribute__((always_inline)) {
              for (std::size_t i = part; i < kLines; i += T::kParts) {
                __builtin_prefetch(next + (j * kLines + i) * 64, 0, 2);
              }
              const std::size_t block = 8 * b + j;
              if constexpr (kCols != 0) {
                add_products<T, kCols>(q, part, scale, minimum, x, coarse, block, acc);
              } else {
                std::size_t c = 0;
                for (; c + 4 <= cols; c += 4) {
                  add_products<T, 4>(q, part, scale, minimum, x + c, coarse, block, acc + c);
                }
                if (c + 2 <= cols) {
                  add_products<T, 2>(q, part, scale, minimum, x + c, coarse, block, acc + c);
                  c += 2;
                }
                if (c < cols)
                  add_products<T, 1>(q, part, scale, minimum, x + c, coarse, block, acc + c);
              }
            });
  }
  if constexpr (kCols != 0) {
    for (int c = 0; c < kCols; ++c) out[c] = own[c];
  }
}

template <class T>
void matmul_k(Bytes w, std::size_t row_bytes, std::size_t n, std::size_t rows, const ActRow* x,
              std::size_t cols, float* out, std::size_t stride, Bytes next, bool coarse) {
  if (next == nullptr) next = w;
  const ActBlock* blocks[kColsMax];
  RowFloats acc[kColsMax];
  for (std::size_t first = 0; first < cols; first += kColsMax) {
    const std::size_t count = cols - first < kColsMax ? cols - first : kColsMax;
    for (std::size_t c = 0; c < count; ++c) blocks[c] = x[first + c].blocks;
    const auto multiply = count == 1   ? multiply_panel<T, 1>
                          : count == 2 ? multiply_panel<T, 2>
                          : count == 3 ? multiply_panel<T, 3>
                                       : multiply_panel<T, 0>;
    float* target = out + first * stride;
    if (rows < kPanel) {
      for (std::size_t r = 0; r < rows; ++r) {
        multiply(w + r * row_bytes, 0, n, blocks, coarse, count, acc, next);
        for (std::size_t c = 0; c < count; ++c) target[c * stride + r] = first_lane(acc[c]);
      }
      continue;
    }
    for (std::size_t r = 0; r < rows; r += kPanel) {
      const std::size_t start = r + kPanel <= rows ? r : rows - kPanel;  // the last two may overlap
      Bytes panel = w + start * row_bytes;
      multiply(panel, row_bytes, n, blocks, coarse, count, acc,
               start + kPanel < rows ? panel + kPanel * row_bytes : next);
      for (std::size_t c = 0; c < count; ++c) row_store(target + c * stride + start, acc[c]);
    }
  }
}

template <bool kCoarse>
void quantize_blocks(const float* x, std::size_t n, ActBlock* blocks) {
  constexpr int kStep = kCoarse ? 256 : 1;
  constexpr float kMost = 127 * 256 / kStep;  // so that both planes fit
  for (std::size_t b = 0; b < n / 32; ++b) {
    const Floats first = load(x + 32 * b), second = load(x + 32 * b + 16);
    const float top = largest(max(abs(first), abs(second)));
    const bool usable = top > 0 && top <= 3.0e38f;
    const Floats inverse = set(usable ? kMost / top : 0);
    std::int16_t q[32];
    store_rounded(q, mul(first, inverse));
    store_rounded(q + 16, mul(second, inverse));
    ActBlock& block = blocks[b];
    block.scale = usable ? top / (kStep * kMost) : 0;
    int sums[2] = {};
    for (int i = 0; i < 32; ++i) {
      const int whole = q[i] * kStep, high = (whole + 128) >> 8;
      block.high[i] = static_cast<std::int8_t>(high);
      block.low[i] = static_cast<std::int8_t>(whole - 256 * high);
      sums[i / 16] += whole;
    }
    block.sum = block.scale * static_cast<float>(sums[0] + sums[1]);
    for (int i = 0; i < 2; ++i) block.offsets[i] = -32 * sums[i];
  }
}
