// A team of threads that shares the tasks of one phase after another.
//
// run() hands out task numbers from one counter; the caller works too and returns when every task
// is done. Nobody waits for a thread that holds no task: when the system gives a worker's core to
// somebody else, the others take its share. Between phases a worker looks for new work for a few
// microseconds (kSpins), because the next phase of a forward pass follows at once, then sleeps in
// the kernel; an idle team costs nothing.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace moe {

class Team {
 public:
  /// `threads` in all, the caller of run() included; at least 1.
  explicit Team(int threads);
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  /// Calls task(i, thread) once for each i in [0, count), thread in [0, threads()). One caller at a
  /// time. `task` must not throw.
  template <class Task>
  void run(std::uint32_t count, const Task& task) {
    if (count == 0) return;
    if (count == 1 || workers_.empty()) {
      for (std::uint32_t i = 0; i < count; ++i) task(i, 0);
      return;
    }
    share(
        count,
        [](const void* context, std::uint32_t i, int thread) {
          (*static_cast<const Task*>(context))(i, thread);
        },
        &task);
  }

 private:
  using Call = void (*)(const void* context, std::uint32_t task, int thread);

  void share(std::uint32_t count, Call call, const void* context);
  void work(int thread);
  bool take(int thread);

  // A ticket is epoch | count | next; taking a task is one compare-and-swap on it, which also
  // proves that call_ and context_ were read in the same epoch.
  std::atomic<std::uint64_t> ticket_{0};
  std::atomic<Call> call_{nullptr};
  std::atomic<const void*> context_{nullptr};
  std::atomic<std::uint32_t> done_{0};
  std::atomic<std::uint32_t> epoch_{0};  // what sleepers wait on
  std::atomic<std::uint32_t> sleepers_{0};
  std::atomic<bool> stop_{false};
  std::vector<std::thread> workers_;
};

}  // namespace moe
