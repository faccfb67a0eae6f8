#include "config/config.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>
#include <stdexcept>

#include "config/section.h"

namespace config {

namespace {

constexpr std::int64_t kMinute = 60'000;
constexpr std::int64_t kDay = 24 * 60 * kMinute;
constexpr std::int64_t kGiB = 1LL << 30;
constexpr std::size_t kFileBytesMax = 4u << 20;

void read_http(Section& in, http::Options& out) {
  in.read("net_threads", out.net_threads, 1, 64);
  in.read("connections_max", out.connections_max, 1, 1'000'000);
  in.read("header_bytes_max", out.header_bytes_max, 1024, 1 << 20);
  in.read("body_bytes_max", out.body_bytes_max, 1024, kGiB);
  in.read("bodies_bytes_max", out.bodies_bytes_max, 1024, 64 * kGiB);
  in.read("head_ms_max", out.head_ms_max, 100, kDay);
  in.read("body_ms_max", out.body_ms_max, 100, kDay);
  in.read("idle_ms_max", out.idle_ms_max, 100, kDay);
  in.read("write_ms_max", out.write_ms_max, 100, kDay);
  in.read("total_ms_max", out.total_ms_max, 100, kDay);
  in.read("drain_ms_max", out.drain_ms_max, 0, kDay);
  in.read("heartbeat_ms", out.heartbeat_ms, 100, kDay);
  in.read("strict", out.strict);
}

void read_tls(Section& in, http::TlsFiles& out) {
  in.read("certificate", out.certificate);
  in.read("key", out.key);
  if (out.certificate.empty() != out.key.empty())
    in.fault(out.key.empty() ? "key" : "certificate", "is missing: TLS takes both files");
}

void read_admin(Section& in, http::AdminOptions& out) {
  in.read("listen", out.listen);
  in.object("tls", [&](Section& section) { read_tls(section, out.tls); });
  in.read("require_key", out.require_key);
  std::string address;
  std::uint16_t port = 0;
  try {
    if (!out.listen.empty()) parse_listen(out.listen, address, port);
  } catch (const std::runtime_error& error) {
    in.fault("listen", error.what());
  }
}

void read_batches(Section& in, http::BatchOptions& out) {
  in.read("files_bytes_max", out.files_bytes_max, 1 << 20, 1024 * kGiB);
  in.read("files_max", out.files_max, 1, 1'000'000);
  in.read("key_bytes_max", out.key_bytes_max, 0, INT64_MAX);
  in.read("key_batches_max", out.key_batches_max, 0, 1'000'000);
  in.read("lines_max", out.lines_max, 1, 1'000'000);
  in.read("lines_inflight_max", out.lines_inflight_max, 1, 65'536);
  in.read("expert_inflight_max", out.expert_inflight_max, 1, 65'536);
  in.read("tries_max", out.tries_max, 1, 100);
  in.read("retry_ms_max", out.retry_ms_max, 1, kDay);
  in.read("flush_ms", out.flush_ms, 1, kMinute);
}

void read_store(Section& in, store::Options& out) {
  in.read("keep_text", out.keep_text);
  in.read("group_rows", out.group_rows, 1, 100'000);
  in.read("group_wait_ms", out.group_wait_ms, 0, 10'000);
  in.read("queue_rows_max", out.queue_rows_max, 1, 10'000'000);
  in.read("queue_bytes_max", out.queue_bytes_max, 1 << 16, 16 * kGiB);
  in.read("text_bytes_max", out.text_bytes_max, 0, 16 << 20);
  in.object("retention", [&](Section& keep) {
    auto& to = out.retention;
    keep.read("age_s_max", to.age_s_max, 0, 100LL * 366 * 86'400);
    keep.read("text_age_s_max", to.text_age_s_max, 0, 100LL * 366 * 86'400);
    keep.read("rows_max", to.rows_max, 0, INT64_MAX);
    keep.read("bytes_max", to.bytes_max, 0, INT64_MAX);
  });
}

/// USD per million tokens to micro-usd per million tokens.
void read_price(Section& in, const char* key, std::int64_t& target) {
  double usd = static_cast<double>(target) / 1e6;
  if (!in.has(key)) return in.show(key, usd);
  in.read(key, usd, 0, 1e6);
  target = std::llround(usd * 1e6);
}

void read_timeouts(Section& in, experts::Timeouts& out) {
  in.read("connect_ms_max", out.connect_ms_max, 1, kDay);
  in.read("first_byte_ms_max", out.first_byte_ms_max, 1, kDay);
  in.read("idle_ms_max", out.idle_ms_max, 1, kDay);
  in.read("total_ms_max", out.total_ms_max, 1, kDay);
}

void read_retries(Section& in, experts::Retries& out) {
  in.read("count_max", out.count_max, 0, 10);
  in.read("backoff_ms", out.backoff_ms, 0, kMinute);
  in.read("backoff_ms_max", out.backoff_ms_max, 0, kMinute);
  in.read("retry_after_ms_max", out.retry_after_ms_max, 0, 10 * kMinute);
  in.read("budget_tokens", out.budget_tokens, 0, 1'000'000);
}

void read_breaker(Section& in, experts::BreakerOptions& out) {
  in.read("memory_calls", out.memory_calls, 0, 10'000);
  in.read("open_ms", out.open_ms, 1, kDay);
  in.read("open_ms_max", out.open_ms_max, 1, kDay);
  in.read("probe_models", out.probe_models);
}

void read_headers(Section& in, std::vector<std::pair<std::string, std::string>>& out) {
  in.objects("headers", [&](Section& header) {
    std::pair<std::string, std::string> field;
    header.read("name", field.first);
    header.read("value", field.second);
    out.push_back(std::move(field));
  });
}

/// Where the expert is: a server's `url`, or the `path` of a GGUF file.
void read_place(Section& in, experts::ExpertOptions& out) {
  std::string url, path;
  in.read("url", url);
  in.read("path", path);
  const bool is_native = out.kind == experts::Kind::native;
  if (is_native && !url.empty()) in.fault("url", "is of kind remote; kind native has a `path`");
  if (!is_native && !path.empty()) in.fault("path", "is of kind native; kind remote has a `url`");
  out.url = is_native ? path : url;
}

void read_native(Section& in, experts::NativeOptions& out) {
  in.read("threads", out.threads, 0, 1024);
  in.read("kv_bytes_max", out.kv_bytes_max, 1 << 20, 1024 * kGiB);
  in.read("sequences_max", out.sequences_max, 1, 256);
  in.read("activation_bits", out.activation_bits, 8, 16);
  if (out.activation_bits != 8 && out.activation_bits != 16)
    in.fault("activation_bits", "must be 8 or 16");
  in.read("expert_bytes_max", out.expert_bytes_max, 0, 1024 * kGiB);
}

void read_residency(Section& in, experts::ResidencyOptions& out) {
  in.read("bytes_max", out.bytes_max, 1, 1024 * kGiB);
  in.read("experts_max", out.experts_max, 1, 10'000);
  in.read("wait_ms_max", out.wait_ms_max, 1, kDay);
  in.read("min_resident_ms", out.min_resident_ms, 0, kDay);
  in.read("queue_max", out.queue_max, 0, 1'000'000);
  if (out.min_resident_ms > out.wait_ms_max)
    in.fault("min_resident_ms", "must not be over wait_ms_max");
}

experts::ExpertOptions read_expert(Section& in) {
  experts::ExpertOptions out;
  in.read("name", out.name);
  in.read("enabled", out.enabled);
  in.read_choice("kind", out.kind, {"remote", "native"});
  if (out.kind == experts::Kind::native) out.capabilities = experts::kNativeCapabilities;
  read_place(in, out);
  in.read("model", out.model);
  in.read("key_env", out.key_env);
  in.read("key_file", out.key_file);
  in.object("usd_per_million_tokens", [&](Section& prices) {
    read_price(prices, "in", out.prices.in);
    read_price(prices, "out", out.prices.out);
    if (prices.has("cached")) read_price(prices, "cached", out.prices.cached);
  });
  in.read("context_tokens", out.context_tokens, 0, 1'000'000'000);
  in.object("capabilities", [&](Section& can) {
    can.read("tools", out.capabilities.tools);
    can.read("json_schema", out.capabilities.json_schema);
    can.read("images", out.capabilities.images);
    can.read("logprobs", out.capabilities.logprobs);
    can.read("many", out.capabilities.many);
    can.read("embeddings", out.capabilities.embeddings);
  });
  in.read("skills", out.skills);
  in.read("concurrency_max", out.concurrency_max, 1, 100'000);
  in.read("queue_max", out.queue_max, 0, 1'000'000);
  in.read("queue_ms_max", out.queue_ms_max, 0, kDay);
  in.object("timeouts", [&](Section& section) { read_timeouts(section, out.timeouts); });
  in.object("retries", [&](Section& section) { read_retries(section, out.retries); });
  in.object("breaker", [&](Section& section) { read_breaker(section, out.breaker); });
  in.object("native", [&](Section& section) { read_native(section, out.native); });
  in.read("reply_bytes_max", out.reply_bytes_max, 1024, kGiB);
  in.read("event_bytes_max", out.event_bytes_max, 1024, kGiB);
  in.read("resident_bytes", out.resident_bytes, 0, 1024 * kGiB);
  in.read("load_ms", out.load_ms, 1, kDay);
  in.read("swap_group", out.swap_group);
  if (out.kind == experts::Kind::native && !out.swap_group.empty())
    in.fault("swap_group", "is of kind remote; native experts share `residency`");
  in.read("http2", out.http2);
  in.read("proxy", out.proxy);
  in.read("ca_file", out.ca_file);
  read_headers(in, out.headers);
  return out;
}

void read_life(Section& in, const std::string& expert, router::Lives& out) {
  router::Life life;
  in.read_choice("stage", life.stage, {"active", "shadow", "ramp", "draining"});
  in.read("share", life.share, 0, 1);
  const bool is_ramp = life.stage == router::Stage::ramp;
  if (is_ramp && (life.share <= 0 || life.share >= 1))
    in.fault("share",
             "must be between 0 and 1 at stage ramp (nothing is stage shadow, all active)");
  if (!is_ramp && life.share != 1) in.fault("share", "is of stage ramp");
  if (life != router::Life()) out[expert] = life;
}

void read_retrieval(Section& in, router::RetrievalOptions& out) {
  in.read_choice("mode", out.mode, {"never", "off", "auto", "on"});
  in.read("collections", out.collections);
  double usd = out.value_microusd / 1e6;
  in.read("value_usd", usd, 1e-6, 1e6);
  out.value_microusd = usd * 1e6;
  in.read("explore", out.explore, 0, 1);
}

void read_lookup(Section& in, Config& out) {
  in.read("gate", out.gate);
  in.read("threads", out.lookup.threads, 1, 64);
  in.read("queue_max", out.lookup.queue_max, 1, 65'536);
  in.read("encoder", out.lookup.encoder);
  auto encode_ms = out.lookup.encode_wait_max.count();
  in.read("encode_ms_max", encode_ms, 1, 60'000);
  out.lookup.encode_wait_max = std::chrono::milliseconds(encode_ms);
  in.read("encode_batch", out.lookup.encode_batch, 1, 2'048);
  in.read("vectors_bytes_max", out.lookup.vectors_bytes_max, 0, 64 * kGiB);
  auto wait_ms = out.lookup.wait_max.count();
  in.read("wait_ms_max", wait_ms, 1, 60'000);
  out.lookup.wait_max = std::chrono::milliseconds(wait_ms);
}

void read_vectors(Section& in, router::VectorOptions& out) {
  auto encode_ms = out.wait_max.count();
  in.read("encode_ms_max", encode_ms, 1, 60'000);
  out.wait_max = std::chrono::milliseconds(encode_ms);
  in.read("vectors_max", out.kept_max, 1, 1'000'000);
}

void read_aggregation(Section& in, router::AggregationOptions& out) {
  std::vector<std::string> names = {"auto"};
  for (auto mode = aggregator::Mode::single; mode <= aggregator::Mode::corrected;
       mode = static_cast<aggregator::Mode>(static_cast<int>(mode) + 1))
    names.emplace_back(aggregator::name_of(mode));
  in.read("expert", out.expert);
  std::uint8_t index = out.mode ? static_cast<std::uint8_t>(*out.mode) : 0;
  in.read_choice("mode", index, names);
  if (index > 0) out.mode = static_cast<aggregator::Mode>(index);
}

router::PoolOptions read_pool(Section& in) {
  router::PoolOptions out;
  in.read("name", out.name);
  in.read("experts", out.experts);
  in.read("default", out.default_expert);
  in.read("fallbacks_max", out.fallbacks_max, 0, 16);
  in.read("explore", out.explore, 0, 1);
  in.read_choice("outside", out.outside, {"ask", "answer"});
  in.object("retrieval", [&](Section& section) { read_retrieval(section, out.retrieval); });
  in.object("aggregation", [&](Section& section) { read_aggregation(section, out.aggregation); });
  return out;
}

router::SkillCard read_skill(Section& in) {
  router::SkillCard out;
  in.read("name", out.name);
  in.read("description", out.description);
  in.read("examples", out.examples);
  return out;
}

bool is_http_url(const std::string& url) {
  return (url.starts_with("http://") && url.size() > 7) ||
         (url.starts_with("https://") && url.size() > 8);
}

/// Names that appear in `model`, in headers and in metrics: short, visible, no separators of ours.
bool is_name(const std::string& name) {
  if (name.empty() || name.size() > 128 || name.starts_with("skillyard/")) return false;
  for (const char c : name)
    if (c <= ' ' || c == '@' || c == '"' || c == '\\' || c == ',' ||
        static_cast<signed char>(c) < 0)
      return false;
  return true;
}

void check_place(const experts::ExpertOptions& expert, const std::string& place, Faults& faults) {
  if (expert.kind == experts::Kind::native) {
    if (expert.url.empty() || expert.url.find("://") != std::string::npos)
      faults.push_back(place + ".path: must name a GGUF file of this machine");
    const auto& can = expert.capabilities;
    if (can.tools || can.images || can.many || can.embeddings)
      faults.push_back(place +
                       ".capabilities: a native expert has no tools, images, many or embeddings");
    return;
  }
  if (!is_http_url(expert.url))
    faults.push_back(place +
                     ".url: must be http://HOST[:PORT][/PATH] or https://..., for example "
                     "http://127.0.0.1:8000/v1");
}

void check_experts(const std::vector<experts::ExpertOptions>& experts, Faults& faults) {
  std::set<std::string> seen;
  for (std::size_t i = 0; i < experts.size(); ++i) {
    const auto place = "experts[" + std::to_string(i) + "]";
    if (!is_name(experts[i].name))
      faults.push_back(place +
                       ".name: must be 1 to 128 visible ASCII characters without @ , \" \\, "
                       "not beginning with `skillyard/`");
    else if (!seen.insert(experts[i].name).second)
      faults.push_back(place + ".name: `" + experts[i].name + "` is there already");
    check_place(experts[i], place, faults);
    if (!experts[i].key_env.empty() && !experts[i].key_file.empty())
      faults.push_back(place + ": key_env and key_file exclude each other");
  }
}

void check_pools(const Config& config, Faults& faults) {
  std::set<std::string> experts, encoders, pools = {"auto"};
  for (const auto& expert : config.experts) {
    experts.insert(expert.name);
    if (expert.capabilities.embeddings) encoders.insert(expert.name);
  }
  for (std::size_t i = 0; i < config.pools.size(); ++i) {
    const auto& pool = config.pools[i];
    const auto place = "pools[" + std::to_string(i) + "]";
    const bool is_auto = pool.name == "auto";  // may be given once, to set its members or default
    if (!is_name(pool.name) || pool.name.find('/') != std::string::npos)
      faults.push_back(place +
                       ".name: must be 1 to 128 visible ASCII characters without @ , / \" \\");
    else if (!pools.insert(pool.name).second && !is_auto)
      faults.push_back(place + ".name: `" + pool.name + "` is there already");
    for (const auto& name : {pool.default_expert, pool.aggregation.expert})
      if (encoders.contains(name))
        faults.push_back(place + ": `" + name + "` makes embeddings, it cannot answer");
    auto members = pool.experts;
    if (!pool.default_expert.empty()) members.push_back(pool.default_expert);
    if (!pool.aggregation.expert.empty()) members.push_back(pool.aggregation.expert);
    for (const auto& name : members) {
      if (experts.contains(name)) continue;
      const auto near = nearest(name, experts);
      faults.push_back(place + ": there is no expert `" + name + "`" +
                       (near.empty() ? std::string() : "; did you mean `" + near + "`?"));
    }
  }
}

void check_encoder(const Config& config, Faults& faults) {
  const auto& name = config.lookup.encoder;
  if (name.empty()) return;
  std::set<std::string> encoders;
  for (const auto& expert : config.experts)
    if (expert.capabilities.embeddings) encoders.insert(expert.name);
  if (encoders.contains(name)) return;
  const auto near = nearest(name, encoders);
  faults.push_back("retrieval.encoder: no expert `" + name + "` makes embeddings" +
                   (near.empty() ? std::string() : "; did you mean `" + near + "`?"));
}

/// Cards must be told apart; a skill without a card stands for the words of its name. A name close
/// to a card's is taken for a typing error.
void check_skills(const Config& config, Faults& faults) {
  std::set<std::string> cards, all;
  for (std::size_t i = 0; i < config.skills.size(); ++i) {
    const auto& name = config.skills[i].name;
    const auto place = "skills[" + std::to_string(i) + "].name";
    if (name.empty() || name.size() > 128 || name == "general")
      faults.push_back(place + ": must be 1 to 128 bytes and not `general`, which is the rest");
    else if (!cards.insert(name).second)
      faults.push_back(place + ": `" + name + "` is there already");
  }
  all = cards;
  for (const auto& expert : config.experts) {
    for (const auto& skill : expert.skills) {
      all.insert(skill);
      if (cards.empty() || cards.contains(skill)) continue;
      if (const auto near = nearest(skill, cards); !near.empty())
        faults.push_back("expert `" + expert.name + "`: there is no skill `" + skill +
                         "`; did you mean `" + near + "`?");
    }
  }
  if (all.size() > router::kSkillCardsMax)
    faults.push_back("skills: " + std::to_string(all.size()) + " are declared, at most " +
                     std::to_string(router::kSkillCardsMax) + " are told apart");
}

}  // namespace

Config read(const nlohmann::json& document, Faults& faults, nlohmann::json* shown) {
  Config config;
  Section in(document, "", faults, shown);
  std::string listen;
  in.read("listen", listen);
  try {
    if (!listen.empty()) parse_listen(listen, config.http.address, config.http.port);
  } catch (const std::runtime_error& error) {
    in.fault("listen", error.what());
  }
  in.show("listen", config.http.address + ":" + std::to_string(config.http.port));
  in.object("tls", [&](Section& section) { read_tls(section, config.http.tls); });
  in.object("admin", [&](Section& section) { read_admin(section, config.admin); });
  in.read("data", config.data);
  in.read("policy", config.policy);
  in.read("discover", config.discover);
  in.read_choice("embedded", config.embedded, {"auto", "always", "never"});
  const std::vector<std::string> levels = {"trace", "debug", "info", "warn", "error"};
  std::size_t level = 2;
  in.read_choice("log_level", level, levels);
  config.log_level = levels[level];
  const std::vector<std::string> formats = {"text", "json"};
  std::size_t format = 0;
  in.read_choice("log_format", format, formats);
  config.log_format = formats[format];
  in.object("http", [&](Section& section) { read_http(section, config.http); });
  in.object("batches", [&](Section& section) { read_batches(section, config.http.batches); });
  in.object("store", [&](Section& section) { read_store(section, config.store); });
  in.object("retrieval", [&](Section& section) { read_lookup(section, config); });
  in.object("routing", [&](Section& section) { read_vectors(section, config.vectors); });
  in.object("residency", [&](Section& section) { read_residency(section, config.residency); });
  in.objects("experts", [&](Section& section) {
    config.experts.push_back(read_expert(section));
    read_life(section, config.experts.back().name, config.lives);
  });
  in.objects("skills", [&](Section& section) { config.skills.push_back(read_skill(section)); });
  in.objects("pools", [&](Section& section) { config.pools.push_back(read_pool(section)); });
  return config;
}

void check(const Config& config, Faults& faults) {
  check_encoder(config, faults);
  check_experts(config.experts, faults);
  check_pools(config, faults);
  check_skills(config, faults);
}

std::vector<router::PoolOptions> pools_of(const Config& config) {
  auto pools = config.pools;
  const auto is_auto = [](const auto& pool) { return pool.name == "auto"; };
  const auto found = std::find_if(pools.begin(), pools.end(), is_auto);
  if (found == pools.end())
    pools.insert(pools.begin(), router::PoolOptions{})->name = "auto";
  else
    std::rotate(pools.begin(), found, found + 1);
  return pools;
}

void refuse(const std::string& origin, const Faults& faults) {
  std::string message = origin + " is not a valid configuration:";
  for (const auto& fault : faults) message += "\n  " + fault;
  throw std::runtime_error(message);
}

nlohmann::json parse_text(const std::string& text, const std::string& origin) {
  nlohmann::json json;
  try {
    json = nlohmann::json::parse(text, nullptr, true, /*ignore_comments=*/true);
  } catch (const nlohmann::json::exception& error) {
    std::string what =
        error.what();  // `[json.exception.parse_error.101] parse error at line 2, ...`
    refuse(origin, {what.substr(std::min(what.find("] ") + 2, what.size()))});
  }
  if (!json.is_object()) refuse(origin, {"must be one JSON object"});
  return json;
}

Config parse(const std::string& text, const std::string& origin) {
  Faults faults;
  const Config config = read(parse_text(text, origin), faults);
  check(config, faults);
  if (!faults.empty()) refuse(origin, faults);
  return config;
}

std::string read_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error(path + ": cannot be read: no such file, or no permission");
  std::ostringstream text;
  text << in.rdbuf();
  if (text.str().size() > kFileBytesMax)
    throw std::runtime_error(path + ": is over 4 MiB, a configuration is smaller");
  return text.str();
}

Config read_file(const std::string& path) {
  return parse(read_text(path), path);
}

experts::ExpertOptions parse_expert(const std::string& text) {
  const std::string form = "--expert " + text +
                           ": must be NAME=URL[,model=NAME][,key-env=VARIABLE], for example "
                           "small=http://127.0.0.1:8000/v1,model=small-1; or NAME=FILE.gguf";
  const auto equals = text.find('=');
  if (equals == std::string::npos || equals == 0) throw std::runtime_error(form);
  experts::ExpertOptions expert;
  expert.name = text.substr(0, equals);
  auto rest = text.substr(equals + 1);
  const auto comma = rest.find(',');
  expert.url = rest.substr(0, comma);
  rest = comma == std::string::npos ? "" : rest.substr(comma + 1);
  if (expert.url.ends_with(".gguf") && !is_http_url(expert.url)) {
    if (!rest.empty()) throw std::runtime_error(form);
    expert.kind = experts::Kind::native;
    expert.capabilities = experts::kNativeCapabilities;
  }
  while (!rest.empty()) {
    const auto end = rest.find(',');
    const auto part = rest.substr(0, end);
    rest = end == std::string::npos ? "" : rest.substr(end + 1);
    if (part.starts_with("model="))
      expert.model = part.substr(6);
    else if (part.starts_with("key-env="))
      expert.key_env = part.substr(8);
    else
      throw std::runtime_error(form);
  }
  Faults faults;
  check_experts({expert}, faults);
  if (!faults.empty()) throw std::runtime_error(form);
  return expert;
}

void parse_listen(const std::string& text, std::string& to_address, std::uint16_t& to_port) {
  const auto colon = text.rfind(':');
  const std::string form =
      "`" + text + "` must be ADDRESS:PORT, for example 127.0.0.1:8300 or [::1]:8300";
  if (colon == std::string::npos) throw std::runtime_error(form);
  unsigned port = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + colon + 1, end, port);
  if (error != std::errc() || stop != end || port > 65535) throw std::runtime_error(form);
  auto address = text.substr(0, colon);
  if (address.size() > 2 && address.front() == '[' && address.back() == ']')
    address = address.substr(1, address.size() - 2);
  if (!address.empty()) to_address = address;
  to_port = static_cast<std::uint16_t>(port);
}

std::string default_data_dir() {
  if (const char* xdg = std::getenv("XDG_DATA_HOME"); xdg && *xdg)
    return std::string(xdg) + "/skillyard";
  if (const char* home = std::getenv("HOME"); home && *home)
    return std::string(home) + "/.local/share/skillyard";
  return "skillyard-data";
}

}  // namespace config
