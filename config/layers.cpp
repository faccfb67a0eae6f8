#include "config/layers.h"

#include <algorithm>
#include <map>

namespace config {

namespace {

using Json = nlohmann::json;

constexpr std::string_view kMask = "***";

std::string text_at(const Json& document, const char* key) {
  const auto found = document.is_object() ? document.find(key) : document.end();
  if (!document.is_object() || found == document.end() || !found->is_string()) return "";
  return found->get<std::string>();
}

void append(Merged& merged, std::string_view kind, const Json& documents, Origin origin) {
  if (!documents.is_array()) return;
  for (const auto& document : documents) {
    merged.resources.push_back({std::string(kind), text_at(document, "name"), origin, 0, document});
  }
}

bool has_name(const Json& documents, std::string_view name) {
  return std::any_of(documents.begin(), documents.end(),
                     [&](const Json& document) { return text_at(document, "name") == name; });
}

/// Whether the embedded pool serves: always, or because there is no other expert. One of its own
/// that an administrator touched is not another one.
bool embedded_serves(const Layers& layers, const std::vector<store::OwnedResource>& owned) {
  if (layers.embedded.empty() || layers.embedded_always) return !layers.embedded.empty();
  for (const auto* documents : {&layers.file, &layers.command_line})
    if (!documents->value("experts", Json::array()).empty()) return false;
  const Json& own = layers.embedded.at("experts");
  return layers.found.empty() &&
         std::none_of(owned.begin(), owned.end(), [&](const store::OwnedResource& resource) {
           return resource.kind == "experts" && !has_name(own, resource.name) &&
                  resource.document != "null";
         });
}

/// What a name of the file, the command line or the search has already, stays as it is.
void append_embedded(const Layers& layers, Merged& merged) {
  for (const auto kind : kKinds) {
    for (const auto& document : layers.embedded.value(std::string(kind), Json::array()))
      if (find(merged, kind, text_at(document, "name")) == nullptr)
        append(merged, kind, Json::array({document}), Origin::embedded);
  }
  if (merged.document.value("policy", "").empty() && layers.embedded.contains("policy"))
    merged.document["policy"] = layers.embedded["policy"];
}

/// What the database says goes over what the layers say, in its place, or behind all of its kind.
void lay_over(Merged& merged, const store::OwnedResource& owned) {
  auto document = Json::parse(owned.document);
  if (owned.kind == kPolicyKind) {
    merged.document["policy"] = text_at(document, "path");
    merged.resources.push_back(
        {owned.kind, owned.name, Origin::admin, owned.version, std::move(document)});
    return;
  }
  auto& all = merged.resources;
  const auto same = [&](const Resource& resource) {
    return resource.kind == owned.kind && resource.name == owned.name;
  };
  const auto at = std::find_if(all.begin(), all.end(), same);
  if (document.is_null()) {
    std::erase_if(all, same);
  } else if (at != all.end()) {
    *at = {owned.kind, owned.name, Origin::admin, owned.version, std::move(document)};
  } else {
    all.push_back({owned.kind, owned.name, Origin::admin, owned.version, std::move(document)});
  }
}

/// `http://user:password@host` with the part before the @ masked.
std::string without_user(const std::string& address) {
  const auto scheme = address.find("://");
  if (scheme == std::string::npos) return address;
  const auto end = address.find_first_of("/?#", scheme + 3);
  const auto at = address.substr(0, end).rfind('@');
  if (at == std::string::npos || at < scheme) return address;
  return address.substr(0, scheme + 3) + std::string(kMask) + address.substr(at);
}

/// Calls visit(value, key, which) for each secret of an expert's document, whatever else is wrong
/// in it.
template <typename Visit>
void each_secret(Json& document, Visit visit) {
  if (!document.is_object()) return;
  for (const char* key : {"url", "proxy"}) {
    if (document.contains(key) && document[key].is_string()) visit(document[key], key, "");
  }
  if (!document.contains("headers") || !document["headers"].is_array()) return;
  std::map<std::string, int> seen;  // a header may stand there twice
  for (auto& header : document["headers"]) {
    auto name = text_at(header, "name");
    name += '#' + std::to_string(++seen[name]);
    if (header.is_object() && header.contains("value") && header["value"].is_string())
      visit(header["value"], "headers", name);
  }
}

Json mask_of(const Json& value, std::string_view key) {
  if (key == "headers") return kMask;
  return without_user(value.get<std::string>());
}

/// The origin of one value, by its place in the whole document.
std::string_view origin_of(const Layers& layers, const Merged& merged, const std::string& place) {
  for (const auto kind : kKinds) {
    const auto head = "/" + std::string(kind) + "/";
    if (!place.starts_with(head)) continue;
    auto index = std::stoul(place.substr(head.size()));
    const auto rest = place.find('/', head.size());
    for (const auto& resource : merged.resources) {
      if (resource.kind != kind || index-- > 0) continue;
      const Json::json_pointer within(rest == std::string::npos ? "" : place.substr(rest));
      return resource.document.contains(within) ? name_of(resource.origin) : "default";
    }
  }
  if (place == "/policy" && find(merged, kPolicyKind, kPolicyName)) return name_of(Origin::admin);
  const Json::json_pointer at(place);
  if (place == "/policy" && layers.embedded.contains("policy") &&
      merged.document.value("policy", "") == layers.embedded["policy"])
    return name_of(Origin::embedded);
  if (layers.command_line.contains(at)) return name_of(Origin::command_line);
  return layers.file.contains(at) ? name_of(Origin::file) : "default";
}

}  // namespace

std::string_view name_of(Origin origin) {
  switch (origin) {
    case Origin::file:
      return "file";
    case Origin::command_line:
      return "command line";
    case Origin::found:
      return "found";
    case Origin::embedded:
      return "embedded";
    case Origin::admin:
      break;
  }
  return "admin";
}

Layers read_layers(const std::string& path, Json command_line) {
  Layers layers;
  layers.file_path = path;
  layers.command_line = std::move(command_line);
  if (path.empty()) return layers;
  layers.file = parse_text(read_text(path), path);
  Faults faults;
  const Config config = read(layers.file, faults);
  if (faults.empty()) return layers;
  check(config, faults);
  refuse(path, faults);
}

Merged merge(const Layers& layers, const std::vector<store::OwnedResource>& owned) {
  Merged merged;
  merged.document = layers.file;
  auto settings = layers.command_line;
  settings.erase("experts");
  merged.document.merge_patch(settings);
  for (const auto kind : kKinds) {
    if (layers.file.contains(kind)) append(merged, kind, layers.file[kind], Origin::file);
    if (kind != "experts") continue;
    append(merged, kind, layers.command_line.value("experts", Json::array()), Origin::command_line);
    append(merged, kind, layers.found, Origin::found);
  }
  if (embedded_serves(layers, owned)) append_embedded(layers, merged);
  for (const auto& resource : owned) lay_over(merged, resource);
  const auto order = [](const Resource& resource) {
    return std::find(kKinds.begin(), kKinds.end(), resource.kind) - kKinds.begin();
  };
  std::stable_sort(merged.resources.begin(), merged.resources.end(),
                   [&](const auto& a, const auto& b) { return order(a) < order(b); });
  for (const auto kind : kKinds) merged.document[kind] = Json::array();
  for (const auto& resource : merged.resources) {
    if (resource.kind != kPolicyKind) merged.document[resource.kind].push_back(resource.document);
  }
  return merged;
}

const Resource* find(const Merged& merged, std::string_view kind, std::string_view name) {
  for (const auto& resource : merged.resources) {
    if (resource.kind == kind && resource.name == name) return &resource;
  }
  return nullptr;
}

Json show_effective(const Layers& layers, const Merged& merged) {
  Faults ignored;
  Json shown = Json::object();
  read(merged.document, ignored, &shown);
  for (auto& expert : shown["experts"]) expert = masked(std::move(expert));
  Json origins = Json::object();
  const Json flat = shown.flatten();
  for (const auto& [place, value] : flat.items()) origins[place] = origin_of(layers, merged, place);
  return {{"config", std::move(shown)}, {"origins", std::move(origins)}};
}

Json shapes() {
  Json empty = Json::object();
  for (const auto kind : kKinds) empty[kind] = Json::array({Json::object()});
  empty["experts"][0]["headers"] = Json::array({Json::object()});
  Faults ignored;
  Json shown = Json::object();
  read(empty, ignored, &shown);
  Json found = Json::object();
  for (const auto kind : kKinds) found[kind] = shown[kind][0];
  return found;
}

Json document_of(const experts::ExpertOptions& expert) {
  Json document = {{"name", expert.name}};
  const bool is_native = expert.kind == experts::Kind::native;
  if (is_native) document["kind"] = "native";
  document[is_native ? "path" : "url"] = expert.url;
  if (!expert.model.empty()) document["model"] = expert.model;
  if (!expert.key_env.empty()) document["key_env"] = expert.key_env;
  if (expert.context_tokens > 0) document["context_tokens"] = expert.context_tokens;
  return document;
}

Json masked(Json document) {
  each_secret(document, [](Json& value, std::string_view key, const std::string&) {
    value = mask_of(value, key);
  });
  return document;
}

Json unmasked(Json document, const Json& known) {
  Json secrets = known;
  each_secret(document, [&](Json& value, std::string_view key, const std::string& name) {
    each_secret(secrets, [&](const Json& secret, std::string_view where, const std::string& whose) {
      if (where == key && whose == name && value == mask_of(secret, where)) value = secret;
    });
  });
  return document;
}

}  // namespace config
