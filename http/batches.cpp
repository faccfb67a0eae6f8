#include "http/batches.h"

#include <algorithm>

#include "http/batch_api.h"
#include "http/net_thread.h"

namespace http {

namespace asio = boost::asio;

namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr std::string_view kEndpoint = "/v1/chat/completions";
constexpr std::int64_t kWindowS = 24 * 3600;
constexpr int kBatchRowsMax = 100;
constexpr std::size_t kMetadataMax = 16;  // pairs, as OpenAI's
constexpr std::size_t kBatchKeyMax = 64;
constexpr std::size_t kBatchValueMax = 512;
constexpr int kMetadataDepthMax = 8;

OrderedJson time_of(std::int64_t unix_s) {
  return unix_s == 0 ? OrderedJson() : OrderedJson(unix_s);
}

OrderedJson text_or_null(const std::string& text) {
  return text.empty() ? OrderedJson() : OrderedJson(text);
}

OrderedJson parsed_or_null(const std::string& text) {
  const OrderedJson json = OrderedJson::parse(text, nullptr, false);
  return json.is_discarded() ? OrderedJson() : json;
}

OrderedJson json_of(const store::BatchRow& batch) {
  return {{"id", batch.id},
          {"object", "batch"},
          {"endpoint", batch.endpoint},
          {"errors", parsed_or_null(batch.errors)},
          {"input_file_id", batch.input_file},
          {"completion_window", batch.window},
          {"status", batch.status},
          {"output_file_id", text_or_null(batch.output_file)},
          {"error_file_id", text_or_null(batch.error_file)},
          {"created_at", batch.created_s},
          {"in_progress_at", time_of(batch.in_progress_s)},
          {"expires_at", batch.expires_s},
          {"finalizing_at", time_of(batch.finalizing_s)},
          {"completed_at", time_of(batch.completed_s)},
          {"failed_at", time_of(batch.failed_s)},
          {"expired_at", time_of(batch.expired_s)},
          {"cancelling_at", time_of(batch.cancelling_s)},
          {"cancelled_at", time_of(batch.cancelled_s)},
          {"request_counts",
           {{"total", batch.total}, {"completed", batch.completed}, {"failed", batch.failed}}},
          {"metadata", parsed_or_null(batch.metadata)}};
}

void say_no_batch(Session& session) {
  fail(session, Fault::no_such_row, "id", "there is no batch `" + session.argument() + "`");
}

std::string string_of(const OrderedJson& body, const char* key) {
  const auto found = body.find(key);
  return found != body.end() && found->is_string() ? found->get<std::string>() : std::string();
}

bool is_metadata(const OrderedJson& json) {
  if (json.is_null()) return true;
  if (!json.is_object() || json.size() > kMetadataMax) return false;
  for (const auto& [key, value] : json.items()) {
    if (key.size() > kBatchKeyMax || !value.is_string() ||
        value.get_ref<const std::string&>().size() > kBatchValueMax)
      return false;
  }
  return true;
}

/// The batch that the body asks for, or nothing after the response says what is wrong.
std::optional<store::BatchRow> batch_of(Session& session) {
  const auto shallow = [](int depth, OrderedJson::parse_event_t, OrderedJson&) {
    return depth <= kMetadataDepthMax;
  };
  const OrderedJson body = OrderedJson::parse(session.request().body, shallow, false);
  if (!body.is_object()) {
    fail(session, Fault::bad_json, "", "the body must be a JSON object");
    return std::nullopt;
  }
  store::BatchRow batch;
  batch.input_file = string_of(body, "input_file_id");
  batch.endpoint = string_of(body, "endpoint");
  batch.window = string_of(body, "completion_window");
  if (batch.input_file.empty()) {
    fail(session, Fault::missing, "input_file_id", "`input_file_id` is missing");
  } else if (batch.endpoint != kEndpoint) {
    fail(session, Fault::unsupported, "endpoint",
         "`endpoint` must be \"" + std::string(kEndpoint) + "\"");
  } else if (batch.window != "24h") {
    fail(session, Fault::unsupported, "completion_window", "`completion_window` must be \"24h\"");
  } else if (!is_metadata(body.value("metadata", OrderedJson()))) {
    fail(session, Fault::bad_value, "metadata",
         "`metadata` must hold at most 16 strings of at most 512 bytes under keys of at most 64");
  } else {
    if (body.contains("metadata") && body["metadata"].is_object()) {
      batch.metadata = json_text(body["metadata"]);
    }
    batch.id = "batch_";
    batch.id.append(session.sortable());
    batch.created_s = session.began_unix_us() / 1'000'000;
    batch.expires_s = batch.created_s + kWindowS;
    batch.status = "validating";
    batch.owner = owner_of(session);
    return batch;
  }
  return std::nullopt;
}

}  // namespace

asio::awaitable<void> create_batch(Session& session) {
  BatchDesk* desk = batch_desk_of(session);
  if (desk == nullptr) co_return;
  const auto batch = batch_of(session);
  if (!batch) co_return;
  bool known = false, room = true, taken = false;
  const BatchOptions& limits = session.thread().options().batches;
  const std::int64_t unfinished_max = limits.key_batches_max;
  std::function<void(store::Batches&)> job = [&](store::Batches& store) {
    const auto file = store.file(batch->input_file);
    known = file && sees(view_of(session), file->owner);
    room = batch->owner.empty() || store.count_unfinished(batch->owner) < unfinished_max;
    if (known && room)
      taken =
          store.add_batch(*batch, {limits.files_bytes_max, limits.files_max, limits.key_bytes_max});
  };
  co_await desk->ask(std::move(job));
  if (!known) {
    fail(session, Fault::no_such_row, "input_file_id",
         "there is no file `" + batch->input_file + "`");
    co_return;
  }
  if (!room) {
    fail(session, Fault::rate_limited, "",
         "this key has " + std::to_string(unfinished_max) +
             " batches that have not ended (batches.key_batches_max); cancel one or wait");
    co_return;
  }
  if (!taken) {
    fail(session, Fault::rate_limited, "",
         "there is no room for the files of one more batch (batches.files_bytes_max, files_max, "
         "key_bytes_max); wait for batches to end, or delete files");
    co_return;
  }
  desk->runner().wake();
  session.response().body = json_text(json_of(*batch));
}

asio::awaitable<void> list_batches(Session& session) {
  BatchDesk* desk = batch_desk_of(session);
  if (desk == nullptr) co_return;
  const auto page = page_of(session, kBatchRowsMax);
  if (!page) co_return;
  OrderedJson rows = OrderedJson::array();
  std::function<void(store::Batches&)> job = [&](store::Batches& store) {
    for (const auto& batch : store.batches(view_of(session), page->after, page->rows_max + 1)) {
      rows.push_back(json_of(batch));
    }
  };
  co_await desk->ask(std::move(job));
  send_list(session, std::move(rows), page->rows_max);
}

asio::awaitable<void> show_batch(Session& session) {
  BatchDesk* desk = batch_desk_of(session);
  if (desk == nullptr) co_return;
  std::optional<store::BatchRow> batch;
  std::function<void(store::Batches&)> job = [&](store::Batches& store) {
    batch = store.batch(session.argument());
  };
  co_await desk->ask(std::move(job));
  if (!batch || !sees(view_of(session), batch->owner)) co_return say_no_batch(session);
  session.response().body = json_text(json_of(*batch));
}

asio::awaitable<void> cancel_batch(Session& session) {
  BatchDesk* desk = batch_desk_of(session);
  if (desk == nullptr) co_return;
  std::optional<store::BatchRow> batch;
  bool cancelled = false;
  const std::int64_t now_s = session.began_unix_us() / 1'000'000;
  std::function<void(store::Batches&)> job = [&](store::Batches& store) {
    batch = store.batch(session.argument());
    if (!batch || !sees(view_of(session), batch->owner)) return batch.reset();
    cancelled = store.cancel(batch->id, now_s);
    batch = store.batch(batch->id);
  };
  co_await desk->ask(std::move(job));
  if (!batch) co_return say_no_batch(session);
  if (!cancelled && batch->status != "cancelling") {
    fail(session, Fault::bad_value, "id", "the batch has ended: it is " + batch->status);
    co_return;
  }
  desk->runner().wake();
  session.response().body = json_text(json_of(*batch));
}

}  // namespace http
