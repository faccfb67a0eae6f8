// Everything that may be set, read from one JSON file (comments allowed) and the command line.
//
// The structs of the rooms hold the defaults; `reference.json` beside this file lists every key,
// and a test holds the two together. Prices are written in USD per million tokens and kept in
// micro-usd.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "experts/options.h"
#include "http/options.h"
#include "router/options.h"
#include "router/pools.h"
#include "store/options.h"

namespace config {

/// When the pool that comes with the program serves (config/embedded.h).
enum class Embedded : std::uint8_t {
  automatic,  // while there is no other expert
  always,
  never,
};

struct Config {
  http::Options http;
  http::AdminOptions admin;
  store::Options store;
  router::LookupOptions lookup;
  router::VectorOptions vectors;
  std::string
      gate;  // file made by `skillyard learn-gate`; empty: gate.json beside the database, if any
  std::vector<experts::ExpertOptions> experts;
  experts::ResidencyOptions residency;
  router::Lives lives;  // of the experts that are not simply active
  std::vector<router::PoolOptions> pools;
  std::vector<router::SkillCard> skills;  // what the experts' declared skills mean
  std::string data = "";            // directory of the database; empty: the default_data_dir()
  std::string policy;               // file made by `skillyard train`; empty: none
  std::string log_level = "info";   // trace, debug, info, warn, error
  std::string log_format = "text";  // text, or json: an object a line
  bool discover = true;             // look for servers where none is configured
  Embedded embedded = Embedded::automatic;
};

/// One sentence each, with the key's place.
using Faults = std::vector<std::string>;

/// Reads a whole document, key by key; what is wrong goes to `faults` and keeps its default. What
/// is in force goes to `shown`, unless that is null.
Config read(const nlohmann::json& document, Faults& faults, nlohmann::json* shown = nullptr);

/// What no key by itself can tell: names used twice, references to nobody.
void check(const Config& config, Faults& faults);

/// The pools that there are: `auto` first, whether it was written down or not.
std::vector<router::PoolOptions> pools_of(const Config& config);

/// Throws std::runtime_error that lists the faults.
[[noreturn]] void refuse(const std::string& origin, const Faults& faults);

/// JSON with comments, one object; throws as refuse() does.
nlohmann::json parse_text(const std::string& text, const std::string& origin);

/// Throws when the file cannot be read or is over 4 MiB.
std::string read_text(const std::string& path);

/// Reads `text`; `origin` names it in messages. Throws std::runtime_error whose message lists every
/// fault, one a line, with the key's place.
Config parse(const std::string& text, const std::string& origin);

/// As parse(), of a file. Throws also when it cannot be read or is over 4 MiB.
Config read_file(const std::string& path);

/// `NAME=URL[,model=...][,key-env=...]` or `NAME=FILE.gguf` of the command line. Throws with the
/// form and an example.
experts::ExpertOptions parse_expert(const std::string& text);

/// Splits `ADDRESS:PORT`, `[v6]:PORT` or `:PORT`, which leaves the address. Throws with the form.
void parse_listen(const std::string& text, std::string& address, std::uint16_t& port);

/// $XDG_DATA_HOME/skillyard, else ~/.local/share/skillyard, else ./skillyard-data.
std::string default_data_dir();

}  // namespace config
