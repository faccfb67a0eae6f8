#include "config/house/checks.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <fstream>

namespace house {

namespace fs = std::filesystem;
using Json = nlohmann::json;

namespace {

bool is_check(const Json& how) {
  return how.is_object() && how.contains("unix_us") && how["unix_us"].is_number_integer();
}

}  // namespace

Checks::Checks(fs::path path) : path_(std::move(path)) {
  std::ifstream in(path_, std::ios::binary);
  if (!in) return;  // none yet
  Json read = Json::parse(in, nullptr, false);
  if (read.is_object() && std::all_of(read.begin(), read.end(), is_check)) {
    last_ = std::move(read);
  } else {
    spdlog::warn("{}: not what this program wrote, so nothing is known of earlier checks",
                 path_.string());
  }
}

void Checks::note(const std::string& expert, Json how, std::int64_t unix_us) {
  const std::lock_guard lock(mutex_);
  how["unix_us"] = unix_us;
  last_[expert] = std::move(how);
  const auto older = [](const Json& a, const Json& b) { return a["unix_us"] < b["unix_us"]; };
  while (last_.size() > kExpertsMax)
    last_.erase(std::min_element(last_.begin(), last_.end(), older));
  write();
}

Json Checks::last(const std::string& expert) const {
  const std::lock_guard lock(mutex_);
  return last_.value(expert, Json());
}

void Checks::write() const {
  const fs::path part = path_.string() + ".part";
  std::ofstream out(part, std::ios::binary);
  out << last_.dump(-1, ' ', false, Json::error_handler_t::replace);
  out.close();
  std::error_code error;
  if (out) fs::rename(part, path_, error);
  if (!out || error) spdlog::warn("{}: the last check is not kept", path_.string());
}

}  // namespace house
