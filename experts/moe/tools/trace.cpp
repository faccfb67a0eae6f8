#include "experts/moe/tools/trace.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <ostream>
#include <set>
#include <stdexcept>
#include <string>

#include "experts/moe/forward.h"
#include "experts/moe/replay.h"
#include "experts/moe/routing_trace.h"
#include "experts/moe/tokenizer.h"

namespace moe::tools {

namespace {

constexpr std::size_t kTraceBytesMax = std::size_t{1} << 30;

std::vector<TokenId> read_tokens(const TraceOptions& options, const Model& model) {
  std::ifstream file(options.text, std::ios::binary);
  if (!file) throw std::runtime_error(options.text.string() + ": cannot be read");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  std::vector<TokenId> tokens = Tokenizer(read_vocabulary(model.gguf)).encode(text);
  if (tokens.empty()) throw std::runtime_error(options.text.string() + ": has no text");
  tokens.resize(std::min(tokens.size(), static_cast<std::size_t>(options.tokens)));
  return tokens;
}

void say_store(const StoreStats& stats, std::ostream& out) {
  const auto percent = [](std::uint64_t part, std::uint64_t whole) {
    return whole == 0 ? 0.0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
  };
  const std::uint64_t loads_needed = stats.uses - stats.hits + stats.hinted_hits;
  const std::uint64_t asked_before = stats.hinted_hits + stats.late_hits + stats.hinted_waits;
  char text[640];
  std::snprintf(
      text, sizeof text,
      "slots        %.1f MB; experts needed %llu, there %.1f%%, there without hints %.1f%%\n"
      "misses       %llu, asked for before they were needed %.1f%%; read in time %.1f%%\n"
      "hints read   %llu experts, never used %.1f%%\n"
      "read         %.1f MB; steps waited %.3f s\n",
      static_cast<double>(stats.slot_bytes) / 1e6, static_cast<unsigned long long>(stats.uses),
      percent(stats.hits, stats.uses), percent(stats.hits - stats.hinted_hits, stats.uses),
      static_cast<unsigned long long>(loads_needed), percent(asked_before, loads_needed),
      percent(stats.hinted_hits, loads_needed), static_cast<unsigned long long>(stats.hint_loads),
      percent(stats.hint_wasted, stats.hint_loads), static_cast<double>(stats.bytes_read) / 1e6,
      static_cast<double>(stats.wait_ns) / 1e9);
  out << text;
}

}  // namespace

void trace(const TraceOptions& options, std::ostream& out) {
  const Model model = Model::open(options.model);
  const std::vector<TokenId> tokens = read_tokens(options, model);
  const auto window = static_cast<std::size_t>(std::clamp(options.window, 1, model.config.context));
  const auto together = static_cast<std::size_t>(std::max(1, options.sequences));
  const std::size_t pages_each = (window + kPagePositions - 1) / kPagePositions;
  KvCache cache(KvCache::Shape::of(model.config), together * pages_each);
  std::vector<std::uint32_t> pages(together * pages_each);
  for (std::uint32_t& page : pages) page = cache.take();
  Team team(options.threads);
  Forward forward(model, cache, team, pick_kernels(), static_cast<int>(together));
  std::optional<ExpertStore> store;
  if (options.store.bytes_max > 0) {
    store.emplace(model, options.store);
    forward.read_experts_from(&*store);
  }
  std::vector<LayerRoute> routes;
  forward.trace_into(&routes);
  RoutingTrace trace(TraceShape::of(model.config), kTraceBytesMax);
  const std::size_t windows = (tokens.size() + window - 1) / window;
  const auto start = std::chrono::steady_clock::now();
  std::vector<BatchRow> rows;
  std::vector<std::uint32_t> owners;
  for (std::size_t first = 0; first < windows; first += together) {
    for (std::size_t position = 0; position < window; ++position) {
      rows.clear();
      owners.clear();
      for (std::size_t s = 0; s < together; ++s) {
        const std::size_t at = (first + s) * window + position;
        if (first + s >= windows || at >= tokens.size()) continue;
        rows.push_back(
            {tokens[at], static_cast<int>(position), &pages[s * pages_each], nullptr, false});
        owners.push_back(static_cast<std::uint32_t>(first + s));
      }
      if (rows.empty()) break;
      forward.run(rows);
      trace.record(rows, owners, routes);
    }
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  std::ofstream file(options.out, std::ios::binary);
  write_trace_header(TraceShape::of(model.config), file);
  const std::vector<std::byte> bytes = trace.take();
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (!file) throw std::runtime_error(options.out.string() + ": cannot be written");
  char line[160];
  std::snprintf(line, sizeof line, "traced       %zu tokens in %.2f s (%.1f a second), %zu bytes\n",
                tokens.size(), took.count(), static_cast<double>(tokens.size()) / took.count(),
                bytes.size());
  out << line;
  if (store) say_store(store->stats(), out);
}

namespace {

/// Share of a row's experts that the row before it in its sequence used too.
double stickiness(const Trace& trace) {
  std::map<std::uint32_t, const TraceRow*> last;
  std::uint64_t again = 0, all = 0;
  for (const TraceRow& row : trace.rows) {
    const TraceRow*& before = last[row.sequence];
    for (std::uint32_t layer = 0; before != nullptr && layer < trace.shape.layers; ++layer) {
      for (std::uint32_t p = row.first[layer]; p < row.first[layer + 1]; ++p) {
        ++all;
        again += std::any_of(before->picks.begin() + before->first[layer],
                             before->picks.begin() + before->first[layer + 1],
                             [&](const Pick& pick) { return pick.expert == row.picks[p].expert; });
      }
    }
    before = &row;
  }
  return all == 0 ? 0 : static_cast<double>(again) / static_cast<double>(all);
}

}  // namespace

void replay(const std::filesystem::path& path, std::ostream& out) {
  const Trace trace = Trace::read(path);
  const AccessLog log = AccessLog::of(trace);
  const std::set<std::uint32_t> used(log.needed.begin(), log.needed.end());
  std::set<std::uint32_t> sparse;  // layers
  for (const std::uint32_t expert : used) sparse.insert(expert / trace.shape.experts);
  const std::size_t all = sparse.size() * trace.shape.experts;
  char line[400];
  std::snprintf(
      line, sizeof line,
      "%zu rows, %zu sparse layers of %u experts, %.2f experts a layer and step\n"
      "a row uses %.1f%% of the experts of the row before it; %zu of %zu experts are used\n\n"
      "%6s %6s %8s %8s %8s %8s %12s\n",
      trace.rows.size(), sparse.size(), trace.shape.experts,
      static_cast<double>(log.needed.size()) /
          static_cast<double>(std::max<std::size_t>(1, log.sets())),
      100 * stickiness(trace), used.size(), all, "slots", "share", "lru", "lfu", "static", "belady",
      "lfu/belady");
  out << line;
  for (const int eighths : {1, 2, 3, 4, 5, 6, 7}) {
    const std::size_t slots = all * static_cast<std::size_t>(eighths) / 8;
    if (slots < log.together_max) continue;
    const double lfu = hit_ratio(log, slots, Evict::lfu), belady = hit_ratio_belady(log, slots);
    std::snprintf(line, sizeof line, "%6zu %5.1f%% %8.3f %8.3f %8.3f %8.3f %12.3f\n", slots,
                  12.5 * eighths, hit_ratio(log, slots, Evict::lru), lfu,
                  hit_ratio_static(log, slots), belady, lfu / belady);
    out << line;
  }
}

}  // namespace moe::tools
