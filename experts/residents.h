// Carries out what Residency (residency.h) decides: loads and unloads native models, and lets calls
// through to an expert when it is in memory. One memory for the native models of the process, and
// one for every `swap_group` of remote experts, whose server holds one of them at a time and swaps
// by itself when another is asked (llama-swap, Ollama).
//
// Threads: calls wait as coroutines of their net thread; models load and unload on their own
// threads; a thread of each memory watches the time. A lock guards the scheduler; nothing blocks
// under it. Outlives the Pools.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "experts/native_model.h"
#include "experts/pool.h"
#include "experts/residency.h"

namespace experts {

/// One expert, or file that several share, in one memory. Counters since the start.
struct ResidentStatus {
  std::string group;  // empty: native models
  std::string name;
  ResidentView now;
  std::uint64_t loads = 0;
  std::uint64_t load_failures = 0;
  std::uint64_t load_us = 0;  // sum
  std::uint64_t waits = 0;    // calls let through
  std::uint64_t wait_us = 0;  // of those, sum
  std::uint64_t refused = 0;
};

class ResidentGroup;

class Residents {
 public:
  /// `models` outlives it. Without limits the native models load as they are asked and stay.
  Residents(const ResidencyOptions& options, NativeModels& models);
  ~Residents();
  Residents(const Residents&) = delete;
  Residents& operator=(const Residents&) = delete;

  /// For the Pools: experts that share a memory wait in front of it, others pass as they are.
  ExpertWrapper wrapper();

  std::vector<ResidentStatus> describe() const;

 private:
  std::shared_ptr<ResidentGroup> group(const std::string& name);
  std::unique_ptr<Expert> wrap(NetThread& thread, const Entry& entry,
                               std::unique_ptr<Expert> expert);

  const ResidencyOptions options_;
  NativeModels& models_;
  mutable std::mutex mutex_;  // guards what follows
  std::map<std::string, std::shared_ptr<ResidentGroup>> groups_;
};

/// Appends `skillyard_resident_*` in Prometheus' text form; nothing where nothing shares a memory.
void append_metrics(const Residents& residents, std::string& out);

}  // namespace experts
