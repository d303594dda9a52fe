#include "orchestrator/run/servers.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "engine/base/async/deadline.h"
#include "engine/base/check.h"
#include "orchestrator/run/agent_sessions.h"

namespace swarm::run {
namespace {

using mcp::without_secrets;
using std::chrono::milliseconds;

// A session has its own deadline and ends its process after it. Beyond that it is given up.
constexpr milliseconds kStartMargin{1000};
constexpr milliseconds kProgressEvery{250};
constexpr size_t kInstructionsMax = 2000;    // bytes in the journal

std::string text_of(const Json& details, const char* key) {
  const auto found = details.is_object() ? details.find(key) : details.end();
  return details.is_object() && found != details.end() && found->is_string()
             ? found->get<std::string>()
             : "";
}

// The cause, and what was said last, on one line.
std::string in_short(std::string text) {
  constexpr std::string_view kAnnounced = "; its stderr ends with:";
  while (text.ends_with('\n')) text.pop_back();
  const size_t end = text.find('\n');
  if (end == std::string::npos) return text;
  std::string cause = text.substr(0, end);
  if (cause.ends_with(kAnnounced)) cause.resize(cause.size() - kAnnounced.size());
  return cause + "; it said last: " + text.substr(text.rfind('\n') + 1);
}

}  // namespace

std::string_view to_string(ServerState state) {
  switch (state) {
    case ServerState::starting: return "starting";
    case ServerState::ready: return "ready";
    case ServerState::degraded: return "degraded";
    case ServerState::needs_auth: return "needs_auth";
    case ServerState::failed: return "failed";
    case ServerState::disabled: return "disabled";
  }
  return "unknown";
}

std::string advice_on(ServerState state, const mcp::ServerConfig& config) {
  if (state != ServerState::needs_auth) return "";
  const std::string auth = "mcp." + config.name + ".auth";
  if (!config.auth) return "say " + auth + ": {} to sign in with a browser";
  if (config.auth->grant != mcp::AuthOptions::Grant::code) return "look at " + auth;
  return "open the URL that the log shows as mcp.auth.visit before start_timeout is over; with " +
         auth + ".store, later runs need nobody";
}

// ---- One server.

void ServerStatus::ready() {
  started_ = true;
  state = left_out.empty() ? ServerState::ready : ServerState::degraded;
  reason = left_out.empty() ? resting_ : "";
  for (const Json& one : left_out)
    reason += (reason.empty() ? "left out: " : ", ") + text_of(one, "tool") + " (" +
              text_of(one, "why") + ")";
}

void ServerStatus::failed(std::string why) {
  started_ = true;
  state = needs_auth_ ? ServerState::needs_auth : ServerState::failed;
  reason = std::move(why);
}

bool ServerStatus::told(std::string_view event, const Json& details) {
  const ServerState before = state;
  const std::string reason_before = reason;
  if (event == "quarantined") {
    // A list that is read again tells it again.
    if (std::find(left_out.begin(), left_out.end(), details) == left_out.end())
      left_out.push_back(details);
    if (started_) ready();
  } else if (event == "state") {
    const std::string said = text_of(details, "state");
    if (said == "starting" && !std::exchange(resting_, "").empty()) return false;
    if (said == "idle") resting_ = text_of(details, "reason");
    if (said == "needs_auth" || said == "failed") needs_auth_ = said == "needs_auth";
    if (!started_) return false;          // start() tells how that went
    if (said == "starting") {
      state = ServerState::degraded;
      reason = "it is started again: " + text_of(details, "reason");
      left_out.clear();                   // its list is read again
    } else if (said == "ready" || said == "idle") {
      ready();
    } else if (said == "failed" || said == "needs_auth") {
      failed(text_of(details, "reason"));
    }
  }
  return state != before || reason != reason_before;
}

// ---- All of them.

Servers::Servers(const config::Config& config, std::string trace_id, const Clock& clock,
                 Recorder& recorder, Asked& asked, Log& log)
    : config_(config),
      trace_id_(std::move(trace_id)),
      clock_(clock),
      recorder_(recorder),
      asked_(asked),
      log_(log),
      changed_(1) {
  for (const mcp::ServerConfig& one : config.servers) {
    auto server = std::make_unique<Server>();
    server->config = &one;
    if (const auto use = config.server_uses.find(one.name); use != config.server_uses.end())
      server->use = use->second;
    servers_.push_back(std::move(server));
  }
}

const Servers::Server& Servers::at(const std::string& name) const {
  for (const auto& server : servers_)
    if (server->config->name == name) return *server;
  SWARM_CHECK(false, name);
  return *servers_.front();
}

void Servers::record(const Server& server) {
  Json data{{"server", server.config->name}, {"state", to_string(server.status.state)}};
  if (!server.status.reason.empty())
    data["reason"] = without_secrets(server.status.reason, *server.config);
  recorder_.event("mcp.state", data);
}

// A server may tell it a thousand times a second.
void Servers::record_progress(Server& server, const Json& details) {
  if (clock_.now() < server.next_progress) return;
  server.next_progress = clock_.now() + kProgressEvery;
  Json data{{"server", server.config->name}};
  data.update(details);
  recorder_.event("mcp.progress", data);
}

// Those that left go first: what joins may have one of their names.
void Servers::list_changed(const std::string& server, const Json& details) {
  const auto names = [&](const char* key) {
    return details.value(key, Json::array()).get<std::vector<std::string>>();
  };
  const std::vector<std::string> gone = names("removed"), changed = names("changed");
  if (drifted_ && !(gone.empty() && changed.empty())) drifted_(server, gone, changed);
  if (joined_ && !names("added").empty() && has_tools(server)) joined_(server);
}

mcp::ClientHooks Servers::hooks(Server& server) {
  mcp::ClientHooks out;
  asked_.offer(*server.config, server.use, out);
  out.on_event = [this, &server](std::string_view, std::string_view event, const Json& details) {
    const std::string& name = server.config->name;
    if (event == "quarantined")
      recorder_.event("tool.quarantine", {{"tool", text_of(details, "tool")},
                                          {"origin", tools::origin_of_server(name)},
                                          {"why", text_of(details, "why")}});
    if (event == "hidden_text")
      recorder_.event("tool.hidden_text", {{"tool", text_of(details, "tool")},
                                           {"origin", tools::origin_of_server(name)}});
    if (event == "progress") record_progress(server, details);
    if (server.status.told(event, details)) record(server);
    if (event == "list_changed" && text_of(details, "list") == "tools")
      list_changed(name, details);
  };
  return out;
}

void Servers::record_instance(const Server& server, const std::string& agent,
                              const Json& details) {
  Json data{{"server", server.config->name}, {"agent", agent}, {"state", details["state"]}};
  if (const std::string reason = text_of(details, "reason"); !reason.empty())
    data["reason"] = without_secrets(reason, *server.config);
  recorder_.event("mcp.instance", data);
}

std::unique_ptr<mcp::Session> Servers::make(Server& server, Executor executor,
                                            const MakeSession& make_session) {
  mcp::ServerConfig traced = *server.config;
  traced.trace_id = trace_id_;
  if (!server.use.per_agent)
    return make_session(std::move(traced), std::move(executor), log_, hooks(server));
  // The state of the server is that of its first instance; of the others the journal has their own.
  const auto make_one = [this, &server, traced, executor, make_session](const std::string& agent) {
    mcp::ClientHooks hooks_of_one = hooks(server);
    if (!agent.empty())
      hooks_of_one.on_event = [this, &server, agent](std::string_view, std::string_view event,
                                                     const Json& details) {
        if (event == "progress") record_progress(server, details);
        if (event == "state" && text_of(details, "state") != "stopped")
          record_instance(server, agent, details);
      };
    return make_session(traced, executor, log_, std::move(hooks_of_one));
  };
  return std::make_unique<AgentSessions>(
      server.config->name, make_one, [this, &server](const std::string& agent) {
        record_instance(server, agent, Json{{"state", "ready"}, {"reason", "the first one"}});
      });
}

void Servers::start(Nursery& nursery, const MakeSession& make_session) {
  begun_ = clock_.now();
  for (const std::string& name : config_.disabled_servers)
    recorder_.event("mcp.state",
                    {{"server", name}, {"state", to_string(ServerState::disabled)}});
  for (const auto& server : servers_) {
    recorder_.event("mcp.start", {{"server", server->config->name}, {"trace", trace_id_}});
    record(*server);
    server->session = make(*server, nursery.executor(), make_session);
  }
  for (const auto& server : servers_)
    nursery.start([this, one = server.get()]() -> Async<> { return start_one(*one); });
}

Async<> Servers::start_one(Server& server) {
  const mcp::ServerConfig& config = *server.config;
  const Deadline deadline = Deadline::after(
      clock_, config.start_timeout + 2 * config.stop_grace + kStartMargin);
  std::optional<std::string> why;
  try {
    co_await with_deadline(server.session->start(), deadline, clock_);
  } catch (const ErrorException& e) {
    if (e.error().kind == ErrorKind::cancelled) throw;
    why = e.error().message;
  }
  if (!why) {
    server.status.ready();
  } else {
    server.status.failed(*why);
    if (const std::string advice = advice_on(server.status.state, config); !advice.empty())
      server.status.reason += "; " + advice;
  }
  settle(server);
}

void Servers::settle(Server& server) {
  const std::string& name = server.config->name;
  record(server);
  if (has_tools(name)) {
    const mcp::ServerInfo& info = server.session->info();
    Json tools = Json::array();
    for (const auto& tool : server.session->tools()) tools.push_back(tool->spec().name);
    Json data{{"server", name}, {"name", info.name}, {"version", info.version},
              {"protocol", info.protocol_version}, {"tools", tools}};
    // For people: a model does what it reads, and this is a stranger's text.
    if (!info.instructions.empty())
      data["instructions"] = info.instructions.substr(0, kInstructionsMax);
    if (joined_) data["late"] = true;
    recorder_.event("mcp.ready", data);
    if (joined_) joined_(name);
  }
  changed_.try_send(true);
}

Async<> Servers::until_settled() {
  while (true) {
    std::optional<TimePoint> next;           // until when somebody is waited for
    for (const auto& server : servers_) {
      const ServerStatus& status = server->status;
      // A pinned server is looked at before anything of it is used, so it cannot join later.
      const bool awaited = server->use.required || config_.pins.contains(server->config->name);
      if (server->use.required && !has_tools(server->config->name) &&
          status.state != ServerState::starting)
        throw ErrorException(environment_error(without_secrets(status.reason, *server->config)));
      if (status.state != ServerState::starting) continue;
      const TimePoint until = awaited ? TimePoint::max() : begun_ + server->use.wait;
      if (until > clock_.now()) next = std::min(next.value_or(until), until);
    }
    if (!next) co_return;
    try {
      const Deadline deadline = Deadline::at(*next);
      co_await with_deadline(changed_.receive(), deadline, clock_);
    } catch (const ErrorException& e) {
      if (e.error().kind != ErrorKind::timeout) throw;
    }
  }
}

bool Servers::has_tools(const std::string& server) const {
  const ServerState state = at(server).status.state;
  return state == ServerState::ready || state == ServerState::degraded;
}

std::vector<std::shared_ptr<tools::Tool>> Servers::tools(const std::string& server) const {
  return has_tools(server) ? at(server).session->tools()
                           : std::vector<std::shared_ptr<tools::Tool>>();
}

std::string Servers::absence(const std::string& server) const {
  const Server& one = at(server);
  if (one.status.state == ServerState::starting) return "is still starting";
  return "is not there (" + std::string(to_string(one.status.state)) + "): " +
         in_short(without_secrets(one.status.reason, *one.config));
}

std::vector<std::pair<std::string, std::string>> Servers::missing() const {
  std::vector<std::pair<std::string, std::string>> out;
  for (const auto& server : servers_) {
    const ServerState state = server->status.state;
    if (server->session == nullptr || has_tools(server->config->name)) continue;
    out.emplace_back(server->config->name,
                     state == ServerState::starting
                         ? "it did not come before the end"
                         : in_short(without_secrets(server->status.reason, *server->config)));
  }
  return out;
}

// ---- The end.

Async<> Servers::stop() {
  co_await with_nursery([this](Nursery& nursery) -> Async<> {
    for (const auto& server : servers_)
      if (server->session) nursery.start([this, one = server.get()] {
        return stop_one(*one->session);
      });
    co_return;
  });
  for (const auto& server : servers_)
    if (server->session) record_metrics(*server);
}

void Servers::record_metrics(const Server& server) {
  const auto record_one = [&](const Json& metrics) {
    if (!metrics.is_object()) return;      // a double of a test
    Json data{{"server", server.config->name}};
    data.update(metrics);
    recorder_.event("mcp.metrics", data);
  };
  const Json metrics = server.session->metrics();
  if (!metrics.is_array()) return record_one(metrics);
  for (const Json& instance : metrics) record_one(instance);
}

// A failure must not cancel the others.
Async<> Servers::stop_one(mcp::Session& session) {
  try {
    co_await session.stop();
  } catch (const ErrorException& e) {
    log_.warn("mcp.stop", {{"error", e.error().message}});
  }
}

}  // namespace swarm::run
