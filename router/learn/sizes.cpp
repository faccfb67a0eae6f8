#include "router/learn/sizes.h"

#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace router {

namespace {

constexpr std::size_t kSizesBytesMax = 1u << 20;

}  // namespace

std::vector<double> read_sizes(const std::string& path, const std::vector<std::string>& experts) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("--sizes: cannot open " + path);
  std::string bytes(kSizesBytesMax + 1, '\0');
  in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  bytes.resize(static_cast<std::size_t>(in.gcount()));
  if (bytes.size() > kSizesBytesMax)
    throw std::runtime_error("--sizes: " + path + " is larger than a table of sizes can be");
  const auto json = nlohmann::json::parse(bytes, nullptr, false);
  if (!json.is_object())
    throw std::runtime_error("--sizes: " + path + " must hold one JSON object, {\"EXPERT\": size}");
  std::vector<double> sizes;
  std::string missing;
  for (const std::string& expert : experts) {
    const auto found = json.find(expert);
    if (found == json.end()) {
      missing += (missing.empty() ? "" : ", ") + expert;
      continue;
    }
    if (!found->is_number() || found->get<double>() < 0)
      throw std::runtime_error("--sizes: the size of " + expert + " must be a number of 0 or more");
    sizes.push_back(found->get<double>());
  }
  if (!missing.empty())
    throw std::runtime_error("--sizes: " + path + " has no size for " + missing);
  return sizes;
}

}  // namespace router
