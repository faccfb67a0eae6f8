#include "experts/moe/forward.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "experts/moe/rope.h"

namespace moe {

namespace {

constexpr std::size_t kColumns = 32;   // activation rows a task holds results of at a time
constexpr std::size_t kChunkMin = 16;  // weight rows of one task
constexpr std::size_t kChunkMax = 128;
constexpr std::size_t kTasksPerThread = 6;
const GatePolicy kModelPolicy;

void scale(float* x, std::size_t n, float factor) {
  if (factor == 1) return;
  for (std::size_t i = 0; i < n; ++i) x[i] *= factor;
}

}  // namespace

void Forward::Activations::resize(std::size_t rows, std::size_t size, const Weights& weights) {
  size_ = size;
  words_ = weights.wants_rows ? round_up(size, 32) : 0;
  // One block more than needed: rows whose size is a power of two would share cache sets.
  blocks_ = weights.wants_blocks ? size / 32 + 1 : 0;
  f32_.resize(rows * size);
  q_.resize(rows * words_);
  sums_.resize(rows * words_ / 32);
  bytes_.resize(rows * blocks_);
  views_.resize(rows);
  for (std::size_t i = 0; i < rows; ++i) {
    views_[i].f32 = f32_.data() + i * size;
    views_[i].q = q_.data() + i * words_;
    views_[i].sums = sums_.data() + i * (words_ / 32);
    views_[i].blocks = bytes_.data() + i * blocks_;
  }
}

void Forward::Activations::finish(const Kernels& kernels, std::size_t i, std::size_t size) {
  // Quantised matrices have rows of a multiple of 32; other sizes only meet float weights.
  if (size % 32 != 0) return;
  if (words_ != 0) {
    views_[i].scale = kernels.quantize_row(row(i), size, q_.data() + i * words_,
                                           sums_.data() + i * (words_ / 32));
  }
  if (blocks_ != 0) kernels.quantize_blocks(row(i), size, bytes_.data() + i * blocks_);
}

Forward::Forward(const Model& model, KvCache& cache, Team& team, const Kernels& kernels,
                 int rows_max)
    : model_(model),
      config_(model.config),
      cache_(cache),
      team_(team),
      kernels_(kernels),
      rows_max_(static_cast<std::size_t>(rows_max)) {
  const auto width = static_cast<std::size_t>(config_.width);
  const auto heads = static_cast<std::size_t>(config_.heads);
  const auto heads_kv = static_cast<std::size_t>(config_.heads_kv);
  residual_.resize(rows_max_ * width);
  normed_.resize(rows_max_, width, model.weights);
  q_.resize(rows_max_ * heads * config_.head_k);
  k_.resize(rows_max_ * heads_kv * config_.head_k);
  v_.resize(rows_max_ * heads_kv * config_.head_v);
  attended_.resize(rows_max_, heads * config_.head_v, model.weights);
  const Latent& latent = config_.latent;
  if (latent.kv_rank > 0) {
    kv_a_.resize(rows_max_ * (latent.kv_rank + config_.rope.dims));
    kv_low_.resize(rows_max_, latent.kv_rank, model.weights);
    if (latent.q_rank > 0) q_low_.resize(rows_max_, latent.q_rank, model.weights);
    // The outputs of attn_kv_b, before they are split into keys and values.
    if (!latent.split) k_.resize(rows_max_ * heads * (latent.nope + config_.head_v));
  }
  frequencies_ = rope_frequencies(config_.rope, model.weights.rope_factors);
  cosines_.resize(rows_max_ * frequencies_.size());
  sines_.resize(cosines_.size());
  router_logits_.resize(rows_max_ * static_cast<std::size_t>(config_.experts));
  expert_count_.resize(static_cast<std::size_t>(std::max(1, config_.experts)) + 1);
  scratch_.resize(static_cast<std::size_t>(team.threads()));
  for (Scratch& scratch : scratch_) {
    gates_.emplace_back(config_);
    scratch.first.resize(kColumns * kChunkMax);
    scratch.second.resize(kColumns * kChunkMax);
    scratch.query.resize(
        static_cast<std::size_t>(std::max(config_.head_k, latent.kv_rank + config_.rope.dims)));
    scratch.mixed.resize(static_cast<std::size_t>(std::max(config_.head_v, latent.kv_rank)));
    const std::size_t widest = std::max(scratch.query.size(), scratch.mixed.size());
    scratch.q.resize(widest);
    scratch.sums.resize(widest / 32 + 1);
    scratch.blocks.resize(widest / 32 + 1);
  }
}

std::span<const float> Forward::logits(std::size_t i) const {
  const auto vocabulary = static_cast<std::size_t>(config_.vocabulary);
  return {logits_.data() + i * vocabulary, vocabulary};
}

void Forward::run(std::span<const BatchRow> rows) {
  rows_ = rows;
  if (store_ != nullptr) store_->begin_step();
  if (trace_ != nullptr) trace_->clear();
  if (hidden_ != nullptr) hidden_->clear();
  embed();
  prepare_rope();
  for (std::size_t layer = 0; layer < model_.weights.layers.size(); ++layer) {
    if (store_ != nullptr) hint(layer);
    attend(layer);
    feed_forward(layer);
    if (hidden_ != nullptr) {
      const auto size =
          static_cast<std::ptrdiff_t>(rows_.size() * static_cast<std::size_t>(config_.width));
      hidden_->emplace_back(residual_.begin(), residual_.begin() + size);
    }
  }
  compute_logits();
}

void Forward::embed() {
  const Matrix& table = model_.weights.embedding;
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    float* x = residual_.data() + i * table.cols;
    dequantize(table.type, table.row(static_cast<std::size_t>(rows_[i].token)), table.cols, x);
    scale(x, table.cols, config_.factors.embedding);
  }
}

void Forward::prepare_rope() {
  const std::size_t pairs = frequencies_.size();
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    for (std::size_t p = 0; p < pairs; ++p) {
      const double angle = rows_[i].position * frequencies_[p];
      cosines_[i * pairs + p] = static_cast<float>(std::cos(angle)) * config_.rope.magnitude;
      sines_[i * pairs + p] = static_cast<float>(std::sin(angle)) * config_.rope.magnitude;
    }
  }
}

/// Turns the pairs of rope.dims floats at `head` by the row's angles.
void Forward::rotate(float* head, std::size_t row) const {
  const std::size_t pairs = frequencies_.size();
  const float* cosine = cosines_.data() + row * pairs;
  const float* sine = sines_.data() + row * pairs;
  const bool neox = config_.rope.style == RopeStyle::neox;
  for (std::size_t p = 0; p < pairs; ++p) {
    float& a = head[neox ? p : 2 * p];
    float& b = head[neox ? p + pairs : 2 * p + 1];
    const float turned = a * cosine[p] - b * sine[p];
    b = a * sine[p] + b * cosine[p];
    a = turned;
  }
}

/// Several products of the same activation rows as one phase.
void Forward::multiply(std::span<const Product> products, const ActRow* x, std::size_t rows) {
  std::size_t total = 0;
  for (const Product& p : products) total += p.matrix->rows;
  const std::size_t wanted = total / (static_cast<std::size_t>(team_.threads()) * kTasksPerThread);
  const std::size_t chunk = std::clamp(round_up(wanted, 16), kChunkMin, std::size_t{1024});
  std::uint32_t tasks = 0;
  const auto tasks_of = [&](const Product& p) {
    return static_cast<std::uint32_t>((p.matrix->rows + chunk - 1) / chunk);
  };
  for (const Product& p : products) tasks += tasks_of(p);
  const auto locate = [&](std::uint32_t task) -> std::pair<const Product*, std::size_t> {
    for (const Product& p : products) {
      if (task < tasks_of(p)) return {&p, task * chunk};
      task -= tasks_of(p);
    }
    return {nullptr, 0};
  };
  const auto threads = static_cast<std::uint32_t>(team_.threads());
  team_.run(tasks, [&](std::uint32_t task, int) {
    const auto [p, first] = locate(task);
    const auto [next, next_first] = locate(task + threads);
    const std::size_t count = std::min(chunk, p->matrix->rows - first);
    kernels_.matmul(p->matrix->type, p->matrix->row(first), p->matrix->row_bytes, p->matrix->cols,
                    count, x, rows, p->out + first, p->stride,
                    next != nullptr ? next->matrix->row(next_first) : nullptr);
  });
}

// ---- attention
// -----------------------------------------------------------------------------------

void Forward::attend(std::size_t layer) {
  const Attention& a = model_.weights.layers[layer].attention;
  const auto width = static_cast<std::size_t>(config_.width);
  const auto count = static_cast<std::uint32_t>(rows_.size());
  team_.run(count, [&](std::uint32_t row, int) {
    kernels_.rms_norm(residual_.data() + row * width, a.norm.data(), width, config_.rms_eps,
                      normed_.row(row));
    normed_.finish(kernels_, row);
  });
  if (config_.latent.kv_rank > 0) {
    project_latent(a, layer);
  } else {
    project_plain(a, layer);
  }
  const auto heads = static_cast<std::uint32_t>(config_.heads);
  team_.run(count * heads, [&](std::uint32_t task, int thread) {
    attend_head(a, layer, task / heads, task % heads, scratch_[static_cast<std::size_t>(thread)]);
  });
  team_.run(count, [&](std::uint32_t row, int) { attended_.finish(kernels_, row); });
  const Product output{&a.output, normed_.row(0), width};
  multiply({&output, 1}, attended_.rows(), rows_.size());
  for (std::size_t row = 0; row < rows_.size(); ++row) {
    kernels_.add_scaled(residual_.data() + row * width, normed_.row(row), config_.factors.residual,
                        width);
  }
}

void Forward::project_plain(const Attention& a, std::size_t layer) {
  const Product products[] = {
      {&a.q, q_.data(), a.q.rows}, {&a.k, k_.data(), a.k.rows}, {&a.v, v_.data(), a.v.rows}};
  multiply(products, normed_.rows(), rows_.size());
  team_.run(static_cast<std::uint32_t>(rows_.size()),
            [&](std::uint32_t row, int) { store_plain(a, layer, row); });
}

/// Bias, norms and rotation of one row; its keys and values go to the cache.
void Forward::store_plain(const Attention& a, std::size_t layer, std::size_t row) {
  const auto head_k = static_cast<std::size_t>(config_.head_k);
  const auto head_v = static_cast<std::size_t>(config_.head_v);
  float* q = q_.data() + row * a.q.rows;
  float* k = k_.data() + row * a.k.rows;
  float* v = v_.data() + row * a.v.rows;
  if (!a.q_bias.empty()) kernels_.add(q, a.q_bias.data(), a.q.rows);
  if (!a.k_bias.empty()) kernels_.add(k, a.k_bias.data(), a.k.rows);
  if (!a.v_bias.empty()) kernels_.add(v, a.v_bias.data(), a.v.rows);
  const auto normalise = [&](float* x, const std::vector<float>& weight, std::size_t size) {
    if (weight.empty()) return;
    for (std::size_t i = 0; i < size; i += weight.size()) {
      kernels_.rms_norm(x + i, weight.data(), weight.size(), config_.rms_eps, x + i);
    }
  };
  normalise(q, a.q_norm, a.q.rows);
  normalise(k, a.k_norm, a.k.rows);
  for (std::size_t i = 0; i < a.q.rows; i += head_k) rotate(q + i, row);
  for (std::size_t i = 0; i < a.k.rows; i += head_k) rotate(k + i, row);
  const auto position = static_cast<std::size_t>(rows_[row].position);
  const std::uint32_t page = rows_[row].pages[position / kPagePositions];
  const std::size_t at = position % kPagePositions;
  for (std::size_t h = 0; h < static_cast<std::size_t>(config_.heads_kv); ++h) {
    std::memcpy(cache_.keys(page, layer, h) + at * head_k, k + h * head_k, head_k * sizeof(float));
    std::memcpy(cache_.values(page, layer, h) + at * head_v, v + h * head_v,
                head_v * sizeof(float));
  }
}

void Forward::project_latent(const Attention& a, std::size_t layer) {
  const auto count = static_cast<std::uint32_t>(rows_.size());
  const bool compressed_q = !a.q_a.empty();
  float* q_target = compressed_q ? q_low_.row(0) : q_.data();
  const Matrix& q_first = compressed_q ? a.q_a : a.q;
  const Product products[] = {{&q_first, q_target, q_first.rows},
                              {&a.kv_a, kv_a_.data(), a.kv_a.rows}};
  multiply(products, normed_.rows(), rows_.size());
  const auto kv_rank = static_cast<std::size_t>(config_.latent.kv_rank);
  team_.run(count, [&](std::uint32_t row, int) {
    float* kv = kv_a_.data() + row * a.kv_a.rows;
    kernels_.rms_norm(kv, a.kv_a_norm.data(), kv_rank, config_.rms_eps, kv_low_.row(row));
    kv_low_.finish(kernels_, row);
    rotate(kv + kv_rank, row);
    if (!compressed_q) return;
    float* q = q_low_.row(row);
    kernels_.rms_norm(q, a.q_a_norm.data(), a.q_a_norm.size(), config_.rms_eps, q);
    q_low_.finish(kernels_, row);
  });
  if (compressed_q) {
    const Product second{&a.q_b, q_.data(), a.q_b.rows};
    multiply({&second, 1}, q_low_.rows(), rows_.size());
  }
  if (!config_.latent.split) {
    const Product expand{&a.kv_b, k_.data(), a.kv_b.rows};
    multiply({&expand, 1}, kv_low_.rows(), rows_.size());
  }
  team_.run(count, [&](std::uint32_t row, int) { store_latent(a, layer, row); });
}

void Forward::store_latent(const Attention& a, std::size_t layer, std::size_t row) {
  const auto heads = static_cast<std::size_t>(config_.heads);
  const auto head_k = static_cast<std::size_t>(config_.head_k);
  const auto head_v = static_cast<std::size_t>(config_.head_v);
  const auto nope = static_cast<std::size_t>(config_.latent.nope);
  const auto rope = static_cast<std::size_t>(config_.rope.dims);
  const auto kv_rank = static_cast<std::size_t>(config_.latent.kv_rank);
  for (std::size_t h = 0; h < heads; ++h)
    rotate(q_.data() + (row * heads + h) * head_k + nope, row);
  const auto position = static_cast<std::size_t>(rows_[row].position);
  const std::uint32_t page = rows_[row].pages[position / kPagePositions];
  const std::size_t at = position % kPagePositions;
  const float* turned = kv_a_.data() + row * a.kv_a.rows + kv_rank;
  if (config_.latent.split) {
    float* key = cache_.keys(page, layer, 0) + at * (kv_rank + rope);
    std::memcpy(key, kv_low_.row(row), kv_rank * sizeof(float));
    std::memcpy(key + kv_rank, turned, rope * sizeof(float));
    return;
  }
  for (std::size_t h = 0; h < heads; ++h) {
    const float* expanded = k_.data() + row * a.kv_b.rows + h * (nope + head_v);
    float* key = cache_.keys(page, layer, h) + at * head_k;
    std::memcpy(key, expanded, nope * sizeof(float));
    std::memcpy(key + nope, turned, rope * sizeof(float));
    std::memcpy(cache_.values(page, layer, h) + at * head_v, expanded + nope,
                head_v * sizeof(float));
  }
}

void Forward::attend_head(const Attention& a, std::size_t layer, std::size_t row, std::size_t head,
                          Scratch& scratch) {
  const auto heads = static_cast<std::size_t>(config_.heads);
  const auto head_k = static_cast<std::size_t>(config_.head_k);
  const auto head_v = static_cast<std::size_t>(config_.head_v);
  const float* q = q_.data() + (row * heads + head) * head_k;
  float* out = attended_.row(row) + head * head_v;
  if (!config_.latent.split) {
    const std::size_t kv_head = head / (heads / cache_.shape().heads);
    mix_pages(q, layer, row, kv_head, head_v, scratch, out);
    return;
  }
  // Latent attention with the key expansion moved to the query and the value expansion to the
  // result.
  const auto nope = static_cast<std::size_t>(config_.latent.nope);
  const auto kv_rank = static_cast<std::size_t>(config_.latent.kv_rank);
  const auto expand = [&](const Matrix& matrix, std::size_t rows, const float* x, float* y) {
    ActRow view;
    view.f32 = x;
    if (matrix.cols % 32 == 0) {
      view.scale = kernels_.quantize_row(x, matrix.cols, scratch.q.data(), scratch.sums.data());
      kernels_.quantize_blocks(x, matrix.cols, scratch.blocks.data());
      view.q = scratch.q.data();
      view.sums = scratch.sums.data();
      view.blocks = scratch.blocks.data();
    }
    kernels_.matmul(matrix.type, matrix.row(head * rows), matrix.row_bytes, matrix.cols, rows,
                    &view, 1, y, rows, nullptr);
  };
  expand(a.k_b, kv_rank, q, scratch.query.data());
  std::memcpy(scratch.query.data() + kv_rank, q + nope, (head_k - nope) * sizeof(float));
  mix_pages(scratch.query.data(), layer, row, 0, kv_rank, scratch, scratch.mixed.data());
  expand(a.v_b, head_v, scratch.mixed.data(), out);
}

/// out = sum of softmax(<query, keys>) values over the positions up to the row's own.
void Forward::mix_pages(const float* query, std::size_t layer, std::size_t row, std::size_t kv_head,
                        std::size_t value_size, Scratch& scratch, float* out) {
  const KvCache::Shape& shape = cache_.shape();
  const auto positions = static_cast<std::size_t>(rows_[row].position) + 1;
  if (scratch.scores.size() < positions) scratch.scores.resize(round_up(positions, 1024));
  const auto each_page = [&](auto&& f) {
    for (std::size_t first = 0; first < positions; first += kPagePositions) {
      const std::uint32_t page = rows_[row].pages[first / kPagePositions];
      f(first, page, std::min<std::size_t>(kPagePositions, positions - first));
    }
  };
  each_page([&](std::size_t first, std::uint32_t page, std::size_t count) {
    kernels_.score(query, cache_.keys(page, layer, kv_head), shape.k, count, shape.k,
                   config_.score_scale, scratch.scores.data() + first);
  });
  kernels_.softmax(scratch.scores.data(), positions);
  std::fill(out, out + value_size, 0.0f);
  each_page([&](std::size_t first, std::uint32_t page, std::size_t count) {
    const bool latent = shape.v == 0;
    const float* values =
        latent ? cache_.keys(page, layer, 0) : cache_.values(page, layer, kv_head);
    kernels_.mix(scratch.scores.data() + first, values, latent ? shape.k : shape.v, count,
                 value_size, out);
  });
}

// ---- feed-forward
// --------------------------------------------------------------------------------

void Forward::feed_forward(std::size_t index) {
  const Layer& layer = model_.weights.layers[index];
  const auto width = static_cast<std::size_t>(config_.width);
  team_.run(static_cast<std::uint32_t>(rows_.size()), [&](std::uint32_t row, int) {
    kernels_.rms_norm(residual_.data() + row * width, layer.ffn_norm.data(), width, config_.rms_eps,
                      normed_.row(row));
    normed_.finish(kernels_, row);
  });
  route(index);
  group_by_expert(layer);
  if (store_ != nullptr && layer.is_sparse()) {
    run_stored_experts(index);
  } else {
    run_experts(groups_);
  }
}

/// Fills plan_: each row's experts and weights.
void Forward::route(std::size_t index) {
  const Layer& layer = model_.weights.layers[index];
  plan_.layer = static_cast<int>(index);
  plan_.first.assign(1, 0);
  plan_.picks.clear();
  if (!layer.is_sparse()) {
    for (std::size_t row = 0; row < rows_.size(); ++row) {
      plan_.picks.push_back({0, 1.0f});
      plan_.first.push_back(static_cast<std::uint32_t>(plan_.picks.size()));
    }
    return;
  }
  const Product product{&layer.router, router_logits_.data(), layer.router.rows};
  multiply({&product, 1}, normed_.rows(), rows_.size());
  for (std::size_t row = 0; row < rows_.size(); ++row) {
    const GateQuestion question{router_logits_.data() + row * layer.router.rows,
                                layer.select_bias.empty() ? nullptr : layer.select_bias.data(),
                                static_cast<int>(index), rows_[row].position};
    gates_[0].route(question, rows_[row].gate != nullptr ? *rows_[row].gate : kModelPolicy,
                    plan_.picks);
    plan_.first.push_back(static_cast<std::uint32_t>(plan_.picks.size()));
  }
  if (trace_ != nullptr) trace_->push_back(plan_);
}

/// Turns the plan round: for each expert its rows (a counting sort), the shared expert last.
void Forward::group_by_expert(const Layer& layer) {
  const std::size_t experts = layer.experts.size();
  const std::size_t rows = rows_.size();
  const std::size_t picks = plan_.picks.size();
  const std::size_t slots = picks + (layer.shared.empty() ? 0 : rows);
  slot_row_.resize(slots);
  slot_ffn_.resize(slots);
  slot_weight_.resize(slots);
  slot_x_.resize(slots);
  expert_count_.assign(experts + 1, 0);
  for (const Pick& pick : plan_.picks) ++expert_count_[pick.expert + 1];
  for (std::size_t e = 0; e < experts; ++e) expert_count_[e + 1] += expert_count_[e];
  groups_.clear();
  for (std::size_t e = 0; e < experts; ++e) {
    const std::uint32_t first = expert_count_[e];
    const std::uint32_t count = expert_count_[e + 1] - first;
    if (count == 0) continue;
    groups_.push_back({&layer.experts[e], static_cast<std::uint32_t>(e), first, count});
  }
  const auto fill = [&](std::size_t slot, std::size_t row, const Expert& expert, float weight) {
    slot_ffn_[slot] = static_cast<std::uint32_t>(expert.gate.rows);
    slot_row_[slot] = static_cast<std::uint32_t>(row);
    slot_weight_[slot] = weight * config_.factors.residual;
    slot_x_[slot] = normed_.rows()[row];
  };
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::uint32_t i = plan_.first[row]; i < plan_.first[row + 1]; ++i) {
      const Pick& pick = plan_.picks[i];
      fill(expert_count_[pick.expert]++, row, layer.experts[pick.expert], pick.weight);
    }
  }
  if (layer.shared.empty()) return;
  groups_.push_back(
      {&layer.shared[0], 0, static_cast<std::uint32_t>(picks), static_cast<std::uint32_t>(rows)});
  for (std::size_t row = 0; row < rows; ++row) {
    float weight = 1;
    if (!layer.shared_gate.empty()) {
      const auto* gate = reinterpret_cast<const unsigned char*>(layer.shared_gate.data());
      float z = 0;
      kernels_.matmul(static_cast<std::uint32_t>(TensorType::f32), gate, 0,
                      layer.shared_gate.size(), 1, normed_.rows() + row, 1, &z, 1, nullptr);
      weight = 1.0f / (1.0f + std::exp(-z));
    }
    fill(picks + row, row, layer.shared[0], weight);
  }
}

/// As many experts at a time as the store holds. Groups keep their order, and so does every sum.
void Forward::run_stored_experts(std::size_t index) {
  const Layer& layer = model_.weights.layers[index];
  const std::span<Group> all(groups_);
  const std::size_t routed = all.size() - layer.shared.size();
  needed_.clear();
  for (const Group& group : all.first(routed)) needed_.push_back(group.index);
  for (std::size_t first = 0; first < all.size();) {
    std::size_t count = 0;
    if (first < routed) {
      count = store_->reserve(index, std::span<const std::uint32_t>(needed_).subspan(first));
      if (first == 0 && index + 1 < model_.weights.layers.size()) hint(index + 1);
      store_->wait();
      for (Group& group : all.subspan(first, count)) {
        group.expert = &store_->expert(index, group.index);
      }
    }
    if (first + count == routed) count = all.size() - first;  // and the shared expert
    run_experts(all.subspan(first, count));
    store_->release();
    first += count;
  }
}

/// Tells the store what a layer will probably need: what its router says to the residual stream as
/// it is now (arXiv 2308.12066 and after), and half as many again. Asked when the layer begins, of
/// the embeddings in the first, and already while the layer before it runs its experts.
void Forward::hint(std::size_t index) {
  const Layer& layer = model_.weights.layers[index];
  if (!store_->takes_hints() || !layer.is_sparse()) return;
  const auto width = static_cast<std::size_t>(config_.width);
  ahead_.resize(rows_.size(), width, model_.weights);
  team_.run(static_cast<std::uint32_t>(rows_.size()), [&](std::uint32_t row, int) {
    kernels_.rms_norm(residual_.data() + row * width, layer.ffn_norm.data(), width, config_.rms_eps,
                      ahead_.row(row));
    ahead_.finish(kernels_, row);
  });
  const Product product{&layer.router, router_logits_.data(), layer.router.rows};
  multiply({&product, 1}, ahead_.rows(), rows_.size());
  guess_experts(index);
  store_->hint(index, likely_);
}

/// likely_: every row's best, then every row's second best, and so on.
void Forward::guess_experts(std::size_t index) {
  const Layer& layer = model_.weights.layers[index];
  GatePolicy policy;
  policy.select = Select::top_k;
  policy.k = config_.experts_used + (config_.experts_used + 1) / 2;
  guess_.clear();
  guess_first_.assign(1, 0);
  for (std::size_t row = 0; row < rows_.size(); ++row) {
    const GateQuestion question{router_logits_.data() + row * layer.router.rows,
                                layer.select_bias.empty() ? nullptr : layer.select_bias.data(),
                                static_cast<int>(index), rows_[row].position};
    policy.mask = rows_[row].gate != nullptr ? rows_[row].gate->mask : nullptr;
    gates_[0].route(question, policy, guess_);
    guess_first_.push_back(guess_.size());
  }
  likely_.clear();
  is_likely_.assign(layer.router.rows, false);
  for (std::size_t rank = 0; rank < static_cast<std::size_t>(policy.k); ++rank) {
    for (std::size_t row = 0; row < rows_.size(); ++row) {
      if (guess_first_[row] + rank >= guess_first_[row + 1]) continue;
      const std::uint32_t expert = guess_[guess_first_[row] + rank].expert;
      if (!is_likely_[expert]) likely_.push_back(expert);
      is_likely_[expert] = true;
    }
  }
}

void Forward::run_experts(std::span<const Group> groups) {
  const auto width = static_cast<std::size_t>(config_.width);
  const auto threads = static_cast<std::size_t>(team_.threads());
  if (groups.empty()) return;
  std::size_t gate_rows = 0;
  for (const Group& group : groups) gate_rows += group.expert->gate.rows;
  const auto chunk_of = [&](std::size_t rows) {
    return std::clamp(round_up(rows / (threads * kTasksPerThread), 16), kChunkMin, kChunkMax);
  };
  chunk_ = chunk_of(gate_rows);
  tasks_.clear();
  std::size_t ffn = 0;
  for (std::uint32_t g = 0; g < groups.size(); ++g) {
    const std::size_t rows = groups[g].expert->gate.rows;
    ffn = std::max(ffn, rows);
    for (std::size_t r = 0; r < rows; r += chunk_)
      tasks_.push_back({g, static_cast<std::uint32_t>(r)});
  }
  hidden_slots_.resize(slot_row_.size(), ffn, model_.weights);
  team_.run(static_cast<std::uint32_t>(tasks_.size()), [&](std::uint32_t task, int thread) {
    gate_and_up(groups, task, scratch_[static_cast<std::size_t>(thread)]);
  });
  const std::uint32_t first_slot = groups.front().first;
  const std::uint32_t slots = groups.back().first + groups.back().count - first_slot;
  team_.run(slots, [&](std::uint32_t i, int) {
    const std::uint32_t slot = first_slot + i;
    hidden_slots_.finish(kernels_, slot, slot_ffn_[slot]);
  });
  const std::size_t down_chunk = chunk_of(width);
  team_.run(static_cast<std::uint32_t>((width + down_chunk - 1) / down_chunk),
            [&](std::uint32_t task, int thread) {
              const std::size_t first = task * down_chunk;
              down(groups, first, std::min(down_chunk, width - first),
                   scratch_[static_cast<std::size_t>(thread)]);
            });
}

/// hidden[slot] = silu(gate x) * up x for some rows of one expert's matrices and all its slots.
void Forward::gate_and_up(std::span<const Group> groups, std::uint32_t task, Scratch& scratch) {
  const Group& group = groups[tasks_[task].group];
  const Expert& expert = *group.expert;
  const std::size_t first = tasks_[task].first_row;
  const std::size_t count = std::min(chunk_, expert.gate.rows - first);
  const std::size_t follower = task + static_cast<std::size_t>(team_.threads());
  const unsigned char* next = groups[0].expert->down.data;
  if (follower < tasks_.size()) {
    next = groups[tasks_[follower].group].expert->gate.row(tasks_[follower].first_row);
  }
  const auto multiply = [&](const Matrix& matrix, std::size_t slot, std::size_t columns, float* out,
                            const unsigned char* then) {
    kernels_.matmul(matrix.type, matrix.row(first), matrix.row_bytes, matrix.cols, count,
                    slot_x_.data() + slot, columns, out, kChunkMax, then);
  };
  for (std::size_t c = 0; c < group.count; c += kColumns) {
    const std::size_t columns = std::min<std::size_t>(kColumns, group.count - c);
    multiply(expert.gate, group.first + c, columns, scratch.first.data(), expert.up.row(first));
    multiply(expert.up, group.first + c, columns, scratch.second.data(), next);
    for (std::size_t i = 0; i < columns; ++i) {
      float* gate = scratch.first.data() + i * kChunkMax;
      kernels_.silu_mul(gate, scratch.second.data() + i * kChunkMax, count);
      std::memcpy(hidden_slots_.row(group.first + c + i) + first, gate, count * sizeof(float));
    }
  }
}

/// residual += weight * (down hidden) for some output elements: experts in ascending order, so that
/// each row's sum has one order whatever the batch.
void Forward::down(std::span<const Group> groups, std::size_t first, std::size_t count,
                   Scratch& scratch) {
  const auto width = static_cast<std::size_t>(config_.width);
  for (std::size_t g = 0; g < groups.size(); ++g) {
    const Group& group = groups[g];
    const unsigned char* next =
        g + 1 < groups.size() ? groups[g + 1].expert->down.row(first) : nullptr;
    const Matrix& matrix = group.expert->down;
    for (std::size_t c = 0; c < group.count; c += kColumns) {
      const std::size_t columns = std::min<std::size_t>(kColumns, group.count - c);
      const std::size_t slot = group.first + c;
      kernels_.matmul(matrix.type, matrix.row(first), matrix.row_bytes, matrix.cols, count,
                      hidden_slots_.rows() + slot, columns, scratch.first.data(), kChunkMax, next);
      for (std::size_t i = 0; i < columns; ++i) {
        kernels_.add_scaled(residual_.data() + slot_row_[slot + i] * width + first,
                            scratch.first.data() + i * kChunkMax, slot_weight_[slot + i], count);
      }
    }
  }
}

void Forward::compute_logits() {
  logit_rows_.clear();
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    if (rows_[i].logits) logit_rows_.push_back(i);
  }
  if (logit_rows_.empty()) return;
  const auto width = static_cast<std::size_t>(config_.width);
  final_.resize(logit_rows_.size(), width, model_.weights);
  team_.run(static_cast<std::uint32_t>(logit_rows_.size()), [&](std::uint32_t i, int) {
    kernels_.rms_norm(residual_.data() + logit_rows_[i] * width, model_.weights.output_norm.data(),
                      width, config_.rms_eps, final_.row(i));
    scale(final_.row(i), width, config_.factors.logits);  // as if the logits were
    final_.finish(kernels_, i);
  });
  logits_.resize(logit_rows_.size() * static_cast<std::size_t>(config_.vocabulary));
  const Product product{&model_.weights.output, logits_.data(), model_.weights.output.rows};
  multiply({&product, 1}, final_.rows(), logit_rows_.size());
}

}  // namespace moe
