// The administrators' endpoints: resources, versions, policies, keys. They run on a thread of their
// own and may block on the disk.
//
// A resource's document has the shape that it has in the configuration file. What is there is
// changed only with `If-Match: ETAG` (`*`: whatever it is): 428 without, 412 when somebody else was
// faster. `?validate=1` says what would happen and changes nothing, `?simulate=1` also what it
// would do to the traffic (router/learn/simulate.h); `?force=1` allows a change that leaves a pool
// without a healthy expert; `?comment=` is kept with the version.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/problem.h"

namespace http {

class Session;
struct AdminDoors;
struct Edited;
struct Edit;

// http/admin.cpp
void list_resources(Session& session);
void show_resource(Session& session);
void put_resource(Session& session);
void patch_resource(Session& session);
void remove_resource(Session& session);
void release_resource(Session& session);
void enable_expert(Session& session);
void disable_expert(Session& session);
boost::asio::awaitable<void> check_expert(Session& session);
void show_config(Session& session);
void list_versions(Session& session);
void show_version(Session& session);
void roll_back(Session& session);

// http/admin_policies.cpp
boost::asio::awaitable<void> list_policies(Session& session);
void upload_policy(Session& session);
void promote_policy(Session& session);
void release_policy(Session& session);

boost::asio::awaitable<void> show_profiles(Session& session);
boost::asio::awaitable<void> show_frontier(Session& session);

// http/admin_keys.cpp
void list_keys(Session& session);
void make_key(Session& session);
void show_key(Session& session);
void rotate_key(Session& session);
void revoke_key(Session& session);

// http/eval_runs.cpp
void list_outcomes(Session& session);
void put_outcomes(Session& session);
void remove_outcomes(Session& session);
void start_eval(Session& session);
void list_evals(Session& session);

// http/jobs.cpp
void list_jobs(Session& session);
void show_job(Session& session);
void show_job_page(Session& session);
void cancel_job(Session& session);

// http/policy_jobs.cpp
void start_training(Session& session);
void start_learning(Session& session);

// http/probe_jobs.cpp
void start_probe(Session& session);

// http/admin_knowledge.cpp
boost::asio::awaitable<void> list_collections(Session& session);
boost::asio::awaitable<void> put_document(Session& session);
boost::asio::awaitable<void> remove_documents(Session& session);
boost::asio::awaitable<void> export_collection(Session& session);

// http/console.cpp
void show_console(Session& session);

// http/openapi.cpp
void show_openapi(Session& session);
/// The document, for the endpoints of both listeners.
nlohmann::json openapi_document(const nlohmann::json& shapes);

// Shared by them.

/// A body of JSON, at most `depth_max` deep and no member twice; a problem otherwise.
std::optional<Problem> read_json(std::string_view text, int depth_max, nlohmann::json& into);

/// The query string, every name of it among `known`; a problem names the others.
class QueryFields {
 public:
  QueryFields(std::string_view query, std::vector<std::string_view> known);

  const std::optional<Problem>& problem() const { return problem_; }

  std::string text(std::string_view name) const;
  bool flag(std::string_view name) const;  // `1` or `true`
  /// Outside of the range, or no number: the problem says so, and `otherwise` is returned.
  std::int64_t integer(std::string_view name, std::int64_t otherwise, std::int64_t min,
                       std::int64_t max);

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
  std::optional<Problem> problem_;
};

/// What the administrators' endpoints need: there, since they are served only where it is set.
const AdminDoors& admin_doors(Session& session);

void reply_json(Session& session, const nlohmann::json& body, int status = 200);
void reply_problem(Session& session, Fault fault, std::string message, std::string param = "");

/// Who asks: the name of the key, or its id; `loopback` without one.
std::string author_of(const Session& session);

/// Fills an edit's author, time, If-Match and query, or replies with what is wrong with them.
bool begin_edit(Session& session, Edit& edit);
/// Has it done, and replies.
void finish_edit(Session& session, const Edit& edit);

}  // namespace http
