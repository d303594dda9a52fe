#include "orchestrator/orchestrator.h"

#include "mcp/fetch.h"
#include "mcp/mcp.h"
#include "orchestrator/models/models.h"

namespace swarm::run {

Plan plan_of(const config::Config& config) {
  Plan plan;
  plan.name = config.name;
  plan.inputs = config.recorded_inputs;
  for (const config::TaskEntry& task : config.tasks)
    plan.tasks.push_back({.name = task.name, .target = task.target, .after = task.after});
  for (const config::AgentEntry& agent : config.agents)
    plan.agents.push_back({.name = agent.config.name, .model = agent.model,
                           .tools = agent.config.tools});
  for (const mcp::ServerConfig& server : config.servers)
    plan.servers.push_back({.name = server.name,
                            .command = server.url.empty() ? server.command
                                                          : std::vector{server.url}});
  return plan;
}

Json to_json(const Plan& plan) {
  Json tasks = Json::array(), agents = Json::array(), servers = Json::array();
  for (const Plan::Task& task : plan.tasks)
    tasks.push_back({{"task", task.name}, {"target", task.target}, {"after", task.after}});
  for (const Plan::Agent& agent : plan.agents)
    agents.push_back({{"agent", agent.name}, {"model", agent.model}, {"tools", agent.tools}});
  for (const Plan::Server& server : plan.servers)
    servers.push_back({{"server", server.name}, {"command", server.command}});
  return {{"name", plan.name}, {"inputs", plan.inputs}, {"tasks", tasks}, {"agents", agents},
          {"mcp", servers}};
}

RunSettings real_settings(const engine::kernels::Accelerator* accelerator) {
  RunSettings settings;
  settings.make_session = [](mcp::ServerConfig config, Executor executor, Log& log,
                             mcp::ClientHooks hooks) -> std::unique_ptr<mcp::Session> {
    return mcp::make_client(std::move(config), std::move(executor), log, std::move(hooks));
  };
  settings.make_http_get = mcp::make_http_get;
  settings.open_models = models::model_factory(accelerator);
  return settings;
}

}  // namespace swarm::run
