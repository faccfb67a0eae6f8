// rooms: router
// How good is the router? Trains on a share of each outcome file and judges on the rest, for
// several seeds, with the product's own train() and evaluate(). The best single expert of the same
// rows stands beside every figure. Then: the tasks of routerdc7 judged by a policy that never saw
// the task; the pair of routellm_mmlu judged on grade-school mathematics that other experts
// answered (llmrouter9, a weak and a strong expert of similar distance); AIQ as a mean over tasks;
// and fifteen pools. Needs SKILLYARD_DATA (a folder with routing/*.fit.jsonl.gz).
//
//   bench_routing [--smoke] [--seeds N] [--share 0.7] [--only SUBSTRING]
#include <unistd.h>
#include <zlib.h>

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
#include "router/learn/trial.h"

using namespace router;

namespace {

struct Task {
  std::string name, file;
  std::vector<std::string> pool;  // empty: all
  std::size_t limit = 0;
  std::string exclude;
};

double share = 0.7;

std::string data_dir;
std::map<std::string, std::vector<double>> figures;
std::vector<std::string> order;

void note(const std::string& name, double value) {
  if (!figures.count(name)) order.push_back(name);
  figures[name].push_back(value);
}

std::vector<std::string> pool_of(const std::string& file, const std::string& pool) {
  std::ifstream in(data_dir + "/routing/pools.json");
  const auto pools = nlohmann::json::parse(in);
  return pools[file][pool].get<std::vector<std::string>>();
}

std::string path_of(const std::string& file) {
  return data_dir + "/routing/" + file + ".fit.jsonl.gz";
}

/// Mean over tasks of AIQ and of the score at a tenth of the dearest expert's cost, with routing
/// and without.
void note_by_task(const std::string& name, const Policy& policy, const EvaluateOptions& options) {
  Trial trial = read_trial(policy, options);
  run_policy(policy, std::nullopt, trial, {});
  std::map<std::string, double> rows;
  for (const std::string& skill : trial.skill) rows[skill] += static_cast<double>(1);
  const auto point_of = [&](const auto& expert_of) {
    CostPoint point;
    for (std::size_t r = 0; r < trial.rows(); ++r) {
      const double weight = 1 / (rows[trial.skill[r]] * static_cast<double>(rows.size()));
      point.score += weight * trial.score(r, expert_of(r));
      point.cost += weight * trial.cost_usd(r, expert_of(r));
    }
    return point;
  };
  std::vector<CostPoint> routed, single;
  for (const auto& chosen : trial.swept)
    routed.push_back(point_of([&](std::size_t r) { return chosen[r]; }));
  double lo = 1e9, hi = 0;
  for (std::size_t e = 0; e < trial.experts(); ++e) {
    single.push_back(point_of([&](std::size_t) { return e; }));
    lo = std::min(lo, single.back().cost), hi = std::max(hi, single.back().cost);
  }
  const auto with = hull_of(routed), without = hull_of(single);
  note(name + " aiq, mean of tasks", average_quality(with, lo, hi));
  note(name + " aiq without routing, mean of tasks", average_quality(without, lo, hi));
  note(name + " at 10% of the dearest, mean of tasks", 100 * score_at(with, 0.1 * hi));
  note(name + " the same without routing, of tasks", 100 * score_at(without, 0.1 * hi));
}

void run(const Task& task, std::uint64_t seed) {
  TrainOptions t;
  t.files = {path_of(task.file)};
  t.seed = seed;
  t.share = share;
  t.limit = task.limit;
  t.experts = task.pool;
  PolicyPtr policy;
  const TrainReport trained = train(t, &policy);
  EvaluateOptions e;
  e.files = t.files;
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
  note(task.name + " gain in unseen domains", 100 * trained.unseen.gain.mean);
  note(task.name + " train seconds", trained.seconds);
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
    note_by_task(task.name, *policy, e);
  }
  double macro = 0, macro_best = 0;
  for (const SkillRow& skill : report.skills) {
    macro += skill.policy / static_cast<double>(report.skills.size());
    macro_best += skill.best_single / static_cast<double>(report.skills.size());
  }
  note(task.name + " mean over domains", 100 * macro);
  note(task.name + " best single, mean over domains", 100 * macro_best);
}

/// Copies the rows of a file that `keep` accepts (it may change them) to a new file.
template <typename Keep>
std::string write_part(const std::string& file, const char* name, const Keep& keep) {
  const std::string path = "/tmp/bench_routing_" + std::to_string(::getpid()) + "_" + name;
  std::ofstream out(path);
  const gzFile in = gzopen(path_of(file).c_str(), "rb");
  std::vector<char> line(1 << 20);
  while (in && gzgets(in, line.data(), static_cast<int>(line.size()))) {
    auto row = nlohmann::json::parse(line.data());
    if (keep(row)) out << row.dump() << "\n";
  }
  if (in) gzclose(in);
  return path;
}

/// A task that training never saw: the gain over the expert that is best on the judged rows, and
/// over the one that was best in training, which is all that one could know.
void run_unseen(const std::string& file, const std::string& task) {
  const auto is_task = [&](const nlohmann::json& row) { return row["domain"] == task; };
  const std::string fit = write_part(file, "fit", [&](const auto&row) { return !is_task(row); }),
                    test = write_part(file, "test", is_task);
  TrainOptions t;
  t.files = {fit};
  PolicyPtr policy;
  const TrainReport trained = train(t, &policy);
  EvaluateOptions e;
  e.files = {test};
  const EvaluateReport report = evaluate(*policy, e);
  Trial trial = read_trial(*policy, e);
  double known = 0;
  for (std::size_t r = 0; r < trial.rows(); ++r)
    known += trial.score(r, column_of(trial.table, trained.best_single)) /
             static_cast<double>(trial.rows());
  note(file + " without " + task + " score", 100 * report.row("policy").score);
  note(file + " without " + task + " best in training", 100 * known);
  note(file + " without " + task + " best single", 100 * report.row("best_single").score);
  note(file + ", mean of unseen tasks", 100 * report.row("policy").score);
  note(file + ", best in training, of unseen tasks", 100 * known);
  std::remove(fit.c_str()), std::remove(test.c_str());
}

/// The order that the pair's policy gives to gsm8k, judged by who else is weak and strong there.
void run_pair_elsewhere() {
  const char *weak = "mistral-7b-instruct-v0.3", *strong = "llama-3.1-nemotron-51b-instruct";
  const std::string test = write_part("llmrouter9", "gsm8k", [&](nlohmann::json& row) {
    if (row["domain"] != "gsm8k") return false;
    row["outcomes"] = {{"mixtral-8x7b-instruct", row["outcomes"][weak]},
                       {"gpt-4-1106-preview", row["outcomes"][strong]}};
    return true;
  });
  TrainOptions t;
  t.files = {path_of("routellm_mmlu")};
  PolicyPtr policy;
  train(t, &policy);
  EvaluateOptions e;
  e.files = {test};
  const EvaluateReport report = evaluate(*policy, e);
  note("pair on gsm8k of llmrouter9, apgr", *report.row("policy").apgr);
  note("pair on gsm8k of llmrouter9, cpt50", 100 * *report.row("policy").cpt50);
  std::remove(test.c_str());
}

struct Pool {
  const char* name;
  const char* file;
  std::vector<std::string> experts;  // empty: all
};

std::vector<Pool> list_pools() {
  return {
      {"mmlu_pro", "mmlu_pro", {}},
      {"mmlu_pro/open", "mmlu_pro", pool_of("mmlu_pro", "open")},
      {"mmlu_pro/small", "mmlu_pro", pool_of("mmlu_pro", "small")},
      {"mmlu_pro/large",
       "mmlu_pro",
       {"Meta-Llama-3-70B", "Meta-Llama-3_1-70B", "Qwen1.5-110B", "Qwen1.5-72B-Chat",
        "jamba-1.5-large", "Yi-34B", "Mixtral-8x7B-Instruct-v0.1"}},
      {"mmlu_pro/phi,mathstral,llama",
       "mmlu_pro",
       {"Phi-3-mini-4k-instruct", "mathstral-7B", "Meta-Llama-3_1-8B-Instruct"}},
      {"llmrouter9", "llmrouter9", {}},
      {"llmrouter9/clean4", "llmrouter9", pool_of("llmrouter9", "clean4")},
      {"llmrouter9/small", "llmrouter9", pool_of("llmrouter9", "small")},
      {"llmrouter9/8b",
       "llmrouter9",
       {"llama-3.1-8b-instruct", "gemma-2-9b-it", "qwen2.5-7b-instruct"}},
      {"routerdc7", "routerdc7", {}},
      {"routerdc7/generalists",
       "routerdc7",
       {"Meta-Llama-3-8B", "Mistral-7B-v0.1", "zephyr-7b-beta", "dolphin-2.6-mistral-7b"}},
      {"routerdc7/specialists",
       "routerdc7",
       {"MetaMath-Mistral-7B", "Chinese-Mistral-7B-v0.1", "dolphin-2.9-llama3-8b"}},
      {"routerbench11", "routerbench11", {}},
      {"routerbench11/open",
       "routerbench11",
       {"WizardLM/WizardLM-13B-V1.2", "meta/code-llama-instruct-34b-chat", "meta/llama-2-70b-chat",
        "mistralai/mistral-7b-chat", "mistralai/mixtral-8x7b-chat", "zero-one-ai/Yi-34B-Chat"}},
      {"routellm_mmlu", "routellm_mmlu", {}},
  };
}

void run_pools(std::uint64_t seed) {
  double better = 0, worse = 0;
  for (const Pool& pool : list_pools()) {
    TrainOptions t;
    t.files = {path_of(pool.file)};
    t.seed = seed;
    t.share = share;
    t.experts = pool.experts;
    PolicyPtr policy;
    train(t, &policy);
    EvaluateOptions e;
    e.files = t.files;
    e.held_out_part = true;
    e.experts = t.experts;
    const Interval gain = evaluate(*policy, e).row("policy").gain;
    note(std::string("pool ") + pool.name + " gain", 100 * gain.mean);
    note(std::string("pool ") + pool.name + " gain lo", 100 * gain.lo);
    better += gain.lo > 0, worse += gain.hi < 0;
  }
  note("pools of 15 significantly better", better);
  note("pools of 15 significantly worse", worse);
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
    else if (!std::strcmp(argv[i], "--share") && i + 1 < argc)
      share = std::atof(argv[++i]);
  }
  const char* data = std::getenv("SKILLYARD_DATA");
  if (!data) {
    std::puts("skipped: SKILLYARD_DATA is not set");
    return 0;
  }
  data_dir = data;
  const Task tasks[] = {
      {"pair", "routellm_mmlu", {}, 0, ""},
      {"pair-nohsm", "routellm_mmlu", {}, 0, "high_school_mathematics"},
      {"pair1500", "routellm_mmlu", {}, 1500, ""},
      {"pair1500-nohsm", "routellm_mmlu", {}, 1500, "high_school_mathematics"},
      {"mmlu_pro", "mmlu_pro", {}, 0, ""},
      {"mmlu_pro/small", "mmlu_pro", pool_of("mmlu_pro", "small"), 0, ""},
      {"llmrouter9", "llmrouter9", {}, 0, ""},
      {"llmrouter9/clean4", "llmrouter9", pool_of("llmrouter9", "clean4"), 0, ""},
      {"routerdc7", "routerdc7", {}, 0, ""},
      {"routerbench11", "routerbench11", {}, 0, ""},
  };
  if (seeds == 0) run({"smoke", "routerbench11", {}, 300, ""}, 0);
  const auto wanted = [&](const std::string& name) { return name.find(only) != std::string::npos; };
  for (int seed = 0; seed < seeds; ++seed) {
    for (const Task& task : tasks) {
      if (wanted(task.name)) run(task, static_cast<std::uint64_t>(seed));
    }
    if (wanted("pools")) run_pools(static_cast<std::uint64_t>(seed));
  }
  if (seeds > 0 && wanted("unseen")) {
    for (const char* task : {"arc_challenge", "cmmlu", "gsm8k", "humaneval", "mmlu"})
      run_unseen("routerdc7", task);
  }
  if (seeds > 0 && wanted("gsm8k")) run_pair_elsewhere();
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
