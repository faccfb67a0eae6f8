// Private to files.cpp and batches.cpp: what both endpoints need of a session.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "http/batch_desk.h"
#include "http/session.h"

namespace http {

inline constexpr int kListRowsDefault = 20;

void fail(Session& session, Fault fault, std::string param, std::string message);

/// Null after the response says that there is no batch API here.
BatchDesk* batch_desk_of(Session& session);

/// The key that a new file or batch belongs to; empty: none was presented.
std::string owner_of(const Session& session);

/// The key whose files and batches the session sees; empty: everybody's (an administrator, or
/// nobody is asked for a key).
std::string view_of(const Session& session);

inline bool sees(std::string_view view, std::string_view owner) {
  return view.empty() || view == owner;
}

/// `limit` and `after` of the query string; nothing after the response says what is wrong.
struct Page {
  int rows_max = kListRowsDefault;
  std::string after, purpose;
};

std::optional<Page> page_of(Session& session, int rows_max);

/// OpenAI's list object of `rows`, which were asked for with one row more than the page has.
void send_list(Session& session, nlohmann::ordered_json rows, int rows_max);

std::string json_text(const nlohmann::ordered_json& json);

}  // namespace http
