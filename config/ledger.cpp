#include "config/ledger.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cstdio>
#include <set>
#include <stdexcept>

namespace config {

namespace {

using Json = nlohmann::json;
using http::Edit;
using http::Edited;
using Verdict = Edited::Verdict;
using Verb = Edit::Verb;

/// A tag of the state of a resource: its document and who owns it.
std::string etag_of(const Resource& resource) {
  auto text = resource.document.dump();
  text.append(name_of(resource.origin));
  char hex[24];
  std::snprintf(hex, sizeof hex, "\"%016llx\"",
                static_cast<unsigned long long>(XXH3_64bits(text.data(), text.size())));
  return hex;
}

/// RFC 9110 13.1.1, strong comparison; `*` is any state.
bool matches(const std::string& if_match, const std::string& etag) {
  return if_match == "*" || if_match.find(etag) != std::string::npos;
}

/// `pools[3].name: ...` as `pools[small].name: ...`: a client knows names, not places.
std::string with_name(std::string fault, const Merged& merged) {
  for (const auto kind : kKinds) {
    const auto head = std::string(kind) + "[";
    if (!fault.starts_with(head)) continue;
    const auto index = std::stoul(fault.substr(head.size()));
    const auto& documents = merged.document[kind];
    if (index >= documents.size() || !documents[index].is_object()) continue;
    const auto name = documents[index].value("name", Json());
    if (!name.is_string()) continue;
    return head + name.get<std::string>() + fault.substr(fault.find(']'));
  }
  return fault;
}

/// What is wrong with one document by itself; places are within the document.
Faults faults_of(const std::string& kind, const Json& document) {
  Faults faults;
  const Json whole = {{kind, Json::array({document})}};
  read(whole, faults);
  const auto head = kind + "[0]";
  for (auto& fault : faults) {
    if (!fault.starts_with(head)) continue;
    fault.erase(0, head.size());
    if (fault.starts_with('.')) fault.erase(0, 1);
    if (fault.starts_with(": ")) fault.erase(0, 2);
  }
  return faults;
}

std::optional<std::string> text_of(const std::optional<Json>& document) {
  if (!document) return std::nullopt;
  return document->dump();
}

Json seen(const Merged& merged, const std::string& kind, const std::string& name) {
  const auto* resource = find(merged, kind, name);
  return resource == nullptr ? Json() : masked(resource->document);
}

std::optional<std::string> seen_text(const Json& document) {
  if (document.is_null()) return std::nullopt;
  return document.dump();
}

Json parsed(const std::optional<std::string>& text) {
  return text ? Json::parse(*text) : Json();
}

/// Of every resource that is not what it was: `experts/big` and the way from then to now.
Json diff_by_resource(const Merged& before, const Merged& after) {
  Json diffs = Json::object();
  for (const auto* side : {&before, &after}) {
    for (const auto& resource : side->resources) {
      auto diff = Json::diff(seen(before, resource.kind, resource.name),
                             seen(after, resource.kind, resource.name));
      if (!diff.empty()) diffs[resource.kind + "/" + resource.name] = std::move(diff);
    }
  }
  return diffs;
}

Json json_of(const store::AdminVersion& version) {
  return {{"object", "skillyard.version"}, {"version", version.number},
          {"unix_us", version.unix_us},    {"author", version.author},
          {"verb", version.verb},          {"comment", version.comment}};
}

/// Whether an expert may win a query at its stage.
bool may_win(const Config& config, const std::string& expert) {
  const auto life = config.lives.find(expert);
  if (life == config.lives.end()) return true;
  return life->second.stage != router::Stage::shadow &&
         life->second.stage != router::Stage::draining;
}

/// The experts of a pool that could answer now.
std::size_t able(const router::PoolOptions& pool, const Config& config,
                 const Ledger::Healthy& healthy) {
  const auto is_able = [&](const experts::ExpertOptions& expert) {
    const auto& members = pool.experts;
    const bool inside =
        members.empty() || std::find(members.begin(), members.end(), expert.name) != members.end();
    return inside && expert.enabled && !expert.capabilities.embeddings &&
           may_win(config, expert.name) && (!healthy || healthy(expert.name));
  };
  return static_cast<std::size_t>(
      std::count_if(config.experts.begin(), config.experts.end(), is_able));
}

}  // namespace

void give_back(store::AdminBook& book, std::int64_t unix_us) {
  store::AdminVersion version;
  version.unix_us = unix_us;
  version.author = "command line";
  version.verb = "rollback to 0";
  version.comment = "--file-only";
  for (const auto& row : book.resources())
    version.changes.push_back({row.kind, row.name, row.document, std::nullopt, {}, {}});
  if (!version.changes.empty()) book.append(version);
}

Ledger::Ledger(Layers layers, store::AdminBook& book) : book_(book), layers_(std::move(layers)) {
  Faults faults;
  version_ = book_.last_version();
  now_ = state_of(layers_, book_.resources(), faults);
  if (faults.empty()) return;
  auto origin = layers_.file_path.empty() ? std::string("the command line") : layers_.file_path;
  if (!now_.owned.empty())
    origin +=
        ", with what administrators changed on top (`--file-only` starts without it and gives "
        "everything back to the file),";
  refuse(origin, faults);
}

void Ledger::connect(Prepare prepare, Healthy healthy) {
  prepare_ = std::move(prepare);
  healthy_ = std::move(healthy);
}

Config Ledger::config() const {
  const std::lock_guard lock(mutex_);
  return now_.config;
}

Ledger::State Ledger::state_of(const Layers& layers, std::vector<store::OwnedResource> owned,
                               Faults& faults) const {
  State state;
  state.owned = std::move(owned);
  state.merged = merge(layers, state.owned);
  state.config = read(state.merged.document, faults);
  check(state.config, faults);
  return state;
}

std::vector<std::string> Ledger::reload(Layers layers) {
  const std::lock_guard lock(mutex_);
  Faults faults;
  auto next = state_of(layers, now_.owned, faults);
  if (!faults.empty()) refuse(layers.file_path, faults);
  const auto swap_in = prepare_(next.config);
  swap_in();
  std::vector<std::string> hidden;
  const auto plain = merge(layers, {});
  for (const auto& resource : plain.resources) {
    const auto* rules = find(next.merged, resource.kind, resource.name);
    const bool same = rules != nullptr && rules->document == resource.document;
    if (!same) hidden.push_back(resource.kind + "/" + resource.name);
  }
  layers_ = std::move(layers);
  now_ = std::move(next);
  return hidden;
}

const store::OwnedResource* Ledger::owned(const std::string& kind, const std::string& name) const {
  for (const auto& resource : now_.owned) {
    if (resource.kind == kind && resource.name == name) return &resource;
  }
  return nullptr;
}

std::vector<store::OwnedResource> Ledger::owned_after(const Wishes& wishes) const {
  auto after = now_.owned;
  for (const auto& [which, document] : wishes) {
    const auto& [kind, name] = which;
    const auto same = [&, k = kind, n = name](const auto& row) {
      return row.kind == k && row.name == n;
    };
    const auto at = std::find_if(after.begin(), after.end(), same);
    if (!document) {
      if (at != after.end()) after.erase(at);
    } else if (at != after.end()) {
      at->document = document->dump();
      at->version = version_ + 1;
    } else {
      after.push_back({kind, name, document->dump(), version_ + 1});
    }
  }
  return after;
}

/// Whether the edit may go on from the state that it meets.
std::optional<Verdict> Ledger::precondition(const Edit& edit) const {
  if (edit.verb == Verb::rollback) return std::nullopt;
  const auto* resource = find(now_.merged, edit.kind, edit.name);
  const bool creates = edit.verb == Verb::put || edit.verb == Verb::promote;
  if (resource == nullptr) {
    if (edit.verb == Verb::release && owned(edit.kind, edit.name) != nullptr) return std::nullopt;
    if (!creates) return Verdict::unknown;
    if (!edit.if_match.empty()) return Verdict::stale;
    return std::nullopt;
  }
  if (edit.creates_only) return Verdict::stale;
  if (!edit.if_match.empty())
    return matches(edit.if_match, etag_of(*resource)) ? std::nullopt
                                                      : std::optional(Verdict::stale);
  const bool guarded =
      edit.verb == Verb::put || edit.verb == Verb::patch || edit.verb == Verb::remove;
  return guarded && !edit.validate ? std::optional(Verdict::unmatched) : std::nullopt;
}

/// The document that a put, a patch or a switch asks for.
Json Ledger::wanted_document(const Edit& edit, Faults& faults) const {
  if (edit.verb == Verb::promote) return edit.document;
  const auto* resource = find(now_.merged, edit.kind, edit.name);
  auto known = resource == nullptr ? Json() : resource->document;
  Json wanted = edit.document;
  if (edit.verb == Verb::enable || edit.verb == Verb::disable) {
    wanted = known;
    wanted["enabled"] = edit.verb == Verb::enable;
    return wanted;
  }
  if (!wanted.is_object()) {
    faults.push_back("the body must be one JSON object");
    return wanted;
  }
  if (edit.verb == Verb::patch) {
    wanted = masked(known);
    wanted.merge_patch(edit.document);
  }
  wanted = unmasked(std::move(wanted), known);
  if (!wanted.contains("name")) wanted["name"] = edit.name;
  if (wanted["name"] != edit.name)
    faults.push_back("name: must be `" + edit.name +
                     "`, as in the address; a resource is renamed by making a new one");
  const auto more = faults_of(edit.kind, wanted);
  faults.insert(faults.end(), more.begin(), more.end());
  return wanted;
}

std::optional<Ledger::Wishes> Ledger::wishes_back_to(std::int64_t version) const {
  std::map<std::pair<std::string, std::string>, std::optional<Json>> states;
  if (version == 0) {
    for (const auto& resource : now_.owned) states[{resource.kind, resource.name}] = std::nullopt;
    return Wishes(states.begin(), states.end());
  }
  const auto later = book_.versions_above(version);
  if (!later) return std::nullopt;
  for (const auto& step : *later) {
    for (const auto& change : step.changes) {
      auto& state = states[{change.kind, change.name}];
      state.reset();
      if (change.before) state = Json::parse(*change.before);
    }
  }
  Wishes wishes;
  for (auto& [which, state] : states) {
    const auto* row = owned(which.first, which.second);
    const auto text = text_of(state);
    const bool same = row == nullptr ? !text : text && *text == row->document;
    if (!same) wishes.emplace_back(which, std::move(state));
  }
  return wishes;
}

/// What is to be written; nullopt: the version to go back to is not there.
std::optional<Ledger::Wishes> Ledger::wishes_of(const Edit& edit, Faults& faults) const {
  if (edit.verb == Verb::rollback) return wishes_back_to(edit.version);
  const std::pair which(edit.kind, edit.name);
  if (edit.verb == Verb::release) {
    if (owned(edit.kind, edit.name) == nullptr) return Wishes();
    return Wishes{{which, std::nullopt}};
  }
  if (edit.verb == Verb::remove) {
    const auto plain = merge(layers_, {});
    if (find(plain, edit.kind, edit.name) == nullptr) return Wishes{{which, std::nullopt}};
    return Wishes{{which, Json()}};
  }
  auto wanted = wanted_document(edit, faults);
  const auto* resource = find(now_.merged, edit.kind, edit.name);
  if (resource != nullptr && resource->document == wanted) return Wishes();
  return Wishes{{which, std::move(wanted)}};
}

/// Pools that could answer before and could not after, or that are new and cannot.
Faults Ledger::stranded(const Config& after) const {
  Faults faults;
  const auto before = pools_of(now_.config);
  for (const auto& pool : pools_of(after)) {
    if (able(pool, after, healthy_) > 0) continue;
    const auto old = std::find_if(before.begin(), before.end(),
                                  [&](const auto& other) { return other.name == pool.name; });
    if (old != before.end() && able(*old, now_.config, healthy_) == 0) continue;
    faults.push_back("pool `" + pool.name +
                     "` would have no expert that is enabled and healthy; add `force=1` to the "
                     "query to do it anyway");
  }
  return faults;
}

store::AdminVersion Ledger::version_of(const Edit& edit, const Wishes& wishes,
                                       const State& next) const {
  store::AdminVersion version;
  version.unix_us = edit.unix_us;
  version.author = edit.author;
  version.verb = http::name_of(edit.verb);
  if (edit.verb == Verb::rollback) version.verb += " to " + std::to_string(edit.version);
  version.comment = edit.comment;
  for (const auto& [which, document] : wishes) {
    const auto& [kind, name] = which;
    store::ResourceChange change{kind, name, std::nullopt, text_of(document), {}, {}};
    if (const auto* row = owned(kind, name)) change.before = row->document;
    change.before_seen = seen_text(seen(now_.merged, kind, name));
    change.after_seen = seen_text(seen(next.merged, kind, name));
    version.changes.push_back(std::move(change));
  }
  return version;
}

void Ledger::tell(Edited& edited, const Edit& edit, const Merged& before,
                  const Merged& after) const {
  edited.version = version_;
  if (edit.verb == Verb::rollback) {
    edited.diff = diff_by_resource(before, after);
    return;
  }
  const auto* resource = find(after, edit.kind, edit.name);
  edited.created = resource != nullptr && find(before, edit.kind, edit.name) == nullptr;
  if (resource != nullptr) edited.etag = etag_of(*resource);
  edited.document = seen(after, edit.kind, edit.name);
  edited.diff = Json::diff(seen(before, edit.kind, edit.name), edited.document);
}

Edited Ledger::edit(const Edit& edit, std::optional<Change>* change) {
  const std::lock_guard lock(mutex_);
  Edited edited;
  const auto end = [&](Verdict verdict, const Merged& after) {
    const Merged before = now_.merged;
    tell(edited, edit, before, after);
    edited.verdict = verdict;
    return edited;
  };
  if (const auto verdict = precondition(edit)) return end(*verdict, now_.merged);
  const auto wishes = wishes_of(edit, edited.faults);
  if (!wishes) return end(Verdict::unknown, now_.merged);
  if (!edited.faults.empty()) return end(Verdict::refused, now_.merged);
  if (wishes->empty()) return end(Verdict::unchanged, now_.merged);
  auto next = state_of(layers_, owned_after(*wishes), edited.faults);
  for (auto& fault : edited.faults) fault = with_name(std::move(fault), next.merged);
  if (!edited.faults.empty()) return end(Verdict::refused, now_.merged);
  if (!edit.force) edited.faults = stranded(next.config);
  if (!edited.faults.empty()) return end(Verdict::strands, now_.merged);
  std::function<void()> swap_in;
  try {
    swap_in = prepare_(next.config);
  } catch (const std::runtime_error& error) {
    edited.faults.emplace_back(error.what());
    return end(Verdict::refused, now_.merged);
  }
  if (edit.validate) {
    if (change != nullptr) change->emplace(Change{now_.config, next.config});
    return end(Verdict::valid, next.merged);
  }
  version_ = book_.append(version_of(edit, *wishes, next));
  swap_in();
  std::swap(now_, next);
  tell(edited, edit, next.merged, now_.merged);
  edited.verdict = Verdict::applied;
  return edited;
}

std::vector<http::Shown> Ledger::list(std::string_view kind) const {
  const std::lock_guard lock(mutex_);
  std::vector<http::Shown> shown;
  for (const auto& resource : now_.merged.resources) {
    if (resource.kind != kind) continue;
    shown.push_back({resource.kind, resource.name, std::string(name_of(resource.origin)),
                     etag_of(resource), resource.version, masked(resource.document)});
  }
  return shown;
}

Json Ledger::show() const {
  const std::lock_guard lock(mutex_);
  auto shown = show_effective(layers_, now_.merged);
  shown["version"] = version_;
  return shown;
}

Json Ledger::versions(std::int64_t before, int limit) const {
  Json list = Json::array();
  for (const auto& version : book_.versions(before, limit)) list.push_back(json_of(version));
  return list;
}

std::optional<Json> Ledger::version(std::int64_t number) const {
  const auto found = book_.version(number);
  if (!found) return std::nullopt;
  auto json = json_of(*found);
  json["changes"] = Json::array();
  for (const auto& change : found->changes) {
    auto before = parsed(change.before_seen), after = parsed(change.after_seen);
    auto diff = Json::diff(before, after);
    json["changes"].push_back({{"kind", change.kind},
                               {"name", change.name},
                               {"before", std::move(before)},
                               {"after", std::move(after)},
                               {"diff", std::move(diff)}});
  }
  return json;
}

}  // namespace config
