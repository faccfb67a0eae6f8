// The configuration in force and its versions: the one writer of what administrators change.
//
// A change is checked as a whole, prepared (what may fail fails here), written to the database and
// synced, and only then swapped in; then it is acknowledged. Whatever goes wrong before the write,
// the running configuration is untouched; a process that dies after it starts with the change.
// Any thread; one change at a time.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/config.h"
#include "config/layers.h"
#include "http/admin_doors.h"
#include "store/admin_book.h"

namespace config {

/// Gives every resource back to the file, as a version of its own.
void give_back(store::AdminBook& book, std::int64_t unix_us);

class Ledger {
 public:
  /// Builds all that the configuration needs and returns what swaps it in, which must not throw.
  /// Throws std::runtime_error when it cannot be used; nothing is changed then.
  using Prepare = std::function<std::function<void()>(const Config& config)>;

  /// Whether an expert of the running pool is well; true for one that is not known.
  using Healthy = std::function<bool(std::string_view expert)>;

  /// Throws, as refuse() does, when the layers with what the database says on top are not a valid
  /// configuration. The book outlives the Ledger.
  Ledger(Layers layers, store::AdminBook& book);

  /// Once, before the first change.
  void connect(Prepare prepare, Healthy healthy);

  Config config() const;

  /// New layers, from SIGHUP. Throws, and keeps the old ones, when they are no good. Returns the
  /// resources that they hold differently and that belong to the database: `experts/big`.
  std::vector<std::string> reload(Layers layers);

  /// What is in force and what a valid edit would make of it.
  struct Change {
    Config before, after;
  };

  /// `change`, where it is not null, is filled when the verdict is `valid`.
  http::Edited edit(const http::Edit& edit, std::optional<Change>* change = nullptr);

  std::vector<http::Shown> list(std::string_view kind) const;
  nlohmann::json show() const;
  nlohmann::json versions(std::int64_t before, int limit) const;
  std::optional<nlohmann::json> version(std::int64_t number) const;

 private:
  /// What the database is to say of a resource: nothing, null (removed) or its document.
  using Wish = std::pair<std::pair<std::string, std::string>, std::optional<nlohmann::json>>;
  using Wishes = std::vector<Wish>;

  struct State {
    std::vector<store::OwnedResource> owned;
    Merged merged;
    Config config;
  };

  State state_of(Layers const& layers, std::vector<store::OwnedResource> owned,
                 Faults& faults) const;
  std::vector<store::OwnedResource> owned_after(const Wishes& wishes) const;
  const store::OwnedResource* owned(const std::string& kind, const std::string& name) const;

  std::optional<http::Edited::Verdict> precondition(const http::Edit& edit) const;
  std::optional<Wishes> wishes_of(const http::Edit& edit, Faults& faults) const;
  std::optional<Wishes> wishes_back_to(std::int64_t version) const;
  nlohmann::json wanted_document(const http::Edit& edit, Faults& faults) const;
  Faults stranded(const Config& after) const;
  store::AdminVersion version_of(const http::Edit& edit, const Wishes& wishes,
                                 const State& next) const;
  void tell(http::Edited& edited, const http::Edit& edit, const Merged& before,
            const Merged& after) const;

  mutable std::mutex mutex_;
  store::AdminBook& book_;
  Layers layers_;
  State now_;
  std::int64_t version_ = 0;
  Prepare prepare_;
  Healthy healthy_;
};

}  // namespace config
