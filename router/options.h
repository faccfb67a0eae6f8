// What may be set about the corridor's lookups. The initialisers are the documented defaults.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

#include "store/options.h"

namespace router {

struct LookupOptions {
  std::string path = "knowledge.sqlite";
  int threads = 2;                               // that block on the disk
  std::size_t queue_max = 256;                   // searches that wait for a thread
  std::chrono::milliseconds wait_max{250};       // of a query for its passages
  std::chrono::milliseconds check_every{2'000};  // for a file that appears, changes or goes
  store::SearchRules rules;
};

}  // namespace router
