#include "tools/policy.h"

#include <algorithm>

#include "tools/glob.h"

namespace swarm::tools {
namespace {

// The text of every value below: of members, of items, or of the value itself.
void leaves(const Json& value, std::vector<std::string>& out) {
  if (value.is_structured()) {
    for (const Json& item : value) leaves(item, out);
    return;
  }
  out.push_back(value.is_string() ? value.get<std::string>() : dump_json(value));
}

}  // namespace

Result<Policy::Rule> Policy::parse(const std::string& text) {
  Rule rule;
  rule.text = text;
  const size_t colon = text.find(':');
  rule.tool = text.substr(0, colon);
  const auto bad = [&](const char* what) {
    return invalid_input("rule \"" + text + "\": expected TOOL or TOOL:ARGUMENT=VALUE, " + what);
  };
  if (rule.tool.empty()) return bad("found no tool");
  if (rule.tool.find_first_of(" =\t") != std::string::npos) return bad("found a space or =");
  if (colon == std::string::npos) return rule;
  const size_t equals = text.find('=', colon);
  if (equals == std::string::npos) return bad("found no =");
  rule.value = text.substr(equals + 1);
  std::string name = text.substr(colon + 1, equals - colon - 1);
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('.', begin), name.size());
    rule.path.push_back(name.substr(begin, end - begin));
    if (rule.path.back().empty()) return bad("found an empty argument name");
    begin = end + 1;
  }
  return rule;
}

Result<Policy> Policy::make(const PolicyRules& rules) {
  Policy policy;
  policy.declared_ = rules.declared;
  const auto add = [](const std::vector<std::string>& texts,
                      std::vector<Rule>& list) -> Result<void> {
    for (const std::string& text : texts) {
      SWARM_TRY(Rule rule, parse(text));
      list.push_back(std::move(rule));
    }
    return {};
  };
  SWARM_TRY_VOID(add(rules.deny, policy.deny_));
  SWARM_TRY_VOID(add(rules.allow, policy.allow_));
  SWARM_TRY_VOID(add(rules.ask, policy.ask_));
  SWARM_TRY_VOID(add(rules.approved, policy.approved_));
  return policy;
}

bool Policy::fits(const Rule& rule, const ToolSpec& spec, const Json& arguments, bool all) {
  if (!names_tool(rule.tool, spec)) return false;
  if (rule.path.empty()) return true;
  const Json* at = &arguments;
  if (rule.path.size() != 1 || rule.path[0] != "*") {
    for (const std::string& name : rule.path) {
      const auto found = at->is_object() ? at->find(name) : at->end();
      if (!at->is_object() || found == at->end()) return false;
      at = &*found;
    }
  }
  std::vector<std::string> texts;
  leaves(*at, texts);
  const auto fit = [&](const std::string& text) { return glob_matches(rule.value, text); };
  if (all) return !texts.empty() && std::all_of(texts.begin(), texts.end(), fit);
  return std::any_of(texts.begin(), texts.end(), fit);
}

Decision Policy::decide(const ToolSpec& spec, const Json& arguments) const {
  const auto first = [&](const std::vector<Rule>& rules, bool all) -> const Rule* {
    for (const Rule& rule : rules)
      if (fits(rule, spec, arguments, all)) return &rule;
    return nullptr;
  };
  if (const Rule* rule = first(deny_, false)) return {Verdict::deny, "deny " + rule->text};
  if (const Rule* rule = first(allow_, true)) return {Verdict::allow, "allow " + rule->text};
  if (const Rule* rule = first(ask_, false)) return {Verdict::ask, "ask " + rule->text};
  if (const Rule* rule = first(approved_, true))
    return {Verdict::allow, "approved with its server: " + rule->text};
  if (spec.effect == Effect::read) return {Verdict::allow, "default: it only reads"};
  if (declared_) return {Verdict::ask, "default: it has effects and no rule names it"};
  return {Verdict::deny, "default: it has effects and there is no policy"};
}

}  // namespace swarm::tools
