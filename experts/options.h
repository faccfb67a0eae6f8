// What may be set about experts. The initialisers are the documented defaults; money is in
// micro-usd (1 USD = 1,000,000), time in milliseconds, sizes in bytes. Plain data, no threads.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace experts {

enum class Kind : std::uint8_t {
  remote,  // an OpenAI-compatible server behind `url`
  native,  // a GGUF file served by this process, made by the maker that the Pool was given
  stub     // a scripted expert of the tests
};

/// What a GGUF file served by this process may take. Experts of the same file with the same options
/// share one copy of it.
struct NativeOptions {
  int threads = 0;                        // 0: one per processor
  std::int64_t kv_bytes_max = 1LL << 30;  // keys and values of all running requests
  int sequences_max = 64;                 // requests that run at once; more wait inside the engine
  int activation_bits = 16;               // 8: K-quants compute faster and as exactly as llama.cpp
  std::int64_t expert_bytes_max = 0;      // routed experts in slots of so many bytes in all, read
                                          // when needed; 0: mapped from the file

  bool operator==(const NativeOptions&) const = default;
};

/// Micro-usd per 1,000,000 tokens: 0.15 USD per million is 150,000.
struct Prices {
  std::int64_t in = 0;
  std::int64_t out = 0;
  std::int64_t cached = -1;  // prompt tokens read from the expert's cache; -1: same as `in`

  bool operator==(const Prices&) const = default;
};

struct Capabilities {
  bool tools = true;
  bool json_schema = true;
  bool images = false;
  bool logprobs = true;
  bool many = true;         // n > 1
  bool embeddings = false;  // it makes vectors of texts, and takes no chats; remote experts only

  bool operator==(const Capabilities&) const = default;
};

/// A native expert takes text and gives text.
inline constexpr Capabilities kNativeCapabilities = {
    .tools = false, .json_schema = true, .images = false, .logprobs = true, .many = false};

struct Timeouts {
  int connect_ms_max = 3'000;  // name, TCP, TLS
  int first_byte_ms_max =
      120'000;                 // sent request to first byte; not streamed: the whole generation
  int idle_ms_max = 60'000;    // between two pieces of a reply
  int total_ms_max = 600'000;  // one attempt; Call::deadline bounds all attempts together

  bool operator==(const Timeouts&) const = default;
};

/// Retries of the same expert. Going to another expert is the router's business.
struct Retries {
  int count_max = 1;               // after the first attempt
  int backoff_ms = 100;            // first wait; doubles, drawn from [half, whole]
  int backoff_ms_max = 2'000;      //
  int retry_after_ms_max = 3'000;  // a longer Retry-After is not waited for, it goes into the Reply
  // Retry budget as gRPC's retry throttling: a bucket of `tokens`; a failed attempt takes one, a
  // good one gives a tenth back; no retries while the bucket is half empty. 0: no budget.
  int budget_tokens = 100;

  bool operator==(const Retries&) const = default;
};

/// The breaker opens when the exponentially weighted share of failed calls passes one half. With a
/// memory of 8 calls that is 6 failures in a row from perfect health.
struct BreakerOptions {
  int memory_calls = 8;      // 0: the breaker never opens
  int open_ms = 2'000;       // doubles with every failed probe
  int open_ms_max = 60'000;  //
  bool probe_models = true;  // while open, ask GET /models, and close early when that works

  bool operator==(const BreakerOptions&) const = default;
};

/// Experts that share a memory which does not hold them all (residency.h).
struct ResidencyOptions {
  std::int64_t bytes_max = 0;   // of those in memory together; 0: no limit
  int experts_max = 0;          // in memory at once; 0: no limit
  int wait_ms_max = 60'000;     // a request waits so long, and one load; what cannot is refused
  int min_resident_ms = 1'000;  // an expert that was loaded stays so long
  int queue_max = 1'024;        // requests that wait for one expert

  bool limits() const { return bytes_max > 0 || experts_max > 0; }

  bool operator==(const ResidencyOptions&) const = default;
};

struct ExpertOptions {
  std::string name;     // pool name: what clients see as `model`
  bool enabled = true;  // false: not in the roster; calls that run end
  Kind kind = Kind::remote;
  std::string url;  // `http://host:8000/v1`; without a path, `/v1` is meant; native: the GGUF file
  std::string model;     // the upstream's name; empty: same as `name`
  std::string key_env;   // environment variable that holds the key, or
  std::string key_file;  // file that holds it: one line, readable by its owner only
  Prices prices;
  std::int64_t context_tokens = 0;  // prompt and reply together; 0: unknown, no limit assumed;
                                    // native: at most this, 0: what the file says
  Capabilities capabilities;
  std::vector<std::string> skills;  // declared, for routing without a policy
  int concurrency_max = 256;        // calls at once, all net threads together
  int queue_max = 256;              // calls that wait for a place, all net threads together
  int queue_ms_max = 10'000;        // longest wait for a place
  Timeouts timeouts;
  Retries retries;
  BreakerOptions breaker;
  NativeOptions native;
  std::int64_t reply_bytes_max = 16 << 20;  // of a reply that is not streamed
  std::int64_t event_bytes_max = 1 << 20;   // of one server-sent event
  int connections_idle_max = 64;            // kept per net thread
  int connection_idle_ms_max = 30'000;      // kept that long
  std::int64_t resident_bytes = 0;          // memory it takes while loaded; native, 0: its file and
                                            // kv_bytes_max
  int load_ms = 1'000;                      // what a load takes; native: until one was timed
  std::string swap_group;  // remote: of those with the same one its server holds one
                           // at a time; empty: always there
  bool http2 = true;       // offered over TLS
  std::string proxy;       // `http://host:port`, `socks5h://host:port`; empty: none, whatever the
                           // environment says
  std::string ca_file;     // PEM bundle instead of the system's
  std::vector<std::pair<std::string, std::string>> headers;  // sent with every request

  bool operator==(const ExpertOptions&) const = default;
};

struct PoolOptions {
  int net_threads = 1;  // each gets an equal share of concurrency_max and queue_max
  int sweep_ms = 100;   // how often deadlines are looked at: the precision of every timeout
  int resolve_ms_kept = 30'000;    // how long a resolved name is used
  int error_bytes_max = 64 << 10;  // kept of an expert's error body
  int informational_max = 8;       // 1xx responses before the real one
  std::uint64_t seed = 0;          // of the jitter
};

}  // namespace experts
