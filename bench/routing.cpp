// rooms: router
// How good is the router? Trains on 70% of each outcome file and judges on the rest, for several
// seeds, with the product's own train() and evaluate(). The best single expert of the same rows
// stands beside every figure. Needs SKILLYARD_DATA (a folder with routing/*.fit.jsonl.gz).
//
//   bench_routing [--smoke] [--seeds N] [--only SUBSTRING]
#include <sys/stat.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "router/learn/evaluate.h"
#include "router/learn/train.h"

using namespace router;

namespace {

struct Task {
  std::string name, file, pool;
  std::size_t limit = 0;
  std::string exclude;
};

std::string data_dir;
std::map<std::string, std::vector<double>> figures;
std::vector<std::string> order;

void note(const std::string& name, double value) {
  if (!figures.count(name)) order.push_back(name);
  figures[name].push_back(value);
}

std::vector<std::string> pool_of(const std::string& file, const std::string& pool) {
  if (pool.empty()) return {};
  std::ifstream in(data_dir + "/routing/pools.json");
  const auto pools = nlohmann::json::parse(in);
  return pools[file][pool].get<std::vector<std::string>>();
}

void run(const Task& task, std::uint64_t seed) {
  const std::string path = data_dir + "/routing/" + task.file + ".fit.jsonl.gz";
  TrainOptions t;
  t.files = {path};
  t.seed = seed;
  t.share = 0.7;
  t.limit = task.limit;
  t.experts = pool_of(task.file, task.pool);
  PolicyPtr policy;
  const TrainReport trained = train(t, &policy);
  EvaluateOptions e;
  e.files = {path};
  e.held_out_part = true;
  e.experts = t.experts;
  e.exclude_domain = task.exclude;
  const EvaluateReport report = evaluate(*policy, e);
  const PolicyRow& mine = report.row("policy");
  note(task.name + " score", 100 * mine.score);
  note(task.name + " best single", 100 * report.row("best_single").score);
  note(task.name + " gain", 100 * mine.gain.mean);
  note(task.name + " gain lo", 100 * mine.gain.lo);
  note(task.name + " gain hi", 100 * mine.gain.hi);
  note(task.name + " calibration error", report.calibration_error);
  note(task.name + " train seconds", trained.seconds);
  for (int i = 0; i < 3; ++i) note(task.name + " blend " + std::to_string(i), trained.blend[i]);
  if (mine.apgr) {
    note(task.name + " apgr", *mine.apgr);
    note(task.name + " cpt50", 100 * *mine.cpt50);
    note(task.name + " cpt80", 100 * *mine.cpt80);
  }
  if (mine.aiq) {
    note(task.name + " aiq", *mine.aiq);
    note(task.name + " aiq without routing", *report.row("fixed_mix").aiq);
    double dearest = 0;
    for (const CostPoint& p : report.row("fixed_mix").curve) dearest = std::max(dearest, p.cost);
    note(task.name + " score at 10% of the dearest",
         100 * score_at(hull_of(mine.curve), 0.1 * dearest));
    note(task.name + " the same without routing",
         100 * score_at(report.row("fixed_mix").curve, 0.1 * dearest));
  }
  double macro = 0, macro_best = 0;
  for (const SkillRow& skill : report.skills) {
    macro += skill.policy / static_cast<double>(report.skills.size());
    macro_best += skill.best_single / static_cast<double>(report.skills.size());
  }
  note(task.name + " mean over domains", 100 * macro);
  note(task.name + " best single, mean over domains", 100 * macro_best);
}

}  // namespace

int main(int argc, char** argv) {
  int seeds = 3;
  std::string only;
  for (int i = 1; i < argc; ++i) {
    if (!std::strcmp(argv[i], "--smoke"))
      seeds = 0;
    else if (!std::strcmp(argv[i], "--seeds") && i + 1 < argc)
      seeds = std::atoi(argv[++i]);
    else if (!std::strcmp(argv[i], "--only") && i + 1 < argc)
      only = argv[++i];
  }
  const char* data = std::getenv("SKILLYARD_DATA");
  if (!data) {
    std::puts("skipped: SKILLYARD_DATA is not set");
    return 0;
  }
  data_dir = data;
  const Task tasks[] = {
      {"pair", "routellm_mmlu", "", 0, ""},
      {"pair-nohsm", "routellm_mmlu", "", 0, "high_school_mathematics"},
      {"pair1500", "routellm_mmlu", "", 1500, ""},
      {"mmlu_pro", "mmlu_pro", "", 0, ""},
      {"mmlu_pro/small", "mmlu_pro", "small", 0, ""},
      {"mmlu_pro/open", "mmlu_pro", "open", 0, ""},
      {"llmrouter9", "llmrouter9", "", 0, ""},
      {"llmrouter9/clean4", "llmrouter9", "clean4", 0, ""},
      {"llmrouter9/small", "llmrouter9", "small", 0, ""},
      {"routerdc7", "routerdc7", "", 0, ""},
      {"routerbench11", "routerbench11", "", 0, ""},
  };
  if (seeds == 0) {
    run({"smoke", "routerbench11", "", 300, ""}, 0);
  }
  for (int seed = 0; seed < seeds; ++seed) {
    for (const Task& task : tasks) {
      if (task.name.find(only) == std::string::npos) continue;
      run(task, static_cast<std::uint64_t>(seed));
    }
  }
  for (const std::string& name : order) {
    const auto& values = figures[name];
    double mean = 0, square = 0;
    for (double v : values) mean += v / static_cast<double>(values.size());
    for (double v : values) square += (v - mean) * (v - mean) / static_cast<double>(values.size());
    std::printf("%-48s %9.4f  sd %.4f  n %zu\n", name.c_str(), mean, std::sqrt(square),
                values.size());
  }
  return 0;
}
