// skillyard: argv -> one function per command.
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <set>

#include "config/house/admin_commands.h"
#include "config/house/annotate_command.h"
#include "config/house/bench_aggregators.h"
#include "config/house/completion.h"
#include "config/house/encoder_door.h"
#include "config/house/house.h"
#include "config/house/probe_command.h"
#include "config/section.h"
#include "experts/moe/tools/bench.h"
#include "experts/moe/tools/inspect.h"
#include "experts/moe/tools/logits.h"
#include "experts/moe/tools/run.h"
#include "experts/moe/tools/synth.h"
#include "experts/moe/tools/tokenize.h"
#include "experts/moe/tools/trace.h"
#include "http/batch_desk.h"
#include "http/batch_offline.h"
#include "http/ids.h"
#include "http/openai.h"
#include "http/route_json.h"
#include "http/serve.h"
#include "router/learn/commands.h"
#include "router/learn/evaluate.h"
#include "router/learn/train.h"
#include "router/pipeline.h"
#include "store/tools/knowledge_commands.h"

namespace {

namespace fs = std::filesystem;
using house::add_options;
using house::Args;
using house::House;
using house::Rooms;

int serve(const Args& args) {
  House house(settle(args));
  if (house.roster.current()->entries.empty())
    spdlog::warn(
        "no expert yet: add one with --expert NAME=http://HOST:PORT/v1 or in the configuration "
        "file");
  const http::MakeDoors make = [&](boost::asio::io_context& loop, int index) {
    return make_doors(house, loop, index);
  };
  http::BatchDesk batches((fs::path(house.config.data) / "batches.db").string(), house.config.http,
                          make);
  house.batches = &batches;
  const auto filling = house::fill_vectors(house);
  http::Server server(house.config.http, make);
  std::optional<http::Server> admin;
  if (!house.config.admin.listen.empty()) {
    admin.emplace(house::admin_options(house.config), [&](boost::asio::io_context& loop, int) {
      return make_admin_doors(house, loop);
    });
    admin->start();
    spdlog::info("administrators on {}, port {}", house.config.admin.listen, admin->port());
  }
  spdlog::info("listening on {}:{}, {} experts, data in {}", house.config.http.address,
               server.port(), house.roster.current()->entries.size(), house.config.data);
  const auto flush = [&] {
    batches.runner().stop();
    house.journal.stop();
  };
  const auto reload = [&] {
    house.reload(args);
    server.reload_certificate();
    if (admin) admin->reload_certificate();
  };
  http::serve(server, {.reload = reload, .flush = flush});
  return 0;
}

int batch(const Args& args, const std::string& file, const std::string& out) {
  House house(settle(args));
  const http::MakeDoors make = [&](boost::asio::io_context& loop, int index) {
    return make_doors(house, loop, index);
  };
  const auto report = http::run_batch(file, out, house.config.http, make);
  house.journal.stop();
  std::cout << report.lines << " lines, " << report.failed << " failed"
            << (report.errors_path.empty() ? "" : ": " + report.errors_path) << "\n";
  return 0;
}

/// A command-line question as the endpoint would read it. Throws where the endpoint would refuse.
router::Query read_query(const std::string& text, const std::string& model,
                         const http::Options& options) {
  const nlohmann::json message = {{"role", "user"}, {"content", text}};
  std::string body = nlohmann::json{{"model", model}, {"messages", {message}}}.dump();
  body.reserve(body.size() + 128);  // the JSON parser reads ahead
  router::Query query;
  http::ChatReader reader(options);
  if (const auto problem = reader.read(body, query)) throw std::runtime_error(problem->message);
  std::mt19937_64 chance(std::random_device{}());
  query.unix_us = std::chrono::duration_cast<std::chrono::microseconds>(
                      std::chrono::system_clock::now().time_since_epoch())
                      .count();
  query.id = "dec_" + http::sortable_id(query.unix_us / 1000, chance);
  query.seed = chance();
  query.call.deadline = experts::Clock::now() + std::chrono::milliseconds(options.total_ms_max);
  return query;
}

int route(const Args& args, const std::string& text, const std::string& model, bool explained) {
  House house(settle(args, "warn"));
  boost::asio::io_context loop;
  Rooms rooms(loop, house, 0);
  const auto query = read_query(text, model, house.config.http);
  boost::asio::co_spawn(loop, rooms.pipeline.prepare(query), [&](const std::exception_ptr& error) {
    if (error) std::rethrow_exception(error);
    loop.stop();
  });
  loop.run();
  const auto logged = rooms.pipeline.route(query);
  if (!explained) {
    std::cout << http::json_of(logged).dump(2) << "\n";
    return 0;
  }
  for (const auto& sentence : rooms.pipeline.explain(query, logged).sentences)
    std::cout << sentence << "\n";
  return 0;
}

int ask(const Args& args, const std::string& text, const std::string& model) {
  House house(settle(args, "warn"));
  boost::asio::io_context loop;
  Rooms rooms(loop, house, 0);
  auto query = read_query(text, model, house.config.http);
  query.call.text_wanted = true;
  aggregator::Answer answer;
  boost::asio::co_spawn(loop, rooms.pipeline.answer(query, nullptr),
                        [&](const std::exception_ptr& error, aggregator::Answer came) {
                          if (error) std::rethrow_exception(error);
                          answer = std::move(came);
                          loop.stop();
                        });
  loop.run();
  house.journal.stop();
  if (!answer.ok()) {
    const auto why = answer.replies.empty() ? "no expert can be asked"
                                            : answer.reply().expert + ": " + answer.reply().error;
    throw std::runtime_error(why);
  }
  std::cout << answer.reply().text << "\n";
  std::cerr << "[" << answer.reply().expert << ", "
            << static_cast<double>(answer.cost_microusd) / 1e6 << " USD, " << answer.decision_id
            << "]\n";
  return 0;
}

/// `skillyard model ...`: the native engine by itself.
void add_model_commands(CLI::App& app) {
  auto* model = app.add_subcommand("model", "look into GGUF models and run them by themselves");
  model->require_subcommand(1);

  static fs::path file, cases, out;
  auto* inspecting =
      model->add_subcommand("inspect", "what a model is, how it routes, what memory it needs");
  inspecting->add_option("file", file)->required();
  inspecting->callback([] { moe::tools::inspect(file, std::cout); });

  auto* tokenizing = model->add_subcommand("tokenize", "token ids of a file of texts");
  tokenizing->add_option("file", file)->required();
  tokenizing->add_option("--cases", cases, "{\"cases\": [{\"text\", \"ids\"?}]}")->required();
  tokenizing->add_option("--out", out, "JSON array of id arrays")->required();
  tokenizing->callback([] {
    const auto report = moe::tools::tokenize_cases(file, cases, out);
    std::cout << report.cases << " texts; " << report.equal << " of " << report.compared
              << " as expected\n";
  });

  static moe::tools::LogitsOptions logits;
  auto* computing = model->add_subcommand("logits", "logits after every token, as a .npy array");
  computing->add_option("file", logits.model)->required();
  computing->add_option("--cases", logits.cases, "{\"prompts\": [{\"tokens\", \"greedy\"}]}")
      ->required();
  computing->add_option("--out", logits.out)->required();
  computing->add_option("--threads", logits.threads)->check(CLI::Range(1, 256));
  computing->add_flag("--coarse", logits.coarse, "K-quants meet activations of 8 bits, not 16");
  computing->add_flag("--batch", logits.batch, "all prompts step together");
  computing->callback([] {
    const auto report = moe::tools::write_logits(logits);
    std::cout << report.rows << " rows of " << report.vocabulary << " logits\n";
  });

  static moe::tools::SynthOptions synth;
  auto* making =
      model->add_subcommand("synth", "a random-weight model of a real shape, for measurements");
  making->add_option("--shape", synth.shape, "olmoe-1b-7b, qwen3-30b-cut, mid, tiny");
  making->add_option("--type", synth.type, "Q4_K_M or Q8_0");
  making->add_option("--layers", synth.layers, "0: the shape's own");
  making->add_option("--seed", synth.seed);
  making->add_option("--out", synth.out)->required();
  making->callback([] { std::cout << moe::tools::synth(synth) << " bytes\n"; });

  static moe::tools::BenchOptions bench;
  auto* timing = model->add_subcommand("bench", "tokens a second of decoding and of prompts");
  timing->add_option("file", bench.model)->required();
  timing->add_option("--threads", bench.threads)->check(CLI::Range(1, 256));
  timing->add_flag("--coarse", bench.coarse, "K-quants meet activations of 8 bits, not 16");
  timing->add_option("--decode", bench.decode, "sequences stepping together")->delimiter(',');
  timing->add_option("--prefill", bench.prefill, "prompt lengths")->delimiter(',');
  timing->add_option("--steps", bench.steps);
  timing->add_option("--rounds", bench.rounds);
  timing->callback([] { moe::tools::bench(bench, std::cout); });

  static moe::tools::TraceOptions tracing;
  auto* following = model->add_subcommand("trace", "which experts a text is sent to");
  following->add_option("file", tracing.model)->required();
  following->add_option("--text", tracing.text)->required();
  following->add_option("--out", tracing.out)->required();
  following->add_option("--tokens", tracing.tokens, "of the text, at most");
  following->add_option("--window", tracing.window, "tokens of one sequence");
  following->add_option("--sequences", tracing.sequences, "that step together");
  following->add_option("--threads", tracing.threads)->check(CLI::Range(1, 256));
  following->add_option("--expert-bytes", tracing.store.bytes_max,
                        "run through slots of so many bytes in all; 0: mapped");
  following->add_flag("!--no-prefetch", tracing.store.prefetch);
  following->callback([] { moe::tools::trace(tracing, std::cout); });

  static moe::tools::RunOptions run;
  auto* running = model->add_subcommand("run", "answer a prompt, a message, or the lines of stdin");
  running->add_option("file", run.model)->required();
  running->add_option("--prompt", run.prompt, "continued as it is");
  running->add_option("--message", run.message, "answered by the chat template");
  running->add_option("--system", run.system);
  running->add_option("--tokens", run.tokens_max, "of one reply, at most")
      ->check(CLI::Range(1, 1'000'000));
  running->add_option("--temperature", run.temperature)->check(CLI::Range(0.0, 10.0));
  running->add_option("--top-p", run.top_p)->check(CLI::Range(0.0, 1.0));
  running->add_option("--seed", run.seed);
  running->add_option("--threads", run.engine.threads)->check(CLI::Range(0, 256));
  running->add_option("--expert-bytes", run.engine.store.bytes_max,
                      "experts in slots of so many bytes in all; 0: mapped");
  running->add_flag("--coarse", run.engine.coarse, "K-quants meet activations of 8 bits, not 16");
  running->callback([] { moe::tools::run(run, std::cin, std::cout, std::cerr); });

  static fs::path recorded;
  auto* replaying =
      model->add_subcommand("replay", "what slots of every size and policy would hit on a trace");
  replaying->add_option("trace", recorded)->required();
  replaying->callback([] { moe::tools::replay(recorded, std::cout); });
}

/// What to say of a command that there is none of; empty where all of them exist.
std::string unknown_command(const CLI::App& app, int argc, char** argv) {
  const CLI::App* at = &app;
  for (int i = 1; i < argc && argv[i][0] != '-'; ++i) {
    const auto commands = at->get_subcommands([](const CLI::App*) { return true; });
    if (commands.empty()) return {};
    const auto found = std::find_if(commands.begin(), commands.end(), [&](const CLI::App* command) {
      return command->get_name() == argv[i];
    });
    if (found == commands.end()) {
      std::set<std::string> names;
      for (const CLI::App* command : commands) names.insert(command->get_name());
      const auto near = config::nearest(argv[i], names);
      return std::string("skillyard: there is no command `") + argv[i] + "`" +
             (near.empty() ? "; --help lists them" : "; did you mean `" + near + "`?");
    }
    at = *found;
  }
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "One OpenAI-compatible endpoint for a pool of language models, routed by what they are good "
      "at.");
  app.require_subcommand(1);
  app.set_version_flag("--version", SKILLYARD_VERSION);
  int status = 0;

  Args serve_args;
  auto* serving = app.add_subcommand("serve", "serve the pool over HTTP");
  add_options(*serving, serve_args);
  serving->add_option("--listen", serve_args.listen, "ADDRESS:PORT [127.0.0.1:8300]");
  serving->add_option("--admin", serve_args.admin, "ADDRESS:PORT for administrators [none]");
  serving->add_flag("--file-only", serve_args.file_only,
                    "give what administrators changed back to the configuration file");
  serving->callback([&] { status = serve(serve_args); });

  Args route_args, ask_args;
  std::string text, model = "skillyard/auto";
  auto* routing = app.add_subcommand("route", "show who would be asked, and why");
  add_options(*routing, route_args);
  auto* asking = app.add_subcommand("ask", "ask the pool one question");
  add_options(*asking, ask_args);
  for (auto* command : {routing, asking}) {
    command->add_option("text", text, "the question")->required();
    command->add_option("--model", model, "skillyard/POOL with its knobs, or an expert");
  }
  bool explained = false;
  routing->add_flag("--explain", explained,
                    "in sentences: evidence, what bound, what would change");
  routing->callback([&] { status = route(route_args, text, model, explained); });
  asking->callback([&] { status = ask(ask_args, text, model); });

  Args batch_args;
  std::string batch_file, batch_out;
  auto* batching = app.add_subcommand("batch", "answer a file of OpenAI batch lines, restartable");
  add_options(*batching, batch_args);
  batching->add_option("file", batch_file, "JSON Lines as for /v1/batches")->required();
  batching->add_option("--out", batch_out, "where the answers go")->required();
  batching->callback([&] { status = batch(batch_args, batch_file, batch_out); });

  const router::MakeEncoder make_encoder = house::make_encoder;
  router::add_commands(app, status, make_encoder);
  add_model_commands(app);
  house::add_admin_commands(app, status);
  house::add_probe_command(app, status);
  house::add_annotate_command(app, status);
  house::add_bench_command(app);
  store::add_knowledge_commands(app, config::default_data_dir());
  house::add_completion_command(app);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (const auto wrong = unknown_command(app, argc, argv); !wrong.empty()) {
      std::cerr << wrong << "\n";
      return 2;
    }
    const int code = app.exit(error);
    return code == 0 ? 0 : 2;
  } catch (const std::exception& error) {
    std::cerr << "skillyard: " << error.what() << "\n";
    return 2;
  }
  return status;
}
