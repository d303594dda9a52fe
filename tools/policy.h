// tools/policy.h — PUBLIC. Which calls may be made: deny, then allow, then ask, then what was
// approved together with a server, then by effect.
// A rule is TOOL or TOOL:ARGUMENT=VALUE, both sides globs of '*' and '?': "fs/write_*",
// "shell:command=git *". ARGUMENT is a name, a path of names (filter.path) or * for every argument.
// Values are compared as text, numbers and the like as JSON. Where an argument holds several, one
// that fits is enough to deny or to ask; to allow, all must fit.
// A rule about the text of a shell command is a convenience, no wall: the sandbox is the wall.
// Immutable and thread-safe.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tools/tool.h"

namespace swarm::tools {

enum class Verdict : uint8_t { allow, deny, ask };

struct Decision {
  Verdict verdict = Verdict::deny;
  std::string rule;                // "deny shell:command=rm *", "default: it only reads"
};

struct PolicyRules {
  std::vector<std::string> deny, allow, ask;
  std::vector<std::string> approved = {};  // by lists of servers, not by the policy itself
  bool declared = true;            // false: there are only approvals
};

class Policy {
 public:
  // No policy at all: what only reads is allowed, everything else is refused.
  Policy() = default;
  // Whatever no rule names is allowed if it only reads, else asked. Error: a rule that is none.
  static Result<Policy> make(const PolicyRules& rules);

  Decision decide(const ToolSpec& spec, const Json& arguments) const;
  bool declared() const { return declared_; }

 private:
  struct Rule {
    std::string text, tool;
    std::vector<std::string> path;   // empty: any arguments; {"*"}: every argument
    std::string value;
  };
  static Result<Rule> parse(const std::string& text);
  static bool fits(const Rule& rule, const ToolSpec& spec, const Json& arguments, bool all);

  bool declared_ = false;
  std::vector<Rule> deny_, allow_, ask_, approved_;
};

}  // namespace swarm::tools
