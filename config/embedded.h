// The pool that comes with the program: small native experts, the policy that was learned for them,
// and how both serve when nothing else is there. Files: experts/embedded/README.md.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

namespace config {

/// Where it is: share/skillyard/embedded beside the program's folder when it is installed, else
/// where it was built from. Empty when there is none.
std::filesystem::path embedded_dir();

/// {"experts": [...], "pools": [...], "policy": PATH}, documents of the configuration's shape, from
/// `dir`/pool.json: {"experts": [{"name", "file", "description"}]}. Without a policy.bin there is
/// no `policy`. Throws std::runtime_error that names the file and the fault.
nlohmann::json read_embedded(const std::filesystem::path& dir);

}  // namespace config
