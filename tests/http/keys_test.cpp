#include "http/keys.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "http/admin.h"
#include "http/routes.h"
#include "http/session.h"

namespace http {

namespace {

constexpr std::int64_t kNow = 1'798'761'600'000'000;

class Scratch {
 public:
  Scratch() {
    char name[] = "/tmp/skyd-keys-XXXXXX";
    folder_ = ::mkdtemp(name);
  }

  ~Scratch() { std::filesystem::remove_all(folder_); }

  std::string file() const { return (folder_ / "log.db").string(); }

 private:
  std::filesystem::path folder_;
};

std::string bearer(const std::string& secret) {
  return "Bearer " + secret;
}

}  // namespace

TEST(Keys, HashIsSha256) {
  const auto hash = hash_of("abc");  // FIPS 180-2, appendix B.1
  EXPECT_EQ(hash[0], 0xba);
  EXPECT_EQ(hash[1], 0x78);
  EXPECT_EQ(hash[31], 0xad);
}

TEST(Keys, OnlyTheWholeKeyIsTheKey) {
  const Scratch scratch;
  store::AdminBook book(scratch.file());
  KeyDesk desk(book, false, kNow);
  EXPECT_FALSE(desk.required());
  const auto made = desk.make(Role::client, {}, kNow + 1'000'000, kNow);
  EXPECT_TRUE(desk.required());
  EXPECT_EQ(made.secret.size(), 7u + 64u);
  ASSERT_TRUE(desk.find(bearer(made.secret), kNow));
  EXPECT_TRUE(desk.find("bEARER " + made.secret, kNow)) << "the scheme has no case";
  auto other = made.secret;
  other.back() = other.back() == '0' ? '1' : '0';
  for (const auto& wrong : {other, made.secret.substr(0, 70), made.secret + "0", std::string(),
                            made.key->prefix, " " + made.secret})
    EXPECT_FALSE(desk.find(bearer(wrong), kNow)) << wrong;
  EXPECT_FALSE(desk.find(made.secret, kNow));
  EXPECT_FALSE(desk.find(bearer(made.secret), kNow + 1'000'000)) << "it expires";
}

TEST(Keys, SurviveARestartAndEndWhenRevokedOrRotated) {
  const Scratch scratch;
  store::AdminBook book(scratch.file());
  KeyTerms terms;
  terms.name = "team";
  terms.models = {"small", "skillyard/auto"};
  terms.microusd_per_day = 500;
  std::string first, second, id;
  {
    KeyDesk desk(book, false, kNow);
    const auto made = desk.make(Role::admin, terms, 0, kNow);
    first = made.secret;
    id = made.key->id;
    Account& account = *made.key->account;
    ASSERT_TRUE(account.purse.reserve(100, kNow));
    account.purse.settle(40, 30, kNow);  // 60 are still set aside
    desk.save_spend(kNow);
  }
  {
    KeyDesk desk(book, false, kNow);
    const auto key = desk.find(bearer(first), kNow);
    ASSERT_TRUE(key);
    EXPECT_EQ(key->terms, terms);
    EXPECT_EQ(key->role, Role::admin);
    EXPECT_EQ(key->account->purse.spent_day(kNow), 90) << "calls that ran when it died count";
    second = desk.rotate(id, kNow)->secret;
    EXPECT_FALSE(desk.find(bearer(first), kNow));
    EXPECT_EQ(desk.find(bearer(second), kNow)->account, key->account)
        << "a new secret is no new money";
  }
  KeyDesk desk(book, false, kNow);
  ASSERT_TRUE(desk.find(bearer(second), kNow));
  EXPECT_FALSE(desk.required()) << "an admin key closes nobody out";
  desk.revoke(id, kNow);
  EXPECT_FALSE(desk.find(bearer(second), kNow));
  EXPECT_FALSE(desk.rotate(id, kNow));
  EXPECT_TRUE(desk.ring()->admin_made) << "administration stays closed when the last key is gone";
  std::ifstream in(scratch.file(), std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(in), {}};
  EXPECT_EQ(bytes.find(first), std::string::npos);
}

TEST(Keys, NamesOnlyTheModelsOfItsTerms) {
  Key key;
  EXPECT_TRUE(key.may_name("anything"));
  key.terms.models = {"small", "skillyard/auto"};
  EXPECT_TRUE(key.may_name("small"));
  EXPECT_TRUE(key.may_name("skillyard/auto"));
  EXPECT_FALSE(key.may_name("auto"));
  EXPECT_FALSE(key.may_name("smal"));
}

// The document is made of the tables; here the tables are held to the document.
TEST(OpenApi, HasEveryRouteAndNoOther) {
  const auto document = openapi_document(nlohmann::json::object());
  std::size_t operations = 0;
  for (const auto& [path, methods] : document["paths"].items()) operations += methods.size();
  std::set<std::string> wanted;
  for (const bool admin : {false, true}) {
    for (const auto& endpoint : endpoints(admin)) {
      std::string path(endpoint.pattern);
      if (const auto dots = path.find("..."); dots != std::string::npos) path.erase(dots, 3);
      ASSERT_TRUE(document["paths"].contains(path)) << path;
      wanted.insert(path + std::to_string(static_cast<int>(endpoint.method)));
      EXPECT_FALSE(endpoint.summary.empty()) << path;
      EXPECT_TRUE((endpoint.plain != nullptr) != (endpoint.waits != nullptr)) << path;
      bool changes = endpoint.method != Method::get && endpoint.method != Method::delete_;
      if (path == "/v1/files")
        changes = false;  // OpenAI's contract is a form; the lines do nothing
                          // until a batch names them
      EXPECT_EQ(endpoint.takes != Body::none, changes)
          << path << ": a page can post plain forms to a local port";
    }
  }
  EXPECT_EQ(operations, wanted.size());
}

TEST(AdminJson, RefusesWhatTwoReadersCouldReadDifferently) {
  nlohmann::json into;
  EXPECT_FALSE(read_json(R"({"a": {"b": 1}, "c": {"b": 2}})", 4, into));
  EXPECT_EQ(into["c"]["b"], 2);
  EXPECT_TRUE(read_json(R"({"a": 1, "a": 2})", 4, into));
  EXPECT_TRUE(read_json(R"({"a": {"b": 1, "\u0062": 2}})", 4, into));
  EXPECT_TRUE(read_json("[[[[[1]]]]]", 4, into));
  EXPECT_TRUE(read_json("{", 4, into));
  EXPECT_TRUE(read_json(R"({"a": 1e999})", 4, into)) << "no double holds it";
  EXPECT_TRUE(read_json("", 4, into));
}

}  // namespace http
