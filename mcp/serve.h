// mcp/serve.h — The Model Context Protocol, server side: what is offered (tools, resources,
// prompts) and where (stdio, HTTP), to clients of both generations at one address. Everything lives
// on one strand; `Served` outlives the server. Facts: reference/mcp.md section 14.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/async/task.h"
#include "engine/base/error.h"
#include "engine/base/json.h"
#include "engine/base/log.h"

namespace swarm::mcp {

struct Question {
  Question() = default;                    // no aggregate: GCC 12, see tools/tool.h
  Question(std::string m, Json p) : method(std::move(m)), params(std::move(p)) {}
  std::string method;                      // elicitation/create, sampling/createMessage, roots/list
  Json params;
};

// One call as its handler sees it. A cancelled client cancels the handler's coroutine.
class ServedCall {
 public:
  virtual ~ServedCall() = default;
  virtual void progress(double value, std::optional<double> total, std::string message) = 0;
  // level: one of the eight of syslog. Sent only if the client wants it.
  virtual void log(std::string_view level, Json data) = 0;
  // "sampling", "elicitation", "roots"
  virtual bool client_offers(std::string_view capability) const = 0;
  // Answers by key. A client of 2026-07-28 is asked by ending the call: the handler then runs again
  // from its beginning, with the answers so far; keep what comes before cheap and repeatable.
  // Throws when the client does not offer what is asked for.
  virtual Async<std::map<std::string, Json>> ask(std::map<std::string, Question> questions) = 0;
  // Of the client: "2025-11-25".
  virtual std::string_view protocol_version() const = 0;
  // Whether a state of ours came back with this call (2026-07-28).
  virtual bool resumed() const = 0;
  // The client is told to poll: its stream ends, the answer waits (2025-11-25 over HTTP).
  virtual void hang_up(std::chrono::milliseconds retry) = 0;
};

// Whether a call may go on as a task (extension of 2026-07-28): a client that knows tasks is
// answered at once and asks for the outcome later. required: others are refused.
enum class TaskUse : uint8_t { never, offered, required };

struct ServedTool {
  Json definition;                         // name, description, inputSchema, ...
  // The result of tools/call. Arguments were checked against inputSchema. An ErrorException is told
  // to the model as a result with isError.
  std::function<Async<Json>(Json arguments, ServedCall& call)> call;
  std::vector<std::string> needs = {};     // client capabilities without which a call is refused
  TaskUse task = TaskUse::never;
  // Runs before a task exists; what it asks is known to `call` when that asks it again.
  std::function<Async<>(const Json& arguments, ServedCall& call)> prepare = {};
};

struct ServedResource {
  Json definition;                         // uri, name, ...; or uriTemplate, name, ...
  // The contents array. The URI is the one asked for. ErrorException{invalid_input}: there is no
  // such resource.
  std::function<Async<Json>(std::string uri)> read;
  // Of a template: the definitions of the resources to list now.
  std::function<std::vector<Json>()> instances = {};
};

struct ServedPrompt {
  Json definition;                         // name, description, arguments
  // The result of prompts/get.
  std::function<Async<Json>(Json arguments, ServedCall& call)> get;
};

struct Served {
  std::string name, version, instructions;
  std::vector<ServedTool> tools = {};
  std::vector<ServedResource> resources = {};
  std::vector<ServedResource> templates = {};  // one variable per template, "{id}"
  std::vector<ServedPrompt> prompts = {};
  // Values for an argument of a prompt or template.
  std::function<std::vector<std::string>(const Json& ref, const std::string& argument,
                                         const std::string& value)>
      complete = {};
  std::chrono::milliseconds ttl{0};        // how long lists may be cached
};

// What a handler may tell everybody.
class Announcer {
 public:
  virtual ~Announcer() = default;
  virtual void tools_changed() = 0;
  virtual void prompts_changed() = 0;
  virtual void resources_changed() = 0;    // the list of them
  virtual void resource_updated(const std::string& uri) = 0;
};

struct ServeOptions {
  std::string host = "127.0.0.1";          // others need a bearer token
  uint16_t port = 0;                       // 0 = any
  std::string path = "/mcp";
  std::string bearer_token;                // "" = no authorization; loopback only
  std::vector<std::string> origins = {};   // allowed besides those of this machine
  size_t body_bytes_max = size_t{4} << 20;
  int32_t connections_max = 256;
  int32_t sessions_max = 128;
  int32_t requests_max = 1024;             // at once, over HTTP
  std::chrono::milliseconds session_idle_max{30 * 60 * 1000};
  std::chrono::milliseconds keep_alive{15000};  // comment on quiet streams
  std::chrono::milliseconds ask_timeout{120000};  // for a client's answer (legacy)
};

class Server {
 public:
  virtual ~Server() = default;
  // One client on descriptors 0 and 1 (copies are taken). Returns at the end of the input.
  virtual Async<> run_stdio(int input, int output) = 0;
  // Binds and listens. Throws ErrorException{environment}; invalid_input for an open door: a host
  // that is not loopback without a token.
  virtual void listen() = 0;
  virtual std::string url() const = 0;     // after listen()
  virtual Async<> run_http() = 0;          // until cancelled
  virtual Announcer& announcer() = 0;
};

// served and log outlive the server.
std::unique_ptr<Server> make_server(const Served& served, ServeOptions options, Executor executor,
                                    Log& log);

}  // namespace swarm::mcp
