// The commands that administer a running service: expert, pool, key, versions, rollback, policy.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace CLI {
class App;
}

namespace house {

/// Adds them to `app`. `status` gets the exit status: 0, or 1 when the service refused (it says why
/// on stderr). No service there, or a wrong command line: exceptions of std::runtime_error. Both
/// outlive the parse.
void add_admin_commands(CLI::App& app, int& status);

/// A probe that a running service makes of one expert.
struct ServiceProbe {
  std::string admin;  // its address; empty: as of the other commands
  std::string expert;
  std::string questions;  // a file, uploaded under its name
  bool dry_run = false;   // tell the price, ask nobody
  bool json = false;
};

/// Uploads the questions, tells calls and cost, and follows the job to its end. `wish`: the body of
/// POST /admin/experts/{name}/probe but for its questions. Returns the exit status as above.
int probe_by_service(const ServiceProbe& probe, const nlohmann::json& wish);

}  // namespace house
