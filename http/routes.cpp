#include "http/routes.h"

#include <array>
#include <optional>

#include "http/admin.h"
#include "http/batches.h"
#include "http/chat.h"
#include "http/decisions.h"
#include "http/files.h"
#include "http/listing.h"

namespace http {

namespace {

// On both listeners: the administrators' page asks where it came from.
constexpr Endpoint kListDecisions = {.method = Method::get,
                                     .pattern = "/v1/decisions",
                                     .summary = "List decisions, newest first",
                                     .access = Access::admin,
                                     .waits = list_decisions};
constexpr Endpoint kShowDecision = {.method = Method::get,
                                    .pattern = "/v1/decisions/{id}",
                                    .summary = "Show a decision",
                                    .waits = show_decision};
constexpr Endpoint kExplainDecision = {.method = Method::get,
                                       .pattern = "/v1/decisions/{id}/explain",
                                       .summary = "Say why a decision fell as it did",
                                       .waits = explain_decision};
constexpr Endpoint kListBatches = {.method = Method::get,
                                   .pattern = "/v1/batches",
                                   .summary = "List batches, newest first",
                                   .waits = list_batches};
constexpr Endpoint kCancelBatch = {.method = Method::post,
                                   .pattern = "/v1/batches/{id}/cancel",
                                   .summary = "Stop a batch and keep what it has",
                                   .takes = Body::json,
                                   .waits = cancel_batch};

constexpr std::array kPublic = {
    Endpoint{.method = Method::post,
             .pattern = "/v1/chat/completions",
             .summary = "Answer a chat, streamed or whole",
             .takes = Body::json,
             .waits = answer_chat},
    Endpoint{.method = Method::post,
             .pattern = "/v1/embeddings",
             .summary = "Make vectors of texts",
             .takes = Body::json,
             .waits = answer_embeddings},
    Endpoint{.method = Method::post,
             .pattern = "/v1/route",
             .summary = "Decide who would be asked, without asking them",
             .takes = Body::json,
             .waits = explain_route},
    Endpoint{.method = Method::get,
             .pattern = "/v1/models",
             .summary = "List experts and pools",
             .plain = list_models},
    Endpoint{.method = Method::get,
             .pattern = "/v1/models/{name...}",
             .summary = "Show one expert or pool",
             .plain = show_model},
    kListDecisions,
    kShowDecision,
    kExplainDecision,
    Endpoint{.method = Method::post,
             .pattern = "/v1/decisions/{id}/feedback",
             .summary = "Say how good an answer was",
             .takes = Body::json,
             .waits = take_feedback},
    Endpoint{.method = Method::post,
             .pattern = "/v1/files",
             .summary = "Upload the lines of a batch",
             .waits = upload_file},
    Endpoint{.method = Method::get,
             .pattern = "/v1/files",
             .summary = "List files, newest first",
             .waits = list_files},
    Endpoint{.method = Method::get,
             .pattern = "/v1/files/{id}",
             .summary = "Show a file",
             .waits = show_file},
    Endpoint{.method = Method::delete_,
             .pattern = "/v1/files/{id}",
             .summary = "Delete a file",
             .waits = delete_file},
    Endpoint{.method = Method::get,
             .pattern = "/v1/files/{id}/content",
             .summary = "Send a file's content",
             .waits = send_file},
    Endpoint{.method = Method::post,
             .pattern = "/v1/batches",
             .summary = "Answer the lines of a file within 24 hours",
             .takes = Body::json,
             .waits = create_batch},
    kListBatches,
    Endpoint{.method = Method::get,
             .pattern = "/v1/batches/{id}",
             .summary = "Show a batch and how far it is",
             .waits = show_batch},
    kCancelBatch,
    Endpoint{.method = Method::get,
             .pattern = "/health/live",
             .summary = "Whether the process runs",
             .access = Access::open,
             .plain = report_live},
    Endpoint{.method = Method::get,
             .pattern = "/health/ready",
             .summary = "Whether it can take requests",
             .access = Access::open,
             .plain = report_ready},
    Endpoint{.method = Method::get,
             .pattern = "/metrics",
             .summary = "Metrics in the text form of Prometheus",
             .access = Access::admin,
             .plain = report_metrics},
};

constexpr std::array kAdmin = {
    Endpoint{.method = Method::get,
             .pattern = "/admin/experts",
             .summary = "List experts",
             .access = Access::admin,
             .plain = list_resources},
    Endpoint{.method = Method::post,
             .pattern = "/admin/experts/{name...}/check",
             .summary = "Reach an expert: list its models, have it say one token",
             .access = Access::admin,
             .takes = Body::json,
             .waits = check_expert},
    Endpoint{.method = Method::post,
             .pattern = "/admin/experts/{name...}/probe",
             .summary =
                 "Ask an expert graded questions and add it to the policy by its answers, as a job",
             .access = Access::admin,
             .takes = Body::json,
             .plain = start_probe},
    Endpoint{.method = Method::post,
             .pattern = "/admin/experts/{name...}/enable",
             .summary = "Let an expert be asked again",
             .access = Access::admin,
             .takes = Body::json,
             .plain = enable_expert},
    Endpoint{.method = Method::post,
             .pattern = "/admin/experts/{name...}/disable",
             .summary = "Let nobody ask an expert from the next decision on",
             .access = Access::admin,
             .takes = Body::json,
             .plain = disable_expert},
    Endpoint{.method = Method::post,
             .pattern = "/admin/experts/{name...}/release",
             .summary = "Give an expert back to the configuration file",
             .access = Access::admin,
             .takes = Body::json,
             .plain = release_resource},
    Endpoint{.method = Method::get,
             .pattern = "/admin/experts/{name...}",
             .summary = "Show an expert",
             .access = Access::admin,
             .plain = show_resource},
    Endpoint{.method = Method::put,
             .pattern = "/admin/experts/{name...}",
             .summary = "Make or replace an expert",
             .access = Access::admin,
             .takes = Body::json,
             .plain = put_resource},
    Endpoint{.method = Method::patch,
             .pattern = "/admin/experts/{name...}",
             .summary = "Change an expert by a JSON merge patch",
             .access = Access::admin,
             .takes = Body::patch,
             .plain = patch_resource},
    Endpoint{.method = Method::delete_,
             .pattern = "/admin/experts/{name...}",
             .summary = "Remove an expert",
             .access = Access::admin,
             .plain = remove_resource},
    Endpoint{.method = Method::get,
             .pattern = "/admin/pools",
             .summary = "List pools",
             .access = Access::admin,
             .plain = list_resources},
    Endpoint{.method = Method::post,
             .pattern = "/admin/pools/{name...}/release",
             .summary = "Give a pool back to the configuration file",
             .access = Access::admin,
             .takes = Body::json,
             .plain = release_resource},
    Endpoint{.method = Method::get,
             .pattern = "/admin/pools/{name...}",
             .summary = "Show a pool",
             .access = Access::admin,
             .plain = show_resource},
    Endpoint{.method = Method::put,
             .pattern = "/admin/pools/{name...}",
             .summary = "Make or replace a pool",
             .access = Access::admin,
             .takes = Body::json,
             .plain = put_resource},
    Endpoint{.method = Method::patch,
             .pattern = "/admin/pools/{name...}",
             .summary = "Change a pool by a JSON merge patch",
             .access = Access::admin,
             .takes = Body::patch,
             .plain = patch_resource},
    Endpoint{.method = Method::delete_,
             .pattern = "/admin/pools/{name...}",
             .summary = "Remove a pool",
             .access = Access::admin,
             .plain = remove_resource},
    Endpoint{.method = Method::get,
             .pattern = "/admin/skills",
             .summary = "List skills",
             .access = Access::admin,
             .plain = list_resources},
    Endpoint{.method = Method::post,
             .pattern = "/admin/skills/{name...}/release",
             .summary = "Give a skill back to the configuration file",
             .access = Access::admin,
             .takes = Body::json,
             .plain = release_resource},
    Endpoint{.method = Method::get,
             .pattern = "/admin/skills/{name...}",
             .summary = "Show a skill",
             .access = Access::admin,
             .plain = show_resource},
    Endpoint{.method = Method::put,
             .pattern = "/admin/skills/{name...}",
             .summary = "Make or replace a skill",
             .access = Access::admin,
             .takes = Body::json,
             .plain = put_resource},
    Endpoint{.method = Method::patch,
             .pattern = "/admin/skills/{name...}",
             .summary = "Change a skill by a JSON merge patch",
             .access = Access::admin,
             .takes = Body::patch,
             .plain = patch_resource},
    Endpoint{.method = Method::delete_,
             .pattern = "/admin/skills/{name...}",
             .summary = "Remove a skill",
             .access = Access::admin,
             .plain = remove_resource},
    Endpoint{.method = Method::get,
             .pattern = "/admin/config",
             .summary = "Show every setting in force and where it comes from",
             .access = Access::admin,
             .plain = show_config},
    Endpoint{.method = Method::get,
             .pattern = "/admin/versions",
             .summary = "List changes, newest first",
             .access = Access::admin,
             .plain = list_versions},
    Endpoint{.method = Method::get,
             .pattern = "/admin/versions/{version}",
             .summary = "Show what a change did",
             .access = Access::admin,
             .plain = show_version},
    Endpoint{.method = Method::post,
             .pattern = "/admin/versions/{version}/rollback",
             .summary = "Put everything back as it was at a version",
             .access = Access::admin,
             .takes = Body::json,
             .plain = roll_back},
    Endpoint{.method = Method::get,
             .pattern = "/admin/policies",
             .summary = "List uploaded policies",
             .access = Access::admin,
             .waits = list_policies},
    Endpoint{.method = Method::post,
             .pattern = "/admin/policies/train",
             .summary = "Train a policy on uploaded outcomes, as a job",
             .access = Access::admin,
             .takes = Body::json,
             .plain = start_training},
    Endpoint{.method = Method::post,
             .pattern = "/admin/policies/learn",
             .summary = "Fold the log's grades into a new policy, as a job",
             .access = Access::admin,
             .takes = Body::json,
             .plain = start_learning},
    Endpoint{.method = Method::get,
             .pattern = "/admin/jobs",
             .summary = "List jobs, newest first",
             .access = Access::admin,
             .plain = list_jobs},
    Endpoint{.method = Method::get,
             .pattern = "/admin/jobs/{id}",
             .summary = "Show a job, its progress or what came of it",
             .access = Access::admin,
             .plain = show_job},
    Endpoint{.method = Method::post,
             .pattern = "/admin/jobs/{id}/cancel",
             .summary = "Stop a job",
             .access = Access::admin,
             .takes = Body::json,
             .plain = cancel_job},
    Endpoint{.method = Method::get,
             .pattern = "/admin/knowledge",
             .summary = "List collections of the knowledge",
             .access = Access::admin,
             .waits = list_collections},
    Endpoint{.method = Method::get,
             .pattern = "/admin/knowledge/{name}",
             .summary = "Send a collection as JSON Lines that PUT takes back",
             .access = Access::admin,
             .waits = export_collection},
    Endpoint{.method = Method::put,
             .pattern = "/admin/knowledge/{name}",
             .summary = "Add or replace documents of a collection",
             .access = Access::admin,
             .takes = Body::bytes,
             .waits = put_document},
    Endpoint{.method = Method::delete_,
             .pattern = "/admin/knowledge/{name}",
             .summary = "Remove a document, or a whole collection",
             .access = Access::admin,
             .waits = remove_documents},
    Endpoint{.method = Method::put,
             .pattern = "/admin/policies",
             .summary = "Upload a policy file",
             .access = Access::admin,
             .takes = Body::bytes,
             .plain = upload_policy},
    Endpoint{.method = Method::post,
             .pattern = "/admin/policies/{version}/promote",
             .summary = "Route by an uploaded policy",
             .access = Access::admin,
             .takes = Body::json,
             .plain = promote_policy},
    Endpoint{.method = Method::post,
             .pattern = "/admin/policies/release",
             .summary = "Route by the policy that the configuration file names",
             .access = Access::admin,
             .takes = Body::json,
             .plain = release_policy},
    Endpoint{.method = Method::get,
             .pattern = "/admin/profiles",
             .summary = "Show how good each expert is at each skill, as the running policy has it",
             .access = Access::admin,
             .waits = show_profiles},
    Endpoint{.method = Method::get,
             .pattern = "/admin/frontier",
             .summary = "Show what a budget buys: the best map of skills to experts at each price",
             .access = Access::admin,
             .waits = show_frontier},
    Endpoint{.method = Method::get,
             .pattern = "/admin/keys",
             .summary = "List API keys",
             .access = Access::admin,
             .plain = list_keys},
    Endpoint{.method = Method::post,
             .pattern = "/admin/keys",
             .summary = "Make an API key, shown once",
             .access = Access::admin,
             .takes = Body::json,
             .plain = make_key},
    Endpoint{.method = Method::get,
             .pattern = "/admin/keys/{id}",
             .summary = "Show an API key and what it used",
             .access = Access::admin,
             .plain = show_key},
    Endpoint{.method = Method::post,
             .pattern = "/admin/keys/{id}/rotate",
             .summary = "Give a key a new secret",
             .access = Access::admin,
             .takes = Body::json,
             .plain = rotate_key},
    Endpoint{.method = Method::delete_,
             .pattern = "/admin/keys/{id}",
             .summary = "Revoke an API key",
             .access = Access::admin,
             .plain = revoke_key},
    Endpoint{.method = Method::get,
             .pattern = "/eval/outcomes",
             .summary = "List uploaded outcome files",
             .access = Access::admin,
             .plain = list_outcomes},
    Endpoint{.method = Method::put,
             .pattern = "/eval/outcomes/{name}",
             .summary = "Upload or replace an outcome file",
             .access = Access::admin,
             .takes = Body::bytes,
             .plain = put_outcomes},
    Endpoint{.method = Method::delete_,
             .pattern = "/eval/outcomes/{name}",
             .summary = "Remove an outcome file",
             .access = Access::admin,
             .plain = remove_outcomes},
    Endpoint{.method = Method::get,
             .pattern = "/eval/runs",
             .summary = "List evaluation runs, newest first",
             .access = Access::admin,
             .plain = list_evals},
    Endpoint{.method = Method::post,
             .pattern = "/eval/runs",
             .summary = "Judge a policy on outcome files, as a job",
             .access = Access::admin,
             .takes = Body::json,
             .plain = start_eval},
    Endpoint{.method = Method::get,
             .pattern = "/eval/runs/{id}",
             .summary = "Show an evaluation run, its progress or its report",
             .access = Access::admin,
             .plain = show_job},
    Endpoint{.method = Method::get,
             .pattern = "/eval/runs/{id}/report",
             .summary = "Show the report as a page",
             .access = Access::admin,
             .plain = show_job_page},
    Endpoint{.method = Method::post,
             .pattern = "/eval/runs/{id}/cancel",
             .summary = "Stop an evaluation run",
             .access = Access::admin,
             .takes = Body::json,
             .plain = cancel_job},
    Endpoint{.method = Method::get,
             .pattern = "/admin/openapi.json",
             .summary = "This interface as an OpenAPI 3.1 document",
             .access = Access::admin,
             .plain = show_openapi},
    kListDecisions,
    kShowDecision,
    kExplainDecision,
    kListBatches,
    kCancelBatch,
    Endpoint{.method = Method::get,
             .pattern = "/console",
             .summary = "A page for administrators",
             .access = Access::open,
             .plain = show_console},
    Endpoint{.method = Method::get,
             .pattern = "/console/{file}",
             .summary = "A file of that page",
             .access = Access::open,
             .plain = show_console},
    Endpoint{.method = Method::get,
             .pattern = "/health/live",
             .summary = "Whether the process runs",
             .access = Access::open,
             .plain = report_live},
};

/// For the field `allow`.
std::string_view word_of(Method method) {
  switch (method) {
    case Method::get:
      return "GET, HEAD";
    case Method::put:
      return "PUT";
    case Method::patch:
      return "PATCH";
    case Method::delete_:
      return "DELETE";
    default:
      return "POST";
  }
}

int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// The variable part of `path` under `pattern`, empty for a pattern without one; nullopt: no match.
std::optional<std::string_view> match(std::string_view pattern, std::string_view path) {
  const auto open = pattern.find('{');
  if (open == std::string_view::npos) {
    return path == pattern ? std::optional(std::string_view()) : std::nullopt;
  }
  const auto close = pattern.find('}');
  const std::string_view before = pattern.substr(0, open);
  const std::string_view behind = pattern.substr(close + 1);
  if (!path.starts_with(before) || !path.ends_with(behind)) return std::nullopt;
  if (path.size() <= before.size() + behind.size()) return std::nullopt;
  path.remove_prefix(before.size());
  path.remove_suffix(behind.size());
  const bool rest_of_path = pattern.substr(open, close - open).ends_with("...");
  if (!rest_of_path && path.find('/') != std::string_view::npos) return std::nullopt;
  return path;
}

}  // namespace

std::string percent_decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool coded = text[i] == '%' && i + 2 < text.size() && digit_of(text[i + 1]) >= 0 &&
                       digit_of(text[i + 2]) >= 0;
    if (coded) {
      out.push_back(static_cast<char>(digit_of(text[i + 1]) * 16 + digit_of(text[i + 2])));
      i += 2;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

std::span<const Endpoint> endpoints(bool admin) {
  return admin ? std::span<const Endpoint>(kAdmin) : std::span<const Endpoint>(kPublic);
}

Match find_endpoint(const Request& request, bool admin) {
  Match found;
  const std::string_view path = request.path();
  const Method wanted = request.method == Method::head ? Method::get : request.method;
  for (const Endpoint& endpoint : endpoints(admin)) {
    const auto variable = match(endpoint.pattern, path);
    if (!variable) continue;
    if (endpoint.method == wanted) {
      found.endpoint = &endpoint;
      if (!variable->empty()) found.argument = percent_decoded(*variable);
      found.allow.clear();
      return found;
    }
    if (!found.allow.empty()) found.allow.append(", ");
    found.allow.append(word_of(endpoint.method));
  }
  return found;
}

}  // namespace http
