// From router logits to experts and weights, for one row: the model's own recipe, and policies that
// a request may put in its place.
//
// The order of the steps is the numerics: mask, scores, selection bias, group limit, selection,
// weights from the unbiased scores, renormalisation, scale, null weights (and renormalisation again
// where some went), steering. Ties go to the lower expert.
#pragma once

#include <cstdint>
#include <vector>

#include "experts/moe/config.h"

namespace moe {

/// One bit per (layer, expert); a cleared bit keeps the expert from being chosen. The mask acts
/// before the scores, so that an answer equals that of a model without the masked experts.
struct ExpertMask {
  int experts = 0;
  std::vector<bool> allowed;  // [layers * experts]

  bool allows(int layer, int expert) const {
    return allowed[static_cast<std::size_t>(layer) * experts + expert];
  }
};

/// The least weight that an expert must have to run, per layer: what is below goes to nobody, as if
/// a null expert of constant weight had been chosen (after AdaMoE, arXiv 2406.13233, which trains
/// its null experts; these are calibrated, see calibrate_nulls).
struct NullWeights {
  std::vector<float> least;  // [layers]; 0: everybody runs
};

/// Multiplies the weight of chosen experts (RICE, arXiv 2505.14681); nothing is renormalised after.
struct ExpertSteer {
  int experts = 0;
  std::vector<float> factor;  // [layers * experts]
};

enum class Select : std::uint8_t {
  model,  // the model's own number of best experts
  top_k,  // the best k instead
  top_p,  // the best until their scores reach p, the one that crosses included (arXiv 2403.07652)
  threshold,  // the best k_min, and others whose score is at least `p` times the best
  rank,       // only the k-th best, 1-based: the weak side of self-contrast (arXiv 2405.14507)
  random,     // k by hash of (seed, position, layer): the control of every routing claim
};

/// Belongs to a row, not to the model: two rows of one batch may differ. The default is the model.
struct GatePolicy {
  Select select = Select::model;
  int k = 0;      // top_k, rank, random; for top_p and threshold the most experts, 0: the model's
  int k_min = 1;  // top_p and threshold
  float p = 1;
  std::uint64_t seed = 0;
  // Owned by the caller, outlive the request; null: none.
  const ExpertMask* mask = nullptr;
  const NullWeights* nulls = nullptr;
  const ExpertSteer* steer = nullptr;

  /// Nothing asked: the keys and values of such rows may be shared.
  bool is_model() const {
    return select == Select::model && mask == nullptr && nulls == nullptr && steer == nullptr;
  }
};

struct Pick {
  std::uint32_t expert = 0;
  float weight = 0;
};

/// What a row asks of one layer, besides its logits.
struct GateQuestion {
  const float* logits = nullptr;       // [experts]
  const float* select_bias = nullptr;  // [experts] or null
  int layer = 0;
  int position = 0;
};

/// Routes rows of one model; owns the scratch, so one per thread.
class Gate {
 public:
  explicit Gate(const Config& config);

  /// Appends the picks, best first. Logits that are not finite count as -infinity; with none left,
  /// or all masked, the row gets no expert.
  void route(const GateQuestion& question, const GatePolicy& policy, std::vector<Pick>& picks);

 private:
  void score(const GateQuestion& question, const GatePolicy& policy);
  void limit_groups();
  void order(std::size_t count);
  void weigh(std::vector<Pick>& picks, std::size_t begin) const;
  void drop_light(const NullWeights& nulls, int layer, std::vector<Pick>& picks,
                  std::size_t begin) const;

  GateRecipe recipe_;
  int experts_, experts_used_;
  std::vector<float> scores_, choice_;
  std::vector<std::uint32_t> order_;
};

}  // namespace moe
