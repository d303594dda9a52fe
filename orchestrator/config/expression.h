// orchestrator/config/expression.h — ${...}: paths into inputs, env, swarm and results of tasks.
//   ${inputs.issue}   ${env.HOME}   ${swarm.bin_dir}   ${plan.output.files[0]}
// A lone expression keeps the type of its value; inside other text it is written out (text as it
// is, everything else as JSON). $${ is a literal ${. Pure functions.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/error.h"
#include "engine/base/json.h"

namespace swarm::config {

struct Reference {
  std::vector<std::string> path;  // names and decimal indices; never empty
  std::string text() const;       // as written between the braces
};

struct Template {
  struct Part {
    std::string literal;          // when reference.path is empty
    Reference reference;
  };
  std::vector<Part> parts;
  bool is_constant() const;
  bool is_lone() const { return parts.size() == 1 && !parts[0].reference.path.empty(); }
};

Result<Template> parse_template(std::string_view text);

using Lookup = std::function<Result<Json>(const Reference&)>;
Result<Json> evaluate(const Template& text, const Lookup& lookup);

// Evaluates every text inside a value.
Result<Json> evaluate_all(const Json& value, const Lookup& lookup);

// Every reference inside a value; malformed ones are errors.
Result<std::vector<Reference>> references_in(const Json& value);

// Walks path[from..] into value. The error names the whole reference.
Result<Json> walk(const Json& value, const Reference& reference, size_t from);

}  // namespace swarm::config
