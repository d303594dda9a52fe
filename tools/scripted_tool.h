// tools/scripted_tool.h — A tool whose calls are written down beforehand: the double for tests and
// for rehearsing a swarm without its world. Steps are used in order. A call without a step left, or
// with other arguments than its step expects, is a ToolResult{is_error} and is remembered in
// problems(); a script that is not used up is a problem, too. One strand.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tools/tool.h"

namespace swarm::tools {

class ScriptedTool final : public Tool {
 public:
  struct Step {
    ToolResult result = {};
    std::optional<Json> expected = std::nullopt;  // arguments, compared as JSON text
    std::optional<Error> thrown = std::nullopt;   // thrown instead of returning
    // Awaited before the step ends; waits for states or clocks in tests of order and cancellation.
    std::function<Async<>()> before = nullptr;
  };

  explicit ScriptedTool(ToolSpec spec) : spec_(std::move(spec)) {}
  // Checks that there are no problems (not while an exception unwinds).
  ~ScriptedTool() override;

  // Any object is accepted as arguments.
  static std::shared_ptr<ScriptedTool> make(std::string name);

  ScriptedTool& then(Step step);
  ScriptedTool& then(std::string text);
  ScriptedTool& then_throw(Error error);
  // Awaits before() and then answers with text.
  ScriptedTool& then_after(std::function<Async<>()> before, std::string text = {});

  const ToolSpec& spec() const override { return spec_; }
  Async<ToolResult> call(Json arguments, ToolContext context) override;

  struct Call {
    Json arguments;
    ToolContext context;
  };
  const std::vector<Call>& calls() const { return calls_; }
  int running() const { return running_; }
  int running_max() const { return running_max_; }

  // What went wrong so far, steps that nobody used included. Reading acknowledges it.
  std::vector<std::string> problems();

 private:
  ToolSpec spec_;
  std::deque<Step> steps_;
  std::vector<Call> calls_;
  std::vector<std::string> problems_;
  int running_ = 0;
  int running_max_ = 0;
};

}  // namespace swarm::tools
