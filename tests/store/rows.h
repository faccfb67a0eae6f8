// Rows and a directory for the tests of the store.
#pragma once

#include <stdlib.h>

#include <cstdio>
#include <filesystem>
#include <string>

#include "store/rows.h"

namespace store_test {

/// A directory of its own, gone at the end.
class Scratch {
 public:
  Scratch() {
    std::string pattern = (std::filesystem::temp_directory_path() / "store_XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }

  ~Scratch() { std::filesystem::remove_all(path_); }

  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  std::string file(const std::string& name = "log.db") const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

inline std::string id_of(std::uint64_t number) {
  char id[32];
  std::snprintf(id, sizeof id, "dec_%026llu", static_cast<unsigned long long>(number));
  return id;
}

inline constexpr std::int64_t kStartUs = 1'700'000'000'000'000;

/// A full row; different in every field for every `number`.
inline store::Decision decision(std::uint64_t number) {
  store::Decision row;
  row.id = id_of(number);
  row.unix_us = kStartUs + static_cast<std::int64_t>(number);
  row.query_hash = 0x9e3779b97f4a7c15u * (number + 1);
  row.text = "What is " + std::to_string(number) + " squared?";
  row.model = "skillyard/auto";
  row.pool = number % 2 == 0 ? "auto" : "cheap";
  row.policy_version = number + 7;
  row.features_hash = ~row.query_hash;
  row.seed = number * number;
  row.route = std::string("\x01\0\xff", 3) + std::to_string(number);
  row.reason = "learned";
  row.gate = number % 3 == 0 ? "one passage" : "";
  row.propensity = 1.0 / static_cast<double>(number + 1);
  row.abstained = number % 2 == 0;
  row.expert = "expert-" + std::to_string(number % 5);
  row.mode = "single";
  row.outcome = "ok";
  row.finish_reason = "stop";
  row.calls = {{.expert = "other", .outcome = "overloaded", .status = 503, .attempts = 2},
               {.expert = row.expert,
                .outcome = "ok",
                .status = 200,
                .attempts = 1,
                .usage_known = true,
                .prompt_tokens = 100 + static_cast<std::int64_t>(number),
                .completion_tokens = 20,
                .cached_tokens = 3,
                .cost_microusd = 412,
                .queued_us = 5,
                .first_byte_us = 900,
                .total_us = 12'000,
                .vote = number % 3 == 0 ? "C" : ""}};
  row.prompt_tokens = 100 + static_cast<std::int64_t>(number);
  row.completion_tokens = 20;
  row.cached_tokens = 3;
  row.cost_microusd = 412;
  row.decide_us = 18;
  row.first_byte_us = number % 2 == 0 ? 950 : -1;
  row.total_us = 12'100;
  row.stream = number % 2 == 0;
  row.confidence = 0.875;
  row.changed = number % 3 == 0;
  return row;
}

}  // namespace store_test
