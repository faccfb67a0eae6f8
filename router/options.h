// What may be set about the corridor's lookups. The initialisers are the documented defaults.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

#include "store/options.h"

namespace router {

/// Vectors of queries, for a policy that was trained with an encoder's.
struct VectorOptions {
  std::chrono::milliseconds wait_max{150};  // of a query for its vector; late by up to
                                            // experts::PoolOptions::sweep_ms
  std::size_t kept_max = 4'096;             // in memory, of each net thread
};

struct LookupOptions {
  std::string path = "knowledge.sqlite";
  int threads = 2;                               // that block on the disk
  std::size_t queue_max = 256;                   // searches that wait for a thread
  std::chrono::milliseconds wait_max{250};       // of a query for its passages
  std::chrono::milliseconds check_every{2'000};  // for a file that appears, changes or goes
  store::SearchRules rules;

  // Dense search. Vectors of passages are made in the background (router/vector_fill.h).
  std::string encoder;                             // the expert that makes them; empty: words alone
  std::chrono::milliseconds encode_wait_max{150};  // of a query for its vector; late by up to
                                                   // experts::PoolOptions::sweep_ms
  int encode_batch = 32;                           // passages in one call
  std::size_t vectors_bytes_max = 512u << 20;      // in memory; passages beyond: words alone
};

}  // namespace router
