// skillyard policy solve|frontier|diff
#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include "router/learn/commands.h"
#include "router/learn/policy_diff.h"
#include "router/learn/policy_map.h"
#include "router/learn/report.h"

namespace router {
namespace {

struct MapArgs {
  std::string policy, json, axis;
  std::size_t points = 24;
  PolicyMapOptions options;
};

void add_map_options(CLI::App& command, MapArgs& args) {
  auto& options = args.options;
  command.add_option("policy", args.policy, "a policy made by `skillyard train`")->required();
  command.add_option("--experts", options.experts, "only these")->delimiter(',');
  command.add_option("--traffic", options.traffic,
                     "outcome files whose texts say how often each skill is asked for; default: "
                     "the training rows");
  command.add_option("--sizes", options.sizes, "JSON file, {\"EXPERT\": memory}");
  command.add_option("--memory", options.memory_max, "of all residents, in the unit of --sizes")
      ->check(CLI::NonNegativeNumber);
  command.add_option("--count", options.count_max, "residents at most")->check(CLI::Range(1, 4096));
  command.add_option("--pin", options.pinned, "always resident")->delimiter(',');
  command.add_option("--disable", options.disabled, "never resident")->delimiter(',');
  command.add_option("--json", args.json, "the same as JSON; - is the terminal");
}

/// To the file that --json names; `-`: instead of the text for people.
template <typename Report>
void show(const Report& report, const std::string& json) {
  if (json == "-") {
    std::cout << to_json(report);
    return;
  }
  print(report, std::cout);
  if (!json.empty()) write_file(json, to_json(report));
}

void add_solve(CLI::App& policy, int& status) {
  auto args = std::make_shared<MapArgs>();
  auto* command = policy.add_subcommand(
      "solve", "which experts to keep under budgets, and which of them serves which skill");
  add_map_options(*command, *args);
  command->add_option("--spend", args->options.spend_max, "usd a query, on average")
      ->check(CLI::NonNegativeNumber);
  command
      ->add_option("--running", args->options.running, "the residents now: is a switch worth it?")
      ->delimiter(',');
  command->add_option("--memory-step", args->options.memory_step,
                      "of the shadow price [a tenth of --memory]");
  command->add_option("--seed", args->options.seed, "of the posterior draws");
  command->callback([args, &status] {
    args->options.progress = show_progress;
    const auto report = solve_policy_map(*load_policy(args->policy), args->options);
    show(report, args->json);
    status = report.solution.feasible ? 0 : 1;
  });
}

void add_frontier(CLI::App& policy) {
  auto args = std::make_shared<MapArgs>();
  auto* command = policy.add_subcommand(
      "frontier", "the best value for every spend, or for every amount of memory");
  add_map_options(*command, *args);
  command->add_option("--axis", args->axis, "spend or memory; default: the one that is known")
      ->check(CLI::IsMember({"spend", "memory"}));
  command->add_option("--points", args->points, "points at most")->check(CLI::Range(2, 10'000));
  command->callback([args] {
    show(find_frontier(*load_policy(args->policy), args->options, args->axis, args->points),
         args->json);
  });
}

void add_diff(CLI::App& policy, const MakeEncoder& make_encoder) {
  struct DiffArgs {
    std::string before, after, part = "all", json;
    EvaluateOptions options;
    EncoderArgs encoding;
  };

  auto args = std::make_shared<DiffArgs>();
  auto* command = policy.add_subcommand("diff", "what changed from one policy to another");
  command->add_option("before", args->before)->required();
  command->add_option("after", args->after)->required();
  command->add_option("--outcomes", args->options.files, "decide these rows by both");
  command->add_option("--experts", args->options.experts, "only these may be chosen")
      ->delimiter(',');
  command->add_option("--share", args->options.share, "the share that training used");
  command->add_option("--part", args->part, "all, or test: the rows that --share left out")
      ->check(CLI::IsMember({"all", "test"}));
  command->add_option("--quality", args->options.quality)->check(CLI::Range(0.0, 1.0));
  command->add_option("--seed", args->options.seed);
  command->add_flag("--allow-overlap", args->options.allow_overlap);
  command->add_option("--json", args->json, "the same as JSON; - is the terminal");
  add_encoder_options(*command, args->encoding);
  command->callback([args, &make_encoder] {
    args->options.vectors = make_encoder(args->encoding).vectors;
    args->options.held_out_part = args->part == "test";
    args->options.progress = show_progress;
    show(diff_policies(*load_policy(args->before), *load_policy(args->after), args->options),
         args->json);
  });
}

}  // namespace

void add_policy_commands(CLI::App& app, int& status, const MakeEncoder& make_encoder) {
  auto* policy = app.add_subcommand("policy", "look into policies: solve, frontier, diff");
  policy->require_subcommand(1);
  add_solve(*policy, status);
  add_frontier(*policy);
  add_diff(*policy, make_encoder);
}

}  // namespace router
