// rooms: moe
// Does an engine stay whole and flat under anything that clients do? Requests of random length,
// with cancels from anywhere, stop strings, JSON, policies, contrast and bad input, on a model of
// random weights, mapped and through an expert store by turns. Meant for a build with sanitizers:
// cmake --preset asan -DSKILLYARD_BENCH=ON. The baseline is the memory after a fifth of the
// requests.
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <random>
#include <string>

#include "experts/moe/kv_cache.h"
#include "experts/moe/text_model.h"
#include "experts/moe/tools/synth.h"
#include "experts/moe/unicode.h"

namespace {

// The engine holds 12 rows and a queue of 24: mostly below that, so that requests run, at times
// above.
constexpr int kOutstanding = 20;
constexpr int kOutstandingBurst = 48;

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "soak: %s\n", what);
  std::_Exit(1);
}

std::size_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::size_t pages = 0, resident = 0;
  file >> pages >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

struct Tally {
  std::mutex mutex;
  std::condition_variable changed;
  int outstanding = 0;
  long accepted = 0, ended = 0, malformed = 0, too_long = 0, full = 0, stopped = 0, length = 0,
       cancelled = 0, failed = 0;
  long tokens = 0;
};

class Soak {
 public:
  Soak(const std::filesystem::path& file, bool stored, unsigned seed)
      : model_(moe::Model::open(file)),
        engine_(model_, options(model_, stored)),
        text_(moe::read_vocabulary(model_.gguf), engine_, model_.config.context, {}),
        random_(seed) {
    mask_.experts = model_.config.experts;
    mask_.allowed.assign(static_cast<std::size_t>(model_.config.layers * mask_.experts), true);
    for (std::size_t i = 0; i < mask_.allowed.size(); i += 3) mask_.allowed[i] = false;
    nulls_.least.assign(static_cast<std::size_t>(model_.config.layers), 0.2f);
  }

  void run(int requests) {
    for (int i = 0; i < requests; ++i) {
      {
        const int most = draw(20) == 0 ? kOutstandingBurst : kOutstanding;
        std::unique_lock lock(tally.mutex);
        tally.changed.wait(lock, [&] { return tally.outstanding < most; });
      }
      submit();
    }
    std::unique_lock lock(tally.mutex);
    tally.changed.wait(lock, [&] { return tally.outstanding == 0; });
    lock.unlock();
    const moe::EngineStats stats = engine_.stats();
    if (stats.running != 0 || stats.waiting != 0) fail("requests are left");
    if (stats.pages_free != stats.pages) fail("pages are lost");
  }

  Tally tally;

 private:
  static moe::EngineOptions options(const moe::Model& model, bool stored) {
    moe::EngineOptions options;
    options.threads = 2;
    options.kv_bytes_max = 40 * moe::KvCache::Shape::of(model.config).page_bytes();
    options.sequences_max = 12;
    options.queue_max = 24;
    options.rows_per_step_max = 64;
    options.trace_bytes_max = 1 << 16;
    if (stored) options.store.bytes_max = 7 * 220'000;
    return options;
  }

  unsigned draw(unsigned below) { return static_cast<unsigned>(random_() % below); }

  std::string words(unsigned most) {
    std::string text;
    for (unsigned i = draw(most + 1); i > 0; --i) text += " t" + std::to_string(259 + draw(253));
    return text;
  }

  std::string garbage(unsigned most) {
    std::string text(draw(most + 1), '\0');
    for (char& c : text) c = static_cast<char>(draw(256));
    return text;
  }

  moe::TextRequest make() {
    moe::TextRequest request;
    const unsigned kind = draw(10);
    if (kind < 5) {
      request.prompt = words(60);
    } else if (kind < 7) {
      request.prompt = garbage(300);
    } else {
      for (unsigned i = draw(4); i > 0; --i) {
        request.messages.push_back({draw(2) == 0 ? "user" : "assistant", words(20) + garbage(8)});
      }
    }
    if (draw(40) != 0) request.tokens_max = 1 + static_cast<int>(draw(24));
    if (draw(60) == 0) request.tokens_max = draw(2) == 0 ? -3 : 1 << 30;
    for (unsigned i = draw(4); i > 0; --i) {
      request.stops.push_back(draw(3) == 0 ? moe::with_valid_utf8(garbage(3))
                                           : " t" + std::to_string(259 + draw(60)));
    }
    if (draw(80) == 0) request.stops.assign(draw(40), "x");
    moe::SamplingOptions& sampling = request.sampling;
    sampling.temperature = draw(3) * 0.9;
    sampling.top_p = 0.2 + 0.1 * draw(9);
    sampling.top_k = draw(3) == 0 ? static_cast<int>(draw(600)) : 0;
    sampling.repetition_penalty = draw(3) == 0 ? 1.3 : 1;
    sampling.presence_penalty = draw(3) == 0 ? -2 : 0;
    sampling.seed = random_();
    sampling.logprobs_top = draw(4) == 0 ? static_cast<int>(draw(20)) : -1;
    if (draw(20) == 0) sampling.logit_bias = {{-5, 1}, {7, -100}, {100'000, 3}};
    if (draw(8) == 0) request.json.emplace();
    add_policy(request);
    return request;
  }

  void add_policy(moe::TextRequest& request) {
    moe::GatePolicy& gate = request.gate;
    gate.select = static_cast<moe::Select>(draw(2) == 0 ? 0 : draw(6));
    gate.k = static_cast<int>(draw(12));
    gate.p = 0.1f * static_cast<float>(draw(12));
    gate.seed = random_();
    if (draw(6) == 0) gate.mask = &mask_;
    if (draw(6) == 0) gate.nulls = &nulls_;
    if (draw(10) == 0) request.contrast.emplace();
  }

  void submit() {
    moe::TextRequest request = make();

    struct Reply {
      std::string text;
      std::vector<std::string> stops;
      int tokens_max = 0;
      bool ended = false;
      std::atomic<std::uint64_t> id{0};
      int pieces_left = -1;  // then cancelled from the callback
    };

    const auto reply = std::make_shared<Reply>();
    reply->stops = request.stops;
    reply->tokens_max = request.tokens_max.value_or(1 << 30);
    if (draw(7) == 0) reply->pieces_left = static_cast<int>(draw(5));
    request.on_piece = [this, reply](const moe::TextPiece& piece) {
      if (reply->ended) fail("a piece after the end");
      reply->text += piece.text;
      if (reply->pieces_left >= 0 && reply->pieces_left-- == 0) engine_.cancel(reply->id.load());
    };
    request.on_end = [this, reply](const moe::TextEnding& ending) {
      if (std::exchange(reply->ended, true)) fail("ended twice");
      check(reply->text, reply->stops, ending, reply->tokens_max);
      const std::scoped_lock lock(tally.mutex);
      --tally.outstanding;
      ++tally.ended;
      tally.tokens += ending.completion_tokens;
      tally.stopped += ending.finish == moe::Finish::stop;
      tally.length += ending.finish == moe::Finish::length;
      tally.cancelled += ending.finish == moe::Finish::cancelled;
      tally.failed += ending.finish == moe::Finish::failed;
      tally.changed.notify_one();
    };
    {
      const std::scoped_lock lock(tally.mutex);
      ++tally.outstanding;
    }
    const moe::TextTicket ticket = text_.submit(std::move(request));
    reply->id = ticket.id;
    if (ticket.refusal != moe::TextRefusal::none) {
      if (ticket.error.empty()) fail("a refusal without a reason");
      const std::scoped_lock lock(tally.mutex);
      --tally.outstanding;
      tally.malformed += ticket.refusal == moe::TextRefusal::malformed;
      tally.too_long += ticket.refusal == moe::TextRefusal::too_long;
      tally.full += ticket.refusal == moe::TextRefusal::queue_full;
      return;
    }
    const std::scoped_lock lock(tally.mutex);
    ++tally.accepted;
    if (draw(6) == 0) engine_.cancel(ticket.id - draw(4));  // some that ended, or are another's
  }

  static void check(const std::string& text, const std::vector<std::string>& stops,
                    const moe::TextEnding& ending, int tokens_max) {
    if (moe::with_valid_utf8(text) != text) fail("text that is no UTF-8");
    for (const std::string& stop : stops) {
      if (!stop.empty() && text.find(stop) != text.npos) fail("text with its stop string");
    }
    if (ending.completion_tokens > tokens_max) fail("more tokens than asked for");
    const bool may_fail = ending.error.find("fits the JSON") != std::string::npos;
    if (ending.finish == moe::Finish::failed && !may_fail) fail(ending.error.c_str());
  }

  const moe::Model model_;
  moe::Engine engine_;
  moe::TextModel text_;
  moe::ExpertMask mask_;
  moe::NullWeights nulls_;
  std::mt19937_64 random_;
};

}  // namespace

int main(int argc, char** argv) {
  const bool smoke = argc > 1 && std::strcmp(argv[1], "--smoke") == 0;
  const int requests = smoke ? 200 : argc > 1 ? std::atoi(argv[1]) : 10'000;
  const auto file = std::filesystem::temp_directory_path() /
                    ("skillyard-soak-" + std::to_string(::getpid()) + ".gguf");
  moe::tools::synth({.shape = "tiny", .type = "Q8_0", .out = file});
  // Two engines at once, so that what one leaves behind cannot be the other's warm-up.
  Soak mapped(file, false, 1), stored(file, true, 2);
  std::filesystem::remove(file);
  std::size_t base = 0;
  for (int fifth = 0; fifth < 5; ++fifth) {
    mapped.run(requests / 10);
    stored.run(requests / 10);
    const std::size_t now = resident_bytes();
    if (fifth == 0) base = now;
    std::printf("%6d requests, resident %.1f MB\n", (fifth + 1) * (requests / 5),
                static_cast<double>(now) / 1e6);
  }
  for (const Soak* soak : {&mapped, &stored}) {
    const Tally& t = soak->tally;
    std::printf(
        "%s: %ld accepted (%ld stopped, %ld length, %ld cancelled, %ld without fitting JSON), "
        "refused: %ld malformed, %ld too long, %ld for a full queue; %ld tokens\n",
        soak == &mapped ? "mapped" : "stored", t.accepted, t.stopped, t.length, t.cancelled,
        t.failed, t.malformed, t.too_long, t.full, t.tokens);
    if (t.accepted != t.ended) fail("a request never ended");
  }
  const std::size_t last = resident_bytes();
  if (!smoke && last > base + base / 10 + (8 << 20)) fail("memory grows");
  return 0;
}
