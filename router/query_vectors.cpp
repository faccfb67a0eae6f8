#include "router/query_vectors.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <vector>

#include "router/encoder.h"
#include "router/vectors.h"

namespace router {
namespace {

constexpr std::chrono::seconds kPause{5};  // after a failure

std::uint64_t hash_of(std::string_view text) {
  return XXH3_64bits(text.data(), text.size());
}

}  // namespace

QueryVectors::QueryVectors(experts::Pool& pool, VectorOptions options, Warn warn)
    : pool_(pool), options_(options), warn_(std::move(warn)) {}

/// Who is asked, when policy or experts are not those of before.
void QueryVectors::settle(const Policy& policy) {
  const auto& experts = pool_.describe();
  if (policy_version_ == policy.version && pool_version_ == pool_.version()) return;
  policy_version_ = policy.version;
  pool_version_ = pool_.version();
  if (encoder_ != policy.dense.encoder || fingerprint_ != policy.dense.fingerprint) {
    kept_.clear();
    places_.clear();
  }
  encoder_ = policy.dense.encoder;
  fingerprint_ = policy.dense.fingerprint;
  checked_ = false;
  again_ = {};
  const auto makes_them = [&](const experts::ExpertView& expert) {
    return expert.options->capabilities.embeddings && encoder_name(*expert.options) == encoder_;
  };
  const auto found = std::find_if(experts.begin(), experts.end(), makes_them);
  expert_ = found == experts.end() ? "" : std::string(found->name);
}

bool QueryVectors::lacks(const Policy& policy, const std::string& text) {
  settle(policy);
  return !expert_.empty() && !text.empty() && !places_.contains(hash_of(encoded_part(text))) &&
         experts::Clock::now() >= again_;
}

boost::asio::awaitable<QueryVectors::Fetched> QueryVectors::fetch(
    const Policy& policy, const std::string& text, experts::Clock::time_point deadline) {
  const std::string_view part = encoded_part(text);
  std::vector<std::string> texts = {std::string(part)};
  if (!checked_) texts.emplace_back(kFingerprintText);
  const auto by = std::min(deadline, experts::Clock::now() + options_.wait_max);
  const std::string expert = expert_;
  Encoded encoded = co_await encode(pool_, expert, texts, by, /*batch=*/false);
  Fetched fetched;
  fetched.cost_microusd = encoded.cost_microusd;
  fetched.cancelled = encoded.outcome == experts::Outcome::cancelled;
  if (fetched.cancelled) co_return fetched;
  settle(policy);
  if (expert != expert_) co_return fetched;  // the experts changed meanwhile
  if (encoded.outcome != experts::Outcome::ok) {
    // A text that it does not take says nothing about the next one.
    const bool refused = encoded.outcome == experts::Outcome::refused;
    if (!refused) again_ = experts::Clock::now() + kPause;
    co_return fetched;
  }
  const bool known = texts.size() == 1 || is_known(policy, encoded.vectors.back());
  if (known) keep(hash_of(part), std::move(encoded.vectors.front()));
  co_return fetched;
}

/// Whether the encoder is the policy's own. If not, nobody is asked any more.
bool QueryVectors::is_known(const Policy& policy, const std::string& vector) {
  checked_ = is_same_encoder(policy.dense.fingerprint, vector);
  if (checked_) return true;
  if (warn_)
    warn_("the expert `" + expert_ + "` makes other vectors than the `" + encoder_ +
          "` that the policy was trained with: queries are decided by words alone; name its model "
          "rightly, or train again with it");
  expert_.clear();
  return false;
}

const std::string& QueryVectors::find(const Policy& policy, const std::string& text) {
  static const std::string none;
  settle(policy);
  const auto place = places_.find(hash_of(encoded_part(text)));
  if (place == places_.end()) return none;
  kept_.splice(kept_.begin(), kept_, place->second);
  return kept_.front().vector;
}

void QueryVectors::keep(std::uint64_t hash, std::string vector) {
  if (places_.contains(hash)) return;  // two queries of the same words
  kept_.push_front({hash, std::move(vector)});
  places_.emplace(hash, kept_.begin());
  if (kept_.size() <= std::max<std::size_t>(options_.kept_max, 1)) return;
  places_.erase(kept_.back().hash);
  kept_.pop_back();
}

}  // namespace router
