// The door of the engine: token ids in, token ids out, many requests at once.
//
// An Engine owns one thread that runs forward steps over whatever requests are there: every running
// reply advances by one token a step, and prompts are computed in pieces beside them. Requests are
// admitted when their worst case (prompt and tokens_max) fits the KV budget; until then they wait,
// so that a running request never fails for want of memory. They are admitted in order of arrival,
// but those of the kin that most running ones are of come first: rows of one skill use fewer
// distinct experts, and a step's time is the time to read those. Nobody is passed over more than
// kPassedOverMax times.
//
// A request's tokens do not depend on what else is running: logits are the same bit for bit alone
// or in any batch, with the prompt computed at once, in pieces or taken from the prefix cache.
//
// submit() and cancel() may be called from any thread. Callbacks run on the engine's thread,
// between steps: they must be quick, because every request waits for them, and may call submit and
// cancel.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "experts/moe/gate.h"
#include "experts/moe/model.h"
#include "experts/moe/options.h"
#include "experts/moe/store_stats.h"

namespace moe {

constexpr std::int32_t kStop = -1;

enum class EndReason : std::uint8_t {
  stopped,    // choose() said so
  length,     // tokens_max were produced
  cancelled,  // cancel() or the engine is shutting down
  failed,     // the model produced logits that are no numbers, or choose() threw
};

struct Ending {
  EndReason reason = EndReason::stopped;
  int prompt_tokens = 0;
  int cached_tokens = 0;      // of the prompt, taken from the prefix cache
  int completion_tokens = 0;  // chosen, a final kStop not counted
  std::string error;          // for `failed`
};

/// Self-contrast decoding (SCMoE, arXiv 2405.14507): the request is two rows of each step, one
/// routed by its own gate and one by a weak gate, each with its own keys and values. What choose()
/// gets is (1 + beta) strong - beta weak; tokens whose probability by the strong one is below alpha
/// times its best are out (kOutOfPlay). Costs twice the rows and KV pages, and of the experts those
/// that only the weak row chose; prompts are not shared.
struct Contrast {
  float beta = 0.5f;
  float alpha = 0.1f;
  GatePolicy weak{.select = Select::rank, .k = 2};
};

constexpr int kPassedOverMax = 16;  // later requests admitted before a waiting one

constexpr float kOutOfPlay = -1e9f;  // a logit that no token is chosen for

/// `strong` becomes the contrast of both, [vocabulary] each.
void apply_contrast(const Contrast& contrast, std::span<const float> weak, std::span<float> strong);

struct Request {
  std::vector<std::int32_t> prompt;  // at least one token
  int tokens_max = 0;                // at least 1
  std::uint64_t kin = 0;             // the same for requests of one skill; 0: of none
  GatePolicy gate;                   // the default is the model's own routing
  std::optional<Contrast> contrast;

  /// Chooses the next token from the logits [vocabulary] after all tokens so far, or kStop.
  std::function<std::int32_t(std::span<const float> logits)> choose;

  /// Called exactly once for every accepted request, after its last choose.
  std::function<void(const Ending&)> finish;
};

enum class Refusal : std::uint8_t {
  none,
  queue_full,
  too_long,   // prompt and tokens_max exceed the context or the whole KV budget
  malformed,  // empty prompt, token outside the vocabulary, tokens_max below 1, no callbacks
  stopping,
};

struct Ticket {
  Refusal refusal = Refusal::none;
  std::uint64_t id = 0;  // for cancel; 0 when refused
};

/// Since the start, except running, waiting and pages.
struct EngineStats {
  std::uint64_t steps = 0;
  std::uint64_t rows = 0;  // tokens computed, prompts included
  std::uint64_t prompt_tokens = 0;
  std::uint64_t cached_tokens = 0;
  std::uint64_t completion_tokens = 0;
  std::uint64_t finished = 0;
  std::uint64_t refused = 0;
  std::uint64_t expert_runs = 0;   // (row, expert) pairs
  std::uint64_t expert_loads = 0;  // distinct (step, layer, expert): what weights were read for
  int running = 0;
  int waiting = 0;
  std::size_t pages = 0, pages_free = 0;
  std::size_t page_bytes = 0;
  StoreStats store;  // zeros without a store
};

/// What routers sent to one expert since the start.
struct ExpertUse {
  std::uint64_t rows = 0;
  double weight = 0;  // sum of its weights in these rows
};

class Engine {
 public:
  /// `model` outlives the engine. Throws std::runtime_error when the KV budget holds not one page
  /// or the memory cannot be had.
  Engine(const Model& model, const EngineOptions& options);

  /// Ends every request as cancelled.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  Ticket submit(Request request);

  /// Takes effect between steps; unknown and finished ids are ignored.
  void cancel(std::uint64_t id);

  EngineStats stats() const;

  /// Of every expert, [layers * experts]; dense layers have none.
  std::vector<ExpertUse> expert_uses() const;

  /// Takes the routing of past steps, oldest first: rows in the form of routing_trace.h. Empty
  /// without trace_bytes_max.
  std::vector<std::byte> take_trace();

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace moe
