// Collections of the knowledge, over the administrators' listener. The file is opened for each
// request, on a worker: others may write to it between two.
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <sstream>

#include "http/admin.h"
#include "http/admin_doors.h"
#include "http/net_thread.h"
#include "http/workers.h"
#include "store/knowledge_import.h"
#include "store/knowledge_reader.h"
#include "store/knowledge_vectors.h"

namespace http {

namespace asio = boost::asio;

namespace {

using Json = nlohmann::json;

constexpr std::size_t kFaultsTold = 100;

std::string path_of(Session& session) {
  return admin_doors(session).knowledge_path;
}

store::Knowledge open_for_writing(const std::string& path) {
  store::KnowledgeOptions options;
  options.path = path;
  return {options, [] {
            return std::chrono::duration_cast<std::chrono::microseconds>(
                       std::chrono::system_clock::now().time_since_epoch())
                .count();
          }};
}

Json json_of(const store::CollectionRow& row) {
  return {{"name", row.name},
          {"documents", row.documents},
          {"passages", row.passages},
          {"bytes", row.bytes},
          {"created_us", row.created_us},
          {"encoder", row.encoder.empty() ? Json() : Json(row.encoder)},
          {"dimension", row.dimension},
          {"vectors", row.vectors}};
}

/// Has `job` done on a worker. False: the reply says why it could not be.
asio::awaitable<bool> work(Session& session, std::function<void()> job) {
  std::string failure;
  std::function<void()> caught = [&] {
    try {
      job();
    } catch (const std::runtime_error& error) {
      failure = error.what();
    }
  };
  co_await admin_doors(session).workers->run(std::move(caught));
  if (failure.empty()) co_return true;
  reply_problem(session, Fault::bad_resource, failure);
  co_return false;
}

/// The collections that there are; none before the first document.
std::vector<store::CollectionRow> collections_of(const std::string& path) {
  if (!std::filesystem::exists(path)) return {};
  return store::KnowledgeReader(path).collections();
}

std::int64_t forget_vectors(const std::string& path, const std::string& collection) {
  store::KnowledgeOptions options;
  options.path = path;
  return store::KnowledgeVectors(options).forget(collection);
}

bool is_listed(const std::vector<store::CollectionRow>& all, const std::string& name) {
  return std::any_of(all.begin(), all.end(), [&](const auto& row) { return row.name == name; });
}

/// Whether a collection is there; the reply says so when not.
bool is_there(Session& session, const std::vector<store::CollectionRow>& all) {
  if (is_listed(all, session.argument())) return true;
  reply_problem(session, Fault::no_such_row,
                "there is no collection `" + session.argument() + "`; GET /admin/knowledge",
                "name");
  return false;
}

std::optional<store::Reading> reading_of(const std::string& format) {
  if (format.empty()) return store::Reading::automatic;
  if (format == "text") return store::Reading::text;
  if (format == "markdown") return store::Reading::markdown;
  if (format == "jsonl") return store::Reading::json_lines;
  return std::nullopt;
}

}  // namespace

asio::awaitable<void> list_collections(Session& session) {
  std::vector<store::CollectionRow> rows;
  const std::string path = path_of(session);
  std::function<void()> job = [&] { rows = collections_of(path); };
  const bool done = co_await work(session, std::move(job));
  if (!done) co_return;
  Json list = Json::array();
  for (const auto& row : rows) list.push_back(json_of(row));
  reply_json(session, {{"object", "list"}, {"data", std::move(list)}, {"has_more", false}});
}

asio::awaitable<void> export_collection(Session& session) {
  std::vector<store::CollectionRow> rows;
  std::string lines;
  const std::string path = path_of(session);
  std::function<void()> job = [&] {
    rows = collections_of(path);
    if (rows.empty()) return;
    store::KnowledgeReader reader(path);
    reader.export_collection(session.argument(), [&](std::string_view line) {
      lines.append(line).append("\n");
      if (lines.size() > admin_doors(session).options.policy_bytes_max)
        throw std::runtime_error(
            "the collection is too large to be sent in one piece: `skillyard "
            "knowledge export` writes it to a file");
    });
  };
  const bool done = co_await work(session, std::move(job));
  if (!done || !is_there(session, rows)) co_return;
  session.response().content_type = "application/x-ndjson";
  session.response().body = std::move(lines);
}

asio::awaitable<void> put_document(Session& session) {
  QueryFields query(session.request().query(), {"source", "format"});
  if (query.problem()) {
    fill(session.response(), *query.problem());
    co_return;
  }
  const auto source = query.text("source");
  const auto reading = reading_of(query.text("format"));
  if (!reading || source.empty()) {
    const char* fault = reading ? "`source` names the document, or the file whose lines these are"
                                : "`format` is text, markdown or jsonl";
    reply_problem(session, Fault::bad_value, fault, reading ? "source" : "format");
    co_return;
  }
  store::ImportCounts counts;
  Json left_out = Json::array();
  const std::string path = path_of(session);
  std::function<void()> job = [&] {
    auto knowledge = open_for_writing(path);
    std::istringstream in(session.request().body);
    const store::ImportHooks hooks = {[&](std::string_view line) {
                                        if (left_out.size() < kFaultsTold) left_out.push_back(line);
                                      },
                                      {}};
    counts = store::import_stream(knowledge, session.argument(), in, source, *reading, hooks);
  };
  const bool done = co_await work(session, std::move(job));
  if (!done) co_return;
  reply_json(session,
             {{"object", "skillyard.import"},
              {"collection", session.argument()},
              {"added", counts.added},
              {"replaced", counts.replaced},
              {"unchanged", counts.unchanged},
              {"left_out", counts.left_out},
              {"faults", std::move(left_out)},
              {"passages", counts.passages}},
             counts.added > 0 ? 201 : 200);
}

asio::awaitable<void> remove_documents(Session& session) {
  QueryFields query(session.request().query(), {"source", "vectors"});
  if (query.problem()) {
    fill(session.response(), *query.problem());
    co_return;
  }
  const auto source = query.text("source");
  const auto only_vectors = query.text("vectors");
  if (!only_vectors.empty() && (only_vectors != "only" || !source.empty())) {
    reply_problem(session, Fault::bad_value, "`vectors` is `only`, and without a `source`",
                  "vectors");
    co_return;
  }
  std::vector<store::CollectionRow> rows;
  store::Removed removed;
  std::int64_t vectors = 0;
  const std::string path = path_of(session);
  std::function<void()> job = [&] {
    rows = collections_of(path);
    if (rows.empty()) return;
    if (!only_vectors.empty()) {
      if (is_listed(rows, session.argument())) vectors = forget_vectors(path, session.argument());
      return;
    }
    auto knowledge = open_for_writing(path);
    removed = source.empty() ? knowledge.remove_collection(session.argument(), {})
                             : knowledge.remove(session.argument(), source);
  };
  const bool done = co_await work(session, std::move(job));
  if (!done || !is_there(session, rows)) co_return;
  if (!source.empty() && removed.documents == 0) {
    const auto fault = "the collection has no document `" + source + "`";
    reply_problem(session, Fault::no_such_row, fault, "source");
    co_return;
  }
  reply_json(session, {{"object", "skillyard.removed"},
                       {"collection", session.argument()},
                       {"documents", removed.documents},
                       {"passages", removed.passages},
                       {"vectors", vectors}});
}

}  // namespace http
