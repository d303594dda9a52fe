// mcp/mcp.h — The Model Context Protocol, client side: a server (a child process or a URL) whose
// tools appear as tools::Tool. Both generations of the protocol: 2026-07-28 and the revisions from
// 2024-11-05 to 2025-11-25. A session belongs to one strand; it is started and stopped inside the
// nursery that owns it. Facts: reference/mcp.md.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/async/task.h"
#include "engine/base/deadline.h"
#include "engine/base/error.h"
#include "engine/base/log.h"
#include "mcp/server_config.h"
#include "tools/tool.h"

namespace swarm::mcp {

struct ServerInfo {
  std::string name, version, protocol_version, instructions;
};

class Session {
 public:
  virtual ~Session() = default;
  // Reaches the server, agrees on a version, lists the tools; leaves a lazy one to its first call.
  // Throws ErrorException{environment} naming the server, the cause and the tail of its stderr.
  virtual Async<void> start() = 0;
  virtual const ServerInfo& info() const = 0;
  // Public name: server + "__" + tool. Valid also after the session; calls then fail.
  virtual std::vector<std::shared_ptr<tools::Tool>> tools() const = 0;
  // What the server did and cost so far, as JSON: starts, reconnects, latencies of calls, timeouts,
  // failures, bytes, tokens. Valid also after the session; null = nothing is counted.
  virtual Json metrics() const { return nullptr; }
  // stdin closed, then SIGTERM and SIGKILL to the group, then reaped; over HTTP, the session is
  // deleted. Idempotent. Pending calls end with an error. Never leaves a process behind. Call it
  // through with_cleanup(): the co_await of a cancelled coroutine would throw before stopping.
  virtual Async<void> stop() = 0;
};

struct Progress {
  double progress = 0;
  std::optional<double> total;
  std::string message;
};

struct CallOptions {
  CallOptions() = default;                         // not an aggregate: GCC 12, see tools/tool.h
  Deadline deadline;                               // besides those of the configuration
  std::chrono::milliseconds idle_timeout{0};       // between two signs of life; 0 = no limit
  std::function<void(const Progress&)> on_progress;
  std::string call_id;                             // for traces; "" = counted
};

enum class State : uint8_t { idle, starting, ready, needs_auth, failed, stopped };
std::string_view to_string(State state);

// The kinds of lists a server keeps.
enum class List : uint8_t { tools, resources, resource_templates, prompts, skills };

// Everything a server offers, as the protocol's own JSON. Members other than state and capabilities
// throw ErrorException: environment (server gone, refused), timeout, unsupported (not offered).
class Client : public Session {
 public:
  virtual State state() const = 0;
  virtual const std::string& state_reason() const = 0;
  virtual const Json& capabilities() const = 0;
  virtual const char* transport_name() const = 0;  // "stdio", "http", "sse"
  // The complete result of tools/call: input the server asked for has been given.
  virtual Async<Json> call_tool(std::string name, Json arguments, CallOptions options) = 0;
  // All pages, verbatim; tools that cannot be used are left out. Cached as long as the server says,
  // unless it tells of a change.
  virtual Async<std::vector<Json>> list(List what) = 0;
  virtual Async<Json> read_resource(std::string uri) = 0;
  // From now on the event "resource_updated" tells its changes, also after a restart of the server.
  virtual Async<void> subscribe(std::string uri) = 0;
  virtual Async<void> unsubscribe(std::string uri) = 0;
  // A file of a skill (an entry of List::skills), verified against its digest and size, SKILL.md
  // also against the announced frontmatter. uri "" = SKILL.md, which is read first in any case. A
  // skill that once failed is refused from then on.
  virtual Async<std::string> read_skill(Json entry, std::string uri) = 0;
  virtual Async<Json> get_prompt(std::string name, Json arguments) = 0;
  // ref: {"type":"ref/prompt","name":..} or {"type":"ref/resource","uri":..}.
  virtual Async<Json> complete(Json ref, std::string argument, std::string value,
                               Json context) = 0;
  // Legacy only; a 2026-07-28 server has none and is asked server/discover instead.
  virtual Async<void> ping() = 0;
  // Any other method, with the envelope of the era. For extensions.
  virtual Async<Json> request(std::string method, Json params) = 0;
};

struct Root {
  std::string uri;                                 // file:///...
  std::string name;
};

// What we offer to servers. What is empty is neither declared nor answered. A hook that throws
// invalid_input blames the request; other errors are told to the server as ours.
struct ClientHooks {
  // sampling/createMessage: params in, result out.
  std::function<Async<Json>(std::string server, Json params)> sample = {};
  // elicitation/create, form and url mode: {"action":..,"content":..}. Defaults of the schema are
  // added to what an accepted form leaves out.
  std::function<Async<Json>(std::string server, Json params)> elicit = {};
  bool elicit_url = false;                         // url mode is offered, too
  std::vector<Root> roots = {};
  bool offer_roots = false;
  std::function<void(std::string_view server, std::string_view event, const Json& details)>
      on_event = {};                               // "progress", "log", "state", ...
  // Every message in both directions, secrets included: for traces that redact.
  std::function<void(bool outgoing, const std::string& text)> trace = {};
  int32_t asked_max = 50;                          // requests of one server during a session
};

// How a server that demands authorization gets it: OAuth 2.1. Without it a 401 ends the start.
struct AuthOptions {
  enum class Grant : uint8_t { code, client_credentials, workload, enterprise };
  Grant grant = Grant::code;
  // Shows a person the URL and returns where the browser was sent in the end: the redirect URI with
  // code and state. Empty: grant `code` is impossible.
  std::function<Async<std::string>(std::string url)> authorize = {};
  // Without authorize: the URL is logged, and the browser awaited at redirect_uri ("" = a random
  // port of this machine).
  bool browser = false;
  std::string redirect_uri = "http://127.0.0.1/callback";
  std::string client_name = "swarm";
  std::string client_id, client_secret;            // registered beforehand
  std::string client_metadata_url;                 // https document that is our client id
  std::string private_key_pem, signing_algorithm;  // client_credentials by private_key_jwt
  std::string assertion;                           // workload: the JWT of the platform
  std::string idp_client_id, idp_id_token, idp_token_endpoint;  // enterprise
  std::string store_file;                          // tokens, mode 0600; "" = in memory only
  bool reach_private = false;                      // metadata may live on private addresses
};

// Must be used on `executor`'s thread, which lives as long as the server should: the server's
// parent-death signal follows the thread that called start(). log and auth outlive the client and
// its tools. Every client that was started must be stopped before its executor's context ends.
// Ignores SIGPIPE in this process unless a handler is installed.
std::unique_ptr<Client> make_client(ServerConfig config, Executor executor, Log& log,
                                    ClientHooks hooks = {}, const AuthOptions* auth = nullptr);
// Text for people and files, without what is configured as header, environment or secret.
std::string without_secrets(std::string text, const ServerConfig& server);
// Whether start() would leave this server to its first call.
bool starts_later(const ServerConfig& config);
std::unique_ptr<Session> make_session(ServerConfig config, Executor executor, Log& log);

}  // namespace swarm::mcp
