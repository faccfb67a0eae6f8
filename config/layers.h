// Where the configuration comes from: the file, the command line on top of it, servers that were
// found when nobody named one, the pool that comes with the program while there is no other expert
// (config/embedded.h), and on top of all what administrators changed (store/admin_book.h).
//
// A resource (an expert, a pool, a skill) is a JSON document of the shape that it has in the file.
// It belongs to the file until an administrator touches it, from then on to the database.
// Everything else belongs to the file and the command line. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "store/admin_book.h"

namespace config {

/// The arrays of the file that hold resources; their names are the kinds of store::OwnedResource.
inline constexpr std::array<std::string_view, 3> kKinds = {"experts", "pools", "skills"};

/// The kind and name under which a promoted policy is owned: {"version", "path"}.
inline constexpr std::string_view kPolicyKind = "policies";
inline constexpr std::string_view kPolicyName = "running";

enum class Origin : std::uint8_t { file, command_line, found, embedded, admin };

/// `file`, `command line`, `found`, `embedded`, `admin`.
std::string_view name_of(Origin origin);

struct Layers {
  std::string file_path;  // for messages; empty: there is none
  nlohmann::json file = nlohmann::json::object();
  nlohmann::json command_line = nlohmann::json::object();
  nlohmann::json found = nlohmann::json::array();      // experts
  nlohmann::json embedded = nlohmann::json::object();  // as read_embedded() gives it; empty: none
  bool embedded_always = false;                        // also beside other experts
};

/// The file at `path` (empty: none), read key by key. Throws, as refuse() does, with every fault.
Layers read_layers(const std::string& path, nlohmann::json command_line);

struct Resource {
  std::string kind, name;
  Origin origin = Origin::file;
  std::int64_t version = 0;  // of the database, origin admin only
  nlohmann::json document;
};

struct Merged {
  nlohmann::json document;          // the whole, as if it stood in one file
  std::vector<Resource> resources;  // kind by kind, in the document's order
};

/// `layers.file` was read without faults before. Of two resources of one name in the layers both
/// stay, for check() to find.
Merged merge(const Layers& layers, const std::vector<store::OwnedResource>& owned);

/// Null when there is none.
const Resource* find(const Merged& merged, std::string_view kind, std::string_view name);

/// {"config": every value in force, secrets masked, "origins": {JSON pointer: where it comes
/// from}}.
nlohmann::json show_effective(const Layers& layers, const Merged& merged);

/// By kind, a document with every key and its default.
nlohmann::json shapes();

/// What the command line and the search for servers say, as a document.
nlohmann::json document_of(const experts::ExpertOptions& expert);

/// The document with its secrets (values of headers, user and password in an address) as `***`.
nlohmann::json masked(nlohmann::json document);

/// Puts the secrets back that `document` holds as masked() of `known` shows them.
nlohmann::json unmasked(nlohmann::json document, const nlohmann::json& known);

}  // namespace config
