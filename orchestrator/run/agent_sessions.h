// orchestrator/run/agent_sessions.h — One MCP server that keeps state, as an instance of its own
// for every agent (`instance: per_agent`): what one agent does to that state no other sees. Looks
// like one session. Its tools are those of the first instance; who calls decides which instance
// answers: an agent, or a task that is a call, by name. The first to call takes over the first
// instance, each other one is started by its first call and stays until the end, so an agent keeps
// its state through rounds and tasks. An instance that offers a tool otherwise than the first is
// not called. Used on the run's strand; tools that outlive it answer with an error.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "mcp/mcp.h"

namespace swarm::run {

class AgentSessions final : public mcp::Session {
 public:
  // agent: "" = not known yet. Called on the run's strand, also during calls.
  using Make = std::function<std::unique_ptr<mcp::Session>(const std::string& agent)>;
  // The first instance belongs to this agent from now on.
  using Taken = std::function<void(const std::string& agent)>;

  AgentSessions(std::string server, Make make, Taken taken);
  ~AgentSessions() override;

  Async<void> start() override;
  const mcp::ServerInfo& info() const override;
  std::vector<std::shared_ptr<tools::Tool>> tools() const override;
  // An array: of every instance, with its "agent".
  Json metrics() const override;
  Async<void> stop() override;

  class Instances;                 // private to the .cpp

 private:
  const std::shared_ptr<Instances> instances_;  // shared with calls in flight
};

}  // namespace swarm::run
