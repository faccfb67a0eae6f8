// rooms: experts
// What the scheduler of a memory that does not hold all experts (experts/residency.h) gains and
// costs on real loads of real (synthesised) GGUF files: 16 experts, memory for 4.
//
//   batch    questions for three experts each, all there at once, against question by question: the
//            next one is asked when the last one's three replies are there (least recently used
//            out). The second is run on `--sample` questions and scaled up.
//   traces   arrivals at 90% of what the machine can do with all experts in memory: loads and
//            throughput, against the same trace with all in memory and against one by one
//   all fit  what a call through the scheduler costs where nothing ever leaves, against no
//   scheduler
//
// What is not loaded is put out of the page cache, too: a memory for four experts does not hold the
// files of the others. --warm leaves them there. Exits 1 when a bar does not hold; --smoke holds
// those that do not depend on the machine.
#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "experts/moe/tools/synth.h"
#include "experts/native.h"
#include "experts/residents.h"

namespace {

namespace fs = std::filesystem;
namespace asio = boost::asio;
using experts::Clock;
using Seconds = std::chrono::duration<double>;

constexpr int kExperts = 16, kInMemory = 4, kSeats = 3;

struct Knobs {
  int questions = 1000;
  int sample = 40;
  int layers = 1;
  int tokens = 2;
  int requests = 3000;  // of a trace
  int calls = 1000;     // where all fit
  int threads = 1;      // of an engine
  int wait_ms_max = 20'000;
  std::string shape = "mid";
  bool warm = false;
  bool smoke = false;
};

/// Out of the page cache, as far as nobody has it mapped.
void forget_file(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  ::fdatasync(file);
  ::posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
  ::close(file);
}

/// Experts that are asked at once.
using Question = std::vector<int>;

std::vector<Question> make_questions(int count) {
  std::mt19937 chance(1);
  std::vector<Question> questions(static_cast<std::size_t>(count));
  for (Question& question : questions) {
    while (static_cast<int>(question.size()) < kSeats) {
      const int expert = static_cast<int>(chance() % kExperts);
      if (std::find(question.begin(), question.end(), expert) == question.end())
        question.push_back(expert);
    }
  }
  return questions;
}

std::vector<Question> make_trace(const std::string& name, int count) {
  std::mt19937 chance(2);
  std::vector<double> weights;
  for (int e = 0; e < kExperts; ++e) weights.push_back(1 / (e + 1.0));
  std::discrete_distribution<int> skewed(weights.begin(), weights.end());
  std::vector<Question> trace;
  for (int i = 0; i < count; ++i)
    trace.push_back({name == "adversarial" ? i % kExperts : skewed(chance)});
  return trace;
}

struct Report {
  double seconds = 0;  // first call to last reply
  double wait_max = 0;
  double load_seconds = 0;  // of one, mean
  std::uint64_t loads = 0;
  int refused = 0;
};

/// The pool of one run, from nothing loaded.
class House {
 public:
  /// `in_memory` 0: no scheduler, what was asked stays.
  House(const std::vector<experts::ExpertOptions>& options, const Knobs& knobs, int in_memory)
      : residents_({.experts_max = in_memory,
                    .wait_ms_max = knobs.wait_ms_max,
                    .min_resident_ms = 0,
                    .queue_max = 100'000},
                   models_),
        board_(experts::make_roster(options, nullptr)),
        pool_(io_, board_, {}, experts::make_native_maker(models_), residents_.wrapper()) {
    for (const auto& one : options) names_.push_back(one.name);
    if (!knobs.warm && in_memory > 0)
      for (const auto& one : options) forget_file(one.url);
    cold_ = !knobs.warm;
    call_.wire = R"("messages":[{"role":"user","content":"t1"}])";
    call_.messages = {{experts::Role::user, "t17 t300 t41 t7"}};
    call_.sampling.tokens_max = knobs.tokens;
    call_.sampling.seed = 1;
  }

  ~House() {
    work_.reset();
    io_.run_for(std::chrono::milliseconds(1));
  }

  House(const House&) = delete;
  House& operator=(const House&) = delete;

  /// `gap_s` above 0: arrivals of a Poisson process; else all at once.
  Report run(const std::vector<Question>& questions, bool batch, double gap_s = 0) {
    call_.batch = batch;
    std::mt19937 chance(3);
    std::exponential_distribution<double> gap(gap_s > 0 ? 1 / gap_s : 1);
    const auto begin = Clock::now();
    double at = 0;
    for (const Question& question : questions) {
      at += gap_s > 0 ? gap(chance) : 0;
      const auto due = begin + std::chrono::duration_cast<Clock::duration>(Seconds(at));
      while (gap_s > 0 && Clock::now() < due) io_.run_one_until(due);
      ask(question);
    }
    while (left_ > 0) io_.run_one();
    return report(begin);
  }

  Report run_one_by_one(const std::vector<Question>& questions) {
    const auto begin = Clock::now();
    for (const Question& question : questions) {
      ask(question);
      while (left_ > 0) io_.run_one();
    }
    return report(begin);
  }

  /// Microseconds of `count` calls, one after the other over the experts.
  void time_calls(int count, std::vector<double>& took) {
    for (int i = 0; i < count; ++i) {
      const auto begin = Clock::now();
      ask({i % static_cast<int>(names_.size())});
      while (left_ > 0) io_.run_one();
      took.push_back(std::chrono::duration<double, std::micro>(Clock::now() - begin).count());
    }
  }

 private:
  void ask(const Question& question) {
    if (cold_) forget_unloaded();
    for (const int expert : question) {
      ++left_;
      asio::co_spawn(io_, pool_.ask(names_[static_cast<std::size_t>(expert)], call_, nullptr),
                     [this](const std::exception_ptr& error, const experts::Reply& reply) {
                       --left_;
                       wait_us_ = std::max(wait_us_, reply.timings.load_us);
                       if (!error && reply.outcome == experts::Outcome::ok) return;
                       if (reply.outcome == experts::Outcome::overloaded) {
                         ++refused_;
                         return;
                       }
                       std::fprintf(stderr, "a call failed: %s\n", reply.error.c_str());
                       std::exit(1);
                     });
    }
  }

  /// Once after each unload: to sync and forget twelve files with every question took longer than to
  /// answer it.
  void forget_unloaded() {
    for (const auto& status : residents_.describe()) {
      if (status.now.state != experts::LoadState::unloaded)
        forgotten_.erase(status.name);
      else if (forgotten_.insert(status.name).second)
        forget_file(status.name);
    }
  }

  Report report(Clock::time_point begin) const {
    Report report = {.seconds = Seconds(Clock::now() - begin).count(),
                     .wait_max = static_cast<double>(wait_us_) / 1e6,
                     .refused = refused_};
    for (const auto& status : residents_.describe()) {
      report.loads += status.loads;
      report.load_seconds += static_cast<double>(status.load_us) / 1e6;
    }
    if (report.loads > 0) report.load_seconds /= static_cast<double>(report.loads);
    return report;
  }

  asio::io_context io_{1};
  // Without it run_one() would stop the loop between two calls.
  asio::executor_work_guard<asio::io_context::executor_type> work_ = asio::make_work_guard(io_);
  experts::NativeModels models_;
  experts::Residents residents_;
  experts::RosterBoard board_;
  experts::Pool pool_;
  experts::Call call_;
  std::vector<std::string> names_;
  std::set<std::string> forgotten_;  // files
  bool cold_ = false;
  int left_ = 0;
  std::int64_t wait_us_ = 0;
  int refused_ = 0;
};

using Options = std::vector<experts::ExpertOptions>;

bool compare_batch(const Options& options, const Knobs& knobs) {
  const auto questions = make_questions(knobs.questions);
  const Report together = House(options, knobs, kInMemory).run(questions, true);
  std::printf("batch: %d questions of %d experts\n", knobs.questions, kSeats);
  std::printf("  all at once          %8.1f s  %6.3f loads a question, %llu in all\n",
              together.seconds, static_cast<double>(together.loads) / knobs.questions,
              static_cast<unsigned long long>(together.loads));
  const std::vector<Question> sample(questions.begin(), questions.begin() + knobs.sample);
  const Report singly = House(options, knobs, kInMemory).run_one_by_one(sample);
  const double whole = singly.seconds * knobs.questions / knobs.sample;
  std::printf("  question by question %8.1f s  %6.3f loads a question (%d questions, scaled)\n",
              whole, static_cast<double>(singly.loads) / knobs.sample, knobs.sample);
  std::printf("  ratio %.1f (bar: 8); loads of the batch %llu (bar: %d), %.2f s each\n",
              whole / together.seconds, static_cast<unsigned long long>(together.loads), kExperts,
              singly.load_seconds);
  return together.loads <= kExperts && (knobs.smoke || whole >= 8 * together.seconds);
}

bool compare_traces(const Options& options, const Knobs& knobs) {
  bool holds = true;
  for (const char* name : {"skewed", "adversarial"}) {
    const auto trace = make_trace(name, knobs.requests);
    House always(options, knobs, 0);
    always.run(trace, false);  // loads, and is warm
    const double service = always.run(trace, false).seconds / knobs.requests;
    const Report all = always.run(trace, false, service / 0.9);
    const Report ours = House(options, knobs, kInMemory).run(trace, false, service / 0.9);
    const std::vector<Question> sample(trace.begin(), trace.begin() + knobs.sample);
    const Report fifo = House(options, knobs, kInMemory).run_one_by_one(sample);
    const double here = 1000.0 * static_cast<double>(ours.loads) / knobs.requests;
    const double there = 1000.0 * static_cast<double>(fifo.loads) / knobs.sample;
    std::printf("%s: %d requests at 90%% of %.0f a second\n", name, knobs.requests, 1 / service);
    std::printf(
        "  residency  %7.1f loads/1000  %7.1f req/s  %5.1f%% of always  wait max %.2f s, "
        "refused %d\n",
        here, knobs.requests / ours.seconds, 100 * all.seconds / ours.seconds, ours.wait_max,
        ours.refused);
    std::printf("  one by one %7.1f loads/1000  %7.1f req/s\n", there, knobs.sample / fifo.seconds);
    std::printf("  always                         %7.1f req/s\n", knobs.requests / all.seconds);
    holds = holds && (knobs.smoke || (there >= 5 * here && all.seconds >= 0.8 * ours.seconds));
  }
  return holds;
}

/// Where all experts fit: calls through the scheduler against calls without one, in turns.
void compare_fitting(Options options, const Knobs& knobs) {
  options.resize(kInMemory);
  House direct(options, knobs, 0), managed(options, knobs, kInMemory);
  std::vector<double> warm, times[2];
  direct.time_calls(8 * kInMemory, warm);
  managed.time_calls(8 * kInMemory, warm);
  for (int round = 0; round < 20; ++round) {
    direct.time_calls(knobs.calls / 20, times[0]);
    managed.time_calls(knobs.calls / 20, times[1]);
  }
  for (auto& times_of : times) std::sort(times_of.begin(), times_of.end());
  const auto at = [&](int which, std::size_t percent) {
    return times[which][(times[which].size() - 1) * percent / 100];
  };
  std::printf("all fit: direct p50 %.0f us, p99 %.0f us; scheduled p50 %.0f us, p99 %.0f us; ",
              at(0, 50), at(0, 99), at(1, 50), at(1, 99));
  std::printf("ratio of p50 %.3f\n", at(1, 50) / at(0, 50));
}

Options make_experts(const fs::path& folder, const Knobs& knobs) {
  Options options;
  for (int e = 0; e < kExperts; ++e) {
    options.emplace_back();
    options.back().name = "e" + std::to_string(e);
    options.back().kind = experts::Kind::native;
    options.back().url = folder / (options.back().name + ".gguf");
    options.back().queue_max = 100'000;
    options.back().native.threads = knobs.threads;
    options.back().native.kv_bytes_max = 16 << 20;
    moe::tools::synth({.shape = knobs.shape,
                       .type = "Q8_0",
                       .out = options.back().url,
                       .layers = knobs.layers,
                       .seed = static_cast<std::uint64_t>(e + 1)});
  }
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  Knobs knobs;
  std::string only;
  for (int i = 1; i < argc; ++i) {
    const auto value = [&](const char* flag) -> const char* {
      return std::strcmp(argv[i], flag) == 0 && i + 1 < argc ? argv[++i] : nullptr;
    };
    if (std::strcmp(argv[i], "--warm") == 0) {
      knobs.warm = true;
    } else if (std::strcmp(argv[i], "--smoke") == 0) {
      knobs = {.questions = 60,
               .sample = 6,
               .layers = 0,
               .tokens = 2,
               .requests = 100,
               .calls = 40,
               .shape = "tiny",
               .smoke = true};
    } else if (const char* questions = value("--questions")) {
      knobs.questions = std::atoi(questions);
    } else if (const char* sample = value("--sample")) {
      knobs.sample = std::atoi(sample);
    } else if (const char* requests = value("--requests")) {
      knobs.requests = std::atoi(requests);
    } else if (const char* layers = value("--layers")) {
      knobs.layers = std::atoi(layers);
    } else if (const char* shape = value("--shape")) {
      knobs.shape = shape;
    } else if (const char* tokens = value("--tokens")) {
      knobs.tokens = std::atoi(tokens);
    } else if (const char* calls = value("--calls")) {
      knobs.calls = std::atoi(calls);
    } else if (const char* part = value("--only")) {
      only = part;
    } else {
      std::fprintf(
          stderr,
          "bench_batch [--smoke] [--warm] [--only batch|traces|fit] [--questions N] [--sample N] "
          "[--requests N] [--calls N] [--shape S] [--layers N] [--tokens N]\n");
      return 2;
    }
  }
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  spdlog::set_level(spdlog::level::warn);
  const fs::path folder = fs::temp_directory_path() / ("bench_batch_" + std::to_string(::getpid()));
  fs::create_directories(folder);
  const Options options = make_experts(folder, knobs);
  std::printf("%d experts of %.1f MB (%s), memory for %d, %d tokens a reply\n", kExperts,
              static_cast<double>(fs::file_size(options[0].url)) / 1e6, knobs.shape.c_str(),
              kInMemory, knobs.tokens);
  bool holds = true;
  const auto wanted = [&](const char* part) { return only.empty() || only == part; };
  if (wanted("batch")) holds = compare_batch(options, knobs) && holds;
  if (wanted("traces")) holds = compare_traces(options, knobs) && holds;
  if (wanted("fit")) compare_fitting(options, knobs);
  fs::remove_all(folder);
  return holds ? 0 : 1;
}
