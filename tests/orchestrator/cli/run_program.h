// tests/orchestrator/cli/run_program.h — The whole command line in this process, its streams in
// memory. Blocks until the command ends; used from one thread.
#pragma once

#include <sstream>
#include <string>
#include <vector>

#include "orchestrator/cli/commands.h"

namespace swarm::test {

struct Ran {
  int code = 0;
  std::string out, err;
};

// arguments: without the program's name; input: its standard input.
inline Ran run(const std::vector<std::string>& arguments, const std::string& input = "") {
  std::vector<const char*> argv{"swarm"};
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  std::istringstream in(input);
  std::ostringstream out, err;
  const int code = cli::run_program(static_cast<int>(argv.size()), argv.data(), in, out, err);
  return {code, out.str(), err.str()};
}

}  // namespace swarm::test
