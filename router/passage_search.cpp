#include "router/passage_search.h"

#include <algorithm>

#include "router/encoder.h"
#include "router/gate_record.h"
#include "router/panel.h"
#include "router/passages.h"
#include "store/utf8.h"

namespace router {
namespace {

using experts::Clock;

constexpr std::size_t kPassageBytesExpected = 1'200;  // before any is seen

std::size_t bytes_of(const store::Passage& passage) {
  return kMarkBytes + std::min(passage.source.size(), kPassageNameBytesMax) +
         std::min(passage.heading.size(), kPassageNameBytesMax) +
         std::min(passage.text.size(), kPassageBytesMax);
}

RetrievalPrice price_of(const RetrievalTask& task, std::size_t bytes) {
  const auto tokens = static_cast<double>(estimate_tokens(kFrameBytes + bytes));
  return {.microusd = tokens * static_cast<double>(task.price_in_microusd) / 1e6};
}

RetrievalPrices prices_expected(const RetrievalTask& task) {
  RetrievalPrices prices;
  for (std::size_t i = 0; i < prices.size(); ++i)
    prices[i] = price_of(task, static_cast<std::size_t>(kPassages[i]) * kPassageBytesExpected);
  return prices;
}

RetrievalPrices prices_found(const RetrievalTask& task, const std::vector<store::Passage>& found) {
  RetrievalPrices prices;
  std::size_t bytes = 0, counted = 0;
  for (std::size_t i = 0; i < prices.size(); ++i) {
    const auto shown = std::min(found.size(), static_cast<std::size_t>(kPassages[i]));
    while (counted < shown) bytes += bytes_of(found[counted++]);
    prices[i] = price_of(task, bytes);
  }
  return prices;
}

/// The passages that every expert to ask has room for.
void keep_those_that_fit(const RetrievalTask& task, std::vector<store::Passage>& found) {
  std::size_t bytes = kFrameBytes, kept = 0;
  for (; kept < found.size(); ++kept) {
    bytes += bytes_of(found[kept]);
    if (estimate_tokens(bytes) > task.tokens_free) break;
  }
  found.resize(kept);
}

SearchProbe probe_of(const store::Found& found) {
  SearchProbe probe;
  probe.found = static_cast<int>(found.passages.size());
  if (probe.found == 0) return probe;
  const double best = found.score_best;
  const double second = found.score_next;
  if (found.score_max > 0) probe.top = best / found.score_max;
  if (best > 0) probe.margin = (best - second) / best;
  probe.covered = found.covered;
  return probe;
}

/// Without a search nothing is known of what it would have found; exploration searches always.
RetrievalChoice choice_unsearched(const RetrievalTask& task) {
  RetrievalChoice choice;
  choice.c0 = choice.p_correct = std::clamp(task.c0, 0.0, 1.0);
  const double arms = static_cast<double>(kPassages.size());
  choice.propensity = 1 - std::clamp(task.rules.explore, 0.0, 1.0) * arms / (arms + 1);
  return choice;
}

void show(const Query& query, store::Found& found, GateRecord& record, Retrieved& retrieved) {
  auto& passages = found.passages;
  passages.resize(std::min(passages.size(), static_cast<std::size_t>(record.choice.passages)));
  if (passages.empty()) return;
  retrieved.call =
      put_before_question(query.call, frame_passages(passages, last_words(query.call)));
  if (!retrieved.call) {
    record.lookup = "unframed";
    record.choice.passages = 0;
    record.choice.p_correct = record.choice.c0;
    return;
  }
  for (const store::Passage& passage : passages) {
    retrieved.passages.push_back(passage.source.substr(0, kPassageNameBytesMax) + "\n" +
                                 passage.text.substr(0, kPassageBytesMax));
    record.sources.push_back({.id = passage.id,
                              .collection = passage.collection,
                              .source = passage.source.substr(0, kPassageNameBytesMax),
                              .heading = passage.heading.substr(0, kPassageNameBytesMax),
                              .score = passage.score,
                              .similarity = passage.similarity});
  }
}

/// Whether a request may look into a collection that it names.
bool is_reachable(const RetrievalOptions& pool, const std::string& name) {
  return pool.collections.empty() || std::find(pool.collections.begin(), pool.collections.end(),
                                               name) != pool.collections.end();
}

RetrievalMode mode_of(PoolRetrieval pool) {
  if (pool == PoolRetrieval::gated) return RetrievalMode::gated;
  return pool == PoolRetrieval::on ? RetrievalMode::always : RetrievalMode::never;
}

}  // namespace

RetrievalTask start_retrieval(const RetrievalOptions& pool, const Query& query) {
  RetrievalTask task;
  task.rules.value_microusd = pool.value_microusd;
  task.rules.explore = pool.explore;
  // Whoever names an expert wants that expert and nothing around it, unless the request says so.
  const auto own = query.expert.empty() ? mode_of(pool.mode) : RetrievalMode::never;
  task.rules.mode = query.knobs.retrieval.value_or(own);
  if (pool.mode == PoolRetrieval::never) task.rules.mode = RetrievalMode::never;
  if (task.rules.mode == RetrievalMode::never) return task;
  task.collections = pool.collections;
  if (query.knobs.collections.empty()) return task;
  task.collections.clear();
  for (const std::string& name : query.knobs.collections)
    if (is_reachable(pool, name)) task.collections.push_back(name);
  if (task.collections.empty()) task.rules.mode = RetrievalMode::never;
  return task;
}

boost::asio::awaitable<Retrieved> retrieve(Lookup& lookup, experts::Pool& pool, const Query& query,
                                           const RetrievalTask& task) {
  Retrieved retrieved;
  GateRecord record;
  record.mode = task.rules.mode;
  record.lookup = "none";
  record.choice = choice_unsearched(task);
  const auto expected = prices_expected(task);
  if (!is_worth_searching(task.model, task.rules, task.c0, expected, task.chance)) {
    retrieved.record = encode(record);
    co_return retrieved;
  }
  const auto start = Clock::now();
  const std::string_view words = last_words(query.call);
  std::string text(
      words.substr(0, store::code_point_at(words, store::SearchRules{}.query_bytes_max)));
  std::vector<std::string> collections = task.collections;
  std::string vector;
  if (!text.empty() && lookup.wants_vector()) {
    const std::vector<std::string> texts = {text};
    const auto by = std::min(query.call.deadline, start + lookup.options().encode_wait_max);
    Encoded encoded = co_await encode(pool, lookup.options().encoder, texts, by, false);
    record.encoded = experts::name_of(encoded.outcome);
    retrieved.cost_microusd = encoded.cost_microusd;
    const bool made = encoded.outcome == experts::Outcome::ok;
    if (made) vector = std::move(encoded.vectors.front());
    if (!made && encoded.outcome != experts::Outcome::cancelled) lookup.pause_encoding();
  }
  Lookup::Result result =
      co_await lookup.search(std::move(text), std::move(collections), kPassages.back(),
                             query.call.deadline, std::move(vector));
  const auto took = Clock::now() - start;
  record.search_us = std::chrono::duration_cast<std::chrono::microseconds>(took).count();
  record.lookup = name_of(result.outcome);
  retrieved.cancelled = result.outcome == LookupOutcome::cancelled;
  if (result.outcome == LookupOutcome::found) {
    keep_those_that_fit(task, result.found.passages);
    record.probe = probe_of(result.found);
    const auto prices = prices_found(task, result.found.passages);
    record.choice =
        choose_passages(task.model, task.rules, task.c0, record.probe, prices, task.chance);
    show(query, result.found, record, retrieved);
  }
  retrieved.record = encode(record);
  co_return retrieved;
}

}  // namespace router
