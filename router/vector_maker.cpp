#include "router/vector_maker.h"

#include <deque>
#include <exception>
#include <filesystem>
#include <stdexcept>

#include "router/encoder.h"
#include "store/text_vectors.h"

namespace router {
namespace {

constexpr std::size_t kTextsOfCall = 32;
constexpr int kCallsAtOnce = 4;
constexpr std::chrono::seconds kCallLongest{120};

/// The expert whose vectors are recorded under a name; empty: there is none.
std::string find_expert(const std::optional<InterviewDoors>& doors, const std::string& encoder) {
  if (!doors) return {};
  const auto roster = doors->board.current();
  for (const auto& entry : roster->entries)
    if (entry.options.capabilities.embeddings && encoder_name(entry.options) == encoder)
      return entry.options.name;
  return {};
}

/// One run over texts that lack a vector; what comes is put into `kept`, unless that is null.
class Asking {
 public:
  Asking(store::TextVectors* kept, std::string encoder, std::string expert,
         const std::vector<std::string>& texts, std::vector<std::string>& vectors)
      : kept_(kept),
        encoder_(std::move(encoder)),
        expert_(std::move(expert)),
        texts_(texts),
        vectors_(vectors) {}

  /// Fills the vectors of `missing`, places in texts; all that are kept are of `dimension`, 0:
  /// none.
  void run(const InterviewDoors& doors, const std::vector<std::size_t>& missing,
           std::size_t dimension, const std::function<void(double)>& progress) {
    dimension_ = dimension;
    total_ = missing.size();
    for (std::size_t i = 0; i < missing.size(); i += kTextsOfCall) {
      const auto end = std::min(missing.size(), i + kTextsOfCall);
      open_.emplace_back(missing.begin() + static_cast<std::ptrdiff_t>(i),
                         missing.begin() + static_cast<std::ptrdiff_t>(end));
    }
    InterviewCalls(doors).run(
        kCallsAtOnce, [&] { return next(); },
        [&](std::size_t number, const experts::Reply& reply) {
          guard([&] {
            take(number, reply);
            progress(static_cast<double>(done_) / static_cast<double>(total_));
          });
        },
        [&] { return !failure_; });
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  using Places = std::vector<std::size_t>;

  /// What is thrown among running calls waits until they have ended.
  template <class Step>
  void guard(Step step) {
    try {
      if (!failure_) step();
    } catch (...) {
      failure_ = std::current_exception();
    }
  }

  std::vector<std::string> parts_of(const Places& places) const {
    std::vector<std::string> parts;
    for (const std::size_t at : places) parts.emplace_back(encoded_part(texts_[at]));
    return parts;
  }

  std::optional<InterviewCalls::One> next() {
    if (open_.empty() || failure_) return std::nullopt;
    asked_.push_back(std::move(open_.front()));
    open_.pop_front();
    const auto deadline = experts::Clock::now() + kCallLongest;
    return InterviewCalls::One{expert_, encoding_call(parts_of(asked_.back()), deadline, true)};
  }

  void take(std::size_t number, const experts::Reply& reply) {
    const Places places = std::move(asked_[number]);
    Encoded encoded = read_encoded(reply, places.size());
    const bool refused = encoded.outcome == experts::Outcome::refused ||
                         encoded.outcome == experts::Outcome::filtered;
    if (refused && places.size() > 1) {  // something in it is no good: one by one
      for (const std::size_t at : places) open_.push_back({at});
      return;
    }
    done_ += places.size();
    if (refused) return;
    if (encoded.outcome != experts::Outcome::ok)
      throw std::runtime_error("the encoder `" + expert_ + "` cannot be used (" +
                               std::string(experts::name_of(encoded.outcome)) +
                               "): " + encoded.error);
    if (dimension_ == 0) dimension_ = encoded.dimension;
    if (encoded.dimension != dimension_ || dimension_ == 0 || dimension_ > kVectorNumbersMax)
      throw std::runtime_error("the encoder `" + expert_ + "` sends vectors of " +
                               std::to_string(encoded.dimension) + " numbers, " +
                               std::to_string(dimension_) + " before; up to " +
                               std::to_string(kVectorNumbersMax) + " of one length can be used");
    std::vector<std::pair<std::string_view, std::string_view>> rows;
    for (std::size_t i = 0; i < places.size(); ++i) {
      vectors_[places[i]] = std::move(encoded.vectors[i]);
      const std::string& vector = vectors_[places[i]];
      if (!vector.empty()) rows.emplace_back(encoded_part(texts_[places[i]]), vector);
    }
    if (kept_ != nullptr) kept_->put(encoder_, rows);
  }

  store::TextVectors* const kept_;
  const std::string encoder_, expert_;
  const std::vector<std::string>& texts_;
  std::vector<std::string>& vectors_;
  std::deque<Places> open_;
  std::vector<Places> asked_;  // by number
  std::size_t dimension_ = 0, done_ = 0, total_ = 0;
  std::exception_ptr failure_;
};

/// The encoder of today must be the one whose vectors are kept.
void check_encoder(store::TextVectors& kept, const std::string& path, const std::string& encoder,
                   const std::string& expert, const InterviewDoors& doors) {
  const std::string before = kept.get(encoder, kFingerprintText);
  if (before.empty()) return;
  const std::vector<std::string> texts = {std::string(kFingerprintText)};
  std::vector<std::string> now(1);
  Asking(nullptr, encoder, expert, texts, now).run(doors, {0}, 0, [](double) {});
  if (is_same_encoder(before, now.front())) return;
  throw std::runtime_error("the encoder `" + expert + "` makes other vectors than those that " +
                           path + " keeps of `" + encoder +
                           "`: it is another model. Give it a `model` name of its own, or delete "
                           "that file and train again");
}

}  // namespace

VectorsOf make_vectors(std::string path, std::optional<InterviewDoors> doors) {
  return [path = std::move(path), doors = std::move(doors)](
             const std::string& encoder, const std::vector<std::string>& texts,
             const std::function<void(double)>& progress) {
    std::vector<std::string> vectors(texts.size());
    const std::string expert = find_expert(doors, encoder);
    if (expert.empty() && !std::filesystem::exists(path)) return vectors;
    store::TextVectors kept(path);
    std::vector<std::size_t> missing;
    std::size_t dimension = 0;
    for (std::size_t i = 0; i < texts.size(); ++i) {
      vectors[i] = kept.get(encoder, encoded_part(texts[i]));
      if (vectors[i].empty() && !texts[i].empty()) missing.push_back(i);
      if (!vectors[i].empty()) dimension = vectors[i].size();
    }
    if (expert.empty() || missing.empty()) return vectors;
    check_encoder(kept, path, encoder, expert, *doors);
    Asking(&kept, encoder, expert, texts, vectors).run(*doors, missing, dimension, progress);
    return vectors;
  };
}

}  // namespace router
