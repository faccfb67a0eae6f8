#include "experts/moe/engine.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <deque>
#include <list>
#include <mutex>
#include <optional>
#include <set>
#include <stdexcept>
#include <thread>

#include "experts/moe/forward.h"
#include "experts/moe/prefix_cache.h"
#include "experts/moe/routing_trace.h"

namespace moe {

namespace {

constexpr std::uint64_t kWarmPieceBytes = std::uint64_t{16} << 20;

struct Sequence {
  std::uint64_t id = 0;
  Request request;
  std::vector<std::int32_t> tokens;  // prompt and reply
  std::size_t computed = 0;          // positions whose keys and values are stored
  std::vector<std::uint32_t> pages;
  std::vector<std::uint32_t> weak_pages;  // of the second row, with contrast
  PrefixCache::NodeId node = PrefixCache::kRoot;
  std::size_t pages_stored = 0;  // in the prefix cache
  int passed_over = 0;           // by later ones, while waiting
  Ending ending;

  /// Rows of a step for one token.
  std::size_t rows() const { return request.contrast ? 2 : 1; }

  bool reusable() const { return request.gate.is_model() && !request.contrast; }
};

std::size_t pages_for(std::size_t positions) {
  return (positions + kPagePositions - 1) / kPagePositions;
}

int thread_count(int wanted) {
  return wanted > 0 ? wanted : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

/// Every running reply needs a row in each step.
EngineOptions checked(EngineOptions options) {
  options.rows_per_step_max = std::max(1, options.rows_per_step_max);
  options.sequences_max = std::clamp(options.sequences_max, 1, options.rows_per_step_max);
  return options;
}

std::size_t page_count(const Model& model, const EngineOptions& options) {
  const std::size_t page = KvCache::Shape::of(model.config).page_bytes();
  const std::size_t useful = pages_for(static_cast<std::size_t>(model.config.context)) *
                             static_cast<std::size_t>(options.sequences_max);
  const std::size_t count = std::min(options.kv_bytes_max / page, useful);
  if (count == 0) {
    throw std::runtime_error("kv_bytes_max is " + std::to_string(options.kv_bytes_max) +
                             ", below one page of " + std::to_string(page) + " bytes");
  }
  return count;
}

}  // namespace

class Engine::Loop {
 public:
  Loop(const Model& model, const EngineOptions& options)
      : model_(model),
        options_(options),
        cache_(KvCache::Shape::of(model.config), page_count(model, options)),
        prefixes_(cache_),
        team_(thread_count(options.threads)),
        forward_(model, cache_, team_, pick_kernels(options.coarse), options.rows_per_step_max),
        uses_(static_cast<std::size_t>(model.config.layers) *
              static_cast<std::size_t>(model.config.experts)),
        trace_(TraceShape::of(model.config), options.trace_bytes_max) {
    forward_.trace_into(&routes_);
    if (options_.store.bytes_max > 0) {
      store_.emplace(model, options_.store);
      forward_.read_experts_from(&*store_);
    }
    thread_ = std::thread([this] { run(); });
    if (options_.warm) warmer_ = std::thread([this] { warm(); });
  }

  ~Loop() {
    {
      const std::scoped_lock lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
    if (warmer_.joinable()) warmer_.join();
  }

  Ticket submit(Request request) {
    const Refusal refusal = check(request);
    const std::scoped_lock lock(mutex_);
    const Refusal final_refusal = refusal != Refusal::none ? refusal
                                  : stopping_              ? Refusal::stopping
                                  : waiting_.size() >= static_cast<std::size_t>(options_.queue_max)
                                      ? Refusal::queue_full
                                      : Refusal::none;
    if (final_refusal != Refusal::none) {
      ++stats_.refused;
      return {final_refusal, 0};
    }
    Sequence sequence;
    sequence.id = ++last_id_;
    sequence.tokens = request.prompt;
    sequence.ending.prompt_tokens = static_cast<int>(request.prompt.size());
    sequence.request = std::move(request);
    waiting_.push_back(std::move(sequence));
    wake_.notify_one();
    return {Refusal::none, last_id_};
  }

  void cancel(std::uint64_t id) {
    const std::scoped_lock lock(mutex_);
    cancelled_.insert(id);
    wake_.notify_one();
  }

  std::vector<ExpertUse> expert_uses() const {
    const std::scoped_lock lock(mutex_);
    return uses_;
  }

  std::vector<std::byte> take_trace() {
    const std::scoped_lock lock(mutex_);
    return trace_.take();
  }

  EngineStats stats() const {
    const std::scoped_lock lock(mutex_);
    EngineStats stats = stats_;
    stats.waiting = static_cast<int>(waiting_.size());
    if (store_) stats.store = store_->stats();
    return stats;
  }

 private:
  Refusal check(const Request& request) const {
    if (request.prompt.empty() || request.tokens_max < 1 || !request.choose || !request.finish) {
      return Refusal::malformed;
    }
    for (const std::int32_t token : request.prompt) {
      if (token < 0 || token >= model_.config.vocabulary) return Refusal::malformed;
    }
    const std::size_t positions =
        request.prompt.size() + static_cast<std::size_t>(request.tokens_max);
    const bool fits = positions <= static_cast<std::size_t>(model_.config.context) &&
                      pages_for(positions) * (request.contrast ? 2 : 1) <= cache_.pages() &&
                      (!request.contrast || options_.sequences_max > 1);
    return fits ? Refusal::none : Refusal::too_long;
  }

  void run() {
    while (collect()) {
      const std::size_t prompts = plan_rows();
      if (rows_.empty()) continue;
      try {
        forward_.run(rows_);
      } catch (const std::runtime_error& error) {  // an expert could not be read
        fail_all(error.what());
        continue;
      }
      count_step(prompts);
      deliver();
    }
    finish_all();
  }

  /// Enters the weights into the page table piece by piece; requests are served meanwhile. What a
  /// store reads is left out.
  void warm() {
    for (const Tensor& tensor : model_.gguf.tensors()) {
      if (model_.gguf.files().empty() || (store_ && is_routed(tensor))) continue;
      const MappedFile& file = model_.gguf.files()[tensor.shard];
      for (std::uint64_t at = 0; at < tensor.bytes; at += kWarmPieceBytes) {
        {
          const std::scoped_lock lock(mutex_);
          if (stopping_) return;
        }
        file.populate(tensor.offset + at,
                      static_cast<std::size_t>(std::min(kWarmPieceBytes, tensor.bytes - at)));
      }
    }
  }

  /// Waits for work, drops what was cancelled, admits what fits. False: shutting down.
  bool collect() {
    std::vector<Sequence> dropped;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return stopping_ || !waiting_.empty() || !running_.empty(); });
      if (stopping_) return false;
      for (auto it = waiting_.begin(); it != waiting_.end();) {
        if (cancelled_.contains(it->id)) {
          dropped.push_back(std::move(*it));
          it = waiting_.erase(it);
        } else {
          ++it;
        }
      }
      for (auto it = running_.begin(); it != running_.end();) {
        const auto next = std::next(it);
        if (cancelled_.contains(it->id)) {
          release(*it);
          dropped.push_back(std::move(*it));
          running_.erase(it);
        }
        it = next;
      }
      cancelled_.clear();
      std::size_t rows = 0;
      for (const Sequence& sequence : running_) rows += sequence.rows();
      while (!waiting_.empty()) {
        const auto next = next_waiting();
        if (rows + next->rows() > static_cast<std::size_t>(options_.sequences_max) || !admit(*next))
          break;
        rows += next->rows();
        running_.push_back(std::move(*next));
        for (auto it = waiting_.begin(); it != next; ++it) ++it->passed_over;
        waiting_.erase(next);
      }
      refresh_gauges();
    }
    for (Sequence& sequence : dropped) end(sequence, EndReason::cancelled);
    return true;
  }

  /// Whose turn it is: the longest waiting one of the kin that most running ones are of, or the
  /// longest waiting one of all, when there is no such kin or its turn is overdue.
  std::deque<Sequence>::iterator next_waiting() {
    if (waiting_.front().passed_over >= kPassedOverMax) return waiting_.begin();
    std::uint64_t kin = 0;
    std::size_t most = 0;
    for (const Sequence& one : running_) {
      const auto same = static_cast<std::size_t>(std::count_if(
          running_.begin(), running_.end(),
          [&](const Sequence& other) { return other.request.kin == one.request.kin; }));
      if (one.request.kin != 0 && same > most) kin = one.request.kin, most = same;
    }
    const auto next = std::find_if(waiting_.begin(), waiting_.end(), [&](const Sequence& one) {
      return kin != 0 && one.request.kin == kin;
    });
    return next == waiting_.end() ? waiting_.begin() : next;
  }

  /// Gives a sequence all the pages it can ever need; false when they are not there yet.
  bool admit(Sequence& sequence) {
    const std::size_t prompt = sequence.tokens.size();
    const std::size_t total =
        pages_for(prompt + static_cast<std::size_t>(sequence.request.tokens_max));
    PrefixCache::Match match;
    if (options_.prefix_reuse && sequence.reusable()) {
      // The last token of the prompt is always computed: its logits are wanted.
      match = prefixes_.find(sequence.tokens, (prompt - 1) / kPagePositions);
    }
    const std::size_t needed = total * sequence.rows() - match.pages.size();
    if (cache_.pages_free() + prefixes_.evictable() < needed) {
      for (const std::uint32_t page : match.pages) cache_.release(page);
      return false;
    }
    prefixes_.make_room(needed);
    sequence.pages = std::move(match.pages);
    sequence.node = match.node;
    sequence.pages_stored = sequence.pages.size();
    sequence.computed = sequence.pages.size() * kPagePositions;
    sequence.ending.cached_tokens = static_cast<int>(sequence.computed);
    while (sequence.pages.size() < total) sequence.pages.push_back(cache_.take());
    while (sequence.request.contrast && sequence.weak_pages.size() < total) {
      sequence.weak_pages.push_back(cache_.take());
    }
    return true;
  }

  /// Every reply gets one token, two rows with contrast; prompts share what is left equally.
  /// Returns the prompts' rows.
  std::size_t plan_rows() {
    rows_.clear();
    owners_.clear();
    std::size_t prompts = 0, replies = 0;  // rows of a token of each
    for (const Sequence& sequence : running_) {
      const bool in_prompt = sequence.computed + 1 < sequence.tokens.size();
      (in_prompt ? prompts : replies) += sequence.rows();
    }
    std::size_t left = static_cast<std::size_t>(options_.rows_per_step_max) - replies;
    std::size_t prompt_rows = 0;
    for (Sequence& sequence : running_) {
      const std::size_t missing = sequence.tokens.size() - sequence.computed;
      std::size_t count = missing;
      if (missing > 1) {
        count = std::min(missing, left / prompts);  // at least 1, see checked()
        left -= count * sequence.rows();
        prompts -= sequence.rows();
        prompt_rows += count * sequence.rows();
      }
      add_rows(sequence, count, sequence.pages, sequence.request.gate);
      if (const auto& contrast = sequence.request.contrast) {
        add_rows(sequence, count, sequence.weak_pages, contrast->weak);
      }
    }
    return prompt_rows;
  }

  void add_rows(Sequence& sequence, std::size_t count, const std::vector<std::uint32_t>& pages,
                const GatePolicy& gate) {
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t position = sequence.computed + i;
      rows_.push_back({sequence.tokens[position], static_cast<std::int32_t>(position), pages.data(),
                       &gate, position + 1 == sequence.tokens.size()});
      owners_.push_back(&sequence);
    }
  }

  /// Advances each sequence by its rows; where logits are there, asks for the next token.
  void deliver() {
    std::size_t logits_index = 0;
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      Sequence& sequence = *owners_[i];
      const bool weak = sequence.request.contrast && rows_[i].pages == sequence.weak_pages.data();
      if (!weak) ++sequence.computed;
      if (!rows_[i].logits) continue;
      const std::span<const float> logits = forward_.logits(logits_index++);
      if (!sequence.request.contrast) {
        choose(sequence, logits);
      } else if (!weak) {
        strong_.assign(logits.begin(), logits.end());  // the weak row is the next with logits
      } else {
        apply_contrast(*sequence.request.contrast, logits, strong_);
        choose(sequence, strong_);
      }
    }
    for (auto it = running_.begin(); it != running_.end();) {
      store_prefix(*it);
      const auto next = std::next(it);
      if (done_.contains(it->id)) {
        Sequence sequence = std::move(*it);
        {
          const std::scoped_lock lock(mutex_);
          release(sequence);
          running_.erase(it);
          refresh_gauges();
        }
        end(sequence, sequence.ending.reason);
      }
      it = next;
    }
    done_.clear();
  }

  void choose(Sequence& sequence, std::span<const float> logits) {
    Ending& ending = sequence.ending;
    const auto is_number = [](float x) { return std::isfinite(x); };
    if (!std::all_of(logits.begin(), logits.end(), is_number)) {
      return mark_failed(sequence, "the model produced logits that are not finite");
    }
    std::int32_t token = kStop;
    try {
      token = sequence.request.choose(logits);
    } catch (const std::exception& error) {
      return mark_failed(sequence, error.what());
    }
    if (token < 0 || token >= model_.config.vocabulary) {
      ending.reason = EndReason::stopped;
      done_.insert(sequence.id);
      return;
    }
    ++ending.completion_tokens;
    if (ending.completion_tokens >= sequence.request.tokens_max) {
      ending.reason = EndReason::length;
      done_.insert(sequence.id);
      return;
    }
    sequence.tokens.push_back(token);
  }

  void mark_failed(Sequence& sequence, const std::string& error) {
    sequence.ending.reason = EndReason::failed;
    sequence.ending.error = error;
    done_.insert(sequence.id);
  }

  /// Everything that runs had a row in the step that could not be computed.
  void fail_all(const std::string& error) {
    std::list<Sequence> failed;
    {
      const std::scoped_lock lock(mutex_);
      failed.swap(running_);
      for (Sequence& sequence : failed) release(sequence);
      refresh_gauges();
    }
    for (Sequence& sequence : failed) {
      sequence.ending.error = error;
      end(sequence, EndReason::failed);
    }
  }

  /// Offers the pages that this step completed to later requests.
  void store_prefix(Sequence& sequence) {
    if (!options_.prefix_reuse || !sequence.reusable()) return;
    while ((sequence.pages_stored + 1) * kPagePositions <= sequence.computed) {
      const std::span<const std::int32_t> tokens(sequence.tokens);
      sequence.node = prefixes_.insert(
          sequence.node, tokens.subspan(sequence.pages_stored * kPagePositions, kPagePositions),
          sequence.pages[sequence.pages_stored]);
      ++sequence.pages_stored;
    }
  }

  void release(Sequence& sequence) {
    for (const auto* pages : {&sequence.pages, &sequence.weak_pages}) {
      for (const std::uint32_t page : *pages) cache_.release(page);
    }
    sequence.pages.clear();
    sequence.weak_pages.clear();
  }

  void end(Sequence& sequence, EndReason reason) {
    sequence.ending.reason = reason;
    {
      const std::scoped_lock lock(mutex_);
      ++stats_.finished;
      stats_.completion_tokens += static_cast<std::uint64_t>(sequence.ending.completion_tokens);
      stats_.cached_tokens += static_cast<std::uint64_t>(sequence.ending.cached_tokens);
    }
    sequence.request.finish(sequence.ending);
  }

  void finish_all() {
    std::vector<Sequence> rest;
    {
      const std::scoped_lock lock(mutex_);
      for (Sequence& sequence : running_) {
        release(sequence);
        rest.push_back(std::move(sequence));
      }
      for (Sequence& sequence : waiting_) rest.push_back(std::move(sequence));
      running_.clear();
      waiting_.clear();
    }
    for (Sequence& sequence : rest) end(sequence, EndReason::cancelled);
  }

  void count_step(std::size_t prompt_rows) {
    const std::scoped_lock lock(mutex_);
    ++stats_.steps;
    stats_.rows += rows_.size();
    stats_.prompt_tokens += prompt_rows;
    for (const LayerRoute& route : routes_) {
      seen_.assign(static_cast<std::size_t>(model_.config.experts), false);
      for (const Pick& pick : route.picks) {
        if (!seen_[pick.expert]) ++stats_.expert_loads;
        seen_[pick.expert] = true;
        ExpertUse& use =
            uses_[static_cast<std::size_t>(route.layer * model_.config.experts) + pick.expert];
        ++use.rows;
        use.weight += pick.weight;
      }
      stats_.expert_runs += route.picks.size();
    }
    if (options_.trace_bytes_max == 0) return;
    sequence_ids_.clear();
    for (const Sequence* owner : owners_) {
      sequence_ids_.push_back(static_cast<std::uint32_t>(owner->id));
    }
    trace_.record(rows_, sequence_ids_, routes_);
  }

  void refresh_gauges() {
    stats_.running = static_cast<int>(running_.size());
    stats_.pages = cache_.pages();
    stats_.pages_free = cache_.pages_free() + prefixes_.evictable();
    stats_.page_bytes = cache_.shape().page_bytes();
  }

  const Model& model_;
  const EngineOptions options_;
  KvCache cache_;
  PrefixCache prefixes_;
  Team team_;
  std::optional<ExpertStore> store_;
  Forward forward_;
  std::vector<LayerRoute> routes_;

  // The engine thread's own.
  std::list<Sequence> running_;
  std::vector<BatchRow> rows_;
  std::vector<Sequence*> owners_;
  std::set<std::uint64_t> done_;
  std::vector<bool> seen_;
  std::vector<float> strong_;  // logits that wait for their contrast
  std::vector<std::uint32_t> sequence_ids_;

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  std::deque<Sequence> waiting_;
  std::set<std::uint64_t> cancelled_;
  std::uint64_t last_id_ = 0;
  EngineStats stats_;
  std::vector<ExpertUse> uses_;
  RoutingTrace trace_;
  bool stopping_ = false;

  std::thread thread_, warmer_;
};

void apply_contrast(const Contrast& contrast, std::span<const float> weak,
                    std::span<float> strong) {
  const float best = *std::max_element(strong.begin(), strong.end());
  const float cut = best + std::log(contrast.alpha);
  for (std::size_t i = 0; i < strong.size(); ++i) {
    if (strong[i] < cut) {
      strong[i] = kOutOfPlay;
    } else {
      strong[i] = (1 + contrast.beta) * strong[i] - contrast.beta * weak[i];
    }
  }
}

Engine::Engine(const Model& model, const EngineOptions& options)
    : loop_(std::make_unique<Loop>(model, checked(options))) {}

Engine::~Engine() = default;

Ticket Engine::submit(Request request) {
  return loop_->submit(std::move(request));
}

void Engine::cancel(std::uint64_t id) {
  loop_->cancel(id);
}

EngineStats Engine::stats() const {
  return loop_->stats();
}

std::vector<ExpertUse> Engine::expert_uses() const {
  return loop_->expert_uses();
}

std::vector<std::byte> Engine::take_trace() {
  return loop_->take_trace();
}

}  // namespace moe
