// rooms: router store
// Is looking something up worth it, and what does it cost?
//
//   bench_retrieval                  all parts below
//   bench_retrieval --smoke          the same, small
//   bench_retrieval --gate           the gate on planted truth, beside never, always and an oracle
//   bench_retrieval --search         import and search of real text, beside a search without bounds
//   bench_retrieval --dense          200,000 vectors of 384 numbers compared exactly, beside the
//   same
//                                    without AVX2
//   [--docs DIR] the text to index (default /usr/share/doc, where that is large enough; else
//   made-up text), [--seed N], [--dir DIR] where the database is made (default: the temporary
//   directory)
//
// Exits 1 when a bar does not hold (with --smoke: only that the gate is above never and always).
#include <stdlib.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "router/learn/retrieval_fit.h"
#include "store/kernels.h"
#include "store/knowledge_import.h"
#include "store/knowledge_reader.h"
#include "store/knowledge_vectors.h"

namespace {

namespace fs = std::filesystem;
using Random = std::mt19937_64;

struct Setup {
  bool smoke = false, gate = true, search = true, dense = true;
  fs::path docs = "/usr/share/doc";
  fs::path dir = fs::temp_directory_path();
  std::uint64_t seed = 1;
};

/// A knowledge file of its own, gone at the end.
struct Scratch {
  fs::path folder;

  explicit Scratch(const fs::path& in) {
    std::string pattern = (in / "bench_retrieval_XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr)
      throw std::runtime_error("cannot write in " + in.string());
    folder = pattern;
  }

  ~Scratch() { fs::remove_all(folder); }

  std::string file() const { return (folder / "knowledge.sqlite").string(); }
};

double uniform(Random& chance) {
  return std::uniform_real_distribution<double>(0, 1)(chance);
}

std::int64_t clock_us() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::microseconds>(now).count();
}

std::int64_t cpu_us() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * 1'000'000 + now.tv_nsec / 1'000;
}

bool hold(bool bar, const char* text) {
  std::printf("  %s  %s\n", bar ? "holds " : "FAILED", text);
  return bar;
}

// --- planted truth ----------------------------------------------------------------------------

std::string name_of(std::size_t number) {
  static const char* const kSyllables[] = {"ba", "dor",  "fen", "gil", "ka", "lum", "mor",  "nes",
                                           "pa", "rith", "so",  "tan", "ul", "ven", "wick", "zu"};
  std::string name;
  for (int i = 0; i < 4; ++i, number /= 16) name += kSyllables[number % 16];
  return name;
}

struct Attribute {
  const char* word;
  const char* synonym;  // that passages do not use
};

constexpr Attribute kAttributes[] = {
    {"founder", "creator"},   {"capital", "seat"},      {"river", "stream"},
    {"mayor", "governor"},    {"dialect", "tongue"},    {"harvest", "crop"},
    {"patron", "protector"},  {"festival", "carnival"}, {"currency", "coin"},
    {"architect", "builder"}, {"emblem", "crest"},      {"rival", "opponent"}};

/// A question, and what comes of it under each of the gate's choices.
struct Question {
  std::string text, evidence;  // the source of the passage that answers it; empty: none does
  double c0 = 0;
  router::SearchProbe probe;
  bool right[3] = {};  // with none, one, five passages
};

constexpr double kHelps = 0.9;
constexpr double kSpoils[] = {0.3, 0.4};  // by one stranger, by five

/// A quarter of the questions is about places that the store does not know. Of the facts about the
/// others, two fifths stand in it; a tenth has a passage that speaks of the same place and the same
/// attribute, but of another place's. A fifth of the questions use another word than the passages.
std::vector<Question> plant(store::Knowledge& knowledge, std::size_t places, Random& chance) {
  std::vector<store::Document> batch;
  std::vector<Question> questions;
  std::int64_t passages = 0;
  for (std::size_t place = 0; place < places; ++place) {
    const std::string name = name_of(place * 2'654'435'761u % 65'536);
    const bool is_known = uniform(chance) < 0.75;
    for (const Attribute& attribute : kAttributes) {
      const std::string value = name_of(chance() % 65'536), other = name_of(chance() % 65'536);
      const std::string source = name + "/" + attribute.word;
      const std::string said = attribute.word;
      const double kind = is_known ? uniform(chance) : 1;
      Question question;
      if (kind < 0.4) {
        batch.push_back({.source = source,
                         .text = "Travellers who come to " + name + " learn that the " + said +
                                 " is " + value + ", whom the elders praise."});
        question.evidence = source;
      } else if (kind < 0.5) {
        batch.push_back({.source = source,
                         .text = "From " + name + " one day's walk leads to " + other +
                                 ", and the " + said + " of " + other + " is " + value + "."});
      }
      const bool same_word = uniform(chance) < 0.8;
      question.text = std::string("What or who is the ") +
                      (same_word ? attribute.word : attribute.synonym) + " of " + name + "?";
      // Calibrated by construction: the expert is right alone with probability c0.
      std::gamma_distribution<double> known(uniform(chance) < 0.5 ? 14 : 1), unknown(1);
      const double a = known(chance), b = known.alpha() > 1 ? unknown(chance) : 8 * unknown(chance);
      question.c0 = a / (a + b);
      questions.push_back(question);
    }
    if (batch.size() > 200 || place + 1 == places) {
      knowledge.file("planted", batch, passages);
      batch.clear();
    }
  }
  std::shuffle(questions.begin(), questions.end(), chance);
  return questions;
}

/// The scripted expert: right alone by c0; evidence turns wrong into right, strangers right to
/// wrong.
void play(Question& question, store::KnowledgeReader& reader, Random& chance) {
  const store::Found found = reader.search({.text = question.text});
  const auto& passages = found.passages;
  question.probe.found = static_cast<int>(passages.size());
  if (!passages.empty()) {
    const double best = passages[0].score, second = passages.size() > 1 ? passages[1].score : 0;
    question.probe.top = best / found.score_max;
    question.probe.margin = (best - second) / best;
    question.probe.covered = found.covered;
  }
  const bool alone = uniform(chance) < question.c0;
  const double turn = uniform(chance);
  question.right[0] = alone;
  for (std::size_t arm = 0; arm < 2; ++arm) {
    const auto shown = std::min(passages.size(), static_cast<std::size_t>(router::kPassages[arm]));
    const bool relevant =
        !question.evidence.empty() &&
        std::any_of(passages.begin(), passages.begin() + static_cast<std::ptrdiff_t>(shown),
                    [&](const auto& passage) { return passage.source == question.evidence; });
    question.right[arm + 1] = relevant ? alone || turn < kHelps : alone && turn >= kSpoils[arm];
    if (shown == 0) question.right[arm + 1] = alone;
  }
}

// A right answer is worth a cent: one passage costs a fiftieth of it, five three times as much.
constexpr router::RetrievalPrices kPrices = {{{.microusd = 200}, {.microusd = 600}}};

std::size_t index_of(int passages) {
  return passages == 0 ? 0 : passages == router::kPassages[0] ? 1 : 2;
}

struct Sum {
  double value = 0, right = 0, shown = 0;

  void add(const Question& question, std::size_t index, const router::RetrievalRules& rules) {
    const double price = index == 0 ? 0 : kPrices[index - 1].microusd / rules.value_microusd;
    right += question.right[index] ? 1 : 0;
    value += (question.right[index] ? 1 : 0) - price;
    shown += index == 0 ? 0 : 1;
  }

  void print(const char* name, double count, double best) const {
    std::printf("  %-22s %8.4f %9.1f%% %8.1f%% %11.1f%%\n", name, value / count,
                100 * right / count, 100 * shown / count, 100 * value / best);
  }
};

Sum judge(const std::vector<Question>& questions, const router::RetrievalModel& model,
          const router::RetrievalRules& rules) {
  Sum sum;
  for (const Question& question : questions) {
    const auto choice =
        choose_passages(model, rules, question.c0, question.probe, kPrices, /*chance=*/0);
    sum.add(question, index_of(choice.passages), rules);
  }
  return sum;
}

/// The log of a service that explores all the time: what the gate may learn from.
router::RetrievalModel learn(const std::vector<Question>& questions, Random& chance) {
  router::RetrievalRules rules;
  rules.explore = 1;
  std::vector<router::RetrievalRow> rows;
  for (const Question& question : questions) {
    const auto choice =
        choose_passages({}, rules, question.c0, question.probe, kPrices, uniform(chance));
    rows.push_back({.c0 = question.c0,
                    .probe = question.probe,
                    .passages = choice.passages,
                    .score = question.right[index_of(choice.passages)] ? 1.0 : 0.0});
  }
  return fit_retrieval(rows, {}, {});
}

bool bench_gate(const Setup& setup) {
  Random chance(setup.seed);
  const Scratch scratch(setup.dir);
  store::KnowledgeOptions options;
  options.path = scratch.file();
  store::Knowledge knowledge(options, clock_us);
  std::vector<Question> questions = plant(knowledge, setup.smoke ? 200 : 700, chance);
  store::KnowledgeReader reader(options.path);
  for (Question& question : questions) play(question, reader, chance);
  const auto half = questions.begin() + static_cast<std::ptrdiff_t>(questions.size() / 2);
  const std::vector<Question> past(questions.begin(), half), next(half, questions.end());
  router::RetrievalRules rules;
  rules.explore = 0;
  Sum oracle;  // knows what will come of each choice
  for (const Question& question : next) {
    std::size_t best = 0;
    double value = -1;
    for (std::size_t index = 0; index < 3; ++index) {
      Sum one;
      one.add(question, index, rules);
      if (one.value > value) best = index;
      value = std::max(value, one.value);
    }
    oracle.add(question, best, rules);
  }
  // What a log teaches hangs on what was drawn into it: the mean of several.
  const int logs = setup.smoke ? 1 : 5;
  router::RetrievalModel learned;
  Sum gated;
  double lowest = 1, highest = 0;
  for (int i = 0; i < logs; ++i) {
    learned = learn(past, chance);
    const Sum one = judge(next, learned, rules);
    gated.value += one.value / logs, gated.right += one.right / logs,
        gated.shown += one.shown / logs;
    lowest = std::min(lowest, one.value / oracle.value);
    highest = std::max(highest, one.value / oracle.value);
  }
  const Sum by_default = judge(next, {}, rules);
  rules.mode = router::RetrievalMode::never;
  const Sum never = judge(next, {}, rules);
  rules.mode = router::RetrievalMode::always;
  const Sum always = judge(next, {}, rules);

  const auto count = static_cast<double>(next.size());
  std::printf("planted truth: %zu questions to learn from, %zu to judge; per question:\n",
              past.size(), next.size());
  std::printf("  %-22s %8s %10s %9s %12s\n", "", "value", "right", "looked up", "of the oracle");
  never.print("never", count, oracle.value);
  always.print("always, five", count, oracle.value);
  by_default.print("gated, nothing learned", count, oracle.value);
  gated.print("gated, learned", count, oracle.value);
  oracle.print("oracle", count, oracle.value);
  std::printf("  learned from %d logs: %.1f%% to %.1f%% of the oracle; the last one:\n", logs,
              100 * lowest, 100 * highest);
  for (std::size_t arm = 0; arm < 2; ++arm) {
    std::printf("  learned, %d shown: helps %.2f (planted %.2f), spoils %.2f (planted %.2f)\n",
                router::kPassages[arm], learned.arms[arm].helps, kHelps, learned.arms[arm].spoils,
                kSpoils[arm]);
  }
  bool good =
      hold(gated.value > std::max(never.value, always.value), "gated above never and always");
  if (setup.smoke) return good;
  good &= hold(gated.value >= 0.95 * oracle.value, "gated >= 95% of the oracle");
  good &= hold(gated.shown <= 0.4 * always.shown, "looked up at most 40% of always");
  return good;
}

// --- import and search ------------------------------------------------------------------------

/// Text of made-up words with the frequencies of a language (Zipf), as JSON Lines.
std::string make_text(std::size_t bytes, Random& chance) {
  constexpr double kWords = 60'000;
  std::string rows;
  while (rows.size() < bytes) {
    rows += "{\"text\":\"";
    for (int word = 0; word < 700; ++word) {
      const double rank = std::pow(kWords, uniform(chance));
      rows += name_of(static_cast<std::size_t>(rank) * 40'503u % 65'536);
      rows += word % 15 == 14 ? ". " : " ";
    }
    rows += "\"}\n";
  }
  return rows;
}

store::ImportCounts fill(store::Knowledge& knowledge, const Setup& setup, Random& chance) {
  constexpr std::int64_t kEnough = 20'000;
  if (!setup.smoke && fs::is_directory(setup.docs)) {
    const auto counts = import_path(knowledge, "docs", setup.docs, store::Reading::automatic, {});
    std::printf("%s: ", setup.docs.c_str());
    if (counts.passages >= kEnough) return counts;
    std::printf("only %lld passages; ", static_cast<long long>(counts.passages));
  }
  std::printf("made-up text: ");
  std::istringstream rows(make_text(setup.smoke ? 1 << 20 : 40 << 20, chance));
  return import_stream(knowledge, "made-up", rows, "-", store::Reading::json_lines, {});
}

/// Words in a row out of passages of the store, 3 to 12 of them.
std::vector<std::string> draw_queries(const std::string& path, std::size_t count, Random& chance) {
  store::Db db(path, store::Access::read_only, 1'000);
  store::Statement pick = db.prepare(
      "SELECT text FROM passages WHERE id >= (SELECT min(id) FROM passages) + abs(?) % "
      "(SELECT count(*) FROM passages)");
  std::vector<std::string> queries;
  while (queries.size() < count) {
    pick.reset();
    pick.bind(1, static_cast<std::int64_t>(chance() >> 1));
    if (!pick.step()) continue;
    std::istringstream words(pick.text(0));
    std::string query, word;
    for (std::size_t skip = chance() % 20; skip > 0; --skip) words >> word;
    for (std::size_t left = 3 + chance() % 10; left > 0 && words >> word; --left)
      query += word + " ";
    if (!query.empty()) queries.push_back(query);
  }
  return queries;
}

struct Times {
  std::vector<std::int64_t> wall, cpu;

  void print(const char* name) {
    std::sort(wall.begin(), wall.end());
    std::sort(cpu.begin(), cpu.end());
    std::printf("  %-12s p50 %.2f ms, p99 %.2f ms; CPU p50 %.2f ms, p99 %.2f ms\n", name,
                at(wall, 0.5), at(wall, 0.99), at(cpu, 0.5), at(cpu, 0.99));
  }

  static double at(const std::vector<std::int64_t>& sorted, double share) {
    const auto last = static_cast<double>(sorted.size() - 1);
    return static_cast<double>(sorted[static_cast<std::size_t>(share * last)]) / 1e3;
  }
};

Times time_searches(const std::string& path, const store::SearchRules& rules,
                    const std::vector<std::string>& queries) {
  store::KnowledgeReader reader(path, rules);
  Times times;
  for (std::size_t i = 0; i < queries.size(); ++i) {
    const std::int64_t wall = clock_us(), cpu = cpu_us();
    reader.search({.text = queries[i]});
    if (i < queries.size() / 20) continue;  // the first ones fill the caches
    times.wall.push_back(clock_us() - wall);
    times.cpu.push_back(cpu_us() - cpu);
  }
  return times;
}

bool bench_search(const Setup& setup) {
  Random chance(setup.seed);
  const Scratch scratch(setup.dir);
  store::KnowledgeOptions options;
  options.path = scratch.file();
  store::Knowledge knowledge(options, clock_us);
  const std::int64_t wall = clock_us(), cpu = cpu_us();
  const store::ImportCounts counts = fill(knowledge, setup, chance);
  const auto rate = [&](std::int64_t us) {
    return static_cast<double>(counts.passages) * 1e6 / static_cast<double>(us);
  };
  const double imported = rate(clock_us() - wall);
  std::printf("%lld documents, %lld passages, %.1f MB\n", static_cast<long long>(counts.added),
              static_cast<long long>(counts.passages), static_cast<double>(counts.bytes) / 1e6);
  std::printf("  import       %.0f passages/s; %.0f per CPU-second\n", imported,
              rate(cpu_us() - cpu));
  const auto queries = draw_queries(options.path, setup.smoke ? 100 : 2'000, chance);
  Times bounded = time_searches(options.path, {}, queries);
  bounded.print("search");
  const store::SearchRules boundless = {.terms_max = 1'000, .postings_max = INT64_MAX};
  time_searches(options.path, boundless,
                {queries.begin(), queries.begin() + std::ssize(queries) / 10})
      .print("no bounds");
  if (setup.smoke) return true;
  bool good = hold(counts.passages >= 20'000, "at least 20,000 passages");
  good &= hold(imported > 2'000, "import over 2,000 passages/s");
  good &= hold(Times::at(bounded.wall, 0.5) < 5, "search p50 under 5 ms");
  good &= hold(Times::at(bounded.wall, 0.99) < 20, "search p99 under 20 ms");
  return good;
}

// --- dense ------------------------------------------------------------------------------------

/// A vector of small numbers around one of a thousand centres, so that some are near each other.
std::string draw_vector(std::size_t dimension, Random& chance) {
  Random centre(chance() % 1'000);
  std::string vector;
  for (std::size_t d = 0; d < dimension; ++d) {
    const auto number =
        static_cast<int>(centre() % 201) - 100 + static_cast<int>(chance() % 55) - 27;
    vector.push_back(static_cast<char>(number));
  }
  return vector;
}

/// Passages without words, each with its vector, straight into the tables.
void fill_vectors(const std::string& path, std::size_t count, std::size_t dimension,
                  Random& chance) {
  store::KnowledgeOptions options;
  options.path = path;
  store::KnowledgeVectors vectors(options);
  store::Db db(path, store::Access::read_write, 1'000);
  store::Transaction transaction(db);
  db.exec(
      "INSERT INTO collections(id, name, created_us) VALUES(1, 'dense', 1);"
      "INSERT INTO documents VALUES(1, 1, 'd', '', 'text', x'00', 0, 0, 1);"
      "INSERT INTO encodings VALUES(1, 'bench', " +
      std::to_string(dimension) + ", 0)");
  store::Statement passage = db.prepare("INSERT INTO passages VALUES(?, 1, 0, 0, '', '')");
  store::Statement vector = db.prepare("INSERT INTO passage_vectors(passage, vector) VALUES(?, ?)");
  for (std::size_t i = 0; i < count; ++i) {
    const std::int64_t id = (std::int64_t{1} << 40) + static_cast<std::int64_t>(i);
    const std::string bytes = draw_vector(dimension, chance);
    passage.bind(1, id);
    passage.run();
    vector.bind(1, id);
    vector.bind_bytes(2, bytes);
    vector.run();
  }
  transaction.commit();
}

template <class Search>
Times time_each(const std::vector<std::string>& queries, Search search) {
  Times times;
  for (const std::string& query : queries) {
    const std::int64_t wall = clock_us(), cpu = cpu_us();
    search(query);
    times.wall.push_back(clock_us() - wall);
    times.cpu.push_back(cpu_us() - cpu);
  }
  return times;
}

bool bench_dense(const Setup& setup) {
  constexpr std::size_t kDimension = 384;
  const std::size_t count = setup.smoke ? 2'000 : 200'000;
  Random chance(setup.seed);
  const Scratch scratch(setup.dir);
  fill_vectors(scratch.file(), count, kDimension, chance);
  store::Db db(scratch.file(), store::Access::read_only, 1'000);
  const std::int64_t begin = clock_us();
  const auto index = store::VectorIndex::refreshed(
      std::make_shared<store::VectorIndex>("bench", std::size_t{1} << 30), db);
  std::printf("dense: %zu vectors of %zu int8, read in %.0f ms\n", index->size(), kDimension,
              static_cast<double>(clock_us() - begin) / 1e3);
  std::vector<std::string> queries;
  for (int i = 0; i < (setup.smoke ? 20 : 400); ++i)
    queries.push_back(draw_vector(kDimension, chance));
  const store::PassageRange everywhere;
  std::size_t found = 0;
  Times exact = time_each(queries, [&](const std::string& query) {
    found += index->search(query, {&everywhere, 1}, 50).size();
  });
  exact.print("exact");
  // The same sums by plain loops, over as many rows.
  std::vector<std::int8_t> rows(count * kDimension, 1), row(kDimension, 1);
  std::vector<std::int32_t> dots(count);
  const std::vector<std::string> some(queries.begin(), queries.begin() + 20);
  time_each(some, [&](const std::string&) {
    store::kernel::dot_rows_plain(rows.data(), kDimension, count, row.data(), dots.data());
  }).print("plain loops");
  bool good = hold(index->size() == count && found == 50 * queries.size(), "fifty for each query");
  if (!setup.smoke) good &= hold(Times::at(exact.cpu, 0.5) < 10, "CPU p50 under 10 ms");
  return good;
}

}  // namespace

int main(int argc, char** argv) {
  Setup setup;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--smoke") setup.smoke = true;
    if (name == "--gate") setup.search = setup.dense = false;
    if (name == "--search") setup.gate = setup.dense = false;
    if (name == "--dense") setup.gate = setup.search = false;
    if (i + 1 == argc) break;
    if (name == "--docs") setup.docs = argv[++i];
    if (name == "--dir") setup.dir = argv[++i];
    if (name == "--seed") setup.seed = std::strtoull(argv[++i], nullptr, 10);
  }
  bool good = true;
  if (setup.gate) good &= bench_gate(setup);
  if (setup.search) good &= bench_search(setup);
  if (setup.dense) good &= bench_dense(setup);
  return good ? 0 : 1;
}
