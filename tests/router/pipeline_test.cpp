// The corridor with scripted experts: what an expert is told of the query beside its words.
#include "router/pipeline.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <memory>

#include "experts/roster.h"
#include "experts/stub.h"
#include "router/cards.h"

namespace router {
namespace {

store::Options log_at(const std::string& path) {
  store::Options options;
  options.path = path;
  return options;
}

class Corridor : public ::testing::Test {
 protected:
  Corridor() : journal_(log_at(path_), [](std::string_view) {}) {
    std::vector<experts::ExpertOptions> options(2);
    options[0].name = "abacus";
    options[1].name = "advocate";
    for (auto& one : options) one.kind = experts::Kind::stub;
    roster_ = std::make_unique<experts::RosterBoard>(experts::make_roster(options, nullptr));
    Rules rules;
    rules.policy =
        compile_cards({{.name = "mathematics",
                        .description = "algebra, integrals, equations, derivatives, probability",
                        .examples = {"Solve the equation x^2 - 4 = 0."}},
                       {.name = "law",
                        .description = "contracts, negligence, liability, courts, statutes",
                        .examples = {"Is a promise without consideration enforceable in court?"}}},
                      {{"abacus", {"mathematics"}}, {"advocate", {"law"}}});
    rules.pools.emplace_back().name = "auto";
    rules_ = std::make_unique<RulesBoard>(rules);
  }

  ~Corridor() override {
    journal_.stop();
    for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(path_ + suffix);
  }

  /// The call that the chosen expert got.
  experts::Call ask(Query query) {
    boost::asio::io_context loop{1};
    experts::Call got;
    experts::Pool pool(loop, *roster_, {},
                       experts::stub_maker([&](std::string_view, const experts::Call& call) {
                         got = call;
                         return experts::StubAnswer();
                       }));
    Pipeline pipeline(pool, *rules_, journal_);
    query.id = "dec_" + std::to_string(++asked_);
    query.call.wire = R"("messages":[])";
    query.call.messages = {{experts::Role::user, query.text}};
    bool ok = false;
    boost::asio::co_spawn(loop, pipeline.answer(query, nullptr),
                          [&](const std::exception_ptr& error, const aggregator::Answer& answer) {
                            ok = !error && answer.ok();
                          });
    loop.run_for(std::chrono::seconds(10));
    EXPECT_TRUE(ok) << query.text;
    return got;
  }

  experts::Call ask_about(const std::string& text) {
    Query query;
    query.pool = "auto";
    query.text = text;
    return ask(query);
  }

  std::string path_ = ::testing::TempDir() + "pipeline_" + std::to_string(::getpid()) + ".db";
  store::Journal journal_;
  std::unique_ptr<experts::RosterBoard> roster_;
  std::unique_ptr<RulesBoard> rules_;
  int asked_ = 0;
};

TEST_F(Corridor, CallsOfOneSkillAreKin) {
  const auto first = ask_about("Solve the equation 3x = 12."),
             second = ask_about("Which derivatives and integrals appear in algebra equations?"),
             other = ask_about("Which courts decide on liability and negligence?");
  EXPECT_NE(first.kin, 0u);
  EXPECT_EQ(first.kin, second.kin);
  EXPECT_NE(other.kin, 0u);
  EXPECT_NE(other.kin, first.kin);
}

TEST_F(Corridor, ACallToANamedExpertIsOfNoKin) {
  Query query;
  query.expert = "advocate";
  query.text = "Solve the equation 3x = 12.";
  EXPECT_EQ(ask(query).kin, 0u);
}

}  // namespace
}  // namespace router
