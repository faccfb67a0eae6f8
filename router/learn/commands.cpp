#include "router/learn/commands.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include "router/learn/gate_expression.h"
#include "router/learn/report.h"

namespace router {
namespace {

/// Progress on a terminal, nothing in a pipe.
void show_progress(const std::string& stage, double done) {
  if (isatty(STDERR_FILENO) == 0) return;
  constexpr int kWidth = 24;
  const int filled = static_cast<int>(done * kWidth);
  std::cerr << "\r\033[K[" << std::string(static_cast<std::size_t>(filled), '#')
            << std::string(static_cast<std::size_t>(kWidth - filled), ' ') << "] "
            << static_cast<int>(done * 100) << "% " << stage << (done >= 1 ? "\r\033[K" : "")
            << std::flush;
}

void add_train(CLI::App& app) {
  auto options = std::make_shared<TrainOptions>();
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
  command->callback([options] {
    options->progress = show_progress;
    print(train(*options), std::cout);
  });
}

/// What `evaluate` takes beside the options of evaluate().
struct EvaluateArgs {
  EvaluateOptions options;
  std::string policy, part = "all", gate;
};

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

void add_evaluate(CLI::App& app, int& status) {
  auto args = std::make_shared<EvaluateArgs>();
  auto& options = args->options;
  auto* command =
      app.add_subcommand("evaluate", "judge a policy on outcomes that it was not trained on");
  command->add_option("--outcomes", options.files, "JSON Lines, gzip allowed")->required();
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
  command->callback([args, &status] { status = run_evaluate(*args); });
}

}  // namespace

void add_commands(CLI::App& app, int& status) {
  add_train(app);
  add_evaluate(app, status);
}

}  // namespace router
