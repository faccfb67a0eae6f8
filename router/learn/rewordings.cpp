#include "router/learn/rewordings.h"

#include <algorithm>

#include "router/decide.h"
#include "router/learn/fit.h"
#include "router/splitmix.h"

namespace router {
namespace {

bool is_small(char c) {
  return c >= 'a' && c <= 'z';
}

bool is_letter(char c) {
  return is_small(c) || (c >= 'A' && c <= 'Z');
}

std::string to_case(std::string_view text, bool upper) {
  std::string out(text);
  for (char& c : out) {
    if (is_letter(c) && is_small(c) == upper) c = static_cast<char>(c ^ 0x20);
  }
  return out;
}

std::string without_punctuation(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool ends_sentence = c == '.' && i > 0 && is_small(text[i - 1]);
    if (!ends_sentence && std::string_view(",;?!'\"").find(c) == std::string_view::npos) out += c;
  }
  return out;
}

/// The first and last letter of a word stay, as most typing errors leave them.
std::string with_typos(std::string_view text, std::uint64_t seed) {
  constexpr std::size_t kLettersMin = 4;
  constexpr double kShare = 0.1;
  std::string out(text);
  for (std::size_t from = 0; from < out.size();) {
    std::size_t to = from;
    while (to < out.size() && is_letter(out[to])) ++to;
    if (to - from >= kLettersMin && draw_unit(seed) < kShare) {
      const std::size_t at = from + 1 + draw_below(seed, to - from - kLettersMin + 1);
      std::swap(out[at], out[at + 1]);
    }
    from = to + 1;
  }
  return out;
}

/// Up to the line break before `A.`, `(A)` or `A:`, when a line with B follows.
std::string_view without_options(std::string_view text) {
  const auto opens = [&](std::size_t at, char letter) {
    while (at < text.size() && (text[at] == ' ' || text[at] == '(')) ++at;
    return at + 1 < text.size() && text[at] == letter &&
           std::string_view(".):").find(text[at + 1]) != std::string_view::npos;
  };
  std::optional<std::size_t> start;
  for (std::size_t at = text.find('\n'); at != std::string_view::npos;
       at = text.find('\n', at + 1)) {
    if (!start && opens(at + 1, 'A'))
      start = at;
    else if (start && opens(at + 1, 'B'))
      return text.substr(0, *start);
  }
  return text;
}

FlipRow flip(const Policy& policy, std::optional<double> quality, const Trial& trial,
             Rewording rewording, std::uint64_t seed) {
  Extractor extractor;
  Features features;
  DecideScratch scratch;
  Route route;
  Query query;
  query.knobs.quality = quality;
  PoolView pool = trial.pool;
  FlipRow out;
  out.name = name_of(rewording);
  std::size_t changed = 0, flipped = 0;
  for (std::size_t r = 0; r < trial.rows(); ++r) {
    const std::string& text = trial.table.texts[r];
    const std::string other = reword(rewording, text, seed ^ trial.table.id_hashes[r]);
    std::uint32_t chosen = trial.chosen[r];
    if (other != text) {
      ++changed;
      for (std::size_t e = 0; e < trial.experts(); ++e) pool.experts[e].healthy = trial.has(r, e);
      extractor.extract(other, features);
      features.vector = trial.table.features[r].vector;  // that of the text as it was
      decide(query, features, policy, pool, scratch, route);
      chosen = route.candidates.front().expert;
      flipped += chosen != trial.chosen[r];
    }
    out.score += trial.score(r, chosen) / static_cast<double>(trial.rows());
  }
  out.changed = static_cast<double>(changed) / static_cast<double>(trial.rows());
  if (changed) out.flipped = static_cast<double>(flipped) / static_cast<double>(changed);
  return out;
}

}  // namespace

const char* name_of(Rewording rewording) {
  switch (rewording) {
    case Rewording::lower_case:
      return "lower case";
    case Rewording::upper_case:
      return "upper case";
    case Rewording::punctuation:
      return "no punctuation";
    case Rewording::typos:
      return "typing errors";
    case Rewording::preamble:
      return "polite preamble";
    case Rewording::no_options:
      return "no options";
  }
  return "";
}

std::string reword(Rewording rewording, std::string_view text, std::uint64_t seed) {
  switch (rewording) {
    case Rewording::lower_case:
      return to_case(text, false);
    case Rewording::upper_case:
      return to_case(text, true);
    case Rewording::punctuation:
      return without_punctuation(text);
    case Rewording::typos:
      return with_typos(text, seed);
    case Rewording::preamble:
      return "Hello! Could you please help me with the following question? Thank you.\n\n" +
             std::string(text);
    case Rewording::no_options:
      return std::string(without_options(text));
  }
  return std::string(text);
}

std::vector<FlipRow> flip_table(const Policy& policy, std::optional<double> quality,
                                const Trial& trial, std::uint64_t seed) {
  std::vector<FlipRow> out(std::size(kRewordings));
  parallel_for(out.size(),
               [&](std::size_t i) { out[i] = flip(policy, quality, trial, kRewordings[i], seed); });
  return out;
}

}  // namespace router
