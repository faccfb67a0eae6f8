// The few rules of form that matter, held by a test: who may include whom, where coroutines and
// Beast may live, the g++ 12 co_await rule, loops over snapshots, sizes, and that every name in a
// README exists.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace fs = std::filesystem;

namespace {

const fs::path kRoot = SOURCE_DIR;
const std::vector<std::string> kRooms = {"aggregator", "config", "experts",
                                         "http",       "router", "store"};

struct Source {
  std::string path;  // from the root
  std::string text;
  std::vector<std::string> lines;
};

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

std::vector<Source> sources(const std::vector<std::string>& folders) {
  std::vector<Source> found;
  const auto add = [&](const fs::path& path) {
    const auto ext = path.extension();
    if (ext != ".h" && ext != ".cpp") return;
    auto text = read(path);
    auto lines = split(text);
    found.push_back({fs::relative(path, kRoot).string(), std::move(text), std::move(lines)});
  };
  for (const auto& folder : folders) {
    if (!fs::exists(kRoot / folder)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(kRoot / folder)) add(entry.path());
  }
  if (fs::exists(kRoot / "main.cpp")) add(kRoot / "main.cpp");
  return found;
}

const std::vector<Source>& product() {
  static const auto all = sources(kRooms);
  return all;
}

bool starts(const std::string& text, const std::string& head) {
  return text.rfind(head, 0) == 0;
}

/// The room of a file, with the two parts that have rules of their own.
std::string room_of(const std::string& path) {
  if (starts(path, "experts/moe/")) return "experts/moe";
  if (starts(path, "config/house/")) return "config/house";
  if (starts(path, "router/learn/")) return "router/learn";
  for (const char* part :
       {"router/pipeline.", "router/panel.", "router/hearing.", "router/lookup.", "router/options.",
        "router/passage_search.", "router/passages.", "router/encoder.", "router/vector_fill.",
        "router/gate_record.", "router/view.", "router/interview", "router/notice.",
        "router/query_vectors.", "router/vector_maker."}) {
    if (starts(path, part)) return "router/corridor";
  }
  return path.substr(0, path.find('/'));
}

std::vector<std::string> includes_of(const Source& source) {
  static const std::regex include(R"(^\s*#\s*include\s*[<"]([^>"]+)[>"])");
  std::vector<std::string> found;
  for (const auto& line : source.lines) {
    std::smatch match;
    if (std::regex_search(line, match, include)) found.push_back(match[1]);
  }
  return found;
}

bool any_of(const std::vector<std::string>& heads, const std::string& text) {
  return std::any_of(heads.begin(), heads.end(),
                     [&](const auto& head) { return starts(text, head); });
}

}  // namespace

// Own headers that each room may include beside its own; a trailing slash opens a whole folder.
TEST(Tidy, RoomsIncludeOnlyTheirDoors) {
  const std::map<std::string, std::vector<std::string>> may = {
      {"store", {}},
      {"experts/moe", {}},
      {"experts", {"experts/moe/"}},
      {"aggregator", {"experts/call.h"}},
      {"router", {"router/", "experts/call.h", "aggregator/"}},
      {"router/learn", {"router/", "store/", "aggregator/", "experts/call.h"}},
      {"router/corridor", {"router/", "experts/", "aggregator/", "store/"}},
      {"http", {"router/", "aggregator/", "experts/", "store/"}},
      {"config", {"http/", "router/", "aggregator/", "experts/", "store/"}},
      {"config/house", {"config/", "http/", "router/", "aggregator/", "experts/", "store/"}},
      {"main.cpp",
       {"config/house/", "http/", "router/", "aggregator/", "experts/", "store/", "config/"}},
  };
  for (const auto& source : product()) {
    const auto room = room_of(source.path);
    const auto allowed = may.find(room);
    ASSERT_NE(allowed, may.end()) << source.path << ": room " << room << " has no rule";
    for (const auto& name : includes_of(source)) {
      const auto own = any_of(kRooms, name) && name.find('/') != std::string::npos;
      if (!own || starts(name, room + "/")) continue;
      EXPECT_TRUE(any_of(allowed->second, name)) << source.path << " may not include " << name;
      EXPECT_FALSE(room == "http" && starts(name, "experts/moe/")) << source.path << ": " << name;
      EXPECT_FALSE(room == "router" &&
                   (starts(name, "router/learn/") || starts(name, "router/pipeline") ||
                    starts(name, "router/panel") || starts(name, "router/hearing") ||
                    starts(name, "router/lookup") || starts(name, "router/interview") ||
                    starts(name, "router/passages") || starts(name, "router/encoder.") ||
                    starts(name, "router/vector_fill") || starts(name, "router/gate_record") ||
                    starts(name, "router/query_vectors") || starts(name, "router/vector_maker") ||
                    starts(name, "router/view.") || starts(name, "router/notice.")))
          << source.path << ": the decision stays pure, it may not include " << name;
    }
  }
}

TEST(Tidy, LibrariesStayBehindTheirDoors) {
  const std::map<std::string, std::vector<std::string>> never = {
      {"store", {"boost/", "nlohmann/", "curl/", "simdjson", "Eigen/"}},
      {"experts/moe", {"boost/", "spdlog/", "curl/", "sqlite3.h", "simdjson"}},
      {"experts", {"sqlite3.h", "Eigen/"}},
      {"aggregator", {"boost/", "sqlite3.h", "curl/", "spdlog/"}},
      {"router", {"boost/", "sqlite3.h", "curl/", "spdlog/", "nlohmann/"}},
      {"router/learn", {"boost/", "sqlite3.h", "curl/"}},
      {"router/corridor", {"boost/beast", "sqlite3.h", "curl/"}},
      {"http", {"sqlite3.h", "curl/"}},
  };
  for (const auto& source : product()) {
    const auto rule = never.find(room_of(source.path));
    if (rule == never.end()) continue;
    for (const auto& name : includes_of(source)) {
      EXPECT_FALSE(any_of(rule->second, name)) << source.path << " may not include " << name;
      if (name.find("intrin.h") != std::string::npos) {
        EXPECT_TRUE(starts(source.path, "experts/moe/kernels/") ||
                    source.path == "router/kernels.cpp" || source.path == "store/kernels.cpp")
            << source.path << ": intrinsics live in kernels";
      }
      if (starts(name, "sqlite3.h") || starts(name, "curl/")) {
        EXPECT_TRUE(source.path.ends_with(".cpp"))
            << source.path << ": " << name << " belongs in a .cpp";
      }
    }
  }
}

// Each Beast file costs 17 to 20 CPU-seconds to compile; coroutine files carry the g++ 12 risk.
TEST(Tidy, BeastAndCoroutinesLiveInListedFiles) {
  const std::set<std::string> beast = {"http/net_impl.cpp",         "http/session.cpp",
                                       "http/request_parser.h",     "http/request_parser.cpp",
                                       "experts/response_parser.h", "experts/response_parser.cpp"};
  for (const auto& source : product()) {
    for (const auto& name : includes_of(source)) {
      if (starts(name, "boost/beast")) {
        EXPECT_TRUE(beast.contains(source.path))
            << source.path << " is not a listed Beast file: " << name;
      }
    }
    if (source.text.find("co_await") == std::string::npos || source.path.ends_with(".h")) continue;
    const auto room = room_of(source.path);
    EXPECT_TRUE(room == "http" || room == "experts" || room == "router/corridor")
        << source.path << ": coroutines live in http, experts and the corridor";
  }
}

// g++ 12.2 destroys temporaries of a co_await expression twice: README, "Rules of form".
TEST(Tidy, CoAwaitHasNoTemporaryAggregateLambdaOrChoice) {
  const std::vector<std::pair<std::regex, std::string>> traps = {
      {std::regex(R"(co_await[^;]*[(,]\s*\[[^\]&=]*[A-Za-z_])"), "a capturing lambda"},
      {std::regex(R"(co_await[^;]*[(,]\s*\{)"), "a braced temporary"},
      {std::regex(R"(co_await[^;]*[(,]\s*[A-Z][A-Za-z_:]*\{)"), "a temporary aggregate"},
      {std::regex(R"(\?[^;:]*co_await|co_await[^;"]*\?)"), "a conditional"},
      {std::regex(R"(\.[a-z_]+\s*=\s*co_await[^;]*\})"), "co_await inside braces"},
  };
  for (const auto& source : product()) {
    for (std::size_t i = 0; i < source.lines.size(); ++i) {
      const auto code = source.lines[i].substr(0, source.lines[i].find("//"));
      if (code.find("co_await") == std::string::npos) continue;
      auto statement = code;  // to the end of the statement
      for (auto j = i + 1;
           statement.find(';') == std::string::npos && j < source.lines.size() && j < i + 6; ++j)
        statement += " " + source.lines[j].substr(0, source.lines[j].find("//"));
      for (const auto& [trap, what] : traps)
        EXPECT_FALSE(std::regex_search(statement, trap))
            << source.path << ":" << i + 1 << ": co_await with " << what
            << ": name it on the line above";
    }
  }
}

// `for (x : board.current()->list)`: the snapshot goes before the first turn of the loop, and with
// the next publish what the loop goes through.
TEST(Tidy, LoopsHoldTheSnapshotThatTheyGoThrough) {
  const std::regex trap(R"(for \([^;]*: [^;]*(current|ring|load|lock)\(\)->)");
  for (const auto& source : product())
    for (std::size_t i = 0; i < source.lines.size(); ++i)
      EXPECT_FALSE(std::regex_search(source.lines[i], trap))
          << source.path << ":" << i + 1 << ": name the snapshot on the line above";
}

TEST(Tidy, FilesAreSmallAndNamed) {
  const std::regex banned(
      "(^|[/_])(manager|helper|utils?|common|misc|base|processor|service|stuff)([_.]|$)");
  for (const auto& source : product()) {
    EXPECT_LE(source.lines.size(), 650u) << source.path;
    EXPECT_FALSE(std::regex_search(source.path, banned)) << source.path;
    for (std::size_t i = 0; i < source.lines.size(); ++i) {
      const auto& line = source.lines[i];
      EXPECT_LE(line.size(), 120u) << source.path << ":" << i + 1;
      EXPECT_EQ(line.find("FIXME"), std::string::npos) << source.path << ":" << i + 1;
    }
  }
}

// `room/file.ext` and `function()` in a README must exist, or the tour lies.
TEST(Tidy, NamesInReadmesExist) {
  std::string everything;
  for (const auto& source :
       sources({"aggregator", "config", "experts", "http", "router", "store", "tests", "bench"}))
    everything += source.text;
  std::vector<fs::path> readmes = {kRoot / "README.md"};
  for (const auto& room : {"aggregator", "config", "config/house", "experts", "experts/moe", "http",
                           "router", "store", "tests", "bench"})
    if (fs::exists(kRoot / room / "README.md")) readmes.push_back(kRoot / room / "README.md");
  const std::regex code("`([^`\n]+)`");
  const std::regex file(R"(^[a-z0-9_./]+\.(h|cpp|sql|json|sh|md|txt|mjs|py)$)");
  const std::regex function(R"(^([A-Za-z_:]*::)?([a-z_][a-z0-9_]+)\(\)$)");
  for (const auto& readme : readmes) {
    if (!fs::exists(readme)) continue;
    const auto text = read(readme);
    for (std::sregex_iterator it(text.begin(), text.end(), code), end; it != end; ++it) {
      const std::string name = (*it)[1];
      std::smatch match;
      if (std::regex_match(name, file) && name.find('/') != std::string::npos) {
        EXPECT_TRUE(fs::exists(kRoot / name) || fs::exists(readme.parent_path() / name))
            << readme << " names " << name;
      } else if (std::regex_match(name, match, function)) {
        const std::regex defined("\\b" + match[2].str() + "\\s*\\(");
        EXPECT_TRUE(std::regex_search(everything, defined)) << readme << " names " << name;
      }
    }
  }
}
