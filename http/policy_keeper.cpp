#include "http/policy_keeper.h"

#include <openssl/sha.h>
#include <spdlog/spdlog.h>

#include <chrono>

#include "http/admin.h"
#include "http/admin_doors.h"
#include "http/net_thread.h"
#include "http/records.h"
#include "router/version_text.h"

namespace http {

namespace fs = std::filesystem;

namespace {

using Json = nlohmann::json;

constexpr std::chrono::seconds kGateFlushPatience{10};

std::int64_t unix_now_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string sha256_of(std::string_view bytes) {
  std::uint8_t digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest);
  std::string text;
  char two[3];
  for (const auto byte : digest) {
    std::snprintf(two, sizeof two, "%02x", byte);
    text += two;
  }
  return text;
}

}  // namespace

PolicyKeeper::PolicyKeeper(Session& session, std::string note)
    : doors_(admin_doors(session)),
      journal_(session.thread().doors().records->journal()),
      author_(author_of(session)),
      note_(std::move(note)) {}

fs::path PolicyKeeper::file_of(const std::string& version) const {
  return fs::path(doors_.policies_dir) / (version + ".policy");
}

std::string PolicyKeeper::keep(const router::Policy& policy) const {
  router::Policy copy = policy;
  const std::string bytes = router::encode_policy(copy);
  const std::string version = router::version_text(copy.version);
  const fs::path path = file_of(version);
  fs::create_directories(path.parent_path());
  router::save_policy(copy, path.string());
  store::PolicyRow row;
  row.version = copy.version;
  row.parent = doors_.policy()->version;
  row.status = "candidate";
  row.created_us = unix_now_us();
  row.path = path.string();
  row.sha256 = sha256_of(bytes);
  row.note = note_;
  const bool logged = journal_.put(std::move(row)) != 0 &&
                      journal_.flush(std::chrono::steady_clock::now() + kGateFlushPatience);
  if (!logged) throw std::runtime_error("the database did not take the policy's row in time");
  return version;
}

Json PolicyKeeper::promote(const std::string& version) const {
  Edit edit;
  edit.verb = Edit::Verb::promote;
  edit.kind = "policies";
  edit.name = "running";
  edit.document = {{"version", version}, {"path", file_of(version).string()}};
  edit.author = author_;
  edit.comment = note_;
  edit.unix_us = unix_now_us();
  const Edited edited = doors_.edit(edit);
  if (edited.verdict == Edited::Verdict::applied)
    spdlog::info("version {} by {}: promote policy {} of {}", edited.version, author_, version,
                 note_);
  const bool good =
      edited.verdict == Edited::Verdict::applied || edited.verdict == Edited::Verdict::unchanged;
  return good ? Json{{"version", edited.version}} : Json{{"faults", edited.faults}};
}

router::JobResult PolicyKeeper::finish(const router::Policy& made, Json report,
                                       const router::Promotion& gate, bool promotes) const {
  const auto version = keep(made);
  Json experts = Json::array();
  for (const auto& expert : made.experts) experts.push_back(expert.name);
  report["policy"] = version;
  report["experts"] = std::move(experts);
  report["skills"] = made.skills;
  report["passes"] = gate.passes;
  report["why"] = gate.why;
  report["promoted"] = promotes && gate.passes ? promote(version) : Json();
  return {report.dump(), ""};
}

}  // namespace http
