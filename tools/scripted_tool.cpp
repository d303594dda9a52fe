#include "tools/scripted_tool.h"

#include <algorithm>
#include <exception>

#include "engine/base/check.h"

namespace swarm::tools {

ScriptedTool::~ScriptedTool() {
  if (std::uncaught_exceptions() > 0) return;
  const std::vector<std::string> left = problems();
  SWARM_CHECK(left.empty(), spec_.name, left.front());
}

std::shared_ptr<ScriptedTool> ScriptedTool::make(std::string name) {
  ToolSpec spec;
  spec.name = std::move(name);
  spec.description = "scripted";
  spec.parameters = Json{{"type", "object"}};
  spec.effect = Effect::read;      // nothing happens: a policy need not name it
  spec.origin = "scripted";
  return std::make_shared<ScriptedTool>(std::move(spec));
}

ScriptedTool& ScriptedTool::then(Step step) {
  steps_.push_back(std::move(step));
  return *this;
}

ScriptedTool& ScriptedTool::then(std::string text) {
  Step step;
  step.result.text = std::move(text);
  return then(std::move(step));
}

ScriptedTool& ScriptedTool::then_throw(Error error) {
  Step step;
  step.thrown = std::move(error);
  return then(std::move(step));
}

ScriptedTool& ScriptedTool::then_after(std::function<Async<>()> before, std::string text) {
  Step step;
  step.result.text = std::move(text);
  step.before = std::move(before);
  return then(std::move(step));
}

std::vector<std::string> ScriptedTool::problems() {
  std::vector<std::string> out = std::move(problems_);
  problems_.clear();
  if (!steps_.empty()) out.push_back(std::to_string(steps_.size()) + " steps were not used");
  steps_.clear();
  return out;
}

Async<ToolResult> ScriptedTool::call(Json arguments, ToolContext context) {
  calls_.push_back({arguments, context});
  ToolResult wrong{.text = "", .is_error = true, .truncated = false};
  if (steps_.empty()) {
    wrong.text = "the script has no step for " + dump_json(arguments);
    problems_.push_back(wrong.text);
    co_return wrong;
  }
  const Step step = std::move(steps_.front());
  steps_.pop_front();
  if (step.expected && dump_json(*step.expected) != dump_json(arguments)) {
    wrong.text = "the script expected " + dump_json(*step.expected) + ", found " +
                 dump_json(arguments);
    problems_.push_back(wrong.text);
    co_return wrong;
  }
  struct Running {
    int& count;
    ~Running() { --count; }
  } running{++running_};
  running_max_ = std::max(running_max_, running_);
  if (step.before) co_await step.before();
  if (step.thrown) throw ErrorException(*step.thrown);
  co_return step.result;
}

}  // namespace swarm::tools
