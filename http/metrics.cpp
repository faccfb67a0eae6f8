#include "http/metrics.h"

#include <charconv>

namespace http {

namespace {

using Labels = std::string;  // `name="value",...` without braces

void append_label(Labels& labels, std::string_view name, std::string_view value) {
  if (!labels.empty()) labels.push_back(',');
  labels.append(name).append("=\"");
  for (const char c : value) {
    if (c == '\\' || c == '"') labels.push_back('\\');
    if (c == '\n') {
      labels.append("\\n");
    } else {
      labels.push_back(c);
    }
  }
  labels.push_back('"');
}

void append_value(std::string& out, double value) {
  char digits[40];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
}

void append_sample(std::string& out, std::string_view name, const Labels& labels, double value) {
  out.append(name);
  if (!labels.empty()) out.append("{").append(labels).append("}");
  out.push_back(' ');
  append_value(out, value);
  out.push_back('\n');
}

void append_head(std::string& out, std::string_view name, std::string_view type,
                 std::string_view help) {
  out.append("# HELP ").append(name).append(" ").append(help);
  out.append("\n# TYPE ").append(name).append(" ").append(type).append("\n");
}

template <std::size_t N>
void append_histogram(std::string& out, const std::string& name, const Labels& labels,
                      const Histogram<N>& histogram, const std::array<double, N>& bounds) {
  std::uint64_t count = 0;
  for (std::size_t i = 0; i <= N; ++i) {
    count += histogram.counts[i];
    Labels with = labels;
    std::string bound = "+Inf";
    if (i < N) {
      bound.clear();
      append_value(bound, bounds[i]);
    }
    append_label(with, "le", bound);
    append_sample(out, name + "_bucket", with, static_cast<double>(count));
  }
  append_sample(out, name + "_sum", labels, histogram.sum);
  append_sample(out, name + "_count", labels, static_cast<double>(count));
}

constexpr std::array<std::string_view, kLimits> kLimitNames = {
    "connections", "header",    "target",     "body",       "bodies",   "head_time",
    "body_time",   "idle_time", "write_time", "total_time", "handshake"};

}  // namespace

const std::array<double, 14> Metrics::Shard::kSecondBounds = {
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92};
const std::array<double, 14> Metrics::Shard::kTokenBounds = {
    1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864};
const std::array<double, 16> Metrics::Shard::kFirstBounds = {
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10};

void Metrics::Shard::count_request(std::string_view route, int status) {
  const std::lock_guard lock(mutex_);
  const std::tuple key(route, status);
  auto found = tables_.requests.find(key);
  if (found == tables_.requests.end()) {
    found = tables_.requests.emplace(RequestKey(route, status), 0).first;
  }
  ++found->second;
}

void Metrics::Shard::count_chat(const ChatRecord& record) {
  const std::lock_guard lock(mutex_);
  const std::tuple key(record.requested, record.served, record.error, record.operation);
  auto found = tables_.chats.find(key);
  if (found == tables_.chats.end()) {
    const bool full = tables_.chats.size() >= series_max_;
    ChatKey made = full ? ChatKey("other", "other", record.error.empty() ? "" : "other", "chat")
                        : ChatKey(record.requested, record.served, record.error, record.operation);
    found = tables_.chats.try_emplace(std::move(made)).first;
  }
  ChatSeries& series = found->second;
  series.seconds.add(record.seconds, kSecondBounds);
  if (record.first_byte_seconds >= 0)
    series.first_byte.add(record.first_byte_seconds, kFirstBounds);
  if (record.prompt_tokens >= 0) {
    series.prompt_tokens.add(static_cast<double>(record.prompt_tokens), kTokenBounds);
  }
  if (record.completion_tokens >= 0) {
    series.completion_tokens.add(static_cast<double>(record.completion_tokens), kTokenBounds);
  }
}

void Metrics::Shard::count_panel(const PanelRecord& record) {
  const std::lock_guard lock(mutex_);
  ++tables_.panels;
  tables_.panel_calls += record.calls;
  tables_.panels_changed += record.changed;
}

void Metrics::Shard::count_limit(Limit limit) {
  const std::lock_guard lock(mutex_);
  ++tables_.limits[static_cast<std::size_t>(limit)];
}

void Metrics::Shard::count_connection(int change) {
  const std::lock_guard lock(mutex_);
  tables_.connections += change;
  if (change > 0) ++tables_.connections_total;
}

void Metrics::Shard::count_client_gone() {
  const std::lock_guard lock(mutex_);
  ++tables_.clients_gone;
}

Metrics::Metrics(std::size_t shards, std::size_t series_max) {
  for (std::size_t i = 0; i < shards; ++i) shards_.push_back(std::make_unique<Shard>(series_max));
}

Metrics::~Metrics() = default;

void Metrics::write(std::string& out) const {
  Shard::Tables sum;
  for (const auto& shard : shards_) {
    const std::lock_guard lock(shard->mutex_);
    const Shard::Tables& tables = shard->tables_;
    for (const auto& [key, count] : tables.requests) sum.requests[key] += count;
    for (const auto& [key, series] : tables.chats) {
      auto& into = sum.chats[key];
      into.seconds.add(series.seconds);
      into.prompt_tokens.add(series.prompt_tokens);
      into.completion_tokens.add(series.completion_tokens);
      into.first_byte.add(series.first_byte);
    }
    for (std::size_t i = 0; i < kLimits; ++i) sum.limits[i] += tables.limits[i];
    sum.connections += tables.connections;
    sum.connections_total += tables.connections_total;
    sum.clients_gone += tables.clients_gone;
    sum.panels += tables.panels;
    sum.panel_calls += tables.panel_calls;
    sum.panels_changed += tables.panels_changed;
  }
  Shard::write_requests(out, sum);
  Shard::write_chats(out, sum);
}

void Metrics::Shard::write_requests(std::string& out, const Tables& sum) {
  append_head(out, "skillyard_http_requests_total", "counter", "Requests by route and status.");
  for (const auto& [key, count] : sum.requests) {
    Labels labels;
    append_label(labels, "route", std::get<0>(key));
    append_label(labels, "status", std::to_string(std::get<1>(key)));
    append_sample(out, "skillyard_http_requests_total", labels, static_cast<double>(count));
  }
  append_head(out, "skillyard_http_limits_total", "counter", "Times that a limit of the edge bit.");
  for (std::size_t i = 0; i < kLimits; ++i) {
    Labels labels;
    append_label(labels, "limit", kLimitNames[i]);
    append_sample(out, "skillyard_http_limits_total", labels, static_cast<double>(sum.limits[i]));
  }
  append_head(out, "skillyard_http_connections", "gauge", "Open client connections.");
  append_sample(out, "skillyard_http_connections", {}, static_cast<double>(sum.connections));
  append_head(out, "skillyard_http_connections_total", "counter", "Client connections accepted.");
  append_sample(out, "skillyard_http_connections_total", {},
                static_cast<double>(sum.connections_total));
  append_head(out, "skillyard_http_clients_gone_total", "counter",
              "Clients that left while their request ran.");
  append_sample(out, "skillyard_http_clients_gone_total", {},
                static_cast<double>(sum.clients_gone));
}

void Metrics::Shard::write_chats(std::string& out, const Tables& sum) {
  const std::string seconds = "gen_ai_client_operation_duration_seconds";
  const std::string tokens = "gen_ai_client_token_usage";
  const std::string first = "gen_ai_server_time_to_first_token_seconds";
  const auto labels_of = [](const ChatKey& key) {
    Labels labels;
    append_label(labels, "gen_ai_operation_name", std::get<3>(key));
    append_label(labels, "gen_ai_provider_name", "skillyard");
    append_label(labels, "gen_ai_request_model", std::get<0>(key));
    append_label(labels, "gen_ai_response_model", std::get<1>(key));
    return labels;
  };
  append_head(out, seconds, "histogram",
              "From the end of the request header to the end of the reply.");
  for (const auto& [key, series] : sum.chats) {
    Labels labels = labels_of(key);
    if (!std::get<2>(key).empty()) append_label(labels, "error_type", std::get<2>(key));
    append_histogram(out, seconds, labels, series.seconds, kSecondBounds);
  }
  append_head(out, tokens, "histogram", "Tokens per request, as the experts count them.");
  for (const auto& [key, series] : sum.chats) {
    if (!std::get<2>(key).empty()) continue;
    Labels input = labels_of(key);
    Labels output = input;
    append_label(input, "gen_ai_token_type", "input");
    append_label(output, "gen_ai_token_type", "output");
    append_histogram(out, tokens, input, series.prompt_tokens, kTokenBounds);
    append_histogram(out, tokens, output, series.completion_tokens, kTokenBounds);
  }
  append_head(out, "skillyard_panels_total", "counter", "Answers that several experts made.");
  append_sample(out, "skillyard_panels_total", {}, static_cast<double>(sum.panels));
  append_head(out, "skillyard_panel_calls_total", "counter", "Experts that panels asked.");
  append_sample(out, "skillyard_panel_calls_total", {}, static_cast<double>(sum.panel_calls));
  append_head(out, "skillyard_panels_changed_total", "counter",
              "Panels with another answer than their first expert's.");
  append_sample(out, "skillyard_panels_changed_total", {}, static_cast<double>(sum.panels_changed));
  append_head(out, first, "histogram", "Streams: until the first event left for the client.");
  for (const auto& [key, series] : sum.chats) {
    if (!std::get<2>(key).empty()) continue;
    append_histogram(out, first, labels_of(key), series.first_byte, kFirstBounds);
  }
}

}  // namespace http
