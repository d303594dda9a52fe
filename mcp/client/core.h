// mcp/client/core.h — The client behind mcp::Client: era, handshake, lists, calls, restarts. Shared
// between the handle and the tools, so that a tool which outlives the client answers with an error.
// One strand. States: idle -> starting -> ready <-> starting (restart) -> failed | stopped.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/base/async/channel.h"
#include "mcp/client/asks.h"
#include "mcp/client/metrics.h"
#include "mcp/client/peer.h"
#include "mcp/client/shown_tools.h"
#include "mcp/mcp.h"
#include "mcp/message/header_value.h"
#include "mcp/transport/authorizer.h"

namespace swarm::mcp {

class Core : public std::enable_shared_from_this<Core> {
 public:
  Core(ServerConfig config, Executor executor, Log& log, ClientHooks hooks,
       const AuthOptions* auth);
  ~Core();

  Async<> start();
  Async<> stop();
  const ServerConfig& config() const { return config_; }
  const ServerInfo& info() const { return info_; }
  const Json& capabilities() const { return capabilities_; }
  State state() const { return state_; }
  const std::string& state_reason() const { return state_reason_; }
  TransportKind transport() const { return kind_; }
  const std::vector<std::shared_ptr<tools::Tool>>& tools() const { return tools_; }

  Json metrics_json() const;
  // A result has become text for a model.
  void note_result_text(size_t bytes) { metrics_.result_bytes += bytes; }

  // See mcp::Client.
  Async<Json> call_tool(std::string name, Json arguments, CallOptions options);
  Async<std::vector<Json>> list(List what);
  Async<> subscribe(std::string uri);
  Async<> unsubscribe(std::string uri);
  // call(), cached for as long as the server said.
  Async<Json> fetch(std::string method, Json params);
  // With the envelope of the era; restarts, renews the session, repeats where that is safe; answers
  // what the server asks in between.
  Async<Json> call(std::string method, Json params, CallOptions options = {});
  // See mcp::Client.
  Async<std::string> read_skill(Json entry, std::string uri);
  bool offers_extension(const char* name) const;
  bool offers(const char* capability) const { return capabilities_.contains(capability); }
  void require(const char* capability, const std::string& what) const;

 private:
  enum class Verdict : uint8_t { modern, legacy };
  struct KnownTool {
    Json definition;
    std::vector<HeaderParam> headers;
  };
  struct Cached {
    Json result;
    TimePoint expires;
  };
  struct Pages {
    std::vector<Json> items;
    std::chrono::milliseconds ttl{0};
    TimePoint expires = {};        // of those that are kept
  };

  // core.cpp: the life of the connection.
  Async<> establish();
  Async<> establish_stdio();
  Async<> establish_http();
  Async<> open_peer(TransportKind kind);
  std::unique_ptr<Transport> make_transport(TransportKind kind);
  Async<Verdict> probe();
  Async<bool> discover();
  void adopt_discovery(const Json& result);
  bool choose_version(const Json& supported);
  Async<> initialize();
  void read_hello(const Json& hello);
  Async<> begin(std::string reason);
  void settle_start(const std::exception_ptr& failure);
  Async<> ensure_ready();
  Async<> recover();
  Async<> renew_session();
  Async<> close_peer(std::string reason);
  void set_state(State state, std::string reason = "");
  Error start_error(const std::exception_ptr& failure) const;

  // core_rest.cpp: a server that need not run all the time.
  struct InUse;                    // while it lives, the server is not idle
  bool adopt_remembered();
  void remember(const std::vector<Json>& tools);
  void check_unchanged(const std::string& tool) const;
  void watch_idleness();
  Async<TimePoint> rest_if_idle();
  Async<> rest();

  // core_calls.cpp: requests.
  Async<Json> send(std::string method, Json params, CallOptions options);
  Async<Json> send_renewing(std::string method, Json params, CallOptions options);
  Async<Json> send_noting(std::string method, Json params, CallOptions options);
  void add_envelope(const std::string& method, Json& params, Headers& headers) const;
  Async<Json> answer_inputs(Json inputs);
  Async<bool> visit_urls(Json data);
  Async<Json> measured_call(const std::string& name, Json params, CallOptions options);
  void check_output(const std::string& name, const Json& result) const;

  // core_tasks.cpp: tasks and skills.
  struct Followed {
    std::string id;
    Json shown, result;              // what tasks/get said last; the outcome
    CallOptions options;
    std::set<std::string> answered;  // keys of its questions
    std::string said;
    TimePoint heard;                 // its last sign of life
    double steps = 0;
    int failures = 0;                // polls in a row
    bool legacy = false;             // 2025-11-25: the outcome is asked for in the end
    bool over = false;
  };
  Async<Json> follow_task(Json created, CallOptions options);
  Async<> poll_task(Followed& task);
  Async<> take_outcome(Followed& task, const std::string& status);
  void report_task(Followed& task) const;
  Async<> answer_task(Followed& task);
  bool needs_legacy_task(const std::string& tool) const;
  Async<> cancel_task(std::string id);

  // core_lists.cpp: lists and their cache.
  Async<Pages> pages(std::string method, std::string key);
  Async<> refresh_tools(bool noticed = false);
  void take_tools(std::vector<Json> found, bool noticed = false);
  void tell_difference(const std::map<std::string, KnownTool>& before, bool noticed);
  void adopt_tools(std::vector<Json> found);
  void note_hidden_text(const std::string& tool);
  void forget(const std::string& method_prefix);

  // core_changes.cpp: what changes them, and what else a server says unasked.
  void notice(const std::string& method, const Json& params);
  void schedule_refresh();
  void start_listening();
  Async<> listen(std::shared_ptr<Channel<bool>> gate);
  Async<> keep_listening();
  Json listen_params() const;
  void require_subscriptions() const;
  Async<> tell_again();
  CallOptions in_time() const;
  void event(std::string_view name, const Json& details) const;
  void log_message(const Json& params);

  const ServerConfig config_;
  const Executor executor_;
  Log& log_;
  const ClientHooks hooks_;
  std::unique_ptr<Authorizer> authorizer_;
  Asks asks_;
  std::shared_ptr<Peer> peer_;     // shared with its loops
  std::shared_ptr<Recorder> recorder_;  // shared with the peer
  std::shared_ptr<Replay> replay_;      // shared with the transport
  Channel<bool> turns_;            // permits of tool calls
  TransportKind kind_ = TransportKind::automatic;
  Dialect dialect_ = Dialect::undecided;
  std::string version_;            // modern: what _meta says; legacy: what was agreed
  ServerInfo info_;
  Json capabilities_ = Json::object();
  State state_ = State::idle;
  std::string state_reason_;
  std::shared_ptr<Channel<bool>> recovery_;  // open while somebody starts or stops the server
  int32_t restarts_ = 0;           // in a row
  bool resting_ = false;           // not running, and the next call starts it
  int32_t in_use_ = 0;
  TimePoint used_;                 // when it last was
  std::shared_ptr<Channel<bool>> idle_stop_, idle_ended_;  // shared with the loop
  ShownTools shown_;               // of a remembered list
  std::string shown_version_;      // of the server that had it
  Metrics metrics_;
  int64_t traced_ = 0;             // calls without an id of their own
  bool listed_ = false;            // known_tools_ have been told once
  std::map<std::string, KnownTool> known_tools_;
  std::vector<std::shared_ptr<tools::Tool>> tools_;
  std::map<std::string, Cached> cache_;
  std::map<List, Pages> lists_;     // for as long as the server said
  int64_t changes_told_ = 0;       // of its lists, by the server
  std::set<std::string> subscribed_;  // URIs of resources
  std::shared_ptr<Channel<bool>> listening_, replaced_;  // gates, shared with the listeners
  bool refresh_scheduled_ = false; // at this peer
  std::set<std::string> loaded_skills_, refused_skills_;
  int64_t logged_ = 0;             // messages of the server in our log
};

}  // namespace swarm::mcp
