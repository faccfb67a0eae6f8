// GGUF files that this process serves: each is loaded once, at its first request, and shared by the
// experts of all net threads that name it with the same options.
//
// A NativeModel has a thread of its own, which loads the file, turns messages into tokens, hands
// them to the engine (another thread) and at last unloads: a net thread never waits for any of it.
// The weights stay mapped from the file; the memory that a model takes is its KV budget and the
// engine's working memory.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "experts/moe/text_model.h"
#include "experts/native_line.h"
#include "experts/options.h"

namespace experts {

/// SamplingOptions::temperature of a request that asks for none: what the file says
/// (`general.sampling.temp`, as in llama.cpp), else 1.
inline constexpr double kTemperatureOfFile = -1;

/// What two experts must agree in to share a model.
struct NativeSource {
  std::string file;
  std::int64_t context_tokens = 0;  // at most; 0: what the file says
  NativeOptions options;

  bool operator==(const NativeSource&) const = default;
};

/// A loaded model now; counters since it was loaded.
struct NativeStatus {
  std::string file;
  moe::EngineStats engine;
  std::uint64_t first_tokens = 0;    // replies that said something
  std::uint64_t first_token_us = 0;  // from their call to their first text, sum
  std::uint64_t generation_us = 0;   // from first text to the end, sum
};

class NativeModel {
 public:
  explicit NativeModel(NativeSource source);

  /// After stop(): joins the thread, which may still be ending a step of the engine.
  ~NativeModel();
  NativeModel(const NativeModel&) = delete;
  NativeModel& operator=(const NativeModel&) = delete;

  /// Any thread, never waits. The callbacks of `request` are set here: pieces and the ending go to
  /// `line`. A file that cannot be loaded ends the line as unreachable, and is tried again with the
  /// next request.
  void submit(moe::TextRequest request, std::shared_ptr<NativeLine> line);

  /// Any thread, never waits; `done` is called on the model's thread, with why it failed or
  /// nothing.
  void load(std::function<void(const std::string& error)> done);

  /// As load(). Ends what was submitted before; a later submit loads again.
  void unload(std::function<void()> done);

  /// No further submit; every line of this model has closed. Unloads in the background.
  void stop();
  std::optional<NativeStatus> status() const;  // nullopt: not loaded
  bool is_gone() const;  // nothing is loaded any more and the thread is at its end

 private:
  struct Loaded;

  struct Job {
    moe::TextRequest request;
    std::shared_ptr<NativeLine> line;
    Clock::time_point since;
  };

  void run();
  void order(std::function<void()> what);
  void serve(Job job);
  std::string open();
  void close();

  const NativeSource source_;

  // The thread's own.
  std::unique_ptr<Loaded> loaded_;

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  const Loaded* shown_ = nullptr;             // loaded_, for status()
  std::deque<Job> jobs_;                      // no more than the Pool lets in
  std::deque<std::function<void()>> orders_;  // loads and unloads: after the jobs
  bool stopping_ = false;
  bool gone_ = false;
  std::thread thread_;
};

/// The models of the process. Outlives every expert that got one; thread-safe.
class NativeModels {
 public:
  NativeModels() = default;
  /// Waits until every model was let go, the last pointer perhaps by the model's own thread at the
  /// end of an unload, and is unloaded.
  ~NativeModels();
  NativeModels(const NativeModels&) = delete;
  NativeModels& operator=(const NativeModels&) = delete;

  /// What a loaded model of `source` takes at most: the file and the keys and values. 0: no such
  /// file.
  static std::int64_t bytes_of(const NativeSource& source);

  /// The model of `source`, not loaded yet or shared. It is unloaded when the last pointer goes.
  std::shared_ptr<NativeModel> find(const NativeSource& source);

  std::vector<NativeStatus> describe() const;  // of those that are loaded

 private:
  void retire(std::unique_ptr<NativeModel> model);

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable let_go_;
  int held_ = 0;  // handed out by find() and not retired
  std::list<std::pair<NativeSource, std::weak_ptr<NativeModel>>> models_;
  std::list<std::unique_ptr<NativeModel>> retired_;  // unloading
};

}  // namespace experts
