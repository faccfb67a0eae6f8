// rooms: experts
// What planning a batch as a whole gains where not all experts fit in memory: questions that want
// three of 16 native experts each, memory for 4, real loads of real (synthesised) GGUF files.
//
//   as a batch            all calls are there at once, the scheduler (experts/residency.h) groups
//                         them by expert
//   question by question  the next question is asked when the last one's three replies are there
//
// The second is run on the first `--sample` questions and scaled up. Loads come from the page
// cache unless the machine has less memory than the files need: a slower disk favours the batch.
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "experts/moe/tools/synth.h"
#include "experts/native.h"
#include "experts/residents.h"

namespace {

namespace fs = std::filesystem;
namespace asio = boost::asio;
using experts::Clock;

constexpr int kExperts = 16, kInMemory = 4, kSeats = 3;

struct Knobs {
  int questions = 1000;
  int sample = 100;
  int layers = 2;
  int tokens = 8;
  int calls = 1000;  // where all fit
  std::string shape = "mid";
};

struct Question {
  std::string experts[kSeats];
};

std::vector<Question> make_questions(int count) {
  std::mt19937 chance(1);
  std::vector<Question> questions(static_cast<std::size_t>(count));
  for (Question& question : questions) {
    int seats[kSeats];
    for (int i = 0; i < kSeats; ++i) {
      bool fresh = false;
      while (!fresh) {
        seats[i] = static_cast<int>(chance() % kExperts);
        fresh = true;
        for (int j = 0; j < i; ++j) fresh = fresh && seats[j] != seats[i];
      }
      question.experts[i] = "e" + std::to_string(seats[i]);
    }
  }
  return questions;
}

/// The pool of one run, from nothing loaded.
class House {
 public:
  House(const std::vector<experts::ExpertOptions>& options, bool collated,
        int in_memory = kInMemory)
      : residents_({.experts_max = in_memory, .wait_ms_max = 3'600'000, .min_resident_ms = 0},
                   models_),
        board_(experts::make_roster(options, nullptr)),
        pool_(io_, board_, {}, experts::make_native_maker(models_), residents_.wrapper()) {
    call_.wire = R"("messages":[{"role":"user","content":"t1"}])";
    call_.messages = {{experts::Role::user, "t17 t300 t41 t7 t99 t12 t250 t3"}};
    call_.batch = collated;
  }

  ~House() {
    io_.restart();
    io_.run_for(std::chrono::milliseconds(1));
  }

  /// Seconds until all replies are there.
  double run(const std::vector<Question>& questions, bool collated, int tokens) {
    call_.sampling.tokens_max = tokens;
    call_.sampling.seed = 1;
    const auto begin = Clock::now();
    const auto work = asio::make_work_guard(io_);
    for (const Question& question : questions) {
      for (const std::string& name : question.experts) {
        ++left_;
        asio::co_spawn(io_, pool_.ask(name, call_, nullptr),
                       [this](const std::exception_ptr& error, const experts::Reply& reply) {
                         --left_;
                         if (!error && reply.outcome == experts::Outcome::ok) return;
                         std::fprintf(stderr, "a call failed: %s\n", reply.error.c_str());
                         std::exit(1);
                       });
      }
      while (!collated && left_ > 0) io_.run_one();
    }
    while (left_ > 0) io_.run_one();
    return std::chrono::duration<double>(Clock::now() - begin).count();
  }

  /// Microseconds of `count` calls, one after the other over the experts.
  std::vector<double> time_calls(int count, int experts) {
    call_.sampling.tokens_max = 1;
    std::vector<double> took;
    const auto work = asio::make_work_guard(io_);
    for (int i = 0; i < count; ++i) {
      const auto begin = Clock::now();
      bool ended = false;
      asio::co_spawn(io_, pool_.ask("e" + std::to_string(i % experts), call_, nullptr),
                     [&](const std::exception_ptr&, const experts::Reply&) { ended = true; });
      while (!ended) io_.run_one();
      took.push_back(std::chrono::duration<double, std::micro>(Clock::now() - begin).count());
    }
    return took;
  }

  std::uint64_t loads() const {
    std::uint64_t all = 0;
    for (const auto& status : residents_.describe()) all += status.loads;
    return all;
  }

 private:
  asio::io_context io_{1};
  experts::NativeModels models_;
  experts::Residents residents_;
  experts::RosterBoard board_;
  experts::Pool pool_;
  experts::Call call_;
  int left_ = 0;
};

/// Where all experts fit: calls through the scheduler against calls without one, in turns.
void compare_fitting(std::vector<experts::ExpertOptions> options, int calls) {
  options.resize(kInMemory);
  House free(options, false, 0), managed(options, false, kInMemory);
  std::vector<double> times[2];
  free.time_calls(8 * kInMemory, kInMemory);  // loaded, warm
  managed.time_calls(8 * kInMemory, kInMemory);
  for (int round = 0; round < 10; ++round) {
    for (const double us : free.time_calls(calls / 10, kInMemory)) times[0].push_back(us);
    for (const double us : managed.time_calls(calls / 10, kInMemory)) times[1].push_back(us);
  }
  for (auto& times_of : times) std::sort(times_of.begin(), times_of.end());
  const auto at = [&](int which, double quantile) {
    return times[which]
                [static_cast<std::size_t>(quantile * static_cast<double>(times[which].size() - 1))];
  };
  std::printf(
      "all fit: direct p50 %.0f us, p99 %.0f us; scheduled p50 %.0f us, p99 %.0f us; "
      "ratio %.3f\n",
      at(0, 0.5), at(0, 0.99), at(1, 0.5), at(1, 0.99), at(1, 0.5) / at(0, 0.5));
}

}  // namespace

int main(int argc, char** argv) {
  Knobs knobs;
  for (int i = 1; i < argc; ++i) {
    const auto value = [&](const char* flag) -> const char* {
      return std::strcmp(argv[i], flag) == 0 && i + 1 < argc ? argv[++i] : nullptr;
    };
    if (std::strcmp(argv[i], "--smoke") == 0) {
      knobs = {
          .questions = 60, .sample = 12, .layers = 0, .tokens = 2, .calls = 200, .shape = "tiny"};
    } else if (const char* questions = value("--questions")) {
      knobs.questions = std::atoi(questions);
    } else if (const char* sample = value("--sample")) {
      knobs.sample = std::atoi(sample);
    } else if (const char* layers = value("--layers")) {
      knobs.layers = std::atoi(layers);
    } else if (const char* shape = value("--shape")) {
      knobs.shape = shape;
    } else if (const char* tokens = value("--tokens")) {
      knobs.tokens = std::atoi(tokens);
    } else {
      std::fprintf(stderr,
                   "bench_batch [--smoke] [--questions N] [--sample N] [--shape S] [--layers N] "
                   "[--tokens N]\n");
      return 2;
    }
  }
  spdlog::set_level(spdlog::level::warn);
  const fs::path folder = fs::temp_directory_path() / ("bench_batch_" + std::to_string(::getpid()));
  fs::create_directories(folder);
  std::vector<experts::ExpertOptions> options;
  for (int e = 0; e < kExperts; ++e) {
    const fs::path file = folder / ("e" + std::to_string(e) + ".gguf");
    moe::tools::synth({.shape = knobs.shape,
                       .type = "Q8_0",
                       .out = file,
                       .layers = knobs.layers,
                       .seed = static_cast<std::uint64_t>(e + 1)});
    options.emplace_back();
    options.back().name = "e" + std::to_string(e);
    options.back().kind = experts::Kind::native;
    options.back().url = file.string();
    options.back().native.kv_bytes_max = 64 << 20;
  }
  const auto questions = make_questions(knobs.questions);
  std::printf(
      "%d experts of %.0f MB, memory for %d, %d questions of %d experts, %d tokens a reply\n",
      kExperts, static_cast<double>(fs::file_size(options[0].url)) / 1e6, kInMemory,
      knobs.questions, kSeats, knobs.tokens);
  double together = 0, singly = 0;
  std::uint64_t loads = 0;
  {
    House house(options, true);
    together = house.run(questions, true, knobs.tokens);
    loads = house.loads();
    std::printf("as a batch           %8.1f s  %6.3f loads a question, %llu in all\n", together,
                static_cast<double>(loads) / knobs.questions,
                static_cast<unsigned long long>(loads));
  }
  {
    House house(options, false);
    const std::vector<Question> sample(questions.begin(), questions.begin() + knobs.sample);
    singly = house.run(sample, false, knobs.tokens) * knobs.questions / knobs.sample;
    std::printf("question by question %8.1f s  %6.3f loads a question (%d questions, scaled)\n",
                singly, static_cast<double>(house.loads()) / knobs.sample, knobs.sample);
  }
  compare_fitting(options, knobs.calls);
  fs::remove_all(folder);
  std::printf("ratio %.1f (bar: 8); loads of the batch: %llu (bar: %d)\n", singly / together,
              static_cast<unsigned long long>(loads), kExperts);
  return loads <= kExperts ? 0 : 1;
}
