#include "mcp/client/core.h"
#include "mcp/client/list_cache.h"
#include "mcp/mcp.h"

namespace swarm::mcp {
namespace {

Json named(const char* key, std::string value) {
  Json out = Json::object();
  out[key] = std::move(value);
  return out;
}

class Handle final : public Client {
 public:
  explicit Handle(std::shared_ptr<Core> core) : core_(std::move(core)) {}

  Async<> start() override { return core_->start(); }
  Async<> stop() override { return core_->stop(); }
  const ServerInfo& info() const override { return core_->info(); }
  std::vector<std::shared_ptr<tools::Tool>> tools() const override { return core_->tools(); }
  Json metrics() const override { return core_->metrics_json(); }
  State state() const override { return core_->state(); }
  const std::string& state_reason() const override { return core_->state_reason(); }
  const Json& capabilities() const override { return core_->capabilities(); }
  const char* transport_name() const override {
    switch (core_->transport()) {
      case TransportKind::stdio: return "stdio";
      case TransportKind::sse: return "sse";
      default: return "http";
    }
  }

  Async<Json> call_tool(std::string name, Json arguments, CallOptions options) override {
    return core_->call_tool(std::move(name), std::move(arguments), std::move(options));
  }
  Async<std::vector<Json>> list(List what) override { return core_->list(what); }
  Async<Json> read_resource(std::string uri) override {
    core_->require("resources", "resources");
    return core_->fetch("resources/read", named("uri", std::move(uri)));
  }
  Async<> subscribe(std::string uri) override { return core_->subscribe(std::move(uri)); }
  Async<> unsubscribe(std::string uri) override { return core_->unsubscribe(std::move(uri)); }
  Async<Json> get_prompt(std::string name, Json arguments) override {
    core_->require("prompts", "prompts");
    Json params = named("name", std::move(name));
    if (arguments.is_object() && !arguments.empty()) params["arguments"] = std::move(arguments);
    return core_->call("prompts/get", std::move(params));
  }
  Async<Json> complete(Json ref, std::string argument, std::string value,
                       Json context) override {
    core_->require("completions", "completions");
    Json params = Json::object();
    params["ref"] = std::move(ref);
    params["argument"] = Json{{"name", std::move(argument)}, {"value", std::move(value)}};
    if (context.is_object() && !context.empty()) params["context"]["arguments"] = context;
    return core_->call("completion/complete", std::move(params));
  }
  Async<std::string> read_skill(Json entry, std::string uri) override {
    return core_->read_skill(std::move(entry), std::move(uri));
  }
  Async<> ping() override { co_await core_->call("ping", Json::object()); }
  Async<Json> request(std::string method, Json params) override {
    return core_->call(std::move(method), std::move(params));
  }

 private:
  const std::shared_ptr<Core> core_;  // shared with calls in flight
};

}  // namespace

std::unique_ptr<Client> make_client(ServerConfig config, Executor executor, Log& log,
                                    ClientHooks hooks, const AuthOptions* auth) {
  return std::make_unique<Handle>(std::make_shared<Core>(std::move(config), std::move(executor),
                                                         log, std::move(hooks), auth));
}

bool starts_later(const ServerConfig& config) {
  return config.lazy && load_offer(config).has_value();
}

std::unique_ptr<Session> make_session(ServerConfig config, Executor executor, Log& log) {
  return make_client(std::move(config), std::move(executor), log);
}

}  // namespace swarm::mcp
