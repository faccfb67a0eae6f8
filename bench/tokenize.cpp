// rooms: moe
// How fast is text turned into tokens, and how long does a vocabulary take to load?
//   bench_tokenize [--smoke] [VOCABULARY.gguf ...]
// Text: this program repeats a paragraph of prose, code, numbers and other scripts. Baseline of the
// same run: decoding the same text to code points with their categories, which every rule needs.
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "experts/moe/bpe.h"
#include "experts/moe/gguf.h"
#include "experts/moe/tokenizer.h"
#include "experts/moe/unicode.h"

namespace {

using Clock = std::chrono::steady_clock;

std::string sample_text(std::size_t bytes) {
  const std::string paragraph =
      "The committee, having met in 1987 and again in 2003, couldn't agree on whether the "
      "\"third way\" was a way at all; it's said that nobody's notes survived.\n\n"
      "for (int i = 0; i < 100; ++i) {\n    total += values[i] * 3.14159;\n}\n"
      "\u041D\u0435\u0449\u043E \u043D\u0430 "
      "\u0431\u044A\u043B\u0433\u0430\u0440\u0441\u043A\u0438, "
      "\u4E00\u4E9B\u4E2D\u6587\u548C\u65E5\u672C\u8A9E, \U0001F680 and caf\u00E9.\n";
  std::string text;
  while (text.size() < bytes) text += paragraph;
  return text;
}

// 256 bytes and no merges: what remains when no model file is at hand.
moe::Vocabulary byte_vocabulary() {
  moe::Vocabulary v;
  v.model = moe::TokenizerModel::bpe;
  v.pre = "gpt-2";
  for (int byte = 0; byte < 256; ++byte) {
    v.texts.push_back(moe::byte_character(static_cast<std::uint8_t>(byte)));
  }
  v.kinds.assign(256, moe::TokenKind::normal);
  moe::complete(v, "");
  return v;
}

template <class Do>
double best_ms(int rounds, Do act) {
  double best = 1e300;
  for (int i = 0; i < rounds; ++i) {
    const auto start = Clock::now();
    act();
    best = std::min(best, std::chrono::duration<double, std::milli>(Clock::now() - start).count());
  }
  return best;
}

void measure(const char* name, const moe::Tokenizer& tokenizer, const std::string& text,
             int rounds) {
  std::size_t tokens = 0;
  const double encode_ms = best_ms(rounds, [&] { tokens = tokenizer.encode(text).size(); });
  std::vector<moe::TokenId> ids = tokenizer.encode(text);
  const double decode_ms = best_ms(rounds, [&] { tokenizer.decode(ids); });
  const double mb = static_cast<double>(text.size()) / 1e6;
  std::printf("%-28s encode %7.2f MB/s %6.2f Mtok/s   decode %7.2f MB/s   %.2f bytes/token\n", name,
              mb / encode_ms * 1e3, static_cast<double>(tokens) / encode_ms / 1e3,
              mb / decode_ms * 1e3, static_cast<double>(text.size()) / static_cast<double>(tokens));
}

}  // namespace

int main(int argc, char** argv) {
  bool smoke = false;
  std::vector<std::string> files;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--smoke") == 0) {
      smoke = true;
    } else {
      files.emplace_back(argv[i]);
    }
  }
  const std::string text = sample_text(smoke ? 10'000 : 1'000'000);
  const int rounds = smoke ? 1 : 5;
  moe::category_of(U'a');  // builds its table
  const double base_ms = best_ms(rounds, [&] { moe::decode_utf8(text); });
  std::printf("%-28s %.2f MB/s\n", "baseline: code points",
              static_cast<double>(text.size()) / 1e3 / base_ms);
  measure("bytes alone", moe::Tokenizer(byte_vocabulary()), text, rounds);
  for (const std::string& file : files) {
    const moe::Gguf gguf = moe::Gguf::open(file);
    const double load_ms =
        best_ms(rounds, [&] { const moe::Tokenizer loaded(moe::read_vocabulary(gguf)); });
    std::printf("%s: load %.1f ms\n", file.c_str(), load_ms);
    measure("", moe::Tokenizer(moe::read_vocabulary(gguf)), text, rounds);
  }
}
