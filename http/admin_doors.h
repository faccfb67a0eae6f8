// What the administrators' listener asks of the house. JSON documents are values here: all of this
// is a cold path.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/options.h"
#include "router/policy.h"
#include "router/vectors.h"

namespace router {
class Jobs;
struct InterviewQuote;
struct InterviewReport;
struct InterviewTask;
}  // namespace router

namespace store {
class EvalBook;
}

namespace http {

class KeyDesk;
class Workers;

/// A wish to change something. Kinds: `experts`, `pools`, `skills`, `policies`.
struct Edit {
  enum class Verb : std::uint8_t {
    put,    // the whole document; creates
    patch,  // RFC 7396 merge patch
    remove,
    enable,  // experts: patches `enabled`, needs no `if_match`
    disable,
    release,   // gives it back to the file
    rollback,  // everything as it was at `version`; 0: everything back to the file
    promote    // policies: `name` is the version in hex
  };

  Verb verb = Verb::put;
  std::string kind, name;
  nlohmann::json document;
  std::int64_t version = 0;   // of a rollback
  std::string if_match;       // as sent; empty: none
  bool creates_only = false;  // If-None-Match: *
  bool validate = false;      // say what would happen, change nothing
  bool simulate = false;      // and what it would do to the traffic; implies `validate`
  bool force = false;         // even if a pool loses its last healthy expert
  std::string author, comment;
  std::int64_t unix_us = 0;
};

std::string_view name_of(Edit::Verb verb);

/// What came of it.
struct Edited {
  enum class Verdict : std::uint8_t {
    applied,
    valid,      // asked to validate only
    unchanged,  // it says what is in force already
    unknown,    // no such resource or version
    stale,      // If-Match names another state
    unmatched,  // it changes what is there without If-Match
    refused,    // `faults` say why
    strands     // a pool would be left without a healthy expert: `faults` name it
  };

  Verdict verdict = Verdict::refused;
  bool created = false;
  std::vector<std::string> faults;
  std::int64_t version = 0;   // in force now
  std::string etag;           // of the resource in force now; empty: there is none
  nlohmann::json document;    // in force now, or with `validate` what would be; null: none
  nlohmann::json diff;        // RFC 6902, from what was to `document`; of a rollback: by resource
  nlohmann::json simulation;  // router/learn/simulate.h; null unless it was asked for and is valid
};

struct Shown {
  std::string kind, name, origin, etag;
  std::int64_t version = 0;  // that last changed it; 0: it belongs to the file
  nlohmann::json document;   // secrets masked
};

/// Called on the administrators' thread, and block on the disk.
struct AdminDoors {
  AdminOptions options;
  KeyDesk* keys = nullptr;               // outlives the listener
  Workers* workers = nullptr;            // likewise
  router::Jobs* jobs = nullptr;          // likewise
  store::EvalBook* eval_book = nullptr;  // likewise
  bool on_loopback = false;              // only this machine can reach the listener
  std::string log_path;                  // the database
  std::string knowledge_path;            // the file of the knowledge; may not be there yet
  std::string policies_dir;              // where uploaded policies are kept
  std::string outcomes_dir;              // and uploaded outcome files

  std::function<Edited(const Edit& edit)> edit;
  std::function<std::vector<Shown>(std::string_view kind)> list;
  std::function<nlohmann::json(std::string_view expert)> status;  // health and load, live
  /// Asks the expert as an administrator may before clients do; blocks for seconds, on one of
  /// `workers`. Nothing: there is no such expert.
  std::function<std::optional<nlohmann::json>(const std::string& expert)> check;
  /// Probes, router/interview.h: what they would cost; and asking, which blocks until it has ended.
  std::function<router::InterviewQuote(const router::InterviewTask& task)> quote;
  std::function<router::InterviewReport(
      const router::InterviewTask& task,
      const std::function<bool(std::size_t done, std::size_t calls)>& go_on)>
      interview;
  /// Vectors for jobs that learn or judge; blocks. Null: there are none.
  router::VectorsOf vectors;
  std::function<router::PolicyPtr()> policy;  // that runs now
  std::function<nlohmann::json()> config;
  std::function<nlohmann::json()> shapes;  // by kind, one document with every key and its default
  std::function<nlohmann::json(std::int64_t before, int limit)> versions;
  std::function<std::optional<nlohmann::json>(std::int64_t number)> version;
};

}  // namespace http
