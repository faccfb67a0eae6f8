// One HTTP exchange, blocking: for the command line, which waits for nothing else.
#pragma once

#include <string>
#include <vector>

namespace experts {

struct FetchRequest {
  std::string method = "GET";
  std::string url;
  std::vector<std::string> fields;  // `name: value`
  std::string body;
  std::string ca_file;  // PEM; empty: the system's authorities
  int wait_ms_max = 30'000;
};

struct Fetched {
  int status = 0;
  std::string etag;
  std::string body;
};

/// Throws std::runtime_error with an operator's sentence when there was no answer. Takes no proxy:
/// what it talks to is this service.
Fetched fetch(const FetchRequest& request);

}  // namespace experts
