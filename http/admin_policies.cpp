#include <openssl/sha.h>

#include <filesystem>

#include "http/admin.h"
#include "http/admin_doors.h"
#include "http/net_thread.h"
#include "http/records.h"
#include "router/policy.h"

namespace http {

namespace asio = boost::asio;
namespace fs = std::filesystem;

namespace {

using Json = nlohmann::json;

constexpr std::chrono::seconds kFlushPatience{10};

std::string hex_of(std::uint64_t version) {
  char text[20];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(version));
  return text;
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

bool is_version(const std::string& text) {
  return text.size() == 16 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

fs::path file_of(Session& session, const std::string& version) {
  return fs::path(session.thread().doors().admin->policies_dir) / (version + ".policy");
}

/// The file and its row; the row is there when this returns.
void keep(Session& session, const router::PolicyPtr& policy) {
  const std::string version = hex_of(policy->version);
  const fs::path path = file_of(session, version);
  fs::create_directories(path.parent_path());
  router::Policy copy = *policy;
  router::save_policy(copy, path.string());
  store::PolicyRow row;
  row.version = policy->version;
  row.status = "candidate";
  row.created_us = session.began_unix_us();
  row.path = path.string();
  row.sha256 = sha256_of(session.request().body);
  auto& journal = session.thread().doors().records->journal();
  const bool logged = journal.put(std::move(row)) != 0 &&
                      journal.flush(std::chrono::steady_clock::now() + kFlushPatience);
  if (!logged) throw std::runtime_error("the database did not take the policy's row in time");
}

}  // namespace

asio::awaitable<void> list_policies(Session& session) {
  std::vector<store::PolicyRow> rows;
  std::function<void(store::Reader&)> job = [&](store::Reader& reader) {
    rows = reader.policies();
  };
  co_await session.thread().doors().records->ask(std::move(job));
  const auto running = session.thread().doors().policy_version();
  Json list = Json::array();
  for (const auto& row : rows) {
    list.push_back({{"version", hex_of(row.version)},
                    {"running", row.version == running},
                    {"created_us", row.created_us},
                    {"sha256", row.sha256},
                    {"note", row.note}});
  }
  reply_json(session, {{"object", "list"},
                       {"running", hex_of(running)},
                       {"data", std::move(list)},
                       {"has_more", false}});
}

void upload_policy(Session& session) {
  router::PolicyPtr policy;
  try {
    policy = router::decode_policy(session.request().body, "the uploaded file");
  } catch (const std::runtime_error& error) {
    return reply_problem(session, Fault::bad_resource, error.what());
  }
  keep(session, policy);
  Json experts = Json::array();
  for (const auto& expert : policy->experts) experts.push_back(expert.name);
  reply_json(session,
             {{"object", "skillyard.policy"},
              {"version", hex_of(policy->version)},
              {"experts", std::move(experts)},
              {"skills", policy->skills}},
             201);
}

void promote_policy(Session& session) {
  const std::string version = session.argument();
  const fs::path path = file_of(session, version);
  if (!is_version(version) || !fs::exists(path))
    return reply_problem(session, Fault::no_such_row,
                         "there is no uploaded policy `" + version + "`; GET /admin/policies",
                         "version");
  Edit edit;
  edit.verb = Edit::Verb::promote;
  edit.kind = "policies";
  edit.name = "running";
  edit.document = {{"version", version}, {"path", path.string()}};
  if (begin_edit(session, edit)) finish_edit(session, edit);
}

void release_policy(Session& session) {
  Edit edit;
  edit.verb = Edit::Verb::release;
  edit.kind = "policies";
  edit.name = "running";
  if (begin_edit(session, edit)) finish_edit(session, edit);
}

}  // namespace http
