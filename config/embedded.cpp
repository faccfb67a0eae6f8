#include "config/embedded.h"

#include <stdexcept>

#include "config/config.h"

namespace config {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

/// Small models on one machine: a core each is enough, and a reply is short.
Json expert_of(const Json& listed, const fs::path& dir) {
  const auto file = dir / listed.at("file").get<std::string>();
  if (!fs::exists(file)) throw std::runtime_error("there is no " + file.string());
  return {{"name", listed.at("name")},
          {"kind", "native"},
          {"path", file.string()},
          {"native", {{"threads", 1}, {"kv_bytes_max", 8 << 20}, {"sequences_max", 16}}}};
}

}  // namespace

fs::path embedded_dir() {
  std::error_code failed;
  const auto program = fs::read_symlink("/proc/self/exe", failed);
  const auto installed = program.parent_path().parent_path() / "share/skillyard/embedded";
  for (const auto& dir : {installed, fs::path(SKILLYARD_EMBEDDED_DIR)})
    if (fs::exists(dir / "pool.json", failed)) return dir;
  return {};
}

Json read_embedded(const fs::path& dir) {
  const auto path = dir / "pool.json";
  const Json pool = parse_text(read_text(path.string()), path.string());
  try {
    Json documents = {{"experts", Json::array()}};
    for (const auto& listed : pool.at("experts"))
      documents["experts"].push_back(expert_of(listed, dir));
    // Models of this size can answer and vote, but not read each other's answers.
    documents["pools"] = Json::array(
        {{{"name", "auto"}, {"outside", "answer"}, {"aggregation", {{"mode", "weighted"}}}}});
    if (fs::exists(dir / "policy.bin")) documents["policy"] = (dir / "policy.bin").string();
    return documents;
  } catch (const std::exception& error) {
    throw std::runtime_error(path.string() + ": " + error.what());
  }
}

}  // namespace config
