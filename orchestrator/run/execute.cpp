#include "orchestrator/run/execute.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "engine/base/async/deadline.h"
#include "engine/base/async/nursery.h"
#include "engine/base/check.h"
#include "engine/base/rng.h"
#include "orchestrator/config/expression.h"
#include "orchestrator/graph/task_graph.h"
#include "orchestrator/run/passes.h"
#include "orchestrator/run/rounds.h"

namespace swarm::run {
namespace {

using config::TaskEntry;

std::vector<graph::TaskSpec> specs_of(const std::vector<TaskEntry>& tasks) {
  std::vector<graph::TaskSpec> specs;
  for (const TaskEntry& task : tasks) {
    graph::TaskSpec spec;
    for (const std::string& before : task.after)
      for (size_t i = 0; i < tasks.size(); ++i)
        if (tasks[i].name == before) spec.after.push_back(static_cast<int32_t>(i));
    spec.join = task.join == config::Join::all   ? graph::Join::all
                : task.join == config::Join::any ? graph::Join::any
                                                 : graph::Join::always;
    specs.push_back(std::move(spec));
  }
  return specs;
}

TaskOutcome failure(std::string outcome, std::string error) {
  TaskOutcome out;
  out.outcome = std::move(outcome);
  out.error = std::move(error);
  return out;
}

std::string as_text(const Json& value) {
  return value.is_string() ? value.get<std::string>() : dump_json(value);
}

class GraphRun {
 public:
  GraphRun(Environment& environment, Deadline deadline)
      : env_(environment), deadline_(deadline), tasks_(env_.config.tasks),
        graph_(specs_of(tasks_)), outcomes_(tasks_.size()) {}

  Async<GraphOutcome> run() {
    co_await with_nursery([this](Nursery& nursery) -> Async<> {
      start_ready(nursery);
      co_return;
    });
    co_return conclude();
  }

 private:
  void start_ready(Nursery& nursery) {
    for (int32_t task : graph_.ready()) {
      graph_.start(task);
      nursery.start([this, task, &nursery] { return run_task(task, nursery); });
    }
  }

  Async<> run_task(int32_t index, Nursery& nursery) {
    const TaskEntry& task = tasks_[static_cast<size_t>(index)];
    env_.recorder.event("task.start", {{"task", task.name}, {"target", task.target}});
    TaskOutcome outcome;
    std::optional<Error> error;
    try {
      const Deadline deadline = deadline_of(env_, deadline_, task.timeout);
      outcome = co_await with_deadline(work(task, deadline), deadline, env_.clock);
    } catch (const ErrorException& e) {
      const ErrorKind kind = e.error().kind;
      if (kind == ErrorKind::cancelled || kind == ErrorKind::budget) throw;
      error = e.error();
    }
    if (error)
      outcome = failure(error->kind == ErrorKind::timeout ? "timeout" : "failed", error->message);
    Json data{{"task", task.name}, {"ok", outcome.ok}, {"outcome", outcome.outcome}};
    if (outcome.ok) {
      data["output"] = outcome.output;
    } else {
      data["error"] = outcome.error;
      if (!outcome.best.is_null()) data["best"] = outcome.best;
    }
    env_.recorder.event("task.end", data);
    outcomes_[static_cast<size_t>(index)] = std::move(outcome);
    const std::vector<graph::State> before = states();
    graph_.finish(index, outcomes_[static_cast<size_t>(index)].ok);
    for (int32_t i = 0; i < graph_.size(); ++i)
      if (graph_.state(i) == graph::State::skipped &&
          before[static_cast<size_t>(i)] != graph::State::skipped)
        env_.recorder.event("task.skip", {{"task", tasks_[static_cast<size_t>(i)].name}});
    start_ready(nursery);
  }

  std::vector<graph::State> states() const {
    std::vector<graph::State> out;
    for (int32_t i = 0; i < graph_.size(); ++i) out.push_back(graph_.state(i));
    return out;
  }

  Async<TaskOutcome> work(const TaskEntry& task, Deadline deadline) {
    if (task.kind == TaskEntry::Kind::tool) return call_tool(task, deadline);
    if (task.kind == TaskEntry::Kind::topology) return run_topology(task, deadline);
    return run_one_agent(task, deadline);
  }

  Result<Json> lookup(const config::Reference& reference) const {
    const std::string& root = reference.path[0];
    if (root == "inputs") return config::walk(env_.config.inputs, reference, 1);
    for (size_t i = 0; i < tasks_.size(); ++i) {
      if (tasks_[i].name != root) continue;
      const graph::State state = graph_.state(static_cast<int32_t>(i));
      if (reference.path[1] == "state") return Json(to_string(state));
      if (state != graph::State::succeeded)
        return failed("${" + reference.text() + "}: task \"" + root + "\" has no output, it " +
                      (state == graph::State::skipped ? "was skipped" : "failed"));
      return config::walk(outcomes_[i].output, reference, 2);
    }
    return failed("nothing is called ${" + reference.text() + "}");
  }

  Json evaluated(const Json& value) const {
    return config::evaluate_all(
               value, [this](const config::Reference& reference) { return lookup(reference); })
        .value();
  }

  Async<TaskOutcome> run_topology(const TaskEntry& task, Deadline deadline) {
    const config::TopologyEntry& topology = *env_.config.topology(task.target);
    RoundsInput input{.task_name = task.name,
                      .task = as_text(evaluated(task.in)),
                      .deadline = deadline};
    co_return co_await run_rounds(env_, topology, std::move(input));
  }

  Async<TaskOutcome> run_one_agent(const TaskEntry& task, Deadline deadline) {
    const config::AgentEntry& agent = *env_.config.agent(task.target);
    PassSpec spec{.task = task.name, .round = 0, .agent = agent.config.name};
    spec.model = agent.model;
    spec.seed = mix_seed(env_.seed, hash_text(task.name));
    spec.deadline = deadline_of(env_, deadline, agent.timeout);
    spec.output_schema = agent.output;
    if (!agent.config.instructions.empty())
      spec.messages.push_back(message(agents::Role::system, agent.config.instructions));
    spec.comes_again = spec.messages;      // other tasks may have the same agent
    spec.messages.push_back(message(agents::Role::user, as_text(evaluated(task.in))));
    const PassOutcome pass = co_await run_agent(env_, agent.config, std::move(spec));
    if (!pass.failure.empty()) co_return failure("failed", pass.failure);
    if (pass.result.truncated)
      co_return failure("failed", "the answer was cut off: " +
                                      std::string(to_string(pass.result.finish)));
    if (agent.output && !pass.result.output)
      co_return failure("failed", "the answer does not fit the declared output");
    TaskOutcome out;
    out.ok = true;
    out.outcome = "succeeded";
    out.output = agent.output ? *pass.result.output : Json(pass.result.content);
    out.degraded = pass.result.cut_turns > 0;
    co_return out;
  }

  static agents::Message message(agents::Role role, std::string text) {
    agents::Message out;
    out.role = role;
    out.content = std::move(text);
    return out;
  }

  Async<TaskOutcome> call_tool(const TaskEntry& task, Deadline deadline) {
    const std::vector<tools::Tool*> found =
        env_.registry.select(std::span(&task.target, 1)).value();
    SWARM_CHECK(found.size() <= 1, task.target);  // looked at before the first task began
    if (found.empty())
      co_return failure("failed", env_.registry.absence_of(task.target));
    const std::string tool = found[0]->spec().name;
    const Json arguments = evaluated(task.args);
    env_.recorder.event("tool.call",
                        {{"task", task.name}, {"tool", tool}, {"arguments", arguments}});
    env_.meter.count_tool_call();
    const tools::ToolContext context{.agent = task.name, .call_id = task.name,
                                     .deadline = deadline};
    const tools::ToolResult result = co_await env_.registry.dispatch(tool, arguments, context);
    env_.recorder.event("tool.result", {{"task", task.name},
                                        {"tool", tool},
                                        {"text", result.text},
                                        {"is_error", result.is_error},
                                        {"truncated", result.truncated}});
    if (result.is_error) co_return failure("failed", tool + ": " + result.text);
    TaskOutcome out;
    out.ok = true;
    out.outcome = "succeeded";
    out.output = result.text;
    co_return out;
  }

  GraphOutcome conclude() const {
    SWARM_CHECK(graph_.done());
    GraphOutcome out;
    out.ok = true;
    out.outcome = tasks_.size() == 1 ? outcomes_[0].outcome : "succeeded";
    for (size_t i = 0; i < tasks_.size(); ++i) {
      const TaskOutcome& task = outcomes_[i];
      out.rounds += task.rounds;
      out.degraded = out.degraded || task.degraded;
      const graph::State state = graph_.state(static_cast<int32_t>(i));
      if (state == graph::State::succeeded) out.answer = task.output;
      if (state != graph::State::failed || !out.ok) continue;
      out.ok = false;
      out.outcome = task.outcome;
      out.best = task.best;
      out.error = tasks_.size() == 1 ? task.error : tasks_[i].name + ": " + task.error;
    }
    if (!out.ok) {
      out.answer = nullptr;
      return out;
    }
    try {
      out.outputs = evaluated(env_.config.outputs);
    } catch (const ErrorException& e) {
      out.ok = false;
      out.outcome = "failed";
      out.error = "outputs: " + e.error().message;
      out.answer = nullptr;
    }
    return out;
  }

  Environment& env_;
  Deadline deadline_;
  const std::vector<TaskEntry>& tasks_;
  graph::TaskGraph graph_;
  std::vector<TaskOutcome> outcomes_;
};

}  // namespace

Async<GraphOutcome> run_graph(Environment& environment, Deadline deadline) {
  GraphRun run(environment, deadline);
  co_return co_await run.run();
}

}  // namespace swarm::run
