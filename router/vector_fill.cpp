#include "router/vector_fill.h"

#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <filesystem>

#include "router/encoder.h"

namespace router {

namespace asio = boost::asio;
using std::chrono::milliseconds;

namespace {

constexpr milliseconds kIdle{2'000};          // between two looks for passages without a vector
constexpr milliseconds kFailureFirst{2'000};  // after a failure; doubles
constexpr milliseconds kFailureLast{60'000};  //
constexpr std::chrono::seconds kFillCallLongest{120};
constexpr milliseconds kLook{100};  // a call looks so often whether it should stop
constexpr std::size_t kWarnedMax = 1'000;

bool is_refusal(const Encoded& encoded) {
  return encoded.outcome == experts::Outcome::refused ||
         encoded.outcome == experts::Outcome::filtered;
}

}  // namespace

/// Asks the encoder from a thread that may wait.
class VectorFill::Asker {
 public:
  Asker(const MakePool& make_pool, const std::stop_token& stop)
      : pool_(make_pool(io_)), stop_(stop) {}

  Encoded encode(const std::string& expert, const std::vector<std::string>& texts) {
    Encoded encoded;
    if (stop_.stop_requested()) return encoded;
    bool done = false;
    const auto settle = [&](const std::exception_ptr& error, Encoded came) {
      if (!error) encoded = std::move(came);
      done = true;
    };
    const auto deadline = experts::Clock::now() + kFillCallLongest;
    asio::co_spawn(io_, router::encode(*pool_, expert, texts, deadline, /*batch=*/true),
                   asio::bind_cancellation_slot(signal_.slot(), settle));
    io_.restart();
    while (!done) {
      io_.run_one_for(kLook);
      if (stop_.stop_requested()) signal_.emit(asio::cancellation_type::terminal);
    }
    return encoded;
  }

  bool stopped() const { return stop_.stop_requested(); }

 private:
  asio::io_context io_{1};
  std::unique_ptr<experts::Pool> pool_;
  asio::cancellation_signal signal_;
  const std::stop_token stop_;
};

VectorFill::VectorFill(LookupOptions options, const experts::RosterBoard& board, MakePool make_pool,
                       Warn warn)
    : options_(std::move(options)),
      board_(board),
      make_pool_(std::move(make_pool)),
      warn_(std::move(warn)),
      thread_([this](const std::stop_token& stop) { work(stop); }) {}

VectorFill::~VectorFill() {
  thread_.request_stop();
  thread_.join();
}

void VectorFill::work(const std::stop_token& stop) {
  Asker asker(make_pool_, stop);
  milliseconds failure = kFailureFirst;
  while (!stop.stop_requested()) {
    Step step = Step::failed;
    try {
      step = fill_some(asker);
    } catch (const std::exception& error) {
      vectors_.reset();
      warn_once(error.what());
    }
    if (step == Step::wrote) {
      failure = kFailureFirst;
      continue;
    }
    const milliseconds pause = step == Step::failed ? failure : kIdle;
    if (step == Step::failed) failure = std::min(2 * failure, kFailureLast);
    std::unique_lock lock(mutex_);
    stopped_.wait_for(lock, stop, pause, [] { return false; });
  }
}

VectorFill::Step VectorFill::fill_some(Asker& asker) {
  const auto roster = board_.current();
  const auto* entry = roster->find(options_.encoder);
  if (entry == nullptr || !std::filesystem::exists(options_.path)) {
    vectors_.reset();
    return Step::nothing_left;
  }
  if (!vectors_) {
    store::KnowledgeOptions file;
    file.path = options_.path;
    vectors_ = std::make_unique<store::KnowledgeVectors>(file);
  }
  const std::string encoder = encoder_name(entry->options);
  std::vector<std::string> refused;
  const auto bare = vectors_->next(encoder, options_.encode_batch, refused);
  for (const std::string& sentence : refused) warn_once(sentence);
  if (bare.empty()) {
    vectors_.reset();  // another file may take its place meanwhile
    return Step::nothing_left;
  }
  return write(asker, encoder, bare) ? Step::wrote : Step::failed;
}

/// False: nothing was written.
bool VectorFill::write(Asker& asker, const std::string& encoder,
                       const std::vector<store::BarePassage>& bare) {
  std::vector<std::string> texts;
  for (const store::BarePassage& passage : bare) texts.push_back(passage.text);
  Encoded encoded = asker.encode(options_.encoder, texts);
  if (asker.stopped()) return false;
  if (encoded.outcome != experts::Outcome::ok) {
    warn_once("the encoder `" + options_.encoder + "`: " + encoded.error);
    return is_refusal(encoded) && bare.size() > 1 && write_singly(asker, encoder, bare);
  }
  std::vector<store::PassageVector> made;
  for (std::size_t i = 0; i < bare.size(); ++i)
    made.push_back({bare[i].id, std::move(encoded.vectors[i])});
  put(encoder, encoded.dimension, made);
  return true;
}

/// Something in the batch is no good for the encoder. A passage is given up only beside others that
/// it takes: else it is the encoder that is no good.
bool VectorFill::write_singly(Asker& asker, const std::string& encoder,
                              const std::vector<store::BarePassage>& bare) {
  std::vector<store::PassageVector> made, refused;
  std::size_t dimension = 0;
  for (const store::BarePassage& passage : bare) {
    Encoded encoded = asker.encode(options_.encoder, {passage.text});
    if (encoded.outcome == experts::Outcome::ok) {
      dimension = encoded.dimension;
      made.push_back({passage.id, std::move(encoded.vectors.front())});
    } else if (is_refusal(encoded)) {
      refused.push_back({passage.id, {}});
    }
  }
  if (made.empty()) return false;
  made.insert(made.end(), refused.begin(), refused.end());
  put(encoder, dimension, made);
  return true;
}

void VectorFill::put(const std::string& encoder, std::size_t dimension,
                     const std::vector<store::PassageVector>& vectors) {
  vectors_->put(encoder, dimension, vectors);
  written_.fetch_add(std::ssize(vectors), std::memory_order_relaxed);
}

void VectorFill::warn_once(const std::string& sentence) {
  if (warned_.size() >= kWarnedMax) warned_.clear();
  if (warned_.insert(sentence).second && warn_) warn_(sentence);
}

}  // namespace router
