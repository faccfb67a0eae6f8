// rooms: http
// What does looking at an API key cost a request? Baseline: the same request without a key where
// none is asked for.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "http/keys.h"

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::int64_t kNow = 1'798'761'600'000'000;

template <typename Work>
double ns_each(int rounds, Work work) {
  std::size_t found = 0;
  const auto start = Clock::now();
  for (int i = 0; i < rounds; ++i) found += work(i);
  const auto ns = std::chrono::duration<double, std::nano>(Clock::now() - start).count();
  static volatile std::size_t sink = 0;
  sink = sink + found;
  return ns / rounds;
}

}  // namespace

int main(int argc, char** argv) {
  const bool smoke = argc > 1 && std::strcmp(argv[1], "--smoke") == 0;
  const int keys = smoke ? 20 : 1'000, rounds = smoke ? 2'000 : 1'000'000;
  char name[] = "/tmp/skyd-bench-keys-XXXXXX";
  const std::filesystem::path folder = ::mkdtemp(name);
  double none = 0, good = 0, unknown = 0, limits = 0;
  {
    store::AdminBook book((folder / "log.db").string());
    http::KeyDesk desk(book, false, kNow);
    const std::string nobody;
    none = ns_each(rounds, [&](int) {
      return static_cast<std::size_t>(desk.required() && desk.find(nobody, kNow) != nullptr);
    });
    std::vector<std::string> fields;
    http::KeyTerms terms;
    terms.requests_per_minute = 1'000'000'000;
    terms.tokens_per_minute = 1'000'000'000;
    terms.microusd_per_day = 1'000'000'000'000;
    for (int i = 0; i < keys; ++i)
      fields.push_back("Bearer " + desk.make(http::Role::client, terms, 0, kNow).secret);
    const auto field_of = [&](int i) -> const std::string& {
      return fields[static_cast<std::size_t>(i) % fields.size()];
    };
    good = ns_each(rounds, [&](int i) {
      return static_cast<std::size_t>(desk.find(field_of(i), kNow) != nullptr);
    });
    const std::string wrong = "Bearer sk-sky-" + std::string(64, '0');
    unknown = ns_each(
        rounds, [&](int) { return static_cast<std::size_t>(desk.find(wrong, kNow) != nullptr); });
    const auto key = desk.find(field_of(0), kNow);
    limits = ns_each(rounds, [&](int i) {
      const std::int64_t now = kNow + i;
      const std::lock_guard lock(key->account->mutex);
      key->account->requests.take(1, now);
      key->account->tokens.take(100, now);
      const bool fits = key->account->purse.reserve(100, now);
      key->account->purse.settle(100, 90, now);
      key->account->tokens.settle(-10, now);
      return static_cast<std::size_t>(fits);
    });
  }
  std::filesystem::remove_all(folder);
  std::printf("no key, none asked for   %7.0f ns\n", none);
  std::printf("a key of %5d           %7.0f ns\n", keys, good);
  std::printf("a key nobody knows       %7.0f ns\n", unknown);
  std::printf("its rates and budget     %7.0f ns\n", limits);
  return 0;
}
