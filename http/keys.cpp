#include "http/keys.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <random>
#include <stdexcept>

#include "http/ids.h"

namespace http {

namespace {

using Json = nlohmann::json;

constexpr std::string_view kMark = "sk-sky-";
constexpr std::size_t kSecretBytes = 32;
constexpr std::size_t kShownDigits = 6;
constexpr std::int64_t kDaysRead = 31;  // the current month is in them

std::string hex_of(const std::uint8_t* bytes, std::size_t size) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < size; ++i) {
    text.push_back(kDigits[bytes[i] >> 4]);
    text.push_back(kDigits[bytes[i] & 15]);
  }
  return text;
}

int lower_digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

KeyHash hash_of_hex(const std::string& text) {
  KeyHash hash{};
  if (text.size() != 2 * hash.size())
    throw std::runtime_error("the database's table `keys` is damaged: a hash has not 64 digits");
  for (std::size_t i = 0; i < hash.size(); ++i)
    hash[i] = static_cast<std::uint8_t>(lower_digit_of(text[2 * i]) << 4 |
                                        lower_digit_of(text[2 * i + 1]));
  return hash;
}

std::uint64_t head_of(const KeyHash& hash) {
  std::uint64_t head = 0;
  std::memcpy(&head, hash.data(), sizeof head);
  return head;
}

std::string random_secret() {
  std::array<std::uint8_t, kSecretBytes> bytes{};
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1)
    throw std::runtime_error("the system gives no random bytes for a key");
  return std::string(kMark) + hex_of(bytes.data(), bytes.size());
}

std::string prefix_of(const std::string& secret) {
  return secret.substr(0, kMark.size() + kShownDigits);
}

Json json_of(const KeyTerms& terms) {
  return {{"name", terms.name},
          {"models", terms.models},
          {"collections", terms.collections},
          {"requests_per_minute", terms.requests_per_minute},
          {"tokens_per_minute", terms.tokens_per_minute},
          {"microusd_per_day", terms.microusd_per_day},
          {"microusd_per_month", terms.microusd_per_month}};
}

KeyTerms terms_of(const std::string& text) {
  const Json json = Json::parse(text);
  KeyTerms terms;
  terms.name = json.value("name", "");
  terms.models = json.value("models", std::vector<std::string>());
  terms.collections = json.value("collections", std::vector<std::string>());
  terms.requests_per_minute = json.value("requests_per_minute", std::int64_t{0});
  terms.tokens_per_minute = json.value("tokens_per_minute", std::int64_t{0});
  terms.microusd_per_day = json.value("microusd_per_day", std::int64_t{0});
  terms.microusd_per_month = json.value("microusd_per_month", std::int64_t{0});
  return terms;
}

store::KeyRow row_of(const Key& key) {
  return {.id = key.id,
          .hash = hex_of(key.hash.data(), key.hash.size()),
          .prefix = key.prefix,
          .role = std::string(name_of(key.role)),
          .created_us = key.created_us,
          .expires_us = key.expires_us,
          .revoked_us = key.revoked_us,
          .terms = json_of(key.terms).dump()};
}

std::shared_ptr<Key> key_of(const store::KeyRow& row) {
  auto key = std::make_shared<Key>();
  key->id = row.id;
  key->prefix = row.prefix;
  key->hash = hash_of_hex(row.hash);
  key->role = row.role == name_of(Role::admin) ? Role::admin : Role::client;
  key->terms = terms_of(row.terms);
  key->created_us = row.created_us;
  key->expires_us = row.expires_us;
  key->revoked_us = row.revoked_us;
  return key;
}

}  // namespace

std::string_view name_of(Role role) {
  return role == Role::admin ? "admin" : "client";
}

bool Key::may_name(std::string_view model) const {
  return terms.models.empty() ||
         std::find(terms.models.begin(), terms.models.end(), model) != terms.models.end();
}

std::shared_ptr<const Key> KeyRing::find(const KeyHash& hash) const {
  const auto found = by_hash.find(head_of(hash));
  if (found == by_hash.end()) return nullptr;
  const bool same = CRYPTO_memcmp(found->second->hash.data(), hash.data(), hash.size()) == 0;
  return same ? found->second : nullptr;
}

KeyHash hash_of(std::string_view secret) {
  KeyHash hash{};
  SHA256(reinterpret_cast<const unsigned char*>(secret.data()), secret.size(), hash.data());
  return hash;
}

std::string_view secret_in(std::string_view authorization) {
  constexpr std::size_t kScheme = 7;  // "Bearer "
  if (authorization.size() < kScheme) return {};
  constexpr std::string_view kBearer = "bearer ";
  for (std::size_t i = 0; i < kScheme; ++i) {
    const char c = authorization[i];
    if ((c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c) != kBearer[i]) return {};
  }
  const auto secret = authorization.substr(kScheme);
  const bool ours = secret.starts_with(kMark) && secret.size() == kMark.size() + 2 * kSecretBytes;
  return ours ? secret : std::string_view();
}

KeyDesk::KeyDesk(store::AdminBook& book, bool require_key, std::int64_t now_us)
    : book_(book), require_key_(require_key) {
  publish({});
  reload(now_us);
}

void KeyDesk::publish(const std::vector<std::shared_ptr<const Key>>& keys) {
  auto ring = std::make_shared<KeyRing>();
  ring->keys = keys;
  for (const auto& key : keys) {
    ring->by_hash.emplace(head_of(key->hash), key);
    (key->role == Role::admin ? ring->admin_made : ring->client_made) = true;
  }
  required_.store(require_key_ || ring->client_made, std::memory_order_relaxed);
  ring_.store(std::move(ring));
}

void KeyDesk::reload(std::int64_t now_us) {
  const std::lock_guard lock(writing_);
  const auto spend = book_.spend(day_of(now_us) - kDaysRead);
  std::vector<std::shared_ptr<const Key>> keys;
  for (const auto& row : book_.keys()) {
    auto key = key_of(row);
    if (const auto known = by_id(key->id)) {
      key->account = known->account;
    } else {
      key->account = std::make_shared<Account>(key->terms);
      for (const auto& spent : spend)
        if (spent.key_id == key->id) key->account->purse.load(spent.day, spent.microusd);
    }
    keys.push_back(std::move(key));
  }
  publish(keys);
}

std::shared_ptr<const Key> KeyDesk::by_id(const std::string& id) const {
  const auto all = ring();
  for (const auto& key : all->keys)
    if (key->id == id) return key;
  return nullptr;
}

std::shared_ptr<const Key> KeyDesk::find(std::string_view authorization,
                                         std::int64_t now_us) const {
  const auto secret = secret_in(authorization);
  if (secret.empty()) return nullptr;
  auto key = ring()->find(hash_of(secret));
  return key && key->usable(now_us) ? key : nullptr;
}

/// Writes the key and swaps a ring with it in.
void KeyDesk::replace(const std::shared_ptr<const Key>& key) {
  book_.put(row_of(*key));
  auto keys = ring()->keys;
  const auto at =
      std::find_if(keys.begin(), keys.end(), [&](const auto& old) { return old->id == key->id; });
  if (at == keys.end()) {
    keys.push_back(key);
  } else {
    *at = key;
  }
  publish(keys);
}

KeyDesk::Made KeyDesk::make(Role role, const KeyTerms& terms, std::int64_t expires_us,
                            std::int64_t now_us) {
  const std::lock_guard lock(writing_);
  std::mt19937_64 chance(std::random_device{}());
  Made made;
  made.secret = random_secret();
  auto key = std::make_shared<Key>();
  key->id = "key_" + sortable_id(now_us / 1000, chance);
  key->prefix = prefix_of(made.secret);
  key->hash = hash_of(made.secret);
  key->role = role;
  key->terms = terms;
  key->created_us = now_us;
  key->expires_us = expires_us;
  key->account = std::make_shared<Account>(terms);
  made.key = key;
  replace(made.key);
  return made;
}

std::optional<KeyDesk::Made> KeyDesk::rotate(const std::string& id, std::int64_t) {
  const std::lock_guard lock(writing_);
  const auto old = by_id(id);
  if (!old || old->revoked_us != 0) return std::nullopt;
  Made made;
  made.secret = random_secret();
  auto key = std::make_shared<Key>(*old);
  key->prefix = prefix_of(made.secret);
  key->hash = hash_of(made.secret);
  made.key = key;
  replace(made.key);
  return made;
}

std::shared_ptr<const Key> KeyDesk::revoke(const std::string& id, std::int64_t now_us) {
  const std::lock_guard lock(writing_);
  const auto old = by_id(id);
  if (!old || old->revoked_us != 0) return old;
  auto key = std::make_shared<Key>(*old);
  key->revoked_us = now_us;
  replace(key);
  return key;
}

void KeyDesk::save_spend(std::int64_t now_us) {
  std::vector<store::SpendRow> rows;
  std::vector<std::pair<Account*, std::int64_t>> saved;
  const auto all = ring();
  for (const auto& key : all->keys) {
    Account& account = *key->account;
    const std::lock_guard lock(account.mutex);
    const auto spent = account.purse.spent_day(now_us) + account.purse.reserved();
    if (spent == account.saved_microusd || (spent == 0 && account.saved_microusd < 0)) continue;
    rows.push_back({key->id, day_of(now_us), spent});
    saved.emplace_back(&account, spent);
  }
  book_.put(rows);
  for (const auto& [account, spent] : saved) {
    const std::lock_guard lock(account->mutex);
    account->saved_microusd = spent;
  }
}

}  // namespace http
