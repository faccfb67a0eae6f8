#include "experts/moe/expert_store.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <stdexcept>
#include <string>

#include "experts/moe/aligned.h"

namespace moe {

namespace {

constexpr std::size_t kPage = 4096;      // what direct reads are aligned to
constexpr double kSizeSpread = 7.0 / 8;  // experts down to this share of a slot go into it

/// Room for a matrix whose direct read begins and ends on whole pages.
std::size_t room_of(std::size_t bytes) {
  return round_up(bytes, kPage) + kPage;
}

std::uint64_t ns_since(std::chrono::steady_clock::time_point begin) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - begin)
          .count());
}

FilePart part_of(const Model& model, const Matrix& matrix) {
  const auto* at = reinterpret_cast<const std::byte*>(matrix.data);
  for (const Tensor& tensor : model.gguf.tensors()) {
    if (at < tensor.data || at >= tensor.data + tensor.bytes) continue;
    return {tensor.shard, tensor.offset + static_cast<std::uint64_t>(at - tensor.data),
            matrix.bytes()};
  }
  throw std::runtime_error("model file " + model.gguf.name() +
                           ": an expert is outside its tensors");
}

}  // namespace

struct ExpertStore::Slot {
  std::byte* memory = nullptr;
  Home* owner = nullptr;
};

struct ExpertStore::Pool {
  std::size_t slot_bytes = 0;
  std::size_t experts = 0;
  std::vector<Slot> slots;
};

struct ExpertStore::Home {
  std::array<FilePart, 3> parts;  // gate, up, down
  std::size_t number = 0;         // in homes_
  std::size_t pool = 0;
  std::size_t bytes = 0;  // of a slot
  State state = State::absent;
  Slot* slot = nullptr;
  bool reserved = false;
  bool pinned = false;
  bool by_hint = false;  // read for a hint and not used since
  std::uint64_t hint_round = 0, want_round = 0;
  std::uint64_t hinted_in_step = 0;
  Expert view;  // data points into the slot while resident
};

ExpertStore::ExpertStore(const Model& model, const StoreOptions& options)
    : ExpertStore(model, options, read_from_files(model)) {}

ExpertStore::ExpertStore(const Model& model, const StoreOptions& options, Read read)
    : model_(model), options_(options), read_(std::move(read)), usage_(0, options.evict) {
  for (const Layer& layer : model.weights.layers) {
    first_home_.push_back(homes_.size());
    if (!layer.is_sparse()) continue;
    for (const Expert& expert : layer.experts) {
      Home home;
      home.number = homes_.size();
      home.view = expert;
      home.parts = {part_of(model, expert.gate), part_of(model, expert.up),
                    part_of(model, expert.down)};
      for (const FilePart& part : home.parts) home.bytes += room_of(part.bytes);
      homes_.push_back(home);
    }
  }
  if (homes_.empty()) {
    throw std::runtime_error("model file " + model.gguf.name() +
                             " is dense: it has no experts to hold in slots");
  }
  usage_ = Usage(homes_.size(), options.evict);
  lay_out(options.bytes_max);
  map_slots();
  try {
    pin();
  } catch (...) {
    ::munmap(memory_, memory_bytes_);
    throw;
  }
  thread_ = std::thread([this] { work(); });
}

ExpertStore::~ExpertStore() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  work_.notify_all();
  thread_.join();
  ::munmap(memory_, memory_bytes_);
}

/// Pools of slots: experts of about one size share one, and each gets its share of the budget.
void ExpertStore::lay_out(std::size_t budget) {
  std::vector<Home*> by_size;
  for (Home& home : homes_) by_size.push_back(&home);
  std::stable_sort(by_size.begin(), by_size.end(),
                   [](const Home* a, const Home* b) { return a->bytes > b->bytes; });
  std::size_t total = 0;
  for (Home* home : by_size) {
    const bool fits =
        !pools_.empty() && static_cast<double>(home->bytes) >=
                               kSizeSpread * static_cast<double>(pools_.back().slot_bytes);
    if (!fits) pools_.push_back({home->bytes, 0, {}});
    home->pool = pools_.size() - 1;
    ++pools_.back().experts;
    total += pools_.back().slot_bytes;
  }
  std::size_t least = 0;
  for (const Pool& pool : pools_) least += pool.slot_bytes;
  if (budget < least) {
    throw std::runtime_error("the budget of " + std::to_string(budget) +
                             " bytes for experts is below the least that can work, " +
                             std::to_string(least) + " (one expert of every size)");
  }
  const double share = std::min(1.0, static_cast<double>(budget) / static_cast<double>(total));
  std::size_t left = budget;
  for (Pool& pool : pools_) {
    const auto count = static_cast<std::size_t>(share * static_cast<double>(pool.experts));
    pool.slots.resize(std::max<std::size_t>(1, count));
    left -= std::min(left, pool.slots.size() * pool.slot_bytes);
  }
  for (Pool& pool : pools_) {
    while (left >= pool.slot_bytes && pool.slots.size() < pool.experts) {
      pool.slots.emplace_back();
      left -= pool.slot_bytes;
    }
    memory_bytes_ += pool.slots.size() * pool.slot_bytes;
  }
  while (memory_bytes_ > budget) {  // pools of one slot may have taken more than their share
    auto& big = *std::max_element(pools_.begin(), pools_.end(), [](const Pool& a, const Pool& b) {
      return a.slots.size() < b.slots.size();
    });
    big.slots.pop_back();
    memory_bytes_ -= big.slot_bytes;
  }
  stats_.slot_bytes = memory_bytes_;
}

void ExpertStore::map_slots() {
  void* memory = ::mmap(nullptr, memory_bytes_, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    throw std::runtime_error("no memory for expert slots of " + std::to_string(memory_bytes_) +
                             " bytes");
  }
  memory_ = static_cast<std::byte*>(memory);
  std::byte* at = memory_;
  for (Pool& pool : pools_) {
    for (Slot& slot : pool.slots) {
      slot.memory = at;
      at += pool.slot_bytes;
    }
  }
}

void ExpertStore::pin() {
  for (const auto& [layer, expert] : options_.pinned) {
    const bool known =
        layer >= 0 && static_cast<std::size_t>(layer) < model_.weights.layers.size() &&
        model_.weights.layers[static_cast<std::size_t>(layer)].is_sparse() &&
        expert < model_.weights.layers[static_cast<std::size_t>(layer)].experts.size();
    if (!known) {
      throw std::runtime_error("pinned expert " + std::to_string(expert) + " of layer " +
                               std::to_string(layer) + " is not in the model");
    }
    Home& pinned = home(static_cast<std::size_t>(layer), expert);
    pinned.pinned = true;
    Pool& pool = pools_[pinned.pool];
    const auto count = std::count_if(homes_.begin(), homes_.end(), [&](const Home& other) {
      return other.pinned && other.pool == pinned.pool;
    });
    if (static_cast<std::size_t>(count) >= pool.slots.size()) {
      throw std::runtime_error(
          "pinned experts leave no slot for the others: " + std::to_string(pool.slots.size()) +
          " slots of " + std::to_string(pool.slot_bytes) + " bytes");
    }
  }
}

ExpertStore::Home& ExpertStore::home(std::size_t layer, std::uint32_t expert) {
  return homes_[first_home_[layer] + expert];
}

void ExpertStore::begin_step() {
  const std::scoped_lock lock(mutex_);
  ++step_;
  usage_.begin_step();
}

std::size_t ExpertStore::reserve(std::size_t layer, std::span<const std::uint32_t> experts) {
  std::unique_lock lock(mutex_);
  ++want_round_;
  for (const std::uint32_t expert : experts) home(layer, expert).want_round = want_round_;
  std::size_t count = 0;
  while (count < experts.size()) {
    Home& wanted = home(layer, experts[count]);
    if (wanted.state == State::absent) {
      Slot* slot = find_slot(wanted, true);
      if (slot == nullptr && count > 0) break;
      if (slot == nullptr) {  // all that is left is being read for hints
        arrived_.wait(lock);
        continue;
      }
      give(*slot, wanted);
      demanded_.push_back(&wanted);
      stats_.hinted_waits += wanted.hinted_in_step == step_;
    } else if (wanted.state == State::resident) {
      ++stats_.hits;
      stats_.hinted_hits += wanted.by_hint;
    } else {
      ++stats_.late_hits;
    }
    ++stats_.uses;
    wanted.by_hint = false;
    wanted.reserved = true;
    usage_.use(wanted.number);
    reserved_.push_back(&wanted);
    ++count;
  }
  if (!demanded_.empty()) work_.notify_one();
  return count;
}

void ExpertStore::wait() {
  std::unique_lock lock(mutex_);
  const auto there = [&] {
    return std::all_of(reserved_.begin(), reserved_.end(),
                       [](const Home* home) { return home->state == State::resident; });
  };
  if (there()) return;
  const auto begin = std::chrono::steady_clock::now();
  while (!there() && !failed_) {
    if (!demanded_.empty()) {
      Home& next = *demanded_.front();
      demanded_.pop_front();
      fill(next, lock);
    } else {
      arrived_.wait(lock);
    }
  }
  stats_.wait_ns += ns_since(begin);
  if (!failed_) return;
  failed_ = false;
  for (Home* home : demanded_) {
    home->state = State::absent;
    home->slot->owner = nullptr;
    home->slot = nullptr;
  }
  demanded_.clear();
  for (Home* home : reserved_) home->reserved = false;
  reserved_.clear();
  throw std::runtime_error("model file " + model_.gguf.name() + ": an expert could not be read");
}

const Expert& ExpertStore::expert(std::size_t layer, std::uint32_t index) const {
  return homes_[first_home_[layer] + index].view;
}

void ExpertStore::release() {
  const std::scoped_lock lock(mutex_);
  for (Home* home : reserved_) home->reserved = false;
  reserved_.clear();
}

void ExpertStore::hint(std::size_t layer, std::span<const std::uint32_t> experts) {
  const std::scoped_lock lock(mutex_);
  ++hint_round_;
  hinted_.clear();
  for (const std::uint32_t expert : experts) {
    Home& likely = home(layer, expert);
    likely.hint_round = hint_round_;
    likely.hinted_in_step = step_;
    if (likely.state == State::absent) hinted_.push_back(&likely);
  }
  if (!hinted_.empty()) work_.notify_one();
}

StoreStats ExpertStore::stats() const {
  const std::scoped_lock lock(mutex_);
  return stats_;
}

/// The worst slot that may be taken; null: none. Who is reserved stays, and who is pinned. A hint
/// takes nothing that is about to be used; a demand takes that, too, before it fails.
ExpertStore::Slot* ExpertStore::find_slot(const Home& home, bool demanded) {
  Slot* found = nullptr;
  bool found_wanted = true;
  for (Slot& slot : pools_[home.pool].slots) {
    if (slot.owner == nullptr) return &slot;
    const Home& owner = *slot.owner;
    if (owner.state != State::resident || owner.reserved || owner.pinned) continue;
    const bool wanted = is_wanted(owner);
    if (wanted && !demanded) continue;
    const bool better =
        found == nullptr || wanted < found_wanted ||
        (wanted == found_wanted && usage_.worth(owner.number) < usage_.worth(found->owner->number));
    if (!better) continue;
    found = &slot;
    found_wanted = wanted;
  }
  return found;
}

bool ExpertStore::is_wanted(const Home& home) const {
  return (hint_round_ > 0 && home.hint_round == hint_round_) ||
         (want_round_ > 0 && home.want_round == want_round_);
}

void ExpertStore::give(Slot& slot, Home& home) {
  if (slot.owner != nullptr) {
    stats_.hint_wasted += slot.owner->by_hint;
    slot.owner->by_hint = false;
    slot.owner->state = State::absent;
    slot.owner->slot = nullptr;
  }
  slot.owner = &home;
  home.slot = &slot;
  home.state = State::queued;
}

/// Reads an expert that has a slot; without the lock meanwhile.
void ExpertStore::fill(Home& home, std::unique_lock<std::mutex>& lock) {
  home.state = State::reading;
  lock.unlock();
  std::byte* at = home.slot->memory;
  const std::array<Matrix*, 3> matrices = {&home.view.gate, &home.view.up, &home.view.down};
  bool read = true;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < matrices.size() && read; ++i) {
    // The same place within a page as in the file: what direct reads need.
    std::byte* to = at + home.parts[i].offset % kPage;
    read = read_(home.parts[i], to);
    matrices[i]->data = reinterpret_cast<const unsigned char*>(to);
    at += room_of(home.parts[i].bytes);
    bytes += home.parts[i].bytes;
  }
  lock.lock();
  if (read) {
    home.state = State::resident;
    stats_.bytes_read += bytes;
  } else {
    home.state = State::absent;
    home.slot->owner = nullptr;
    home.slot = nullptr;
    failed_ = failed_ || home.reserved;  // a hint that failed is nobody's trouble
  }
  arrived_.notify_all();
}

void ExpertStore::work() {
  std::unique_lock lock(mutex_);
  for (Home& home : homes_) {
    if (!home.pinned || home.state != State::absent) continue;
    Slot* slot = find_slot(home, false);
    if (slot == nullptr || stopping_) continue;
    give(*slot, home);
    fill(home, lock);
  }
  for (;;) {
    work_.wait(lock, [&] { return stopping_ || !demanded_.empty() || !hinted_.empty(); });
    if (stopping_) return;
    if (!demanded_.empty()) {
      Home& next = *demanded_.front();
      demanded_.pop_front();
      fill(next, lock);
      continue;
    }
    Home& next = *hinted_.front();
    hinted_.pop_front();
    if (next.state != State::absent) continue;
    Slot* slot = find_slot(next, false);
    if (slot == nullptr) continue;
    give(*slot, next);
    next.by_hint = true;
    ++stats_.hint_loads;
    fill(next, lock);
  }
}

namespace {

bool read_whole(int file, std::uint64_t offset, std::size_t least, std::size_t most,
                std::byte* to) {
  std::size_t done = 0;
  while (done < least) {
    const auto got = ::pread(file, to + done, most - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    done += static_cast<std::size_t>(got);
  }
  return true;
}

/// Files opened once more for direct reads; -1 where the file system has none.
class DirectFiles {
 public:
  explicit DirectFiles(const Model& model) {
    for (const MappedFile& file : model.gguf.files()) {
      const std::string path = "/proc/self/fd/" + std::to_string(file.descriptor());
      direct_.push_back(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT));
      plain_.push_back(file.descriptor());
    }
  }

  ~DirectFiles() {
    for (const int file : direct_) {
      if (file >= 0) ::close(file);
    }
  }

  DirectFiles(const DirectFiles&) = delete;
  DirectFiles& operator=(const DirectFiles&) = delete;

  bool read(const FilePart& part, std::byte* to) const {
    const int direct = direct_[part.shard];
    const std::size_t skew = part.offset % kPage;
    // From the page before to the page after; the file's last page is short.
    if (direct >= 0 && read_whole(direct, part.offset - skew, skew + part.bytes,
                                  round_up(skew + part.bytes, kPage), to - skew)) {
      return true;
    }
    return read_whole(plain_[part.shard], part.offset, part.bytes, part.bytes, to);
  }

 private:
  std::vector<int> direct_, plain_;
};

}  // namespace

ExpertStore::Read read_from_files(const Model& model) {
  const auto files = std::make_shared<DirectFiles>(model);
  return [files](const FilePart& part, std::byte* to) { return files->read(part, to); };
}

}  // namespace moe
