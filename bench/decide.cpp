// rooms: router
// How many decisions a second does one core make, text to route? In CPU time of this thread, so
// that a busy machine does not change the figure much. With SKILLYARD_DATA: the 28 experts of
// mmlu_pro, trained on 70% of the rows, asked with the other 30%; without it a made-up world of 8
// experts.
//
//   bench_decide [--smoke] [--rounds N] [--callgrind: features and decide of one 1 KB prompt, 200
//   times]
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "router/decide.h"
#include "router/guard.h"
#include "router/learn/table.h"
#include "router/learn/train.h"

using namespace router;

namespace {

double cpu_us() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return 1e6 * static_cast<double>(t.tv_sec) + 1e-3 * static_cast<double>(t.tv_nsec);
}

std::string make_world() {
  const std::string path = "/tmp/bench_decide_" + std::to_string(::getpid()) + ".jsonl";
  std::ofstream out(path);
  std::mt19937_64 random(1);
  for (int i = 0; i < 600; ++i) {
    out << R"({"id":")" << i << R"(","text":")";
    for (int w = 0; w < 80; ++w) out << "word" << random() % 900 << ' ';
    out << R"(","domain":"d)" << i % 4 << R"(","outcomes":{)";
    for (int e = 0; e < 8; ++e)
      out << (e ? "," : "") << R"("e)" << e << R"(":{"score":)" << random() % 2 << "}";
    out << "}}\n";
  }
  return path;
}

/// The policy as if it had been trained with an encoder; what the weights are does not matter.
Policy with_vectors(Policy policy, std::size_t numbers) {
  std::mt19937_64 random(1);
  policy.dense.encoder = "made up";
  policy.dense.fingerprint.assign(numbers, '\1');
  policy.dense.scale.assign(policy.dim, 1e-5F);
  policy.dense.shift.assign(policy.dim, 0);
  for (std::size_t i = 0; i < numbers * policy.dim; ++i)
    policy.dense.weight.push_back(static_cast<std::int8_t>(random() % 255));
  return policy;
}

void report(const char* name, std::vector<double>& us) {
  double sum = 0;
  for (double x : us) sum += x;
  std::sort(us.begin(), us.end());
  std::printf("%-28s %9.0f a CPU-second, p50 %6.1f us, p99 %6.1f us\n", name,
              1e6 * static_cast<double>(us.size()) / sum, us[us.size() / 2],
              us[us.size() * 99 / 100]);
}

}  // namespace

int main(int argc, char** argv) {
  int rounds = 3;
  bool smoke = false, callgrind = false;
  for (int i = 1; i < argc; ++i) {
    if (!std::strcmp(argv[i], "--smoke"))
      smoke = true;
    else if (!std::strcmp(argv[i], "--callgrind"))
      callgrind = true;
    else if (!std::strcmp(argv[i], "--rounds") && i + 1 < argc)
      rounds = std::max(1, std::atoi(argv[++i]));
  }
  const char* data = std::getenv("SKILLYARD_DATA");
  const bool made_up = smoke || callgrind || !data;
  const std::string path =
      made_up ? make_world() : std::string(data) + "/routing/mmlu_pro.fit.jsonl.gz";
  TrainOptions options;
  options.files = {path};
  options.share = 0.7;
  PolicyPtr policy;
  const TrainReport trained = train(options, &policy);
  std::printf("trained on %zu rows x %zu experts in %.1f s, policy %.1f MB\n", trained.rows,
              trained.experts.size(), trained.seconds,
              static_cast<double>(trained.policy_bytes) / 1e6);
  TableOptions reading;
  reading.files = {path};
  reading.share = 0.7;
  reading.part = Part::test;
  reading.keep_text = true;
  const Table table = read_table(reading);
  if (made_up) std::remove(path.c_str());
  PoolView pool;
  for (const PolicyExpert& expert : policy->experts) {
    pool.experts.emplace_back();
    pool.experts.back().name = expert.name;
  }
  bind(*policy, pool);

  Extractor extractor;
  Features features;
  DecideScratch scratch;
  Route route;
  Query query;
  if (callgrind) {
    std::string prompt = table.texts[0];
    while (prompt.size() < 1024) prompt += table.texts[1];
    prompt.resize(1024);
    for (int i = 0; i < 200; ++i) {
      extractor.extract(prompt, features);
      decide(query, features, *policy, pool, scratch, route);
    }
    std::printf("%zu buckets\n", features.buckets.size());
    return 0;
  }
  std::vector<double> extract_us, decide_us, both_us, none_us, dense_us;
  const Policy none;
  constexpr std::size_t kNumbers = 1024;
  const Policy dense = with_vectors(*policy, kNumbers);
  for (int round = 0; round < (smoke ? 1 : rounds); ++round) {
    for (const std::string& text : table.texts) {
      const double t0 = cpu_us();
      extractor.extract(text, features);
      const double t1 = cpu_us();
      decide(query, features, *policy, pool, scratch, route);
      const double t2 = cpu_us();
      decide(query, features, none, pool, scratch, route);
      const double t3 = cpu_us();
      features.vector.assign(kNumbers, '\x55');
      const double t4 = cpu_us();
      decide(query, features, dense, pool, scratch, route);
      const double t5 = cpu_us();
      dense_us.push_back(t5 - t4);
      extract_us.push_back(t1 - t0), decide_us.push_back(t2 - t1), both_us.push_back(t2 - t0),
          none_us.push_back(t3 - t2);
    }
  }
  report("features", extract_us);
  report("decide", decide_us);
  report("features + decide", both_us);
  report("decide without a policy", none_us);
  report("decide with a vector of 1024", dense_us);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::printf("peak memory with training %ld MB\n", usage.ru_maxrss / 1024);
  return 0;
}
