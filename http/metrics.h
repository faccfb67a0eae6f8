// Counters and histograms of the edge, in Prometheus' text format.
//
// Names and buckets of gen_ai_* follow OpenTelemetry's GenAI metrics (semantic conventions, status
// Development). Label sets are fixed: model names come from the pool, everything else is `other`;
// at most series_max sets per metric and thread, more fold into `other`.
//
// Each net thread writes to a shard of its own, so its lock is free but for the moment of a scrape.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

namespace http {

/// Cumulative on output; `bounds` are upper limits, ascending.
template <std::size_t N>
struct Histogram {
  std::array<std::uint64_t, N + 1> counts{};  // the last one: above every bound
  double sum = 0;

  void add(double value, const std::array<double, N>& bounds) {
    std::size_t i = 0;
    while (i < N && value > bounds[i]) ++i;
    ++counts[i];
    sum += value;
  }

  void add(const Histogram& other) {
    for (std::size_t i = 0; i <= N; ++i) counts[i] += other.counts[i];
    sum += other.sum;
  }
};

/// One finished chat or embeddings request, as the metrics see it.
struct ChatRecord {
  std::string_view operation = "chat";  // OpenTelemetry's name: chat, embeddings
  std::string_view requested;  // "skillyard/auto", a pool or an expert the pool knows; else `other`
  std::string_view served;     // expert, empty: none
  std::string_view error;      // code of the problem, empty: none
  double seconds = 0;
  double first_byte_seconds = -1;   // streams only; -1: unknown
  std::int64_t prompt_tokens = -1;  // -1: the expert did not say
  std::int64_t completion_tokens = -1;
};

/// One finished panel.
struct PanelRecord {
  std::uint64_t calls = 0;  // experts asked, a reader of the answers included
  bool changed = false;     // another answer than the first expert's
};

/// Limits of the edge that bit; one counter each.
enum class Limit : std::uint8_t {
  connections,
  header,
  target,
  body,
  bodies,
  head_time,
  body_time,
  idle_time,
  write_time,
  total_time,
  handshake  // of TLS: it failed or took too long
};
inline constexpr std::size_t kLimits = 11;

class Metrics {
 public:
  Metrics(std::size_t shards, std::size_t series_max);
  ~Metrics();

  class Shard;

  Shard& shard(std::size_t index) { return *shards_[index]; }

  /// Any thread.
  void write(std::string& out) const;

 private:
  std::vector<std::unique_ptr<Shard>> shards_;
};

/// Written by one net thread.
class Metrics::Shard {
 public:
  explicit Shard(std::size_t series_max) : series_max_(series_max) {}

  /// `route` is a pattern of the routes' table, `unmatched`, or `refused` (not even a request).
  void count_request(std::string_view route, int status);
  void count_chat(const ChatRecord& record);
  void count_panel(const PanelRecord& record);
  void count_limit(Limit limit);
  void count_connection(int change);  // +1 opened, -1 closed
  void count_client_gone();

 private:
  friend class Metrics;
  static constexpr std::size_t kSeconds = 14;
  static constexpr std::size_t kTokens = 14;
  static constexpr std::size_t kFirst = 16;
  using RequestKey = std::tuple<std::string, int>;  // route, status
  // Requested, served, error, operation.
  using ChatKey = std::tuple<std::string, std::string, std::string, std::string>;

  /// Finds a key of strings by one of views.
  template <class Views>
  struct Less {
    using is_transparent = void;

    bool operator()(const Views& a, const Views& b) const { return a < b; }
  };

  using RequestLess = Less<std::tuple<std::string_view, int>>;
  using ChatLess =
      Less<std::tuple<std::string_view, std::string_view, std::string_view, std::string_view>>;

  struct ChatSeries {
    Histogram<kSeconds> seconds;
    Histogram<kTokens> prompt_tokens, completion_tokens;
    Histogram<kFirst> first_byte;
  };

  struct Tables {
    std::map<RequestKey, std::uint64_t, RequestLess> requests;
    std::map<ChatKey, ChatSeries, ChatLess> chats;
    std::array<std::uint64_t, kLimits> limits{};
    std::uint64_t connections_total = 0;
    std::int64_t connections = 0;
    std::uint64_t clients_gone = 0;
    std::uint64_t panels = 0, panel_calls = 0, panels_changed = 0;
  };

  static void write_requests(std::string& out, const Tables& sum);
  static void write_chats(std::string& out, const Tables& sum);

  static const std::array<double, kSeconds> kSecondBounds;
  static const std::array<double, kTokens> kTokenBounds;
  static const std::array<double, kFirst> kFirstBounds;

  const std::size_t series_max_;
  mutable std::mutex mutex_;
  Tables tables_;
};

}  // namespace http
