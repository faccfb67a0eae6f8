#include "router/gate_record.h"

#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace router {
namespace {

using Json = nlohmann::ordered_json;

/// Six digits: enough to learn from, and short in the log.
Json rounded(double value) {
  return std::isfinite(value) ? Json(std::round(value * 1e6) / 1e6) : Json();
}

std::string_view name_of(RetrievalMode mode) {
  switch (mode) {
    case RetrievalMode::never:
      return "off";
    case RetrievalMode::always:
      return "on";
    case RetrievalMode::gated:
      return "auto";
  }
  return "unknown";
}

double read(const Json& object, const char* key, double otherwise = 0) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number() ? found->get<double>() : otherwise;
}

std::string words(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::string in_percent(double share) {
  char text[16];
  std::snprintf(text, sizeof text, "%.0f%%", 100 * share);
  return text;
}

std::string three(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f", value);
  return text;
}

void add_search(const GateRecord& record, Json& json) {
  const SearchProbe& probe = record.probe;
  json["probe"] = {{"top", rounded(probe.top)},
                   {"margin", rounded(probe.margin)},
                   {"covered", rounded(probe.covered)},
                   {"found", probe.found}};
  json["arms"] = Json::array();
  for (std::size_t i = 0; i < kPassages.size(); ++i) {
    const ArmEstimate& arm = record.choice.arms[i];
    json["arms"].push_back({{"passages", kPassages[i]},
                            {"r", rounded(arm.r)},
                            {"kappa", rounded(arm.kappa)},
                            {"gain", rounded(arm.gain)},
                            {"threshold", rounded(arm.threshold)}});
  }
  json["sources"] = Json::array();
  for (const GateSource& source : record.sources)
    json["sources"].push_back({{"id", source.id},
                               {"collection", source.collection},
                               {"source", source.source},
                               {"heading", source.heading},
                               {"score", rounded(source.score)},
                               {"similarity", rounded(source.similarity)}});
}

void read_search(const Json& json, GateRecord& record) {
  if (const auto probe = json.find("probe"); probe != json.end() && probe->is_object())
    record.probe = {.top = read(*probe, "top"),
                    .margin = read(*probe, "margin"),
                    .covered = read(*probe, "covered"),
                    .found = static_cast<int>(read(*probe, "found"))};
  if (const auto arms = json.find("arms"); arms != json.end() && arms->is_array())
    for (const Json& arm : *arms)
      for (std::size_t i = 0; arm.is_object() && i < kPassages.size(); ++i)
        if (read(arm, "passages") == kPassages[i])
          record.choice.arms[i] = {.r = read(arm, "r"),
                                   .kappa = read(arm, "kappa"),
                                   .gain = read(arm, "gain"),
                                   .threshold = read(arm, "threshold")};
  if (const auto sources = json.find("sources"); sources != json.end() && sources->is_array())
    for (const Json& source : *sources)
      if (source.is_object())
        record.sources.push_back({.id = static_cast<std::int64_t>(read(source, "id")),
                                  .collection = words(source, "collection"),
                                  .source = words(source, "source"),
                                  .heading = words(source, "heading"),
                                  .score = read(source, "score"),
                                  .similarity = read(source, "similarity")});
}

}  // namespace

std::string encode(const GateRecord& record) {
  const RetrievalChoice& choice = record.choice;
  Json json = {{"mode", name_of(record.mode)},
               {"lookup", record.lookup},
               {"search_us", record.search_us},
               {"c0", rounded(choice.c0)},
               {"passages", choice.passages},
               {"p_correct", rounded(choice.p_correct)},
               {"propensity", rounded(choice.propensity)},
               {"explored", choice.explored}};
  if (!record.encoded.empty()) json["encoded"] = record.encoded;
  if (record.searched()) add_search(record, json);
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::optional<GateRecord> decode_gate(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object() || words(json, "lookup").empty()) return std::nullopt;
  GateRecord record;
  const std::string mode = words(json, "mode");
  if (mode == "on") record.mode = RetrievalMode::always;
  if (mode == "off") record.mode = RetrievalMode::never;
  record.lookup = words(json, "lookup");
  record.encoded = words(json, "encoded");
  record.search_us = static_cast<std::int64_t>(read(json, "search_us"));
  record.choice.c0 = read(json, "c0");
  record.choice.passages = static_cast<int>(read(json, "passages"));
  record.choice.p_correct = read(json, "p_correct");
  record.choice.propensity = read(json, "propensity", 1);
  const auto explored = json.find("explored");
  record.choice.explored =
      explored != json.end() && explored->is_boolean() && explored->get<bool>();
  read_search(json, record);
  return record;
}

std::vector<std::string> tell(const GateRecord& record) {
  const RetrievalChoice& choice = record.choice;
  std::vector<std::string> out;
  const std::string alone = in_percent(choice.c0) + " likely to be right alone";
  if (record.lookup == "none") {
    out.push_back("Nothing was looked up: the expert was " + alone +
                  ", and no passage could have been worth its price.");
    return out;
  }
  if (record.lookup != "found") {
    out.push_back("No passages: the search ended as " + record.lookup + ".");
    return out;
  }
  std::string shown = "Looked up: " + std::to_string(record.sources.size()) + " of " +
                      std::to_string(record.probe.found) + " passages shown, the expert being " +
                      alone;
  if (choice.explored) shown += "; drawn to learn, with probability " + three(choice.propensity);
  if (record.mode == RetrievalMode::always) shown += "; asked for, not weighed";
  out.push_back(shown + ".");
  for (std::size_t i = 0; i < kPassages.size(); ++i) {
    const ArmEstimate& arm = choice.arms[i];
    out.push_back("  " + std::to_string(kPassages[i]) +
                  (kPassages[i] == 1 ? " passage" : " passages") + ": relevant with " +
                  in_percent(arm.r) + ", price " + three(arm.kappa) + " of a right answer, gain " +
                  three(arm.gain) + "; worth it below " + in_percent(std::max(0.0, arm.threshold)) +
                  ".");
  }
  for (const GateSource& source : record.sources)
    out.push_back("  Shown: " + source.collection + "/" + source.source +
                  (source.heading.empty() ? "" : ", " + source.heading) + ".");
  return out;
}

}  // namespace router
