#include "router/learn/commands.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <fstream>
#include <iostream>
#include <memory>

#include "router/learn/gate_expression.h"
#include "router/learn/gate_log.h"
#include "router/learn/learn_log.h"
#include "router/learn/log_value.h"
#include "router/learn/probes.h"
#include "router/learn/report.h"

namespace router {
namespace {

/// TAG=SHARE
std::pair<std::string, double> split_threshold(const std::string& text) {
  const std::size_t sign = text.find_last_of('=');
  double share = -1;
  if (sign != std::string::npos && sign > 0)
    std::from_chars(text.data() + sign + 1, text.data() + text.size(), share);
  if (!(share >= 0 && share <= 1))
    throw std::runtime_error("--pass-tag: `" + text +
                             "` must be TAG=SHARE with a share from 0 to 1");
  return {text.substr(0, sign), share};
}

void add_train(CLI::App& app, const MakeEncoder& make_encoder) {
  auto options = std::make_shared<TrainOptions>();
  auto encoding = std::make_shared<EncoderArgs>();
  auto* command = app.add_subcommand("train", "learn a policy from outcome files");
  command->add_option("--outcomes", options->files, "JSON Lines, gzip allowed")->required();
  command->add_option("--out", options->out, "the policy to write");
  command->add_option("--experts", options->experts, "only these")->delimiter(',');
  command->add_option("--limit", options->limit,
                      "train on at most so many rows, drawn by the seed");
  command->add_option("--seed", options->seed);
  command
      ->add_option("--share", options->share,
                   "train on this share of the rows, by a seeded hash of the id")
      ->check(CLI::Range(0.01, 1.0));
  add_encoder_options(*command, *encoding);
  command->callback([options, encoding, &make_encoder] {
    options->progress = show_progress;
    if (!encoding->encoder.empty()) {
      const EncoderDoor door = make_encoder(*encoding);
      options->encoder = door.encoder;
      options->vectors = door.vectors;
    }
    print(train(*options), std::cout);
  });
}

/// What `evaluate` takes beside the options of evaluate().
struct EvaluateArgs {
  EvaluateOptions options;
  EncoderArgs encoding;
  std::string policy, part = "all", gate, log;
};

/// The policy's value on the service's own log.
int run_log_value(const EvaluateArgs& args) {
  LogValueOptions options;
  options.log = args.log;
  options.seed = args.options.seed;
  options.progress = show_progress;
  const LogValueReport report = value_log(*load_policy(args.policy), options);
  print(report, std::cout);
  if (!args.options.json.empty()) write_file(args.options.json, to_json(report));
  return report.value.identifiable ? 0 : 1;
}

int run_evaluate(EvaluateArgs& args) {
  args.options.held_out_part = args.part == "test";
  args.options.progress = show_progress;
  std::optional<GateExpression> gate;  // a wrong one is told before the work begins
  if (!args.gate.empty()) gate.emplace(args.gate);
  const EvaluateReport report = evaluate(*load_policy(args.policy), args.options);
  print(report, std::cout);
  if (!gate) return 0;
  const GateVerdict verdict = gate->judge(report);
  std::cout << "\ngate: " << (verdict.passed ? "passed" : "NOT PASSED") << "\n" << verdict.why;
  return verdict.passed ? 0 : 1;
}

void add_evaluate(CLI::App& app, int& status, const MakeEncoder& make_encoder) {
  auto args = std::make_shared<EvaluateArgs>();
  auto& options = args->options;
  auto* command =
      app.add_subcommand("evaluate", "judge a policy on outcomes that it was not trained on");
  auto* outcomes = command->add_option("--outcomes", options.files, "JSON Lines, gzip allowed");
  auto* log = command->add_option("--log", args->log,
                                  "instead of outcomes: the service's database; values the policy "
                                  "by the logged propensities, exits 1 where it cannot");
  outcomes->excludes(log);
  command->add_option("--policy", args->policy)->required();
  command->add_option("--experts,--pool", options.experts, "only these may be chosen")
      ->delimiter(',');
  command->add_option("--exclude-domain", options.exclude_domain);
  command->add_option("--strong", options.strong, "of the pair for APGR and CPT");
  command->add_option("--weak", options.weak);
  command->add_option("--share", options.share, "the share that training used");
  command->add_option("--part", args->part, "all, or test: the rows that --share left out")
      ->check(CLI::IsMember({"all", "test"}));
  command->add_option("--seed", options.seed);
  command->add_option("--quality", options.quality)->check(CLI::Range(0.0, 1.0));
  command->add_flag("--baselines", options.baselines,
                    "rows for round robin, nearest neighbours, length, RouteLLM, Symbolic-MoE");
  command->add_flag("--rewordings", options.rewordings,
                    "how often the choice flips with case, punctuation, typing errors, ...");
  command->add_flag("--aggregate", options.aggregate,
                    "rows for panels of --k experts, from the recorded answers");
  command->add_option("--k", options.k, "experts that a panel asks at most")
      ->check(CLI::Range(1, 8));
  command->add_option("--resident", options.resident,
                      "count the loads when so many experts fit in memory at once");
  command->add_option("--fit", options.fit_files,
                      "files of the training rows, for --baselines; default: --outcomes");
  command->add_option("--gate", args->gate,
                      "exit 1 unless this holds, as in `gain.lo>=0 && skills_worse==0`");
  command->add_option("--html", options.html, "a report of one page");
  command->add_option("--csv", options.csv);
  command->add_option("--json", options.json);
  command->add_option("--picks", options.picks, "one line per row: the choice and its estimates");
  command->add_flag("--allow-overlap", options.allow_overlap,
                    "judge rows that the policy was trained on");
  add_encoder_options(*command, args->encoding);
  command->callback([args, &status, &make_encoder] {
    if (args->log.empty() && args->options.files.empty())
      throw std::runtime_error("evaluate needs --outcomes FILES, or --log DATABASE");
    args->options.vectors = make_encoder(args->encoding).vectors;
    status = args->log.empty() ? run_evaluate(*args) : run_log_value(*args);
  });
}

void add_learn(CLI::App& app, int& status, const MakeEncoder& make_encoder) {
  auto options = std::make_shared<LearnOptions>();
  auto encoding = std::make_shared<EncoderArgs>();
  auto* command = app.add_subcommand(
      "learn", "fold graded decisions of the log into a new policy, if it is not worse");
  command->add_option("--log", options->log, "the service's database")->required();
  command->add_option("--policy", options->policy, "the policy that serves now")->required();
  command->add_option("--outcomes", options->files, "the files that it was trained on")->required();
  command->add_option("--out", options->out, "the new policy")->required();
  command->add_option("--rows", options->rows, "keep the log's rows as an outcome file");
  command
      ->add_option("--half-life", options->half_life_days,
                   "days after which a decision of the log counts half [all count alike]")
      ->check(CLI::PositiveNumber);
  add_encoder_options(*command, *encoding);
  command->callback([options, encoding, &status, &make_encoder] {
    options->progress = show_progress;
    options->vectors = make_encoder(*encoding).vectors;
    const LearnReport report = learn_from_log(*options);
    print(report, std::cout);
    status = report.promoted ? 0 : 1;
  });
}

void add_learn_gate(CLI::App& app) {
  auto options = std::make_shared<GateLearnOptions>();
  auto* command = app.add_subcommand(
      "learn-gate", "when passages help, from graded decisions of the log that saw some");
  command->add_option("--log", options->log, "the service's database")->required();
  command->add_option("--gate", options->gate, "the gate that serves now [the built-in guesses]");
  command->add_option("--out", options->out, "gate.json beside the database is served")->required();
  command->add_option("--rows-min", options->rows_min,
                      "drawn rows of an arm; with fewer it stays as it was [100]");
  command->callback([options] { print(learn_gate(*options), std::cout); });
}

void add_probes(CLI::App& app, int& status, const MakeEncoder& make_encoder) {
  struct ProbeArgs {
    std::string file, policy, json;
    EncoderArgs encoding;
    std::vector<std::string> tag_pass_min;
    ProbeOptions options;
  };

  auto args = std::make_shared<ProbeArgs>();
  auto* command =
      app.add_subcommand("probes", "route unit tests: queries with the expected choice");
  command->add_option("file", args->file, "JSON Lines: query, skill, expert, not_expert, tags")
      ->required();
  command->add_option("--policy", args->policy)->required();
  command->add_option("--experts,--pool", args->options.experts, "only these may be chosen")
      ->delimiter(',');
  command->add_option("--tag", args->options.tags, "only probes with one of these")->delimiter(',');
  command->add_option("--pass", args->options.pass_min, "share of the probes that must pass [1]")
      ->check(CLI::Range(0.0, 1.0));
  command->add_option("--pass-tag", args->tag_pass_min, "TAG=SHARE that must pass")->delimiter(',');
  command->add_option("--json", args->json);
  add_encoder_options(*command, args->encoding);
  command->callback([args, &status, &make_encoder] {
    args->options.vectors = make_encoder(args->encoding).vectors;
    for (const std::string& text : args->tag_pass_min) {
      const auto [tag, share] = split_threshold(text);
      args->options.tag_pass_min[tag] = share;
    }
    std::ifstream in(args->file, std::ios::binary);
    if (!in) throw std::runtime_error("cannot open the probes " + args->file);
    const auto probes = read_probes(in, args->file);
    const ProbeReport report = run_probes(*load_policy(args->policy), probes, args->options);
    print(report, probes, std::cout);
    if (!args->json.empty()) write_file(args->json, to_json(report, probes));
    status = report.ok() ? 0 : 1;
  });
}

}  // namespace

void show_progress(const std::string& stage, double done) {
  if (isatty(STDERR_FILENO) == 0) return;
  constexpr int kWidth = 24;
  const int filled = static_cast<int>(done * kWidth);
  std::cerr << "\r\033[K[" << std::string(static_cast<std::size_t>(filled), '#')
            << std::string(static_cast<std::size_t>(kWidth - filled), ' ') << "] "
            << static_cast<int>(done * 100) << "% " << stage << (done >= 1 ? "\r\033[K" : "")
            << std::flush;
}

void add_encoder_options(CLI::App& command, EncoderArgs& args) {
  command.add_option("--encoder", args.encoder,
                     "NAME=URL[,model=NAME][,key-env=VARIABLE] of an embeddings endpoint: vectors "
                     "that are not kept yet are asked of it");
  command.add_option("--vectors", args.file,
                     "the file that keeps them [vectors.db in the usual data folder]");
}

void add_commands(CLI::App& app, int& status, const MakeEncoder& make_encoder) {
  add_train(app, make_encoder);
  add_evaluate(app, status, make_encoder);
  add_policy_commands(app, status, make_encoder);
  add_plan_commands(app, status);
  add_probes(app, status, make_encoder);
  add_learn(app, status, make_encoder);
  add_learn_gate(app);
}

}  // namespace router
