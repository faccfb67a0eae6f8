// One step of the model over a batch of rows: each row is a token at a position of some sequence.
//
// Rows are independent: prompts and generated tokens of any sequences mix freely, and a row's
// result is the same, bit for bit, whatever else is in the batch and however a prompt was cut into
// steps. Inside a layer the rows of all sequences are grouped by expert, so that an expert's
// weights are read once per step.
//
// Not thread-safe; one step at a time. Works on the team's threads.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "experts/moe/aligned.h"
#include "experts/moe/expert_store.h"
#include "experts/moe/gate.h"
#include "experts/moe/kernels/kernels.h"
#include "experts/moe/kv_cache.h"
#include "experts/moe/model.h"
#include "experts/moe/team.h"

namespace moe {

/// A row to compute. Rows of one sequence in a batch are consecutive positions in order.
struct BatchRow {
  std::int32_t token = 0;
  std::int32_t position = 0;
  const std::uint32_t* pages = nullptr;  // of the sequence; covers `position`
  const GatePolicy* gate = nullptr;      // null: the model's own
  bool logits = false;                   // whether the logits after this token are wanted
};

/// What the routers chose: for one layer of one step, rows in order.
struct LayerRoute {
  int layer = 0;
  std::vector<std::uint32_t> first;  // [rows + 1] into picks
  std::vector<Pick> picks;           // per row, best first
};

class Forward {
 public:
  /// All references outlive this. `rows_max` bounds the rows of one step and the scratch memory.
  Forward(const Model& model, KvCache& cache, Team& team, const Kernels& kernels, int rows_max);

  /// Routed experts are read through `store`, which outlives this; null: where the model maps them.
  void read_experts_from(ExpertStore* store) { store_ = store; }

  /// Computes the rows and stores their keys and values. Tokens must be in [0, vocabulary).
  /// Throws std::runtime_error when a store cannot read an expert; nothing of the step counts then.
  void run(std::span<const BatchRow> rows);

  /// After run(): logits [vocabulary] of the i-th row that asked for them.
  std::span<const float> logits(std::size_t i) const;

  /// When set, run() fills it with each sparse layer's choice. Null: nothing is kept.
  void trace_into(std::vector<LayerRoute>* routes) { trace_ = routes; }

  /// Residual stream after each layer of the last run, [layers][rows, width]; for finding the first
  /// layer that differs from a reference. Null: nothing is kept.
  void hidden_into(std::vector<std::vector<float>>* hidden) { hidden_ = hidden; }

 private:
  /// Rows of floats together with the rounded forms that quantised matrices read.
  class Activations {
   public:
    /// `weights` tells which forms are wanted.
    void resize(std::size_t rows, std::size_t size, const Weights& weights);

    float* row(std::size_t i) { return f32_.data() + i * size_; }

    const ActRow* rows() const { return views_.data(); }

    /// After the first `size` floats of row i were written.
    void finish(const Kernels& kernels, std::size_t i, std::size_t size);

    void finish(const Kernels& kernels, std::size_t i) { finish(kernels, i, size_); }

   private:
    std::size_t size_ = 0;
    std::size_t words_ = 0, blocks_ = 0;  // row sizes of q_ and bytes_; 0: not wanted
    AlignedVector<float> f32_, sums_;
    AlignedVector<std::int16_t> q_;
    AlignedVector<ActBlock> bytes_;
    std::vector<ActRow> views_;
  };

  /// One matrix product of a phase: out[row * stride + r].
  struct Product {
    const Matrix* matrix;
    float* out;
    std::size_t stride;
  };

  /// What a thread needs for itself during a task.
  struct Scratch {
    AlignedVector<float> first, second;  // [columns of a tile, weight rows of a task]
    std::vector<float> scores;           // [positions]
    AlignedVector<float> query, mixed;   // latent attention: [kv_rank + rope], [kv_rank]
    AlignedVector<std::int16_t> q;
    AlignedVector<float> sums;
    AlignedVector<ActBlock> blocks;
  };

  // Experts. A slot is one (row, expert) pair; slots are sorted by expert, then row. The shared
  // expert, or a dense network, is one more expert that every row has.
  struct Group {
    const Expert* expert;
    std::uint32_t index;         // of a routed expert
    std::uint32_t first, count;  // slots
  };

  struct ExpertTask {
    std::uint32_t group, first_row;  // of the gate and up matrices
  };

  void embed();
  void prepare_rope();
  void rotate(float* head, std::size_t row) const;
  void multiply(std::span<const Product> products, const ActRow* x, std::size_t rows);
  void attend(std::size_t layer);
  void project_plain(const Attention& a, std::size_t layer);
  void project_latent(const Attention& a, std::size_t layer);
  void store_plain(const Attention& a, std::size_t layer, std::size_t row);
  void store_latent(const Attention& a, std::size_t layer, std::size_t row);
  void attend_head(const Attention& a, std::size_t layer, std::size_t row, std::size_t head,
                   Scratch& scratch);
  void mix_pages(const float* query, std::size_t layer, std::size_t row, std::size_t kv_head,
                 std::size_t value_size, Scratch& scratch, float* out);
  void feed_forward(std::size_t layer);
  void route(std::size_t layer);
  void group_by_expert(const Layer& layer);
  void run_stored_experts(std::size_t layer);
  void hint(std::size_t layer);
  void guess_experts(std::size_t layer);
  void run_experts(std::span<const Group> groups);
  void gate_and_up(std::span<const Group> groups, std::uint32_t task, Scratch& scratch);
  void down(std::span<const Group> groups, std::size_t first, std::size_t count, Scratch& scratch);
  void compute_logits();

  const Model& model_;
  const Config& config_;
  KvCache& cache_;
  Team& team_;
  const Kernels& kernels_;
  std::size_t rows_max_;
  ExpertStore* store_ = nullptr;
  std::vector<LayerRoute>* trace_ = nullptr;
  std::vector<std::vector<float>>* hidden_ = nullptr;

  std::span<const BatchRow> rows_;
  AlignedVector<float> residual_;       // [rows, width]
  Activations normed_;                  // [rows, width]
  AlignedVector<float> q_, k_, v_;      // [rows, heads * size]
  Activations q_low_, kv_low_;          // latent attention: compressed, normed
  std::vector<float> kv_a_;             // [rows, kv_rank + rope]
  Activations attended_;                // [rows, heads * head_v]
  std::vector<double> frequencies_;     // [rope.dims / 2]
  std::vector<float> cosines_, sines_;  // [rows, rope.dims / 2]

  std::vector<float> router_logits_;  // [rows, experts]
  LayerRoute plan_;
  std::vector<Group> groups_;
  std::vector<ExpertTask> tasks_;
  std::vector<std::uint32_t> needed_, likely_;  // experts of a layer, for the store
  Activations ahead_;                           // [rows, width]: a later layer's input, guessed
  std::vector<Pick> guess_;                     // rows in order
  std::vector<std::size_t> guess_first_;        // [rows + 1] into guess_
  std::vector<bool> is_likely_;                 // [experts]
  std::vector<std::uint32_t> slot_row_;
  std::vector<std::uint32_t> slot_ffn_;  // width of the slot's expert
  std::vector<float> slot_weight_;
  std::vector<ActRow> slot_x_;
  std::vector<std::uint32_t> expert_count_;
  Activations hidden_slots_;  // [slots, ffn]
  std::size_t chunk_ = 64;    // weight rows of one task

  std::vector<std::size_t> logit_rows_;
  Activations final_;
  std::vector<float> logits_;

  std::vector<Gate> gates_;       // one per thread
  std::vector<Scratch> scratch_;  // one per thread
};

}  // namespace moe
