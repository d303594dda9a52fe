// orchestrator/config/load.h — From a file to a Config: parse, overrides, ${...}, schema,
// references. Every problem is found before anything starts. Reads files and the environment only.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "orchestrator/config/config.h"
#include "orchestrator/config/usage.h"
#include "orchestrator/config/yaml.h"

namespace swarm::config {

struct LoadOptions {
  std::map<std::string, std::string> inputs = {};  // --in NAME=VALUE
  std::vector<std::string> sets = {};          // --set PATH=VALUE, applied in order
  bool need_inputs = true;                     // false: required inputs may be missing (validate)
  std::string bin_dir = {};                    // ${swarm.bin_dir}
};

struct Loaded {
  std::optional<Config> config;                // set when there is no problem
  std::vector<Problem> problems;               // in the order of the file
  std::vector<std::string> warnings;           // what was left out
  std::vector<Unused> unused;                  // of config, in the order of the file
  Sources sources;

  // All problems with carets, then "2 errors; nothing was started".
  std::string report() const;
  std::vector<Error> errors() const;           // the same without carets
  // "FILE:3:5: warning: ..." with carets, of everything unused; "" when all is used.
  std::string unused_report() const;
  ErrorKind kind() const;                      // environment when all are; else invalid_input
};

Loaded load_file(const std::string& path, const LoadOptions& options);
// name: shown in places; directory: where relative paths begin.
Loaded load_text(const std::string& text, const std::string& name, const std::string& directory,
                 const LoadOptions& options);

}  // namespace swarm::config
