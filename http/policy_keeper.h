// Policies that the service keeps: a file each, and a row of the log's database. Used by uploads
// and by jobs, on any thread; what they write is durable when they return.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "router/learn/jobs.h"
#include "router/learn/learn_log.h"
#include "router/policy.h"
#include "store/journal.h"

namespace http {

class Session;
struct AdminDoors;

class PolicyKeeper {
 public:
  /// `note` is kept with the policies and with the version that promotes one. Everything that the
  /// session's thread serves with outlives the keeper.
  PolicyKeeper(Session& session, std::string note);

  std::filesystem::path file_of(const std::string& version) const;

  /// Returns the version. Throws std::runtime_error when the disk refuses.
  std::string keep(const router::Policy& policy) const;

  /// What a job that made a policy reports: `report` with the policy, the gate's word and what came
  /// of promoting it, which is done where it was asked for and the gate lets it through.
  router::JobResult finish(const router::Policy& made, nlohmann::json report,
                           const router::Promotion& gate, bool promotes) const;

  /// Routes by it from the next query on: {"version": of the configuration} or {"faults": why not}.
  nlohmann::json promote(const std::string& version) const;

 private:
  const AdminDoors& doors_;
  store::Journal& journal_;
  const std::string author_, note_;
};

}  // namespace http
