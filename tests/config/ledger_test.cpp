#include "config/ledger.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <random>
#include <set>

namespace {

using config::Layers;
using config::Ledger;
using http::Edit;
using http::Edited;
using Json = nlohmann::json;
using Verb = Edit::Verb;
using Verdict = Edited::Verdict;

/// A ledger over a database of its own, and what it published.
struct Desk {
  explicit Desk(Layers layers) {
    char name[] = "/tmp/skyd-ledger-XXXXXX";
    folder = ::mkdtemp(name);
    book.emplace((folder / "log.db").string());
    open(std::move(layers));
  }

  ~Desk() { std::filesystem::remove_all(folder); }

  void open(Layers layers) {
    ledger.emplace(std::move(layers), *book);
    published = ledger->config();
    ledger->connect(
        [this](const config::Config& next) -> std::function<void()> {
          if (!refuse.empty()) throw std::runtime_error(refuse);
          return [this, next] { published = next; };
        },
        [this](std::string_view expert) { return !ill.contains(std::string(expert)); });
  }

  Edited edit(Verb verb, const std::string& kind, const std::string& name, Json document = {},
              const std::string& if_match = "", bool force = false) {
    Edit wish;
    wish.verb = verb;
    wish.kind = kind;
    wish.name = name;
    wish.document = std::move(document);
    wish.if_match = if_match;
    wish.force = force;
    return ledger->edit(wish);
  }

  Edited back_to(std::int64_t version) {
    Edit wish;
    wish.verb = Verb::rollback;
    wish.version = version;
    return ledger->edit(wish);
  }

  std::set<std::string> experts() const {
    std::set<std::string> names;
    for (const auto& expert : published.experts) names.insert(expert.name);
    return names;
  }

  std::filesystem::path folder;
  std::optional<store::AdminBook> book;
  std::optional<Ledger> ledger;
  config::Config published;
  std::set<std::string> ill;
  std::string refuse;
};

Json expert(const std::string& name) {
  return {{"name", name}, {"url", "http://h/v1"}};
}

Layers layers_of(const std::vector<std::string>& names) {
  Layers layers;
  layers.file_path = "test.json";
  layers.file["experts"] = Json::array();
  for (const auto& name : names) layers.file["experts"].push_back(expert(name));
  return layers;
}

std::string joined(const Edited& edited) {
  std::string text;
  for (const auto& fault : edited.faults) text += fault + "\n";
  return text;
}

}  // namespace

// RFC 7396, appendix A: every example, and through the ledger's own way.
TEST(MergePatch, FollowsTheRfc) {
  const std::vector<std::array<const char*, 3>> cases = {
      {R"({"a":"b"})", R"({"a":"c"})", R"({"a":"c"})"},
      {R"({"a":"b"})", R"({"b":"c"})", R"({"a":"b","b":"c"})"},
      {R"({"a":"b"})", R"({"a":null})", R"({})"},
      {R"({"a":"b","b":"c"})", R"({"a":null})", R"({"b":"c"})"},
      {R"({"a":["b"]})", R"({"a":"c"})", R"({"a":"c"})"},
      {R"({"a":"c"})", R"({"a":["b"]})", R"({"a":["b"]})"},
      {R"({"a":{"b":"c"}})", R"({"a":{"b":"d","c":null}})", R"({"a":{"b":"d"}})"},
      {R"({"a":[{"b":"c"}]})", R"({"a":[1]})", R"({"a":[1]})"},
      {R"(["a","b"])", R"(["c","d"])", R"(["c","d"])"},
      {R"({"a":"b"})", R"(["c"])", R"(["c"])"},
      {R"({"a":"foo"})", R"(null)", R"(null)"},
      {R"({"e":null})", R"({"a":1})", R"({"e":null,"a":1})"},
      {R"([1,2])", R"({"a":"b","c":null})", R"({"a":"b"})"},
      {R"({})", R"({"a":{"bb":{"ccc":null}}})", R"({"a":{"bb":{}}})"}};
  for (const auto& [target, patch, result] : cases) {
    auto document = Json::parse(target);
    document.merge_patch(Json::parse(patch));
    EXPECT_EQ(document, Json::parse(result)) << target << " " << patch;
  }
  Desk desk(layers_of({"a"}));
  ASSERT_EQ(desk.edit(Verb::patch, "experts", "a", {{"retries", {{"count_max", 4}}}}, "*").verdict,
            Verdict::applied);
  EXPECT_EQ(desk.published.experts[0].retries.count_max, 4);
  ASSERT_EQ(desk.edit(Verb::patch, "experts", "a", {{"retries", nullptr}}, "*").verdict,
            Verdict::applied);
  EXPECT_EQ(desk.published.experts[0].retries.count_max, 1);
}

TEST(Ledger, KeepsTheRunningConfigurationWhenAnythingIsWrong) {
  Desk desk(layers_of({"a", "b"}));
  const auto unharmed = [&](const Edited& edited, Verdict verdict, const char* part) {
    EXPECT_EQ(edited.verdict, verdict) << joined(edited);
    EXPECT_NE(joined(edited).find(part), std::string::npos) << part << " not in " << joined(edited);
    EXPECT_EQ(desk.experts(), (std::set<std::string>{"a", "b"}));
    EXPECT_TRUE(desk.ledger->versions(0, 10).empty());
  };
  unharmed(desk.edit(Verb::put, "experts", "c", {{"url", "http://h/v1"}, {"modle", "x"}}),
           Verdict::refused, "did you mean `model`");
  unharmed(desk.edit(Verb::put, "experts", "c", Json::array()), Verdict::refused,
           "one JSON object");
  unharmed(desk.edit(Verb::put, "pools", "p", {{"experts", {"bb"}}}), Verdict::refused,
           "pools[p]: there is no expert `bb`");
  unharmed(desk.edit(Verb::put, "experts", "c", expert("d")), Verdict::refused,
           "name: must be `c`");
  unharmed(desk.edit(Verb::remove, "experts", "zz", {}, "*"), Verdict::unknown, "");
  unharmed(desk.edit(Verb::put, "experts", "a", expert("a")), Verdict::unmatched, "");
  unharmed(desk.edit(Verb::patch, "experts", "a", Json::object(), "\"00\""), Verdict::stale, "");
  unharmed(desk.back_to(3), Verdict::unknown, "");
  desk.refuse = "the key is missing";
  unharmed(desk.edit(Verb::put, "experts", "c", expert("c")), Verdict::refused,
           "the key is missing");
}

TEST(Ledger, OfTwoWritersThatReadTheSameStateOneWins) {
  Desk desk(layers_of({"a"}));
  const auto tag = desk.ledger->list("experts").at(0).etag;
  EXPECT_EQ(desk.edit(Verb::patch, "experts", "a", {{"model", "x"}}, tag).verdict,
            Verdict::applied);
  EXPECT_EQ(desk.edit(Verb::patch, "experts", "a", {{"model", "y"}}, tag).verdict, Verdict::stale);
  EXPECT_EQ(desk.published.experts[0].model, "x");
  EXPECT_EQ(desk.edit(Verb::patch, "experts", "a", {{"model", "x"}}, "*").verdict,
            Verdict::unchanged);
}

TEST(Ledger, RefusesToLeaveAPoolWithoutAHealthyExpert) {
  auto layers = layers_of({"a", "b"});
  layers.file["pools"] = Json::array({{{"name", "p"}, {"experts", {"a", "b"}}}});
  Desk desk(std::move(layers));
  desk.ill = {"b"};
  const auto refused = desk.edit(Verb::disable, "experts", "a");
  EXPECT_EQ(refused.verdict, Verdict::strands);
  EXPECT_NE(joined(refused).find("`p`"), std::string::npos);
  EXPECT_NE(joined(refused).find("`auto`"), std::string::npos);
  EXPECT_EQ(desk.edit(Verb::disable, "experts", "b").verdict, Verdict::applied);
  EXPECT_EQ(desk.edit(Verb::disable, "experts", "a", {}, "", true).verdict, Verdict::applied);
  EXPECT_EQ(desk.edit(Verb::put, "pools", "q", {{"experts", {"a"}}}).verdict, Verdict::strands)
      << "a new pool that nobody could answer";
  EXPECT_EQ(desk.edit(Verb::patch, "pools", "p", {{"fallbacks_max", 1}}, "*").verdict,
            Verdict::applied)
      << "it was empty before";
}

// After any sequence of changes, each version can be gone back to, and a restart finds the last.
TEST(Ledger, GoesBackToEveryVersionAndSurvivesARestart) {
  Desk desk(layers_of({"a", "b", "c"}));
  std::mt19937 chance(11);
  std::vector<std::set<std::string>> states = {desk.experts()};
  std::vector<Json> configs = {desk.ledger->show()["config"]};
  for (int i = 0; states.size() < 25; ++i) {
    ASSERT_LT(i, 1'000);
    const std::string name(1, static_cast<char>('a' + chance() % 6));
    Edited edited;
    if (chance() % 3 == 0) {
      edited = desk.edit(Verb::remove, "experts", name, {}, "*", true);
    } else {
      auto document = expert(name);
      document["context_tokens"] = chance() % 1000;
      const bool there = desk.experts().contains(name);
      edited = desk.edit(Verb::put, "experts", name, document, there ? "*" : "");
    }
    if (edited.verdict != Verdict::applied) continue;
    ASSERT_EQ(edited.version, static_cast<std::int64_t>(states.size()));
    states.push_back(desk.experts());
    configs.push_back(desk.ledger->show()["config"]);
  }
  for (int i = 0; i < 40; ++i) {
    const auto version = chance() % states.size();
    const auto edited = desk.back_to(static_cast<std::int64_t>(version));
    ASSERT_TRUE(edited.verdict == Verdict::applied || edited.verdict == Verdict::unchanged)
        << joined(edited);
    EXPECT_EQ(desk.experts(), states[version]) << version;
    auto wanted = configs[version], found = desk.ledger->show()["config"];
    for (auto* config : {&wanted, &found}) {
      auto& list = (*config)["experts"];
      std::sort(list.begin(), list.end(),
                [](const Json& x, const Json& y) { return x["name"] < y["name"]; });
    }
    EXPECT_EQ(found, wanted) << version;
    if (edited.verdict == Verdict::applied)
      states.push_back(desk.experts()), configs.push_back(desk.ledger->show()["config"]);
  }
  const auto before = desk.experts();
  desk.open(layers_of({"a", "b", "c"}));
  EXPECT_EQ(desk.experts(), before);
}

TEST(Ledger, ARollbackToAnExpertThatIsGoneSaysSo) {
  Desk desk(layers_of({"a", "b"}));
  ASSERT_EQ(desk.edit(Verb::put, "pools", "p", {{"experts", {"b"}}}).verdict, Verdict::applied);
  ASSERT_EQ(desk.edit(Verb::remove, "pools", "p", {}, "*").verdict, Verdict::applied);
  desk.ledger->reload(layers_of({"a"}));
  const auto refused = desk.back_to(1);
  EXPECT_EQ(refused.verdict, Verdict::refused);
  EXPECT_NE(joined(refused).find("there is no expert `b`"), std::string::npos) << joined(refused);
  EXPECT_EQ(desk.experts(), std::set<std::string>{"a"});
}

TEST(Ledger, AStartThatCannotUseTheDatabaseSaysHowToGoOn) {
  Desk desk(layers_of({"a", "b"}));
  ASSERT_EQ(desk.edit(Verb::put, "pools", "p", {{"experts", {"b"}}}).verdict, Verdict::applied);
  try {
    desk.open(layers_of({"a"}));
    FAIL() << "pool p names nobody";
  } catch (const std::runtime_error& error) {
    EXPECT_NE(std::string(error.what()).find("--file-only"), std::string::npos) << error.what();
  }
  config::give_back(*desk.book, 1);
  desk.open(layers_of({"a"}));
  EXPECT_EQ(desk.experts(), std::set<std::string>{"a"});
}

TEST(Ledger, ShadowsAndWhatDrainsLeaveAPoolEmpty) {
  Desk desk(layers_of({"a", "b"}));
  ASSERT_EQ(desk.edit(Verb::patch, "experts", "a", {{"stage", "shadow"}}, "*").verdict,
            Verdict::applied);
  const auto edited = desk.edit(Verb::patch, "experts", "b", {{"stage", "draining"}}, "*");
  EXPECT_EQ(edited.verdict, Verdict::strands) << joined(edited);
  const Json ramp = {{"stage", "ramp"}, {"share", 0.5}};
  EXPECT_EQ(desk.edit(Verb::patch, "experts", "b", ramp, "*").verdict, Verdict::applied);
  EXPECT_EQ(desk.published.lives.at("b").share, 0.5);
  EXPECT_EQ(desk.back_to(0).verdict, Verdict::applied);
  EXPECT_TRUE(desk.published.lives.empty());
}

TEST(Ledger, AValidEditTellsWhatItWouldMake) {
  Desk desk(layers_of({"a", "b"}));
  Edit wish;
  wish.verb = Verb::remove;
  wish.kind = "experts";
  wish.name = "b";
  wish.validate = true;
  std::optional<Ledger::Change> change;
  EXPECT_EQ(desk.ledger->edit(wish, &change).verdict, Verdict::valid);
  ASSERT_TRUE(change);
  EXPECT_EQ(change->before.experts.size(), 2u);
  EXPECT_EQ(change->after.experts.size(), 1u);
  EXPECT_EQ(desk.published.experts.size(), 2u);
  change.reset();
  wish.name = "ghost";
  EXPECT_EQ(desk.ledger->edit(wish, &change).verdict, Verdict::unknown);
  EXPECT_FALSE(change);
}

TEST(Ledger, ShowsWhereEveryValueComesFrom) {
  auto layers = layers_of({"a"});
  layers.file["http"] = {{"strict", true}};
  layers.command_line = {{"listen", "127.0.0.1:9"}};
  layers.command_line["experts"] = Json::array({expert("c")});
  layers.file["experts"][0]["proxy"] = "http://user:secret@proxy:1";
  Desk desk(std::move(layers));
  desk.edit(Verb::put, "experts", "d", expert("d"));
  const auto shown = desk.ledger->show();
  const auto origin = [&](const char* place) { return shown["origins"].value(place, "(none)"); };
  EXPECT_EQ(origin("/http/strict"), "file");
  EXPECT_EQ(origin("/http/net_threads"), "default");
  EXPECT_EQ(origin("/listen"), "command line");
  EXPECT_EQ(origin("/experts/0/url"), "file");
  EXPECT_EQ(origin("/experts/0/retries/count_max"), "default");
  EXPECT_EQ(origin("/experts/1/url"), "command line");
  EXPECT_EQ(origin("/experts/2/url"), "admin");
  EXPECT_EQ(shown["config"]["experts"][0]["proxy"], "http://***@proxy:1");
  EXPECT_EQ(shown["config"]["listen"], "127.0.0.1:9");
  EXPECT_EQ(shown["config"]["experts"][0]["retries"]["count_max"], 1);
}

TEST(Layers, SecretsComeBackWhereTheMaskStands) {
  const Json known = {
      {"name", "a"},
      {"proxy", "http://u:p@h:1"},
      {"headers", {{{"name", "x"}, {"value", "one"}}, {{"name", "y"}, {"value", "two"}}}}};
  const auto masked = config::masked(known);
  EXPECT_EQ(masked.dump().find("one"), std::string::npos);
  EXPECT_EQ(masked.dump().find("u:p"), std::string::npos);
  EXPECT_EQ(config::unmasked(masked, known), known);
  auto changed = masked;
  changed["headers"][0]["value"] = "new";
  EXPECT_EQ(config::unmasked(changed, known)["headers"][0]["value"], "new");
  EXPECT_EQ(config::unmasked(changed, known)["headers"][1]["value"], "two");
}

// The reference file names every key that a resource's schema knows.
TEST(Layers, ShapesAreThoseOfTheReferenceFile) {
  const auto reference =
      config::parse_text(config::read_text(SOURCE_DIR "/config/reference.json"), "reference");
  const auto shapes = config::shapes();
  for (const auto kind : config::kKinds) {
    const std::string name(kind);
    for (const auto& [key, value] : reference[name][0].items())
      EXPECT_TRUE(shapes[name].contains(key)) << name << "." << key;
    EXPECT_EQ(reference[name][0].size(), shapes[name].size()) << shapes[name].dump();
  }
}
