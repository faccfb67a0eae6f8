// How the last check of each expert went, kept in a file beside the database: what an administrator
// was told before a restart is not forgotten by it.
//
// Any thread. A file that is broken, or cannot be written, is told in the log and no more: checks
// are made again at any time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>

namespace house {

class Checks {
 public:
  static constexpr std::size_t kExpertsMax = 1'000;  // of several more the oldest check goes

  explicit Checks(std::filesystem::path path);

  /// `how`: {"good": ..., ...}; `unix_us` is added.
  void note(const std::string& expert, nlohmann::json how, std::int64_t unix_us);

  /// Null: it was not checked.
  nlohmann::json last(const std::string& expert) const;

 private:
  void write() const;

  const std::filesystem::path path_;
  mutable std::mutex mutex_;
  nlohmann::json last_ = nlohmann::json::object();  // by expert
};

}  // namespace house
