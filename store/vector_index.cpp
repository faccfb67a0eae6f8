#include "store/vector_index.h"

#include <algorithm>
#include <cmath>

#include "store/kernels.h"

namespace store {
namespace {

constexpr std::size_t kBlockRows = 4'096;
constexpr std::size_t kStepRows = 256;  // whose dot products are on the stack

std::int8_t step_of(float value, float scale) {
  return static_cast<std::int8_t>(std::lround(value * scale));
}

float inverse_norm(std::string_view vector) {
  double sum = 0;
  for (const char byte : vector) {
    const auto number = static_cast<signed char>(byte);
    sum += static_cast<double>(number) * number;
  }
  return sum > 0 ? static_cast<float>(1 / std::sqrt(sum)) : 0.0F;
}

bool is_inside(std::int64_t passage, std::span<const PassageRange> ranges) {
  return std::any_of(ranges.begin(), ranges.end(), [&](const PassageRange& range) {
    return passage >= range.first && passage <= range.last;
  });
}

/// Better ones first; of equals the older passage.
bool is_better(const VectorIndex::Hit& a, const VectorIndex::Hit& b) {
  return a.similarity != b.similarity ? a.similarity > b.similarity : a.passage < b.passage;
}

/// The best few of many: a heap whose top is the worst of them.
class Best {
 public:
  explicit Best(std::size_t limit) : limit_(limit) { hits_.reserve(limit + 1); }

  float worst() const { return hits_.size() < limit_ ? -2.0F : hits_.front().similarity; }

  void offer(VectorIndex::Hit hit) {
    hits_.push_back(hit);
    std::push_heap(hits_.begin(), hits_.end(), is_better);
    if (hits_.size() <= limit_) return;
    std::pop_heap(hits_.begin(), hits_.end(), is_better);
    hits_.pop_back();
  }

  std::vector<VectorIndex::Hit> take() {
    std::sort_heap(hits_.begin(), hits_.end(), is_better);
    return std::move(hits_);
  }

 private:
  std::size_t limit_;
  std::vector<VectorIndex::Hit> hits_;
};

}  // namespace

std::string quantise(std::span<const float> values) {
  constexpr float kLargest = 127;
  float largest = 0;
  for (const float value : values) {
    if (!std::isfinite(value)) return {};
    largest = std::max(largest, std::abs(value));
  }
  const float scale = kLargest / largest;
  if (largest == 0 || !std::isfinite(scale)) return {};
  std::string bytes;
  bytes.reserve(values.size());
  for (const float value : values) bytes.push_back(static_cast<char>(step_of(value, scale)));
  return bytes;
}

struct VectorIndex::Block {
  std::vector<std::int64_t> passages;
  std::vector<float> inverse_norms;
  std::vector<std::int8_t> rows;  // [passages, stride]
};

VectorIndex::VectorIndex(std::string encoder, std::size_t bytes_max)
    : encoder_(std::move(encoder)), bytes_max_(bytes_max) {}

VectorIndex::VectorIndex(const VectorIndex& other) = default;
VectorIndex::~VectorIndex() = default;

void VectorIndex::add(std::int64_t passage, std::string_view vector) {
  if (!open_) {
    open_ = std::make_shared<Block>();
    if (!blocks_.empty() && blocks_.back()->passages.size() < kBlockRows) {
      *open_ = *blocks_.back();
      blocks_.pop_back();
    }
    open_->rows.reserve(kBlockRows * stride_);
  }
  Block& block = *open_;
  block.passages.push_back(passage);
  block.inverse_norms.push_back(inverse_norm(vector));
  for (const char byte : vector) block.rows.push_back(static_cast<std::int8_t>(byte));
  block.rows.resize(block.passages.size() * stride_);
  ++size_;
  if (block.passages.size() == kBlockRows) blocks_.push_back(std::move(open_));
}

std::shared_ptr<const VectorIndex> VectorIndex::refreshed(std::shared_ptr<const VectorIndex> old,
                                                          Db& db) {
  Statement about = db.prepare(
      "SELECT (SELECT ifnull(sum(vectors), 0) FROM encodings WHERE encoder = ?1), "
      "(SELECT ifnull(max(seq), 0) FROM passage_vectors), "
      "(SELECT ifnull(min(dimension), 0) FROM encodings WHERE encoder = ?1)");
  about.bind_text(1, old->encoder_);
  about.step();
  const auto rows = static_cast<std::size_t>(about.integer(0));
  const std::int64_t last = about.integer(1);
  const auto dimension = static_cast<std::size_t>(about.integer(2));
  about.reset();
  const bool anew = dimension != old->dimension_ || rows + rows / 8 < old->size_;
  if (!anew && last == old->seen_) return old;
  std::shared_ptr<VectorIndex> made(anew ? new VectorIndex(old->encoder_, old->bytes_max_)
                                         : new VectorIndex(*old));
  made->dimension_ = dimension;
  made->stride_ = (dimension + kernel::kStride - 1) / kernel::kStride * kernel::kStride;
  Statement each = db.prepare(
      "SELECT v.seq, v.passage, v.vector FROM passage_vectors v JOIN encodings e ON e.collection = "
      "v.passage >> 40 WHERE v.seq > ?1 AND e.encoder = ?2 AND e.dimension = ?3 AND "
      "length(v.vector) = ?3 ORDER BY v.seq");
  each.bind(1, made->seen_);
  each.bind_text(2, made->encoder_);
  each.bind(3, static_cast<std::int64_t>(dimension));
  while (dimension > 0 && each.step()) {
    made->full_ = (made->size_ + 1) * made->stride_ > made->bytes_max_;
    if (made->full_) break;
    made->add(each.integer(1), each.text(2));
  }
  made->seen_ = last;
  if (made->open_) made->blocks_.push_back(std::move(made->open_));
  return made;
}

std::vector<VectorIndex::Hit> VectorIndex::search(std::string_view query,
                                                  std::span<const PassageRange> ranges,
                                                  std::size_t limit) const {
  if (query.size() != dimension_ || dimension_ == 0 || limit == 0) return {};
  std::vector<std::int8_t> padded(stride_);
  std::transform(query.begin(), query.end(), padded.begin(), [](char byte) {
    return static_cast<std::int8_t>(byte == '\x80' ? '\x81' : byte);  // -128 is no number of ours
  });
  const float query_norm = inverse_norm(query);
  const bool everywhere = ranges.size() == 1 && ranges[0].first == 0 && ranges[0].last == INT64_MAX;
  Best best(limit);
  std::int32_t dots[kStepRows];
  for (const auto& block : blocks_) {
    const std::size_t rows = block->passages.size();
    for (std::size_t from = 0; from < rows; from += kStepRows) {
      const std::size_t count = std::min(kStepRows, rows - from);
      kernel::dot_rows(block->rows.data() + from * stride_, stride_, count, padded.data(), dots);
      for (std::size_t i = 0; i < count; ++i) {
        const float similarity =
            static_cast<float>(dots[i]) * block->inverse_norms[from + i] * query_norm;
        if (similarity <= best.worst()) continue;
        const std::int64_t passage = block->passages[from + i];
        if (everywhere || is_inside(passage, ranges)) best.offer({passage, similarity});
      }
    }
  }
  return best.take();
}

}  // namespace store
