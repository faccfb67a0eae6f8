#include "config/house/completion.h"

#include <CLI/CLI.hpp>
#include <iostream>
#include <stdexcept>
#include <vector>

namespace house {

namespace {

struct Word {
  std::string text;  // a command, or an option with its dashes
  std::string what;
};

/// A command and what may stand behind it. `path` is ` expert add`, empty for the program itself.
struct Place {
  std::string path;
  std::vector<Word> commands, options;
};

std::string one_line(std::string text) {
  for (char& c : text) c = c == '\n' ? ' ' : c;
  return text;
}

void collect(const CLI::App& app, const std::string& path, std::vector<Place>& places) {
  Place place{path, {}, {}};
  for (const auto* option : app.get_options()) {
    const auto what = one_line(option->get_description());
    for (const auto& name : option->get_lnames()) place.options.push_back({"--" + name, what});
    for (const auto& name : option->get_snames()) place.options.push_back({"-" + name, what});
  }
  std::vector<const CLI::App*> inner;
  for (const auto* command : app.get_subcommands({})) {
    place.commands.push_back({command->get_name(), one_line(command->get_description())});
    inner.push_back(command);
  }
  places.push_back(std::move(place));
  for (const auto* command : inner) collect(*command, path + " " + command->get_name(), places);
}

/// In single quotes for a shell.
std::string in_quotes(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return out + "'";
}

/// `" expert"|" expert add"`: every path but the first, for a case of bash and zsh.
std::string alternatives(const std::vector<Place>& places) {
  std::string out;
  for (const auto& place : places)
    if (!place.path.empty()) out += (out.empty() ? "\"" : "|\"") + place.path + "\"";
  return out;
}

std::string bash_script(const std::vector<Place>& places) {
  std::string cases;
  for (const auto& place : places) {
    std::string words;
    for (const auto* list : {&place.commands, &place.options})
      for (const auto& word : *list) words += (words.empty() ? "" : " ") + word.text;
    cases += "    \"" + place.path + "\") words=" + in_quotes(words) + " ;;\n";
  }
  return "# skillyard completion bash > /etc/bash_completion.d/skillyard\n"
         "_skillyard() {\n"
         "  local path= words= i\n"
         "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
         "    case \"$path ${COMP_WORDS[i]}\" in\n"
         "      " +
         alternatives(places) +
         ") path=\"$path ${COMP_WORDS[i]}\" ;;\n"
         "    esac\n"
         "  done\n"
         "  case \"$path\" in\n" +
         cases +
         "  esac\n"
         "  COMPREPLY=($(compgen -W \"$words\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n"
         "}\n"
         "complete -o default -F _skillyard skillyard\n";
}

std::string zsh_script(const std::vector<Place>& places) {
  std::string cases;
  for (const auto& place : places) {
    cases += "    \"" + place.path + "\") words_there=(";
    for (const auto* list : {&place.commands, &place.options}) {
      for (const auto& word : *list) {
        std::string what;  // `:` parts the word from what it is
        for (const char c : word.what) what += c == ':' ? std::string("\\:") : std::string(1, c);
        cases += "\n      " + in_quotes(word.text + ":" + what);
      }
    }
    cases += ") ;;\n";
  }
  return "#compdef skillyard\n"
         "# skillyard completion zsh > \"${fpath[1]}/_skillyard\"\n"
         "_skillyard() {\n"
         "  local path_there= i\n"
         "  local -a words_there\n"
         "  for ((i = 2; i < CURRENT; i++)); do\n"
         "    case \"$path_there ${words[i]}\" in\n"
         "      " +
         alternatives(places) +
         ") path_there=\"$path_there ${words[i]}\" ;;\n"
         "    esac\n"
         "  done\n"
         "  case \"$path_there\" in\n" +
         cases +
         "  esac\n"
         "  _describe skillyard words_there\n"
         "  _files\n"
         "}\n"
         "_skillyard \"$@\"\n";
}

std::string fish_script(const std::vector<Place>& places) {
  std::string paths, lines;
  for (const auto& place : places) {
    if (!place.path.empty()) paths += " " + in_quotes(place.path);
    const auto when =
        "complete -c skillyard -n " + in_quotes("__skillyard_at " + in_quotes(place.path));
    for (const auto& word : place.commands)
      lines += when + " -f -a " + in_quotes(word.text) + " -d " + in_quotes(word.what) + "\n";
    for (const auto& word : place.options) {
      const bool lone = word.text.size() == 2;
      lines += when + (lone ? " -s " : " -l ") + word.text.substr(lone ? 1 : 2) + " -d " +
               in_quotes(word.what) + "\n";
    }
  }
  return "# skillyard completion fish > ~/.config/fish/completions/skillyard.fish\n"
         "function __skillyard_at\n"
         "  set -l here ''\n"
         "  for word in (commandline -opc)[2..-1]\n"
         "    contains -- \"$here $word\"" +
         paths +
         "; and set here \"$here $word\"\n"
         "  end\n"
         "  test \"$here\" = \"$argv[1]\"\n"
         "end\n" +
         lines;
}

}  // namespace

std::string completion_script(const CLI::App& app, const std::string& shell) {
  std::vector<Place> places;
  collect(app, "", places);
  if (shell == "bash") return bash_script(places);
  if (shell == "zsh") return zsh_script(places);
  if (shell == "fish") return fish_script(places);
  throw std::runtime_error("there is completion for bash, zsh and fish, not for " + shell);
}

void add_completion_command(CLI::App& app) {
  auto* command = app.add_subcommand("completion",
                                     "print a script that completes this program's "
                                     "commands and options");
  const auto shell = std::make_shared<std::string>();
  command->add_option("shell", *shell, "bash, zsh or fish")->required();
  command->callback([&app, shell] { std::cout << completion_script(app, *shell); });
}

}  // namespace house
