// API keys: who asks, what that key may do, and how much of it.
//
// A key is `sk-sky-` and 64 hex digits, 256 random bits. It is shown once, when it is made; kept is
// its SHA-256, which is enough for a secret that long (no salt, no slow hash: there is nothing to
// guess). Keys are never deleted, only revoked: that a listener asks for keys must not end with the
// last of them.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "http/limits.h"
#include "store/admin_book.h"

namespace http {

enum class Role : std::uint8_t {
  client,  // asks
  admin    // and changes
};

std::string_view name_of(Role role);

/// What the maker of a key says about it. 0: no limit.
struct KeyTerms {
  std::string name;                 // for people
  std::vector<std::string> models;  // that it may name, as GET /v1/models lists them; empty: all
  std::vector<std::string> collections;  // of the knowledge that its queries may reach; empty:
                                         // those that the pool may
  std::int64_t requests_per_minute = 0;
  std::int64_t tokens_per_minute = 0;
  std::int64_t microusd_per_day = 0;
  std::int64_t microusd_per_month = 0;

  bool operator==(const KeyTerms&) const = default;
};

/// What a key has used. Any thread.
struct Account {
  explicit Account(const KeyTerms& terms)
      : requests(terms.requests_per_minute),
        tokens(terms.tokens_per_minute),
        purse({terms.microusd_per_day, terms.microusd_per_month}) {}

  std::mutex mutex;  // held for a few additions, never across a wait; guards what follows
  Bucket requests, tokens;
  Purse purse;
  std::int64_t saved_microusd = -1;  // of the day, as the database has it
  std::uint64_t overruns = 0;        // calls that cost more than was set aside
};

using KeyHash = std::array<std::uint8_t, 32>;

struct Key {
  std::string id, prefix;
  KeyHash hash{};
  Role role = Role::client;
  KeyTerms terms;
  std::int64_t created_us = 0;
  std::int64_t expires_us = 0;  // 0: never
  std::int64_t revoked_us = 0;  // 0: not
  std::shared_ptr<Account> account;

  bool usable(std::int64_t now_us) const {
    return revoked_us == 0 && (expires_us == 0 || now_us < expires_us);
  }

  bool may_name(std::string_view model) const;
};

/// All keys at one moment. Immutable.
struct KeyRing {
  std::vector<std::shared_ptr<const Key>> keys;                           // oldest first
  std::unordered_map<std::uint64_t, std::shared_ptr<const Key>> by_hash;  // its first 8 bytes
  bool client_made = false;  // a client key was made once
  bool admin_made = false;   // an admin key was made once

  /// Constant time in the presented key, but for which bucket its hash falls into.
  std::shared_ptr<const Key> find(const KeyHash& hash) const;
};

KeyHash hash_of(std::string_view secret);

/// `Bearer sk-sky-...`: the key in it; empty: none of ours.
std::string_view secret_in(std::string_view authorization);

class KeyDesk {
 public:
  /// A fresh key: `secret` is shown to whoever asked for it, once.
  struct Made {
    std::shared_ptr<const Key> key;
    std::string secret;
  };

  /// Reads keys and spend. The book outlives the desk. `require_key`: clients need one even while
  /// no client key was ever made.
  KeyDesk(store::AdminBook& book, bool require_key, std::int64_t now_us);

  std::shared_ptr<const KeyRing> ring() const { return ring_.load(); }

  /// Whether the public listener asks for keys.
  bool required() const { return required_.load(std::memory_order_relaxed); }

  /// The key that is presented, if it may be used now. Any thread; about a microsecond.
  std::shared_ptr<const Key> find(std::string_view authorization, std::int64_t now_us) const;

  // One writer at a time; durable when they return.
  Made make(Role role, const KeyTerms& terms, std::int64_t expires_us, std::int64_t now_us);
  /// A new secret for the same key; the old one ends now. Null: no such key, or it is revoked.
  std::optional<Made> rotate(const std::string& id, std::int64_t now_us);
  /// Null: no such key.
  std::shared_ptr<const Key> revoke(const std::string& id, std::int64_t now_us);

  /// The key of this id, usable or not. Null: no such key. Any thread.
  std::shared_ptr<const Key> by_id(const std::string& id) const;

  /// Reads the keys again: another process may have made one.
  void reload(std::int64_t now_us);

  /// Writes what was spent since the last time. What is set aside counts as spent, so that a
  /// process that dies in the middle of calls does not forget them.
  void save_spend(std::int64_t now_us);

  std::uint64_t refusals() const { return refusals_.load(std::memory_order_relaxed); }

  void count_refusal() { refusals_.fetch_add(1, std::memory_order_relaxed); }

 private:
  void publish(const std::vector<std::shared_ptr<const Key>>& keys);
  void replace(const std::shared_ptr<const Key>& key);

  store::AdminBook& book_;
  const bool require_key_;
  std::mutex writing_;
  std::atomic<std::shared_ptr<const KeyRing>> ring_;
  std::atomic<bool> required_{false};  // of the ring: asked for by every request
  std::atomic<std::uint64_t> refusals_{0};
};

}  // namespace http
