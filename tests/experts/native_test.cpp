// Native experts through the Pool. What goes wrong needs no model; what goes right runs on the
// models of SKILLYARD_DATA.
#include "experts/native.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/experts/rig.h"

namespace experts::testing {
namespace {

namespace fs = std::filesystem;
namespace asio = boost::asio;

/// A Pool of native experts on one net thread.
class NativeRig {
 public:
  explicit NativeRig(const std::string& file) {
    options.name = "one";
    options.kind = Kind::native;
    options.url = file;
    options.capabilities = kNativeCapabilities;
    options.prices = {1'000'000, 2'000'000, 0};
    options.breaker.memory_calls = 0;
    options.native.threads = 1;
    call.wire = R"("messages":[{"role":"user","content":"Once"}])";
    call.messages = {{Role::user, "Once upon a time"}};
    call.sampling.tokens_max = 24;
    call.sampling.seed = 7;
    call.text_wanted = true;
  }

  ~NativeRig() {
    pool_.reset();
    idle(1);
  }

  Pool& pool() {
    if (!pool_) {
      board_ = std::make_unique<RosterBoard>(make_roster({options}, nullptr));
      pool_ = std::make_unique<Pool>(io, *board_, PoolOptions{}, make_native_maker(models));
    }
    return *pool_;
  }

  void publish(const std::vector<ExpertOptions>& experts) {
    pool();
    board_->publish(make_roster(experts, board_->current().get()));
    pool().describe();
  }

  /// Runs calls side by side until all have ended.
  std::vector<Reply> ask(const std::vector<Call>& calls, Sink* into) {
    std::vector<Reply> replies(calls.size());
    std::size_t ended = 0;
    for (std::size_t i = 0; i < calls.size(); ++i) {
      asio::co_spawn(io, pool().ask("one", calls[i], into),
                     [&, i](std::exception_ptr error, Reply reply) {
                       EXPECT_FALSE(error);
                       replies[i] = std::move(reply);
                       ++ended;
                     });
    }
    run_until([&] { return ended == calls.size(); });
    return replies;
  }

  Reply ask() { return ask({call}, &sink)[0]; }

  template <class Done>
  void run_until(Done done) {
    io.restart();
    const auto work = asio::make_work_guard(io);
    const auto until = Clock::now() + std::chrono::seconds(60);
    while (!done() && Clock::now() < until) io.run_one_for(std::chrono::milliseconds(20));
    EXPECT_TRUE(done()) << "it hangs";
  }

  void idle(int ms) {
    io.restart();
    io.run_for(std::chrono::milliseconds(ms));
  }

  Standing& standing() {
    pool();
    return *board_->current()->entries[0].standing;
  }

  asio::io_context io;
  NativeModels models;
  ExpertOptions options;
  Call call;
  Collector sink;

 private:
  std::unique_ptr<RosterBoard> board_;
  std::unique_ptr<Pool> pool_;
};

std::string model_file(const char* name) {
  const char* const root = std::getenv("SKILLYARD_DATA");
  return root == nullptr ? "" : std::string(root) + "/models/" + name;
}

#define NEEDS_MODEL(file, name)              \
  const std::string file = model_file(name); \
  if (file.empty()) GTEST_SKIP() << "SKILLYARD_DATA is unset: needs models/" << (name)

bool is_mapped(const std::string& file) {
  std::ifstream maps("/proc/self/maps");
  const std::string name = fs::canonical(file).string();
  for (std::string line; std::getline(maps, line);) {
    if (line.ends_with(name)) return true;
  }
  return false;
}

simdjson::dom::element parse(simdjson::dom::parser& parser, const std::string& json) {
  simdjson::dom::element root;
  EXPECT_EQ(parser.parse(json).get(root), simdjson::SUCCESS) << json;
  return root;
}

std::string_view string_at(simdjson::dom::element root, const char* pointer) {
  std::string_view text;
  EXPECT_EQ(root.at_pointer(pointer).get(text), simdjson::SUCCESS) << pointer;
  return text;
}

/// The data of server-sent events, one JSON text each.
std::vector<std::string> events_in(const std::string& stream) {
  std::vector<std::string> events;
  for (std::size_t begin = 0; begin < stream.size();) {
    const std::size_t end = stream.find("\n\n", begin);
    EXPECT_EQ(stream.compare(begin, 6, "data: "), 0);
    EXPECT_NE(end, stream.npos);
    events.push_back(stream.substr(begin + 6, end - begin - 6));
    begin = end + 2;
  }
  return events;
}

TEST(NativeModels, WaitForALastPointerOnTheModelsOwnThread) {
  std::atomic<bool> ended = false;
  {
    NativeModels models;
    auto model = models.find({"/no/such/file", 0, {}});
    model->unload([last = model, &ended] {  // as a memory does that has lost its last lease
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      ended = true;
    });
    model.reset();
  }
  EXPECT_TRUE(ended);
}

TEST(NativeExpert, FileThatIsNotThereIsUnreachableAndTriedAgain) {
  NativeRig rig("/nonexistent/model.gguf");
  const std::vector<Reply> replies = rig.ask({rig.call, rig.call, rig.call}, nullptr);
  for (const Reply& reply : replies) {
    EXPECT_EQ(name_of(reply.outcome), name_of(Outcome::unreachable));
    EXPECT_NE(reply.error.find("/nonexistent/model.gguf"), std::string::npos) << reply.error;
  }
  EXPECT_EQ(rig.ask().outcome, Outcome::unreachable);
}

TEST(NativeExpert, FileThatIsNoModelIsUnreachable) {
  const fs::path file = fs::temp_directory_path() / "skillyard_native_test.gguf";
  std::ofstream(file, std::ios::binary) << "GGUF\3\0\0\0 and then nothing that makes sense";
  NativeRig rig(file.string());
  const Reply reply = rig.ask();
  EXPECT_EQ(name_of(reply.outcome), name_of(Outcome::unreachable));
  EXPECT_FALSE(reply.error.empty());
  fs::remove(file);
}

TEST(NativeExpert, RefusesWhatOnlyTheWireCarries) {
  NativeRig rig("/nonexistent/model.gguf");
  rig.call.wire_only = true;
  const Reply reply = rig.ask();
  EXPECT_EQ(reply.outcome, Outcome::refused);
  EXPECT_EQ(reply.status, 400);
  simdjson::dom::parser parser;
  const auto error = parse(parser, reply.wire);
  EXPECT_EQ(string_at(error, "/error/type"), "invalid_request_error");
  EXPECT_NE(string_at(error, "/error/message").find("`one`"), std::string_view::npos);
}

/// A pipe without a writer: opening it takes until the test lets go.
class SlowFile {
 public:
  SlowFile() { EXPECT_EQ(mkfifo(path().c_str(), 0600), 0); }

  ~SlowFile() { fs::remove(path()); }

  /// Meets the reader; what it gets is no regular file.
  void release() const { std::ofstream(path(), std::ios::binary).close(); }

  std::string path() const {
    return (fs::temp_directory_path() / ("skillyard_native_" + std::to_string(getpid()))).string();
  }
};

TEST(NativeExpert, DeadlineHoldsWhileTheFileLoads) {
  SlowFile file;
  NativeRig rig(file.path());
  rig.call.deadline = Clock::now() + std::chrono::milliseconds(20);
  EXPECT_EQ(name_of(rig.ask().outcome), name_of(Outcome::timed_out));
  rig.call.deadline = Clock::time_point::max();
  rig.options.timeouts.total_ms_max = 20;
  rig.publish({rig.options});
  EXPECT_EQ(name_of(rig.ask().outcome), name_of(Outcome::timed_out));
  file.release();
}

TEST(NativeExpert, TruncatedModelIsUnreachable) {
  NEEDS_MODEL(whole, "stories260K.F32.gguf");
  const fs::path file = fs::temp_directory_path() / "skillyard_native_cut.gguf";
  fs::copy_file(whole, file, fs::copy_options::overwrite_existing);
  fs::resize_file(file, fs::file_size(file) / 2);
  NativeRig rig(file.string());
  const Reply reply = rig.ask();
  EXPECT_EQ(name_of(reply.outcome), name_of(Outcome::unreachable));
  fs::remove(file);
}

TEST(NativeExpert, AnswersWithACompletion) {
  NEEDS_MODEL(file, "stories260K.F32.gguf");
  NativeRig rig(file);
  rig.call.sampling.logprobs_top = 2;
  const Reply reply = rig.ask();
  ASSERT_EQ(reply.outcome, Outcome::ok) << reply.error;
  EXPECT_EQ(reply.status, 200);
  EXPECT_FALSE(reply.text.empty());
  EXPECT_EQ(reply.finish_reason, "length");
  EXPECT_EQ(reply.usage.completion_tokens, 24);
  EXPECT_GT(reply.usage.prompt_tokens, 4);
  EXPECT_GT(reply.timings.first_byte_us, 0);
  EXPECT_GE(reply.timings.total_us, reply.timings.first_byte_us);
  EXPECT_EQ(reply.cost_microusd, reply.usage.prompt_tokens + 2 * reply.usage.completion_tokens);
  simdjson::dom::parser parser;
  const auto body = parse(parser, reply.wire);
  EXPECT_EQ(string_at(body, "/object"), "chat.completion");
  EXPECT_EQ(string_at(body, "/model"), "one");
  EXPECT_EQ(string_at(body, "/choices/0/message/content"), reply.text);
  EXPECT_EQ(string_at(body, "/choices/0/finish_reason"), "length");
  EXPECT_EQ(body.at_pointer("/usage/total_tokens").get_int64().value(),
            reply.usage.prompt_tokens + reply.usage.completion_tokens);
  const auto tokens = body.at_pointer("/choices/0/logprobs/content").get_array().value();
  EXPECT_EQ(tokens.size(), 24U);
  std::string spelled;
  for (const auto token : tokens) {
    spelled += token["token"].get_string().value();
    EXPECT_LE(token["logprob"].get_double().value(), 0.0);
    EXPECT_EQ(token["top_logprobs"].get_array().value().size(), 2U);
  }
  EXPECT_EQ(spelled, reply.text);
}

TEST(NativeExpert, StreamedTextIsTheBufferedText) {
  NEEDS_MODEL(file, "tiny-moe.Q8_0.gguf");
  NativeRig rig(file);
  const Reply whole = rig.ask();
  ASSERT_EQ(whole.outcome, Outcome::ok) << whole.error;
  rig.call.stream = true;
  for (const bool slow : {false, true}) {
    rig.sink = {};
    rig.sink.slow_ms = slow ? 20 : 0;
    rig.call.usage_in_stream = slow;
    const Reply reply = rig.ask();
    ASSERT_EQ(reply.outcome, Outcome::ok) << reply.error;
    EXPECT_TRUE(reply.started);
    EXPECT_EQ(reply.text, whole.text);
    EXPECT_EQ(reply.usage.completion_tokens, whole.usage.completion_tokens);
    const std::vector<std::string> events = events_in(rig.sink.got);
    ASSERT_GE(events.size(), 3U);
    simdjson::dom::parser parser;
    std::string text, id;
    for (std::size_t i = 0; i < events.size(); ++i) {
      const auto event = parse(parser, events[i]);
      EXPECT_EQ(string_at(event, "/object"), "chat.completion.chunk");
      EXPECT_EQ(string_at(event, "/model"), "one");
      if (i == 0) id = string_at(event, "/id");
      EXPECT_EQ(string_at(event, "/id"), id);
      const bool is_usage = slow && i + 1 == events.size();
      const bool is_finish = i + (slow ? 2 : 1) == events.size();
      if (is_usage) {
        EXPECT_EQ(event.at_pointer("/choices").get_array().value().size(), 0U);
        EXPECT_GT(event.at_pointer("/usage/total_tokens").get_int64().value(), 0);
        continue;
      }
      if (i == 0) {
        EXPECT_EQ(string_at(event, "/choices/0/delta/role"), "assistant");
      }
      if (is_finish) {
        EXPECT_EQ(string_at(event, "/choices/0/finish_reason"), whole.finish_reason);
      } else {
        EXPECT_TRUE(event.at_pointer("/choices/0/finish_reason").is_null());
        text += string_at(event, "/choices/0/delta/content");
      }
    }
    EXPECT_EQ(text, whole.text);
  }
}

TEST(NativeExpert, SameSeedSameTextAloneAndTogether) {
  NEEDS_MODEL(file, "tiny-moe.Q8_0.gguf");
  NativeRig rig(file);
  Call other = rig.call;
  other.messages = {{Role::system, "Be brief."}, {Role::user, "In the beginning"}};
  other.sampling.seed = 8;
  const std::string alone = rig.ask().text;
  const std::string other_alone = rig.ask({other}, nullptr)[0].text;
  EXPECT_FALSE(alone.empty());
  EXPECT_NE(alone, other_alone);
  const std::vector<Reply> together = rig.ask({rig.call, other, rig.call, other}, nullptr);
  for (std::size_t i = 0; i < together.size(); ++i) {
    EXPECT_EQ(together[i].outcome, Outcome::ok) << together[i].error;
    EXPECT_EQ(together[i].text, i % 2 == 0 ? alone : other_alone);
  }
}

TEST(NativeExpert, TooLongPromptIsRefusedWithOpenAisCode) {
  NEEDS_MODEL(file, "stories260K.F32.gguf");
  NativeRig rig(file);
  rig.options.context_tokens = 64;
  rig.call.messages[0].text.assign(4'000, 'x');
  const Reply reply = rig.ask();
  EXPECT_EQ(reply.outcome, Outcome::refused);
  EXPECT_EQ(reply.status, 400);
  simdjson::dom::parser parser;
  EXPECT_EQ(string_at(parse(parser, reply.wire), "/error/code"), "context_length_exceeded");
}

/// A reply far longer than any test waits for.
void ask_for_much(NativeRig& rig) {
  rig.call.stream = true;
  rig.call.sampling.tokens_max = 400;
  rig.call.sampling.temperature = 1.5;
}

TEST(NativeExpert, CancelledCallsEndAndLeaveTheModelFree) {
  NEEDS_MODEL(file, "tiny-moe.F32.gguf");
  NativeRig rig(file);
  ask_for_much(rig);
  asio::cancellation_signal signal;
  rig.sink.on_write = [&] {
    if (rig.sink.writes == 2)
      asio::post(rig.io, [&] { signal.emit(asio::cancellation_type::terminal); });
  };
  std::optional<Reply> reply;
  asio::co_spawn(
      rig.io, rig.pool().ask("one", rig.call, &rig.sink),
      asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr error, Reply came) {
        EXPECT_FALSE(error);
        reply = std::move(came);
      }));
  rig.run_until([&] { return reply.has_value(); });
  EXPECT_EQ(name_of(reply->outcome), name_of(Outcome::cancelled));
  EXPECT_TRUE(reply->started);
  rig.sink = {};
  rig.sink.gone = true;  // a client that went away
  EXPECT_EQ(name_of(rig.ask().outcome), name_of(Outcome::cancelled));
  EXPECT_EQ(rig.standing().inflight.load(), 0);
}

TEST(NativeExpert, SwapUnloadsWhatNobodyNamesAnyMore) {
  NEEDS_MODEL(file, "stories260K.F32.gguf");
  NativeRig rig(file);
  EXPECT_EQ(rig.ask().outcome, Outcome::ok);
  EXPECT_TRUE(is_mapped(file));

  ExpertOptions twin = rig.options;
  twin.name = "twin";
  rig.publish({twin});  // the same file: still the same model
  EXPECT_TRUE(is_mapped(file));

  rig.publish({});
  rig.run_until([&] { return !is_mapped(file); });
  rig.publish({rig.options});
  EXPECT_EQ(rig.ask().outcome, Outcome::ok) << "it comes back";
}

}  // namespace
}  // namespace experts::testing
