#include "store/tools/knowledge_commands.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>

#include "store/knowledge_import.h"
#include "store/knowledge_reader.h"
#include "store/knowledge_vectors.h"

namespace store {
namespace {

namespace fs = std::filesystem;

struct Args {
  std::string data_dir;
  std::string collection = "default";
  std::string path, text, source, out;
  std::vector<std::string> collections;
  int limit = 5;
  Reading reading = Reading::automatic;
};

using ArgsPtr = std::shared_ptr<Args>;

std::string file_in(const std::string& data_dir) {
  return (fs::path(data_dir) / KnowledgeOptions{}.path).string();
}

std::int64_t now_us() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::microseconds>(now).count();
}

Knowledge open(const Args& args) {
  fs::create_directories(args.data_dir);
  KnowledgeOptions options;
  options.path = file_in(args.data_dir);
  return Knowledge(options, now_us);
}

std::string existing_file(const Args& args) {
  const std::string path = file_in(args.data_dir);
  if (!fs::exists(path)) {
    throw std::runtime_error(path + ": nothing there yet; `skillyard knowledge add` makes it");
  }
  return path;
}

KnowledgeReader open_reader(const Args& args) {
  return KnowledgeReader(existing_file(args));
}

/// One line that is written over on a terminal; nothing in a pipe.
class ProgressLine {
 public:
  void show(const std::string& text) {
    if (!terminal_) return;
    std::cerr << "\r\033[K" << text << std::flush;
  }

  void clear() { show(""); }

 private:
  bool terminal_ = isatty(STDERR_FILENO) != 0;
};

void add(const Args& args) {
  Knowledge knowledge = open(args);
  ProgressLine line;
  const ImportHooks hooks = {
      .left_out =
          [&](std::string_view why) {
            line.clear();
            std::cerr << "left out " << why << "\n";
          },
      .progress =
          [&](const ImportCounts& counts, double share) {
            const std::string part =
                share < 0 ? "" : std::to_string(static_cast<int>(share * 100)) + "%, ";
            line.show(part + std::to_string(counts.passages) + " passages, " +
                      std::to_string(counts.bytes >> 20) + " MiB");
          }};
  const ImportCounts counts =
      args.path == "-"
          ? import_stream(knowledge, args.collection, std::cin, "-", args.reading, hooks)
          : import_path(knowledge, args.collection, args.path, args.reading, hooks);
  line.clear();
  std::cout << counts.added << " added, " << counts.replaced << " replaced, " << counts.unchanged
            << " unchanged, " << counts.left_out << " left out; " << counts.passages
            << " passages written\n";
}

void list(const Args& args) {
  std::printf("%-24s %12s %12s %14s %12s  %s\n", "collection", "documents", "passages", "bytes",
              "vectors", "encoder");
  for (const CollectionRow& row : open_reader(args).collections()) {
    const std::string by =
        row.encoder.empty() ? "" : row.encoder + " (" + std::to_string(row.dimension) + ")";
    std::printf("%-24s %12lld %12lld %14lld %12lld  %s\n", row.name.c_str(),
                static_cast<long long>(row.documents), static_cast<long long>(row.passages),
                static_cast<long long>(row.bytes), static_cast<long long>(row.vectors), by.c_str());
  }
}

void search(const Args& args) {
  const Found found = open_reader(args).search(
      {.text = args.text, .collections = args.collections, .limit = args.limit});
  for (const Passage& passage : found.passages) {
    std::printf("%.2f  %s  %s%s%s\n", passage.score, passage.collection.c_str(),
                passage.source.c_str(), passage.heading.empty() ? "" : "  ",
                passage.heading.c_str());
    std::cout << passage.text << (passage.text.ends_with('\n') ? "\n" : "\n\n");
  }
  std::fprintf(stderr, "%zu passages; %d terms, %d unknown, %d searched; %.0f%% covered\n",
               found.passages.size(), found.terms, found.terms_unknown, found.terms_searched,
               found.covered * 100);
}

void remove(const Args& args) {
  Knowledge knowledge = open(args);
  ProgressLine line;
  const Removed removed =
      args.source.empty()
          ? knowledge.remove_collection(args.collection,
                                        [&](const Removed& sum) {
                                          line.show(std::to_string(sum.documents) + " documents");
                                        })
          : knowledge.remove(args.collection, args.source);
  line.clear();
  std::cout << removed.documents << " documents, " << removed.passages << " passages deleted\n";
}

void forget_vectors(const Args& args) {
  KnowledgeOptions options;
  options.path = existing_file(args);
  std::cout << KnowledgeVectors(options).forget(args.collection) << " vectors deleted\n";
}

void write_export(const Args& args) {
  KnowledgeReader reader = open_reader(args);
  std::ofstream file;
  if (!args.out.empty()) {
    file.open(args.out, std::ios::binary);
    if (!file) throw std::runtime_error(args.out + ": cannot be written");
  }
  std::ostream& out = args.out.empty() ? std::cout : file;
  const std::int64_t documents = reader.export_collection(
      args.collection, [&](std::string_view line) { out << line << "\n"; });
  out.flush();
  if (!out) throw std::runtime_error("the export could not be written to its end");
  std::cerr << documents << " documents\n";
}

CLI::App* add_command(CLI::App& knowledge, const ArgsPtr& args, const std::string& name,
                      const std::string& does, void (*run)(const Args&)) {
  auto* command = knowledge.add_subcommand(name, does);
  command->add_option("--data", args->data_dir, "folder of the database");
  command->callback([args, run] { run(*args); });
  return command;
}

}  // namespace

void add_knowledge_commands(CLI::App& app, const std::string& data_dir) {
  auto* knowledge = app.add_subcommand("knowledge", "what experts can look up");
  knowledge->require_subcommand(1);
  const auto args = std::make_shared<Args>();
  args->data_dir = data_dir;
  const char* collection = "name of the collection";

  auto* adding = add_command(*knowledge, args, "add", "add documents; what is there stays", add);
  adding->add_option("path", args->path, "a file, a folder, or - for stdin")->required();
  adding->add_option("--collection", args->collection, collection);
  const std::map<std::string, Reading> readings = {{"auto", Reading::automatic},
                                                   {"text", Reading::text},
                                                   {"markdown", Reading::markdown},
                                                   {"jsonl", Reading::json_lines}};
  adding->add_option("--format", args->reading, "auto, text, markdown, jsonl")
      ->transform(CLI::CheckedTransformer(readings));

  add_command(*knowledge, args, "list", "collections and their sizes", list);

  auto* searching = add_command(*knowledge, args, "search", "the best passages for a text", search);
  searching->add_option("text", args->text)->required();
  searching->add_option("--collection", args->collections, "only in these")->delimiter(',');
  searching->add_option("--limit", args->limit)->check(CLI::Range(1, SearchRules{}.passages_max));

  auto* deleting = add_command(*knowledge, args, "delete", "a collection, or one document", remove);
  deleting->add_option("collection", args->collection)->required();
  deleting->add_option("--source", args->source, "only the document of this path or id");

  auto* forgetting = add_command(
      *knowledge, args, "forget-vectors",
      "the vectors of a collection, so that another encoder may make them anew", forget_vectors);
  forgetting->add_option("collection", args->collection)->required();

  auto* exporting =
      add_command(*knowledge, args, "export", "a collection as JSON Lines", write_export);
  exporting->add_option("collection", args->collection)->required();
  exporting->add_option("--out", args->out, "a file instead of stdout");
}

}  // namespace store
