// skillyard plan placement
#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include "router/learn/commands.h"
#include "router/learn/placement_plan.h"
#include "router/learn/report.h"

namespace router {

void add_plan_commands(CLI::App& app, int& status) {
  struct PlanArgs {
    std::string json;
    PlacementOptions options;
  };

  auto* plan = app.add_subcommand("plan", "on paper: where experts should run");
  plan->require_subcommand(1);
  auto args = std::make_shared<PlanArgs>();
  PlacementOptions& options = args->options;
  auto* command = plan->add_subcommand(
      "placement", "which experts on which machine, from who was asked together and how long");
  auto* log = command->add_option("--log", options.log, "the service's database");
  auto* picks = command->add_option("--picks", options.picks,
                                    "instead: a file of `skillyard evaluate --picks`");
  log->excludes(picks);
  command->add_option("--k", options.k, "of picks: so many of the best are asked together")
      ->check(CLI::Range(1, 8));
  command->add_option("--node", options.nodes, "NAME[=MEMORY[,SPEED]], once per machine")
      ->required();
  command->add_option("--sizes", options.sizes, "JSON file, {\"EXPERT\": memory}");
  command->add_option("--experts", options.experts, "only these")->delimiter(',');
  command
      ->add_option("--apart", options.apart,
                   "what waiting inside a node weighs beside the busiest node's work")
      ->check(CLI::NonNegativeNumber);
  command->add_option("--slots", options.slots, "calls that a node runs at a time")
      ->check(CLI::Range(1, 4096));
  command->add_option("--utilisation", options.utilisation, "of the nodes in the simulation")
      ->check(CLI::Range(0.01, 0.99));
  command->add_option("--seed", options.seed, "of the arrivals of picks");
  command->add_option("--steps", options.steps_max,
                      "of the search at most [as many as take seconds]");
  command->add_option("--json", args->json, "the same as JSON; - is the terminal");
  command->callback([args, &status] {
    args->options.progress = show_progress;
    const PlacementReport report = plan_placement(args->options);
    if (args->json != "-") print(report, std::cout);
    if (args->json == "-") std::cout << to_json(report);
    if (!args->json.empty() && args->json != "-") write_file(args->json, to_json(report));
    status = report.rows.front().placement.feasible ? 0 : 1;
  });
}

}  // namespace router
