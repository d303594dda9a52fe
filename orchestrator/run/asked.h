// orchestrator/run/asked.h — What MCP servers may ask of a run: text of one of its models
// (sampling), answers of a person (elicitation), and in which folders to work (roots). A server is
// offered what the file grants it, within its own limits; the limits of the run count, too. Every
// question is in the journal before it is answered, and so is what came of it; of a person's answer
// only the names of its fields. Used on the run's strand; outlives the sessions of the servers.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "agents/model.h"
#include "engine/base/clock.h"
#include "mcp/mcp.h"
#include "orchestrator/config/config.h"
#include "orchestrator/run/meter.h"
#include "orchestrator/run/recorder.h"

namespace swarm::run {

// Puts what a server wants to know before a person. params: of elicitation/create, form or url
// mode. Returns {"action": accept|decline|cancel, "content": ..}. Empty: there is nobody.
using Elicit = std::function<Async<Json>(std::string server, Json params)>;

class Asked {
 public:
  // All outlive it.
  Asked(const Clock& clock, uint64_t seed, Recorder& recorder, Meter& meter)
      : clock_(clock), seed_(seed), recorder_(recorder), meter_(meter) {}

  void answer_with(std::map<std::string, agents::Model*> models, Elicit elicit) {
    models_ = std::move(models);
    elicit_ = std::move(elicit);
  }
  // Fills in what this server may ask for. Instances of one server share its limits. server and use
  // outlive the sessions.
  void offer(const mcp::ServerConfig& server, const config::ServerUse& use,
             mcp::ClientHooks& hooks);

 private:
  Async<Json> sample(const mcp::ServerConfig& server, const config::SamplingUse& use, Json params);
  Async<Json> elicit(std::string server, bool decline, Json params);

  const Clock& clock_;
  const uint64_t seed_;
  Recorder& recorder_;
  Meter& meter_;
  std::map<std::string, agents::Model*> models_;
  Elicit elicit_;
  std::map<std::string, int32_t> samples_;   // asked for so far, by server
};

// sampling/createMessage as a call of a model: texts only, no tools. tokens_max bounds what the
// server wants. Error kind invalid_input: what it sent is no such request, or needs more.
Result<agents::ModelRequest> sampling_request(const Json& params, int32_t tokens_max);
// The reply as its result: cut before the first of its stop sequences.
Json sampling_result(const agents::ModelReply& reply, const Json& params, std::string_view model);

// "file:///a%20b" of a folder; relative ones are below the working directory.
mcp::Root root_of(const std::string& folder);

}  // namespace swarm::run
