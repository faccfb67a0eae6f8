#include "router/policy.h"

#include <fcntl.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <utility>

#include "aggregator/answer.h"
#include "router/choices.h"
#include "router/features.h"
#include "router/vectors.h"

namespace router {
namespace {

static_assert(std::endian::native == std::endian::little, "the file is little-endian");

constexpr char kMagic[8] = {'S', 'K', 'Y', 'P', 'O', 'L', 'C', 'Y'};
constexpr float kNumberMax = 1e9f;  // so that no sum of products overflows
constexpr std::size_t kColumnsMax = 4096 + 1024;
constexpr std::size_t kHeadBytesOfFile = 8 + 4 + 4 + 8;

class Writer {
 public:
  template <class T>
  requires std::is_arithmetic_v<T>

  void operator()(const T& value) {
    out.append(reinterpret_cast<const char*>(&value), sizeof value);
  }

  void operator()(const std::string& text) {
    (*this)(static_cast<std::uint32_t>(text.size()));
    out += text;
  }

  template <class T>
  void operator()(const std::vector<T>& values) {
    (*this)(static_cast<std::uint32_t>(values.size()));
    if constexpr (std::is_arithmetic_v<T>) {
      out.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
    } else {
      for (const T& value : values) (*this)(value);
    }
  }

  std::string out;
};

class Reader {
 public:
  Reader(const char* at, const char* end) : at_(at), end_(end) {}

  template <class T>
  requires std::is_arithmetic_v<T>

  void operator()(T& value) { std::memcpy(&value, take(sizeof value), sizeof value); }

  void operator()(std::string& text) {
    const std::size_t size = count(1);
    text.assign(take(size), size);
  }

  template <class T>
  void operator()(std::vector<T>& values) {
    if constexpr (std::is_arithmetic_v<T>) {
      values.resize(count(sizeof(T)));
      const std::size_t bytes = values.size() * sizeof(T);
      const char* from = take(bytes);
      if (bytes) std::memcpy(values.data(), from, bytes);
    } else {
      values.resize(count(4));
      for (T& value : values) (*this)(value);
    }
  }

  bool ended() const { return at_ == end_; }

 private:
  const char* take(std::size_t bytes) {
    if (static_cast<std::size_t>(end_ - at_) < bytes)
      throw std::runtime_error("it ends inside a field");
    const char* from = at_;
    at_ += bytes;
    return from;
  }

  /// A count that the bytes left can hold.
  std::size_t count(std::size_t each) {
    std::uint32_t value = 0;
    (*this)(value);
    if (value > static_cast<std::size_t>(end_ - at_) / each)
      throw std::runtime_error("it ends inside a list");
    return value;
  }

  const char* at_;
  const char* end_;
};

/// Rows without mass are zeros and left out of the file.
void write_bag(Writer& w, const Policy& p) {
  std::vector<std::uint32_t> rows;
  std::vector<float> mass;
  for (std::uint32_t b = 0; b < kBagRows; ++b) {
    if (p.mass[b] > 0) rows.push_back(b), mass.push_back(p.mass[b]);
  }
  w(rows), w(mass);
  for (std::uint32_t b : rows) {
    w.out.append(reinterpret_cast<const char*>(&p.bag[std::size_t{b} * p.dim]), p.dim);
  }
}

void read_bag(Reader& r, Policy& p) {
  std::vector<std::uint32_t> rows;
  std::vector<float> mass;
  r(rows), r(mass);
  if (rows.size() != mass.size()) throw std::runtime_error("its weights do not fit its rows");
  p.bag.assign(std::size_t{kBagRows} * p.dim, 0);
  p.mass.assign(kBagRows, 0);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i] >= kBagRows) throw std::runtime_error("a bucket is out of range");
    if (!(mass[i] > 1e-6f && mass[i] < 1e6f)) throw std::runtime_error("a weight is out of range");
    p.mass[rows[i]] = mass[i];
    for (std::uint32_t d = 0; d < p.dim; ++d) r(p.bag[std::size_t{rows[i]} * p.dim + d]);
  }
}

/// The fields in file order, for both directions.
template <class Archive, class P>
void walk(Archive& a, P& p) {
  a(p.dim), a(p.skills);
  auto count = static_cast<std::uint32_t>(p.experts.size());
  a(count);
  if constexpr (!std::is_const_v<P>) {
    if (count > 4096) throw std::runtime_error("it names more than 4096 experts");
    p.experts.resize(count);
  }
  for (auto& e : p.experts) {
    a(e.name), a(e.mean), a(e.cost_usd), a(e.latency_ms), a(e.tokens_out), a(e.outcomes);
  }
  a(p.unseen_max), a(p.skill_score_min);
  a(p.bag_scale), a(p.unseen_mass), a(p.surface_edge), a(p.skill_sharpness), a(p.skill_bias);
  a(p.skill_gain), a(p.profile), a(p.support), a(p.skill_cost), a(p.key_scale);
  auto& m = p.memory;
  a(m.rows), a(m.z), a(m.score), a(m.predicted), a(m.label);
  auto& panels = p.panels;
  a(panels.rows), a(panels.slope), a(panels.decide_at), a(panels.weight), a(panels.choice);
  a(panels.mode);
  a(p.trained_ids), a(p.source), a(p.seed), a(p.share);
}

/// The part of format kPolicyFormat that kWordsFormat has not.
template <class Archive, class P>
void walk_dense(Archive& a, P& p) {
  auto& d = p.dense;
  a(d.encoder), a(d.fingerprint), a(d.weight), a(d.scale), a(d.shift), a(d.sharpen);
  a(p.memory.predicted_by_words);
}

/// Whether training may have found that mode.
bool is_measured(std::uint8_t mode) {
  return mode >= static_cast<std::uint8_t>(aggregator::Mode::single) &&
         mode <= static_cast<std::uint8_t>(aggregator::Mode::fused);
}

bool is_dense_sane(const Policy& p) {
  const Dense& d = p.dense;
  const std::size_t by_words = d.empty() ? 0 : std::size_t{p.memory.rows} * p.experts.size();
  if (p.memory.predicted_by_words.size() != by_words) return false;
  if (d.empty()) return d.fingerprint.empty() && d.weight.empty();
  return d.dimension() > 0 && d.dimension() <= kVectorNumbersMax &&
         d.weight.size() == d.dimension() * p.dim && d.scale.size() == p.dim &&
         d.shift.size() == p.dim;
}

/// The invariants that decide() relies on.
void check_shapes(const Policy& p) {
  const std::size_t S = p.skills.size(), E = p.experts.size(), D = p.dim;
  const Memory& m = p.memory;
  const Panels& panels = p.panels;
  const bool voting =
      panels.rows == 0 ||
      (panels.weight.size() == (S + 1) * E && panels.choice.size() == kChoiceTraits &&
       panels.mode.size() == S * Panels::kTypes &&
       std::all_of(panels.mode.begin(), panels.mode.end(), is_measured));
  const bool sane =
      voting && E > 0 && S > 0 && p.unseen_mass >= 0 && S <= 4096 && D >= E + S &&
      D <= kColumnsMax && D % 16 == 0 && p.bag_scale.size() == D && p.key_scale.size() == D &&
      p.surface_edge.size() == std::size_t{kSurfaceCount} * kSurfaceEdges &&
      p.skill_bias.size() == S && p.skill_gain.size() == S * E && p.profile.size() == S * E &&
      p.support.size() == S * E && p.skill_cost.size() == S * E &&
      m.z.size() == std::size_t{m.rows} * D && m.score.size() == std::size_t{m.rows} * E &&
      m.predicted.size() == std::size_t{m.rows} * E &&
      (m.label.empty() || m.label.size() == m.rows) && is_dense_sane(p);
  if (!sane) throw std::runtime_error("its parts do not fit together");
  const std::vector<float> alone{p.unseen_mass, p.skill_sharpness, p.unseen_max, p.skill_score_min,
                                 p.dense.sharpen};
  for (const auto* list : {&p.bag_scale, &p.surface_edge, &p.skill_bias, &p.skill_gain, &p.profile,
                           &p.support, &p.skill_cost, &p.key_scale, &p.panels.weight,
                           &p.panels.choice, &p.dense.scale, &p.dense.shift, &alone}) {
    for (float value : *list) {
      if (!(std::abs(value) < kNumberMax))
        throw std::runtime_error("it holds a number that is out of range");
    }
  }
}

[[noreturn]] void refuse(const std::string& path, const std::string& why) {
  throw std::runtime_error("cannot use the policy file " + path + ": " + why);
}

void write_whole(const std::string& path, const std::string& bytes) {
  const std::string part = path + ".tmp";
  const int file = ::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  auto fail = [&](const char* what) {
    const std::string why = std::strerror(errno);
    if (file >= 0) ::close(file);
    ::unlink(part.c_str());
    throw std::runtime_error("cannot " + std::string(what) + " the policy file " + part + ": " +
                             why);
  };
  if (file < 0) fail("create");
  for (std::size_t at = 0; at < bytes.size();) {
    const ssize_t wrote = ::write(file, bytes.data() + at, bytes.size() - at);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) fail("write");
    at += static_cast<std::size_t>(wrote);
  }
  if (::fsync(file) != 0) fail("sync");
  ::close(file);
  if (std::rename(part.c_str(), path.c_str()) != 0) {
    const std::string why = std::strerror(errno);
    ::unlink(part.c_str());
    throw std::runtime_error("cannot put the policy file at " + path + ": " + why);
  }
}

}  // namespace

std::string encode_policy(Policy& policy) {
  Writer payload;
  walk(payload, std::as_const(policy));
  write_bag(payload, policy);
  if (!policy.dense.empty()) walk_dense(payload, std::as_const(policy));
  Writer file;
  file.out.append(kMagic, sizeof kMagic);
  file(policy.dense.empty() ? kWordsFormat : kPolicyFormat), file(kFeaturesVersion),
      file(static_cast<std::uint64_t>(payload.out.size()));
  file.out += payload.out;
  policy.version = XXH3_64bits(payload.out.data(), payload.out.size());
  file(static_cast<std::uint64_t>(XXH3_64bits(file.out.data(), file.out.size())));
  return std::move(file.out);
}

PolicyPtr decode_policy(const std::string& bytes, const std::string& path) {
  if (bytes.size() < kHeadBytesOfFile + 8 ||
      std::memcmp(bytes.data(), kMagic, sizeof kMagic) != 0) {
    refuse(path, "it is not a policy file (`skillyard train` writes one)");
  }
  Reader head(bytes.data() + sizeof kMagic, bytes.data() + kHeadBytesOfFile);
  std::uint32_t format = 0, features = 0;
  std::uint64_t size = 0, sum = 0;
  head(format), head(features), head(size);
  if (format > kPolicyFormat) {
    refuse(path, "it has format " + std::to_string(format) + ", this program reads up to " +
                     std::to_string(kPolicyFormat) + "; use a newer program or train again");
  }
  if (size != bytes.size() - kHeadBytesOfFile - 8) {
    refuse(path, "it is " + std::to_string(bytes.size()) + " bytes long and should be " +
                     std::to_string(size + kHeadBytesOfFile + 8) +
                     "; it was cut or joined, copy it again");
  }
  std::memcpy(&sum, bytes.data() + bytes.size() - 8, 8);
  if (XXH3_64bits(bytes.data(), bytes.size() - 8) != sum) {
    refuse(path, "its checksum does not match, some bytes were changed; copy it again");
  }
  if (format < kWordsFormat || features != kFeaturesVersion) {
    refuse(path, "it was made with format " + std::to_string(format) + ", features " +
                     std::to_string(features) + "; this program needs " +
                     std::to_string(kPolicyFormat) + ", " + std::to_string(kFeaturesVersion) +
                     ": train again");
  }
  auto policy = std::make_shared<Policy>();
  try {
    Reader reader(bytes.data() + kHeadBytesOfFile, bytes.data() + bytes.size() - 8);
    walk(reader, *policy);
    if (policy->dim == 0 || policy->dim > kColumnsMax)
      throw std::runtime_error("its width is out of range");
    read_bag(reader, *policy);
    if (format == kPolicyFormat) walk_dense(reader, *policy);
    if (!reader.ended()) throw std::runtime_error("bytes are left over");
    check_shapes(*policy);
  } catch (const std::runtime_error& error) {
    refuse(path, error.what());
  }
  policy->version = XXH3_64bits(bytes.data() + kHeadBytesOfFile, size);
  return policy;
}

PolicyPtr load_policy(const std::string& path) {
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  if (!in) refuse(path, std::strerror(errno));
  const auto size = static_cast<std::uint64_t>(in.tellg());
  if (size > kPolicyBytesMax)
    refuse(path, "it is larger than " + std::to_string(kPolicyBytesMax) + " bytes");
  std::string bytes(size, '\0');
  in.seekg(0);
  if (!in.read(bytes.data(), static_cast<std::streamsize>(size)))
    refuse(path, "it cannot be read to the end");
  return decode_policy(bytes, path);
}

void save_policy(Policy& policy, const std::string& path) {
  write_whole(path, encode_policy(policy));
}

}  // namespace router
