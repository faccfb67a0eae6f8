#include "router/learn/probes.h"

#include <algorithm>
#include <iomanip>
#include <istream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>

#include "router/decide.h"
#include "router/guard.h"
#include "router/learn/dense.h"

namespace router {
namespace {

constexpr std::size_t kFaultsTold = 20;
constexpr std::size_t kFailuresPrinted = 50;

using UnorderedJson = nlohmann::json;

/// All faults of a file, told at once.
class Faults {
 public:
  explicit Faults(std::string path) : path_(std::move(path)) {}

  void add(std::size_t line, const std::string& what) {
    if (++count_ <= kFaultsTold) text_ += path_ + ":" + std::to_string(line) + ": " + what + "\n";
  }

  void raise() const {
    if (count_ == 0) return;
    throw std::runtime_error(std::to_string(count_) + " faults in the probes\n" + text_);
  }

 private:
  std::string path_, text_;
  std::size_t count_ = 0;
};

bool read_names(const UnorderedJson& value, std::vector<std::string>& into) {
  const auto add = [&](const UnorderedJson& name) {
    if (!name.is_string() || name.get_ref<const std::string&>().empty()) return false;
    into.push_back(name.get<std::string>());
    return true;
  };
  if (!value.is_array()) return add(value);
  return !value.empty() && std::all_of(value.begin(), value.end(), add);
}

/// Empty, or what is wrong with it.
std::string read_probe(const std::string& line, Probe& probe) {
  const UnorderedJson json = UnorderedJson::parse(line, nullptr, false);
  if (!json.is_object()) return "not a JSON object";
  for (const auto& [key, value] : json.items()) {
    bool good = true;
    if (key == "query" || key == "id") {
      good = value.is_string();
      if (good) (key == "id" ? probe.id : probe.query) = value.get<std::string>();
    } else if (key == "skill") {
      good = read_names(value, probe.skills);
    } else if (key == "expert") {
      good = read_names(value, probe.experts);
    } else if (key == "not_expert") {
      good = read_names(value, probe.not_experts);
    } else if (key == "tags") {
      good = value.is_array() && (value.empty() || read_names(value, probe.tags));
    } else if (key == "quality") {
      good = value.is_number() && value.get<double>() >= 0 && value.get<double>() <= 1;
      if (good) probe.quality = value.get<double>();
    } else {
      return "unknown field `" + key +
             "`; a probe has query, skill, expert, not_expert, quality, tags, id";
    }
    if (!good)
      return "`" + key + "` must be " +
             (key == "quality" ? "a number from 0 to 1" : "a string, or a list of them");
  }
  if (probe.query.empty()) return "`query` is missing";
  if (probe.skills.empty() && probe.experts.empty() && probe.not_experts.empty())
    return "nothing is expected: `skill`, `expert` or `not_expert` is missing";
  return "";
}

bool has(const std::vector<std::string>& list, const std::string& name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

std::string join(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : " or ") + name;
  return out;
}

/// A probe that names what is not there could never pass.
void refuse_unknown(const Policy& policy, const std::vector<std::string>& experts,
                    const std::vector<Probe>& probes) {
  Faults faults("probes");
  for (const Probe& probe : probes) {
    for (const std::string& skill : probe.skills)
      if (!has(policy.skills, skill))
        faults.add(probe.line, "the policy has no skill `" + skill + "`");
    for (const auto* names : {&probe.experts, &probe.not_experts})
      for (const std::string& expert : *names)
        if (!has(experts, expert))
          faults.add(probe.line, "`" + expert + "` is not among the experts");
  }
  faults.raise();
}

ProbeResult run_probe(const Probe& probe, std::string vector, const Policy& policy,
                      const PoolView& pool, Extractor& extractor, DecideScratch& scratch) {
  Features features;
  extractor.extract(probe.query, features);
  features.vector = std::move(vector);
  Query query;
  query.text = probe.query;
  query.knobs.quality = probe.quality;
  Route route;
  decide(query, features, policy, pool, scratch, route);
  ProbeResult result;
  if (!route.skills.empty()) {
    result.skill = policy.skills[route.skills.front().skill];
    result.share = route.skills.front().share;
  }
  result.expert = pool.experts[route.candidates.front().expert].name;
  result.p_correct = route.candidates.front().p_correct;
  if (!probe.skills.empty() && !has(probe.skills, result.skill))
    result.failed = "skill " + join(probe.skills);
  if (!probe.experts.empty() && !has(probe.experts, result.expert))
    result.failed += (result.failed.empty() ? "" : ", ") + ("expert " + join(probe.experts));
  if (has(probe.not_experts, result.expert))
    result.failed += (result.failed.empty() ? "" : ", ") + ("not " + result.expert);
  return result;
}

/// Those that are wanted, as indices into the list.
std::vector<std::size_t> with_tags(const std::vector<Probe>& probes,
                                   const std::vector<std::string>& tags) {
  std::vector<std::size_t> chosen;
  for (std::size_t i = 0; i < probes.size(); ++i) {
    const auto& has_tags = probes[i].tags;
    const bool wanted =
        tags.empty() || std::any_of(has_tags.begin(), has_tags.end(),
                                    [&](const std::string& tag) { return has(tags, tag); });
    if (wanted) chosen.push_back(i);
  }
  if (chosen.empty())
    throw std::runtime_error(tags.empty() ? "the file holds no probe"
                                          : "no probe has one of the tags of --tag");
  return chosen;
}

/// A vector for each chosen probe; all empty where the policy needs none, or none is to be had.
std::vector<std::string> vectors_of(const Policy& policy, const std::vector<Probe>& probes,
                                    const std::vector<std::size_t>& chosen,
                                    const VectorsOf& vectors) {
  std::vector<std::string> texts;
  for (const std::size_t i : chosen) texts.push_back(probes[i].query);
  if (policy.dense.empty()) return std::vector<std::string>(texts.size());
  std::string fingerprint = policy.dense.fingerprint;
  return ask_vectors(policy.dense.encoder, fingerprint, vectors, std::move(texts), [](double) {});
}

void check_threshold(const std::string& what, std::size_t passed, std::size_t of, double wanted,
                     ProbeReport& report) {
  const double share = static_cast<double>(passed) / static_cast<double>(of);
  if (share >= wanted) return;
  std::ostringstream line;
  line << what << ": " << passed << " of " << of << " passed, " << std::setprecision(4)
       << 100 * share << "%; wanted " << 100 * wanted << "%";
  report.shortfalls.push_back(line.str());
}

}  // namespace

std::vector<Probe> read_probes(std::istream& in, const std::string& path) {
  std::vector<Probe> probes;
  Faults faults(path);
  std::string line;
  for (std::size_t number = 1; std::getline(in, line); ++number) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.empty() || line.front() == '#') continue;
    Probe probe;
    probe.line = number;
    const std::string fault =
        line.size() > kProbeBytesMax ? "longer than a probe can be" : read_probe(line, probe);
    if (!fault.empty()) {
      faults.add(number, fault);
      continue;
    }
    if (probe.id.empty()) probe.id = "line " + std::to_string(number);
    probes.push_back(std::move(probe));
    if (probes.size() > kProbesMax)
      throw std::runtime_error(path + ": more than " + std::to_string(kProbesMax) + " probes");
  }
  faults.raise();
  return probes;
}

ProbeReport run_probes(const Policy& policy, const std::vector<Probe>& probes,
                       const ProbeOptions& options) {
  PoolView pool;
  std::vector<std::string> names = options.experts;
  if (names.empty())
    for (const PolicyExpert& expert : policy.experts) names.push_back(expert.name);
  for (const std::string& name : names) {
    pool.experts.emplace_back();
    pool.experts.back().name = name;
  }
  bind(policy, pool);
  for (const PoolExpert& expert : pool.experts)
    if (expert.policy_expert < 0)
      throw std::runtime_error("--experts: " + expert.name + " is not in the policy");
  refuse_unknown(policy, names, probes);
  ProbeReport report;
  const std::vector<std::size_t> chosen = with_tags(probes, options.tags);
  std::vector<std::string> vectors = vectors_of(policy, probes, chosen, options.vectors);
  Extractor extractor;
  DecideScratch scratch;
  for (std::size_t c = 0; c < chosen.size(); ++c) {
    const Probe& probe = probes[chosen[c]];
    ProbeResult result = run_probe(probe, std::move(vectors[c]), policy, pool, extractor, scratch);
    result.probe = chosen[c];
    report.passed += result.failed.empty();
    for (const std::string& tag : probe.tags) {
      report.tags[tag].first += result.failed.empty();
      ++report.tags[tag].second;
    }
    report.results.push_back(std::move(result));
  }
  check_threshold("all probes", report.passed, report.results.size(), options.pass_min, report);
  for (const auto& [tag, wanted] : options.tag_pass_min) {
    const auto found = report.tags.find(tag);
    if (found == report.tags.end())
      throw std::runtime_error("--pass-tag: no probe has the tag " + tag);
    check_threshold("tag " + tag, found->second.first, found->second.second, wanted, report);
  }
  return report;
}

std::string to_json(const ProbeReport& report, const std::vector<Probe>& probes) {
  nlohmann::ordered_json out = {{"passed", report.passed},
                                {"probes", report.results.size()},
                                {"ok", report.ok()},
                                {"shortfalls", report.shortfalls}};
  for (const auto& [tag, count] : report.tags)
    out["tags"][tag] = {{"passed", count.first}, {"probes", count.second}};
  for (const ProbeResult& result : report.results) {
    out["results"].push_back({{"id", probes[result.probe].id},
                              {"passed", result.failed.empty()},
                              {"expected", result.failed},
                              {"skill", result.skill},
                              {"share", result.share},
                              {"expert", result.expert},
                              {"p_correct", result.p_correct}});
  }
  return out.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

void print(const ProbeReport& report, const std::vector<Probe>& probes, std::ostream& out) {
  std::size_t told = 0;
  for (const ProbeResult& result : report.results) {
    if (result.failed.empty()) continue;
    if (++told > kFailuresPrinted) break;
    out << "FAILED " << probes[result.probe].id << ": wanted " << result.failed << "; got skill "
        << result.skill << " " << std::fixed << std::setprecision(0) << 100 * result.share
        << "%, expert " << result.expert << "\n";
  }
  out << report.passed << " of " << report.results.size() << " probes passed\n";
  for (const auto& [tag, count] : report.tags)
    out << "  " << std::left << std::setw(24) << tag << std::right << std::setw(6) << count.first
        << " of " << count.second << "\n";
  for (const std::string& line : report.shortfalls) out << "BELOW THE THRESHOLD: " << line << "\n";
}

}  // namespace router
