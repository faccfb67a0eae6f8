#include "config/house/probe_command.h"

#include <zlib.h>

#include <CLI/CLI.hpp>
#include <iomanip>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "config/house/admin_commands.h"
#include "router/interview.h"
#include "router/learn/commands.h"
#include "router/learn/report.h"

namespace house {

namespace {

struct ProbeArgs {
  Args args;
  router::InterviewTask task;
  std::string questions, out, merge;
  double cost_usd_max = 0;
  bool dry_run = false;
  ServiceProbe service;
  bool promote = false;
};

/// Everybody, where nobody was named.
void settle_experts(const experts::Roster& roster, std::vector<std::string>& experts) {
  if (!experts.empty()) return;
  for (const auto& entry : roster.entries) experts.push_back(entry.options.name);
}

void print_quote(const router::InterviewQuote& quote, const router::InterviewTask& task) {
  std::cout << quote.calls << " calls to " << quote.experts << " experts, " << quote.skills
            << " skills, " << (task.options.calls_max > 0 ? "by sequential halving, " : "")
            << "at most " << quote.cost_usd_max << " USD (replies of " << task.tokens_max
            << " tokens)\n";
}

/// Share of right answers, a row for each skill.
void print_report(const router::InterviewTask& task, const router::InterviewReport& report) {
  constexpr int kNarrow = 8;
  std::map<std::string, std::vector<std::pair<double, int>>> cells;
  for (const auto& said : report.said) {
    auto& row = cells[task.questions[said.question].skill];
    row.resize(report.experts.size());
    row[said.expert].first += static_cast<double>(said.graded.score);
    ++row[said.expert].second;
  }
  std::size_t wide = 5;
  for (const auto& [skill, row] : cells) wide = std::max(wide, skill.size());
  const auto width_of = [&](const std::string& name) {
    return std::max<int>(kNarrow, static_cast<int>(name.size())) + 2;
  };
  std::cout << "\n" << std::left << std::setw(static_cast<int>(wide)) << "right %" << std::right;
  for (const auto& name : report.experts) std::cout << std::setw(width_of(name)) << name;
  std::cout << std::fixed << std::setprecision(1);
  for (const auto& [skill, row] : cells) {
    std::cout << "\n" << std::left << std::setw(static_cast<int>(wide)) << skill << std::right;
    for (std::size_t e = 0; e < row.size(); ++e) {
      std::cout << std::setw(width_of(report.experts[e]));
      if (row[e].second == 0) {
        std::cout << "-";
      } else {
        std::cout << 100 * row[e].first / row[e].second;
      }
    }
  }
  std::cout << "\n\n"
            << report.said.size() << " answers, " << std::setprecision(6)
            << static_cast<double>(report.cost_microusd) / 1e6 << " USD"
            << (report.stopped ? "; stopped at the limit of cost" : "") << "\n";
  for (std::size_t e = 0; e < report.experts.size(); ++e)
    if (report.failed[e] > 0)
      std::cout << report.experts[e] << ": " << report.failed[e]
                << " calls failed, the last one: " << report.errors[e] << "\n";
}

/// The running service asks, and its policy learns what came of it.
int probe_there(const ProbeArgs& wish) {
  const auto& task = wish.task;
  if (task.options.experts.size() != 1)
    throw std::runtime_error(
        "name the expert that the running service shall probe; with --out FILE several are probed "
        "here, without a service");
  nlohmann::json body = {
      {"per_skill", task.options.per_skill}, {"seed", task.options.seed},
      {"tokens", task.tokens_max},           {"concurrency", task.concurrency_max},
      {"max_cost_usd", wish.cost_usd_max},   {"promote", wish.promote}};
  if (!task.options.skills.empty()) body["skills"] = task.options.skills;
  if (task.options.calls_max > 0) body["calls"] = task.options.calls_max;
  ServiceProbe service = wish.service;
  service.expert = task.options.experts[0];
  service.questions = wish.questions;
  service.dry_run = wish.dry_run;
  return probe_by_service(service, body);
}

int probe_here(ProbeArgs& wish) {
  auto& task = wish.task;
  const auto file = router::read_questions(wish.questions);
  if (file.without_gold > 0)
    std::cerr << file.without_gold << " questions without a gold answer are left out\n";
  task.questions = file.questions;
  task.cost_microusd_max = static_cast<std::int64_t>(wish.cost_usd_max * 1e6);
  House house(settle(wish.args, "warn"));
  settle_experts(*house.roster.current(), task.options.experts);
  print_quote(router::quote(task, *house.roster.current()), task);
  if (wish.dry_run) return 0;
  const router::InterviewDoors doors = {house.roster, experts::make_native_maker(house.models),
                                        house.residents.wrapper()};
  const auto report = router::interview(task, doors, [](std::size_t done, std::size_t calls) {
    router::show_progress("ask", static_cast<double>(done) / static_cast<double>(calls));
    return true;
  });
  print_report(task, report);
  write_outcomes(wish.out, wish.merge.empty() ? outcome_lines(task, report)
                                              : merged_lines(wish.merge, task, report));
  return report.said.empty() ? 1 : 0;
}

}  // namespace

void write_outcomes(const std::string& path, const std::string& lines) {
  if (!path.ends_with(".gz")) return router::write_file(path, lines);
  gzFile file = gzopen(path.c_str(), "wb9");
  const bool written =
      file != nullptr && gzwrite(file, lines.data(), static_cast<unsigned>(lines.size())) ==
                             static_cast<int>(lines.size());
  if ((file != nullptr && gzclose(file) != Z_OK) || !written)
    throw std::runtime_error("cannot write " + path + ": is there such a folder, and room?");
}

void add_options(CLI::App& command, Args& args) {
  command.add_option("--config", args.config_path, "configuration file, JSON with comments");
  command.add_option("--data", args.data, "folder of the database");
  command.add_option("--policy", args.policy, "policy made by `skillyard train`");
  command.add_option("--expert", args.experts,
                     "NAME=URL[,model=NAME][,key-env=VARIABLE] or NAME=FILE.gguf");
  command.add_flag("--no-embedded", args.no_embedded,
                   "without the small experts that serve while there is no other");
}

void add_probe_command(CLI::App& app, int& status) {
  const auto wish = std::make_shared<ProbeArgs>();
  auto* command = app.get_subcommand("expert")->add_subcommand(
      "probe",
      "ask graded questions: the running service asks one expert and learns of it; with --out, "
      "without a service, an outcome file for `skillyard train`");
  add_options(*command, wish->args);
  auto& task = wish->task;
  command->add_option("experts", task.options.experts,
                      "whom; with --out nobody: all that are configured");
  command
      ->add_option("--questions", wish->questions,
                   "JSON Lines {id, text, domain, gold}, gzip allowed")
      ->required();
  command->add_option("--out", wish->out, "the outcome file; gzip where it ends in .gz");
  for (const char* here : {"--config", "--data", "--policy", "--expert", "--no-embedded"})
    command->get_option(here)->needs("--out");
  command->add_option("--merge", wish->merge, "an outcome file whose rows go into it, too")
      ->needs("--out");
  command
      ->add_option("--admin", wish->service.admin,
                   "of the running service [$SKILLYARD_ADMIN or http://127.0.0.1:8301]")
      ->excludes("--out");
  command->add_flag("--json", wish->service.json, "for scripts")->excludes("--out");
  command->add_flag("--promote", wish->promote, "route by what it learned")->excludes("--out");
  command->add_option("--skills", task.options.skills, "only questions of these domains")
      ->delimiter(',');
  command->add_option("--per-skill", task.options.per_skill, "questions of each skill [20]")
      ->check(CLI::Range(1, 1'000'000));
  command->add_option("--calls", task.options.calls_max,
                      "instead: calls in all, spent by sequential halving on who does best");
  command->add_option("--seed", task.options.seed, "of the choice of questions");
  command->add_option("--concurrency", task.concurrency_max, "calls at once [4]")
      ->check(CLI::Range(1, 256));
  command->add_option("--tokens", task.tokens_max, "of a reply, at most [1024]")
      ->check(CLI::Range(1, 1'000'000));
  command->add_option("--max-cost-usd", wish->cost_usd_max, "begin no call beyond");
  command->add_flag("--dry-run", wish->dry_run, "tell calls and cost, ask nobody");
  command->callback(
      [wish, &status] { status = wish->out.empty() ? probe_there(*wish) : probe_here(*wish); });
}

}  // namespace house
