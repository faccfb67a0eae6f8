#include "config/house/annotate_command.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <map>
#include <memory>
#include <stdexcept>

#include "config/house/probe_command.h"
#include "router/interview_names.h"
#include "router/learn/commands.h"
#include "router/learn/outcomes.h"
#include "router/learn/report.h"

namespace house {

namespace {

constexpr std::size_t kShown = 20;  // skills of the table

struct AnnotateArgs {
  Args args;
  router::NamingTask task;
  std::string file, out;
  double cost_usd_max = 0;
  bool dry_run = false;
};

std::vector<std::string> read_texts(const std::string& path) {
  router::OutcomeReader reader(path);
  reader.take_ungraded();
  std::vector<std::string> texts;
  router::OutcomeRow row;
  while (reader.next(row)) texts.push_back(row.text);
  refuse_faults(reader);
  if (texts.empty()) throw std::runtime_error(path + ": no row");
  return texts;
}

/// The one expert there is, where nobody was named.
void settle_expert(const experts::Roster& roster, std::string& expert) {
  if (!expert.empty()) return;
  if (roster.entries.size() != 1)
    throw std::runtime_error("--by NAME says which of the " +
                             std::to_string(roster.entries.size()) + " experts names the skills");
  expert = roster.entries.front().options.name;
}

void print_skills(const std::vector<std::vector<std::string>>& rows,
                  const std::vector<std::string>& skills) {
  std::map<std::string, std::size_t> counts;
  for (const auto& row : rows)
    for (const auto& name : row) ++counts[name];
  for (std::size_t s = 0; s < std::min(kShown, skills.size()); ++s)
    std::cout << counts[skills[s]] << "\t" << skills[s] << "\n";
  if (skills.size() > kShown) std::cout << skills.size() - kShown << " further skills\n";
}

int annotate(AnnotateArgs& wish) {
  auto& task = wish.task;
  task.texts = read_texts(wish.file);
  task.cost_microusd_max = static_cast<std::int64_t>(wish.cost_usd_max * 1e6);
  House house(settle(wish.args, "warn"));
  settle_expert(*house.roster.current(), task.expert);
  std::cout << task.texts.size() * static_cast<std::size_t>(task.passes) << " calls to "
            << task.expert << ", at most "
            << router::naming_cost_usd_max(task, *house.roster.current()) << " USD\n";
  if (wish.dry_run) return 0;
  if (wish.out.empty()) throw std::runtime_error("--out FILE is where the rows go");
  const router::InterviewDoors doors = {house.roster, experts::make_native_maker(house.models),
                                        house.residents.wrapper()};
  auto report = router::name_skills(task, doors, [](std::size_t done, std::size_t calls) {
    router::show_progress("ask", static_cast<double>(done) / static_cast<double>(calls));
    return true;
  });
  const auto skills = router::settle_names(report.names, task.rules);
  print_skills(report.names, skills);
  const auto named = std::count_if(report.names.begin(), report.names.end(),
                                   [](const auto& row) { return !row.empty(); });
  std::cout << named << " of " << report.names.size() << " rows have a skill; "
            << static_cast<double>(report.cost_microusd) / 1e6 << " USD"
            << (report.stopped ? "; stopped at the limit of cost" : "") << "\n";
  if (report.failed > 0)
    std::cout << report.failed << " calls failed, the first: " << report.error << "\n";
  if (named == 0) return 1;
  write_outcomes(wish.out, router::annotated_lines(wish.file, report.names));
  return 0;
}

}  // namespace

void add_annotate_command(CLI::App& app, int& status) {
  const auto wish = std::make_shared<AnnotateArgs>();
  auto* command = app.add_subcommand(
      "annotate",
      "have an expert name the skills of an outcome file's rows, for `skillyard train`");
  add_options(*command, wish->args);
  auto& task = wish->task;
  command->add_option("file", wish->file, "JSON Lines {id, text, ...}, gzip allowed")->required();
  command->add_option("--by", task.expert, "the expert that names them");
  command->add_option("--out", wish->out, "the file with skills; gzip where it ends in .gz");
  command->add_option("--passes", task.passes, "over each row [5]")->check(CLI::Range(1, 100));
  command->add_option("--agree", task.rules.agree_min, "passes that must give a name [2]")
      ->check(CLI::Range(1, 100));
  command->add_option("--rows-min", task.rules.rows_min,
                      "of a skill; rarer names join others [20]");
  command->add_option("--skills-max", task.rules.skills_max, "the most frequent ones [64]")
      ->check(CLI::Range(1, 10'000));
  command
      ->add_option("--similarity", task.rules.similarity_min,
                   "a rare name's, to the skill that it joins [0.45]")
      ->check(CLI::Range(0.0, 1.0));
  command->add_option("--concurrency", task.concurrency_max, "calls at once [4]")
      ->check(CLI::Range(1, 256));
  command->add_option("--max-cost-usd", wish->cost_usd_max, "begin no call beyond");
  command->add_flag("--dry-run", wish->dry_run, "tell calls and cost, ask nobody");
  command->callback([wish, &status] { status = annotate(*wish); });
}

}  // namespace house
