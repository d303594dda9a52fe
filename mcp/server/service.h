// mcp/server/service.h — Requests in, results out: what a server does with a message, whoever
// brought it. Knows both generations; knows neither pipes nor HTTP. One strand.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/base/async/channel.h"
#include "engine/base/clock.h"
#include "mcp/message/jsonrpc.h"
#include "mcp/message/rpc_error.h"
#include "mcp/serve.h"
#include "mcp/server/reply.h"
#include "mcp/server/seal.h"
#include "mcp/server/tasks.h"

namespace swarm::mcp {

class Call;

// A client of the older generation, from initialize to its end.
struct LegacySession {
  std::string id;
  std::string version;
  Json capabilities = Json::object();      // of the client
  std::string log_level = "info";
  std::set<std::string> subscribed;        // resource URIs
  std::shared_ptr<Reply> unasked;          // where messages go that belong to no request
  std::map<std::string, std::shared_ptr<Reply>> running;   // by request id as JSON
  std::map<int64_t, std::shared_ptr<Channel<Json>>> asked; // our questions, by our id
  int64_t last_asked = 0;
  TimePoint last_seen{};
};

// Who asks and how; lives as long as the request.
struct RequestContext {
  bool modern = false;
  std::string version;
  Json capabilities = Json::object();      // of the client
  std::optional<std::string> log_level;
  std::shared_ptr<LegacySession> session;  // legacy; shared with its transport
  std::shared_ptr<Reply> reply;            // shared with its reader
  Json id;
};

class Service final : public Announcer {
 public:
  Service(const Served& served, ServeOptions options, Log& log);

  // Runs one request to its end and finishes context.reply; never throws but for cancellation.
  Async<> answer(Incoming request, RequestContext context);
  // A notification or an answer of a legacy client.
  void notice(const Incoming& message, LegacySession& session);
  void settle(const Incoming& answer, LegacySession& session);

  // initialize: fills the session.
  Json greet(const Json& params, LegacySession& session) const;
  // Reads _meta. Throws RpcException with HTTP status 400.
  void read_meta(const Json& params, RequestContext& context) const;

  void join(const std::shared_ptr<LegacySession>& session) { sessions_.push_back(session); }
  void end_subscriptions();
  // Where tasks run: for as long as the nursery lives.
  void run_tasks_in(Nursery* nursery) { tasks_.run_in(nursery); }

  void tools_changed() override;
  void prompts_changed() override;
  void resources_changed() override;
  void resource_updated(const std::string& uri) override;

  const Served& served() const { return served_; }
  const ServeOptions& options() const { return options_; }
  Log& log() { return log_; }
  const Seal& seal() const { return seal_; }

 private:
  struct Listener {
    Json id;
    Json wanted;
    std::shared_ptr<Reply> reply;          // shared with its reader
  };

  Async<Json> dispatch(std::string method, Json params, RequestContext& context);
  Async<Json> call_tool(Json params, RequestContext& context);
  Async<Json> run_tool(const ServedTool& tool, Json arguments, Call& call,
                       RequestContext& context);
  Async<Json> start_task(const ServedTool& tool, Json arguments, Call& call,
                         RequestContext& context);
  Json task_request(const std::string& method, const Json& params, const RequestContext& context);
  void task_changed(const std::string& id, const Json& task);
  Async<Json> get_prompt(Json params, RequestContext& context);
  Async<Json> read_resource(Json params, RequestContext& context);
  Async<Json> subscribe(Json params, RequestContext& context);
  std::vector<Json> resources_now() const;
  Json complete(const Json& params) const;
  Json list(const char* key, std::vector<Json> items, const RequestContext& context) const;
  Json capabilities(bool modern) const;
  Json discover() const;
  void add_hints(Json& result, const RequestContext& context) const;
  void tell(const char* method, const char* filter);

  const Served& served_;
  const ServeOptions options_;
  Log& log_;
  const Seal seal_;
  Tasks tasks_;
  std::vector<std::weak_ptr<LegacySession>> sessions_;
  std::vector<std::shared_ptr<Listener>> listeners_;
};

}  // namespace swarm::mcp
