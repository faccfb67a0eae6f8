#include "http/files.h"

#include <charconv>

#include "http/batch_api.h"
#include "http/keys.h"
#include "http/multipart.h"
#include "http/net_thread.h"
#include "http/routes.h"

namespace http {

namespace asio = boost::asio;

namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr std::size_t kPartsMax = 16;
constexpr std::size_t kFileNameMax = 255;
constexpr int kFileRowsMax = 10'000;

OrderedJson json_of(const store::FileRow& file) {
  return {{"id", file.id},         {"object", "file"},
          {"bytes", file.bytes},   {"created_at", file.created_s},
          {"filename", file.name}, {"purpose", file.purpose},
          {"status", "processed"}};
}

void say_no_file(Session& session) {
  fail(session, Fault::no_such_row, "id", "there is no file `" + session.argument() + "`");
}

/// The upload's two parts, or nothing after the response says what is wrong.
struct Upload {
  std::string purpose, name;
  std::string_view content;
};

std::optional<Upload> upload_of(Session& session) {
  if (session.request().authorization.empty()) {
    fail(session, Fault::missing, "authorization",
         "send an authorization header with an upload: `authorization: Bearer x`");
    return std::nullopt;
  }
  const auto parts =
      read_multipart(session.request().content_type, session.request().body, kPartsMax);
  if (!parts) {
    fail(session, Fault::bad_value, "",
         "the body must be multipart/form-data with the parts `purpose` and `file`");
    return std::nullopt;
  }
  Upload upload;
  bool has_file = false;
  for (const Part& part : *parts) {
    if (part.name == "purpose") upload.purpose = part.content;
    if (part.name != "file") continue;
    has_file = true;
    upload.name = part.filename.substr(0, kFileNameMax);
    upload.content = part.content;
  }
  if (!has_file) fail(session, Fault::missing, "file", "the part `file` is missing");
  if (!has_file) return std::nullopt;
  if (upload.purpose != "batch") {
    fail(session, Fault::unsupported, "purpose", "`purpose` must be `batch`");
    return std::nullopt;
  }
  return upload;
}

}  // namespace

void fail(Session& session, Fault fault, std::string param, std::string message) {
  Problem problem;
  problem.fault = fault;
  problem.param = std::move(param);
  problem.message = std::move(message);
  fill(session.response(), problem);
}

std::string json_text(const OrderedJson& json) {
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

BatchDesk* batch_desk_of(Session& session) {
  BatchDesk* desk = session.thread().doors().batches;
  if (desk == nullptr) fail(session, Fault::not_found, "", "this service takes no batches");
  return desk;
}

std::string owner_of(const Session& session) {
  return session.visitor() == nullptr ? std::string() : session.visitor()->id;
}

std::string view_of(const Session& session) {
  const Key* key = session.visitor();
  return key == nullptr || key->role == Role::admin ? std::string() : key->id;
}

std::optional<Page> page_of(Session& session, int rows_max) {
  Page page;
  std::string_view query = session.request().query();
  while (!query.empty()) {
    const auto end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    const auto equals = std::min(pair.find('='), pair.size());
    const std::string_view key = pair.substr(0, equals);
    const std::string value = percent_decoded(pair.substr(std::min(equals + 1, pair.size())));
    if (key == "after") page.after = value;
    if (key == "purpose") page.purpose = value;
    if (key != "limit") continue;
    const auto [stop, error] =
        std::from_chars(value.data(), value.data() + value.size(), page.rows_max);
    if (error != std::errc() || stop != value.data() + value.size() || page.rows_max < 1 ||
        page.rows_max > rows_max) {
      fail(session, Fault::bad_value, "limit",
           "`limit` must be a number from 1 to " + std::to_string(rows_max));
      return std::nullopt;
    }
  }
  return page;
}

void send_list(Session& session, OrderedJson rows, int rows_max) {
  const bool more = static_cast<int>(rows.size()) > rows_max;
  if (more) rows.erase(rows.size() - 1);
  OrderedJson body = {{"object", "list"}};
  body["first_id"] = rows.empty() ? OrderedJson() : rows.front()["id"];
  body["last_id"] = rows.empty() ? OrderedJson() : rows.back()["id"];
  body["has_more"] = more;
  body["data"] = std::move(rows);
  session.response().body = json_text(body);
}

asio::awaitable<void> upload_file(Session& session) {
  BatchDesk* desk = batch_desk_of(session);
  if (desk == nullptr) co_return;
  const auto upload = upload_of(session);
  if (!upload) co_return;
  store::FileRow file;
  file.id = "file-";
  file.id.append(session.sortable());
  file.name = upload->name;
  file.purpose = upload->purpose;
  file.created_s = session.began_unix_us() / 1'000'000;
  file.bytes = static_cast<std::int64_t>(upload->content.size());
  file.owner = owner_of(session);
  bool taken = false;
  const BatchOptions& limits = session.thread().options().batches;
  std::function<void(store::Batches&)> job = [&](store::Batches& store) {
    taken = store.add_file(file, upload->content,
                           {limits.files_bytes_max, limits.files_max, limits.key_bytes_max});
  };
  co_await desk->ask(std::move(job));
  if (taken) {
    session.response().body = json_text(json_of(file));
  } else {
    fail(session, Fault::body_too_large, "file",
         "the files together would be over batches.files_bytes_max or batches.files_max, or this "
         "key's over batches.key_bytes_max; delete some");
  }
}

asio::awaitable<void> list_files(Session& session) {
  BatchDesk* desk = batch_desk_of(session);
  if (desk == nullptr) co_return;
  const auto page = page_of(session, kFileRowsMax);
  if (!page) co_return;
  OrderedJson rows = OrderedJson::array();
  std::function<void(store::Batches&)> job = [&](store::Batches& store) {
    for (const auto& file :
         store.files(page->purpose, view_of(session), page->after, page->rows_max + 1)) {
      rows.push_back(json_of(file));
    }
  };
  co_await desk->ask(std::move(job));
  send_list(session, std::move(rows), page->rows_max);
}

asio::awaitable<void> show_file(Session& session) {
  BatchDesk* desk = batch_desk_of(session);
  if (desk == nullptr) co_return;
  std::optional<store::FileRow> file;
  std::function<void(store::Batches&)> job = [&](store::Batches& store) {
    file = store.file(session.argument());
  };
  co_await desk->ask(std::move(job));
  if (!file || !sees(view_of(session), file->owner)) co_return say_no_file(session);
  session.response().body = json_text(json_of(*file));
}

asio::awaitable<void> send_file(Session& session) {
  BatchDesk* desk = batch_desk_of(session);
  if (desk == nullptr) co_return;
  std::optional<std::string> content;
  std::function<void(store::Batches&)> job = [&](store::Batches& store) {
    const auto file = store.file(session.argument());
    if (file && sees(view_of(session), file->owner)) content = store.content(file->id);
  };
  co_await desk->ask(std::move(job));
  if (!content) co_return say_no_file(session);
  session.response().content_type = "application/octet-stream";
  session.response().body = std::move(*content);
}

asio::awaitable<void> delete_file(Session& session) {
  BatchDesk* desk = batch_desk_of(session);
  if (desk == nullptr) co_return;
  bool in_use = false, removed = false;
  std::function<void(store::Batches&)> job = [&](store::Batches& store) {
    const auto file = store.file(session.argument());
    if (!file || !sees(view_of(session), file->owner)) return;
    in_use = store.in_use(file->id);
    removed = !in_use && store.remove_file(file->id);
  };
  co_await desk->ask(std::move(job));
  if (in_use) {
    fail(session, Fault::bad_value, "id", "a batch is about to read this file; cancel it first");
  } else if (!removed) {
    say_no_file(session);
  } else {
    const OrderedJson gone = {{"id", session.argument()}, {"object", "file"}, {"deleted", true}};
    session.response().body = json_text(gone);
  }
}

}  // namespace http
