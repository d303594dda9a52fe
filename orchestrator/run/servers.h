// orchestrator/run/servers.h — The MCP servers of a run. All are started at once, each within its
// own deadline, and none of them can end the run but those that are required: the first turn waits
// for these, and for a while for the others, whose tools may join later. Every change of state is
// in the journal with its reason: what the server said last on stderr, secrets taken out.
// Owned by the run, used on its strand; start() belongs to a nursery that ends before stop().
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/base/async/channel.h"
#include "engine/base/async/nursery.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "mcp/mcp.h"
#include "orchestrator/config/config.h"
#include "orchestrator/run/asked.h"
#include "orchestrator/run/recorder.h"

namespace swarm::run {

using MakeSession = std::function<std::unique_ptr<mcp::Session>(
    mcp::ServerConfig config, Executor executor, Log& log, mcp::ClientHooks hooks)>;

// degraded: it works, but not as it should: some of its tools were left out, or it has ended and is
// started again. disabled: nobody started it.
enum class ServerState : uint8_t { starting, ready, degraded, needs_auth, failed, disabled };
std::string_view to_string(ServerState state);
// What a person can do about it; "" where that is not known.
std::string advice_on(ServerState state, const mcp::ServerConfig& config);

// How a server stands, from what its client tells. Pure; also for `swarm mcp doctor`.
class ServerStatus {
 public:
  ServerState state = ServerState::starting;
  std::string reason;              // ready: why it does not run, when it is started by a call
  std::vector<Json> left_out;      // {"tool": .., "why": ..}

  void ready();
  void failed(std::string why);
  // An event of mcp::ClientHooks. True: state or reason have changed.
  bool told(std::string_view event, const Json& details);

 private:
  bool started_ = false;           // ready() or failed() was called
  bool needs_auth_ = false;
  std::string resting_;            // not running, because nobody needs it
};

class Servers {
 public:
  // New tools of a server; also more of one that had joined.
  using Joined = std::function<void(const std::string& server)>;
  // Tools that a server does not offer any more, and those that are not what they were, by the
  // names it uses itself.
  using Drifted = std::function<void(const std::string& server, std::span<const std::string> gone,
                                     std::span<const std::string> changed)>;

  // All outlive it. trace_id: of the run, 32 hex digits; calls carry it to the servers. asked: what
  // they may ask for.
  Servers(const config::Config& config, std::string trace_id, const Clock& clock,
          Recorder& recorder, Asked& asked, Log& log);

  void start(Nursery& nursery, const MakeSession& make_session);
  // Until every required server is ready, and the others are or have been waited for. Throws
  // ErrorException{environment} when a required one has failed.
  Async<> until_settled();
  // All at once: a server that ignores its end makes nobody else wait. What each did and cost is
  // in the journal then.
  Async<> stop();

  // Called from now on; for those that are there, the caller looks himself.
  void on_joined(Joined joined) { joined_ = std::move(joined); }
  void on_drifted(Drifted drifted) { drifted_ = std::move(drifted); }

  bool has_tools(const std::string& server) const;
  std::vector<std::shared_ptr<tools::Tool>> tools(const std::string& server) const;
  // "is still starting", "has failed: ..."; for whoever misses its tools.
  std::string absence(const std::string& server) const;
  // Those that are not there in the end, and why, on one line.
  std::vector<std::pair<std::string, std::string>> missing() const;

 private:
  struct Server {
    const mcp::ServerConfig* config = nullptr;
    config::ServerUse use;
    ServerStatus status;
    std::unique_ptr<mcp::Session> session;
    TimePoint next_progress = {};
  };
  mcp::ClientHooks hooks(Server& server);
  std::unique_ptr<mcp::Session> make(Server& server, Executor executor,
                                     const MakeSession& make_session);
  void record_instance(const Server& server, const std::string& agent, const Json& details);
  Async<> start_one(Server& server);
  Async<> stop_one(mcp::Session& session);
  void settle(Server& server);
  void record(const Server& server);
  void record_metrics(const Server& server);
  void record_progress(Server& server, const Json& details);
  void list_changed(const std::string& server, const Json& details);
  const Server& at(const std::string& name) const;

  const config::Config& config_;
  const std::string trace_id_;
  const Clock& clock_;
  Recorder& recorder_;
  Asked& asked_;
  Log& log_;
  std::vector<std::unique_ptr<Server>> servers_;  // hooks point at them
  Channel<bool> changed_;
  Joined joined_;
  Drifted drifted_;
  TimePoint begun_ = {};
};

}  // namespace swarm::run
