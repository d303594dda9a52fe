#include "orchestrator/models/models.h"

#include <boost/regex.hpp>
#include <set>
#include <utility>

#include "engine/base/json.h"
#include "engine/base/text_file.h"
#include "engine/base/units.h"
#include "orchestrator/config/usage.h"
#include "orchestrator/models/yaml_words.h"

namespace swarm::models {
namespace {

Error bad_reply(const std::string& file, size_t index, const std::string& what) {
  return Error{ErrorKind::invalid_input, "replies[" + std::to_string(index) + "]: " + what,
               {.file = file}};
}

Result<agents::ScriptedModel::Step> parse_step(const Json& json, const std::string& file,
                                               size_t index) {
  static const std::vector<std::string> kKeys{"label", "pattern", "content", "tool_calls",
                                              "delay", "error"};
  if (!json.is_object()) return bad_reply(file, index, "expected an object");
  agents::ScriptedModel::Step step;
  for (const auto& [key, value] : json.items()) {
    const bool text = value.is_string();
    if (key == "label" && text) {
      step.label = value.get<std::string>();
    } else if (key == "pattern" && text) {
      step.pattern = value.get<std::string>();
      if (boost::regex(step.pattern, boost::regex::no_except).status() != 0)
        return bad_reply(file, index, "not a regular expression: " + dump_json(value));
    } else if (key == "content") {
      step.reply.content = text ? value.get<std::string>() : dump_json(value);
    } else if (key == "error" && text) {
      step.thrown = failed(value.get<std::string>());
    } else if (key == "delay" && text) {
      SWARM_TRY(step.delay, parse_duration(value.get<std::string>()));
    } else if (key == "tool_calls" && value.is_array()) {
      for (const Json& call : value) {
        if (!call.is_object() || !call.contains("name") || !call["name"].is_string())
          return bad_reply(file, index, "expected tool_calls of {\"name\", \"arguments\"}");
        step.reply.tool_calls.push_back(
            {"", call["name"].get<std::string>(), call.value("arguments", Json::object())});
      }
      step.reply.finish = agents::FinishReason::tool_calls;
    } else {
      const std::string near = did_you_mean(key, kKeys);
      return bad_reply(file, index, "unknown key or wrong type: \"" + key + "\"" +
                                        (near.empty() ? "" : "; did you mean \"" + near + "\"?"));
    }
  }
  return step;
}

Result<std::unique_ptr<agents::ScriptedModel>> open_script(const std::string& path,
                                                           const Clock& clock) {
  SWARM_TRY(const std::string text, read_text_file(path));
  SWARM_TRY(std::vector<agents::ScriptedModel::Step> steps, parse_script(text, path));
  auto model = std::make_unique<agents::ScriptedModel>(clock);
  for (agents::ScriptedModel::Step& step : steps) model->then(std::move(step));
  return model;
}

}  // namespace

Result<std::vector<agents::ScriptedModel::Step>> parse_script(const std::string& text,
                                                              const std::string& file) {
  SWARM_TRY(const Json json, parse_json(text, file));
  if (!json.is_object() || json.size() != 1 || !json.contains("replies") ||
      !json["replies"].is_array())
    return Error{ErrorKind::invalid_input, "expected {\"replies\": [..]}", {.file = file}};
  std::vector<agents::ScriptedModel::Step> steps;
  for (const Json& reply : json["replies"]) {
    SWARM_TRY(agents::ScriptedModel::Step step, parse_step(reply, file, steps.size()));
    steps.push_back(std::move(step));
  }
  return steps;
}

namespace {

Result<std::unique_ptr<run::ModelSet>> open_models(
    const config::Config& config, Executor executor, const Clock& clock, Log& log,
    std::stop_token stop, EnginePool& pool) {
  const std::set<std::string> used = config::models_at_work(config);
  auto models = std::make_unique<Models>(log);
  for (const config::ModelEntry& entry : config.models)
    if (used.contains(entry.name))
      SWARM_TRY_VOID(models->add(entry, executor, clock, stop, pool));
  SWARM_TRY_VOID(models->check_thinking(config));
  return models;
}

}  // namespace

run::ModelFactory model_factory(const engine::kernels::Accelerator* accelerator) {
  const auto pool = std::make_shared<EnginePool>(accelerator);   // shared by copies of the factory
  return [pool](const config::Config& config, Executor executor, const Clock& clock, Log& log,
                std::stop_token stop) {
    return open_models(config, std::move(executor), clock, log, std::move(stop), *pool);
  };
}

Result<void> Models::add(const config::ModelEntry& entry, Executor executor, const Clock& clock,
                         std::stop_token stop, EnginePool& pool) {
  if (entry.provider == config::Provider::scripted) {
    auto script = open_script(entry.script, clock);
    if (!script) {
      // Said as a message of the run, which has no place of its own.
      Error error = script.error();
      if (!error.location.file.empty()) error.message = entry.script + ": " + error.message;
      error.message = "models." + entry.name + ": " + error.message;
      return error;
    }
    scripts_[entry.name] = std::move(*script);
    return {};
  }
  auto thread = pool.open(entry.engine, clock, std::move(stop));
  if (!thread) {
    Error error = in_swarm_file(thread.error(), entry.name);
    error.message = "models." + entry.name + ": " + error.message;
    return error;
  }
  engines_[entry.name] = std::make_unique<EngineModel>(entry.name, **thread, std::move(executor));
  threads_.push_back(std::move(*thread));
  return {};
}

Result<void> Models::check_thinking(const config::Config& config) const {
  const auto check = [&](const std::string& owner, const agents::AgentConfig& agent,
                         const std::string& model) -> Result<void> {
    const auto engine = engines_.find(model);
    if (agent.thinking != true || engine == engines_.end()) return {};
    const Result<void> able = engine->second->check_thinking();
    if (able) return {};
    const bool of_model = config.model(model)->thinking == true;
    return invalid_input((of_model ? "models." + model : owner) + ".thinking: " +
                         able.error().message);
  };
  for (const std::string& name : config::agents_at_work(config)) {
    const config::AgentEntry& agent = *config.agent(name);
    SWARM_TRY_VOID(check("agents." + name, agent.config, agent.model));
  }
  for (const config::TopologyEntry& topology : config.topologies)
    if (topology.manager)
      SWARM_TRY_VOID(check("topologies." + topology.name + ".manager", topology.manager->config,
                           topology.manager->model));
  return {};
}

// Replies are left over in every run that failed: its own error says why, so they are let go.
Models::~Models() {
  for (const auto& [name, script] : scripts_) static_cast<void>(script->problems());
}

void Models::warn_unused() {
  for (const auto& [name, script] : scripts_)
    for (const std::string& problem : script->problems())
      log_.warn("model.script", {{"model", name}, {"problem", problem}});
}

std::map<std::string, agents::Model*> Models::by_name() const {
  std::map<std::string, agents::Model*> out;
  for (const auto& [name, model] : engines_) out[name] = model.get();
  for (const auto& [name, model] : scripts_) out[name] = model.get();
  return out;
}

}  // namespace swarm::models
