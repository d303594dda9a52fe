#include "orchestrator/run/passes.h"

#include <utility>

#include "engine/base/async/deadline.h"
#include "engine/base/async/nursery.h"
#include "engine/base/check.h"

namespace swarm::run {
namespace {

std::string_view event_type(agents::PassEvent::Kind kind) {
  using Kind = agents::PassEvent::Kind;
  switch (kind) {
    case Kind::model_call: return "model.call";
    case Kind::model_reply: return "model.reply";
    case Kind::model_cut: return "model.cut";
    case Kind::tool_call: return "tool.call";
    case Kind::tool_result: return "tool.result";
  }
  return "pass.event";
}

Json context_of(const PassSpec& spec) {
  Json out{{"task", spec.task}};
  if (spec.round > 0) out["round"] = spec.round;
  out["agent"] = spec.agent;
  return out;
}

size_t bytes_of(const std::vector<agents::Message>& messages) {
  size_t bytes = 0;
  for (const agents::Message& message : messages) bytes += message.content.size();
  return bytes;
}

// Tells the model on every path.
class Release {
 public:
  Release(agents::Model& model, std::string context, std::vector<agents::Message> comes_again)
      : model_(model), context_(std::move(context)), comes_again_(std::move(comes_again)) {}
  ~Release() { model_.release(context_, comes_again_); }
  Release(const Release&) = delete;
  Release& operator=(const Release&) = delete;

 private:
  agents::Model& model_;
  const std::string context_;
  const std::vector<agents::Message> comes_again_;
};

}  // namespace

std::string conversation_of(const std::string& task, const std::string& agent) {
  return task + "/" + agent;
}

Deadline deadline_of(const Environment& environment, Deadline task,
                     const std::optional<config::Milliseconds>& timeout) {
  if (!timeout) return task;
  return task.earlier(Deadline::after(environment.clock, *timeout));
}

Async<PassOutcome> run_agent(Environment& environment, const agents::AgentConfig& config,
                             PassSpec spec) {
  const auto found = environment.models.find(spec.model);
  SWARM_CHECK(found != environment.models.end(), spec.model);
  MeteredModel model(*found->second, environment.meter);
  const Json context = context_of(spec);
  Json prompt = context;
  prompt.update({{"seed", spec.seed}, {"bytes", bytes_of(spec.messages)}});
  environment.recorder.event("agent.prompt", prompt);
  // Named: GCC 12 destroys temporaries of a co_await expression twice.
  const agents::PassObserver observe = [&](const agents::PassEvent& event) {
    Json data = context;
    data["turn"] = event.turn;
    if (!event.call_id.empty()) data["call"] = event.call_id;
    if (!event.tool.empty()) data["tool"] = event.tool;
    data.update(event.data);
    if (event.kind == agents::PassEvent::Kind::tool_call) environment.meter.count_tool_call();
    environment.recorder.event(event_type(event.kind), data);
  };
  const Deadline deadline = spec.deadline;
  agents::PassInput input;
  input.messages = std::move(spec.messages);
  input.output_schema = std::move(spec.output_schema);
  input.output_format = spec.output_format;
  input.deadline = deadline;
  input.seed = spec.seed;
  input.hints = spec.hints;
  input.hints.context = conversation_of(spec.task, spec.agent);
  const Release release(model, input.hints.context, std::move(spec.comes_again));
  if (environment.on_progress)
    input.on_progress = [&](const agents::Progress& progress) {
      environment.on_progress({.task = spec.task, .agent = config.name}, progress);
    };
  PassOutcome outcome;
  std::optional<Error> error;
  try {
    outcome.result = co_await with_deadline(
        agents::run_pass(model, environment.registry, config, std::move(input), observe), deadline,
        environment.clock);
  } catch (const ErrorException& e) {
    if (e.error().kind == ErrorKind::cancelled || e.error().kind == ErrorKind::budget) throw;
    error = e.error();
  }
  if (!error) co_return outcome;
  outcome.failure = std::string(to_string(error->kind)) + ": " + error->message;
  Json data = context;
  data.update({{"kind", to_string(error->kind)}, {"error", error->message}});
  environment.recorder.event("agent.failed", data);
  co_return outcome;
}

}  // namespace swarm::run
