#include "orchestrator/run/agent_sessions.h"

#include <exception>
#include <map>
#include <utility>

#include "engine/base/async/channel.h"
#include "engine/base/async/nursery.h"

namespace swarm::run {
namespace {

// What a model, a policy and a person were told about a tool.
bool same_offer(const tools::ToolSpec& shown, const tools::ToolSpec& found) {
  return shown.description == found.description && shown.effect == found.effect &&
         dump_json(shown.parameters) == dump_json(found.parameters);
}

}  // namespace

class AgentSessions::Instances : public std::enable_shared_from_this<Instances> {
 public:
  Instances(std::string server, Make make, Taken taken)
      : server_(std::move(server)), make_(std::move(make)), taken_(std::move(taken)) {
    first_.session = make_("");
  }

  mcp::Session& first() const { return *first_.session; }
  const std::string& server() const { return server_; }

  // The agent's own tool. Throws ErrorException when there is none; an instance that did not start
  // is tried again by the next call.
  Async<std::shared_ptr<tools::Tool>> tool_for(std::string agent, const tools::ToolSpec& shown) {
    Instance& instance = instance_of(agent);
    while (!instance.ready) {
      if (stopped_) throw ErrorException(failed(about() + "its session was stopped"));
      if (instance.starting) {
        const auto gate = instance.starting;
        co_await gate->receive();
        continue;
      }
      co_await start(instance, agent);
    }
    co_return checked(instance, agent, shown);
  }

  Async<> stop() {
    stopped_ = true;
    std::exception_ptr failure;                   // of one must not cancel the others
    co_await with_nursery([&](Nursery& nursery) -> Async<> {
      for (mcp::Session* session : sessions())
        nursery.start([session, &failure]() -> Async<> {
          try {
            co_await session->stop();
          } catch (const ErrorException&) {
            failure = std::current_exception();
          }
        });
      co_return;
    });
    if (failure) std::rethrow_exception(failure);
  }

  Json metrics() const {
    Json out = Json::array();
    const auto add = [&out](const std::string& agent, const Instance& instance) {
      const Json counted = instance.session ? instance.session->metrics() : Json();
      if (!counted.is_object()) return;
      Json one{{"agent", agent}};
      one.update(counted);
      out.push_back(std::move(one));
    };
    add(owner_, first_);
    for (const auto& [agent, instance] : others_) add(agent, instance);
    return out;
  }

 private:
  struct Instance {
    std::unique_ptr<mcp::Session> session;
    bool ready = false;
    std::shared_ptr<Channel<bool>> starting;  // shared with those who wait
    // Tools of the instance that were compared with what was shown, by their name at the server.
    std::map<std::string, std::pair<std::shared_ptr<tools::Tool>, bool>> compared;
  };

  std::string about() const { return "mcp server \"" + server_ + "\": "; }

  Instance& instance_of(const std::string& agent) {
    if (owner_.empty()) {
      owner_ = agent;
      first_.ready = true;                        // the run started it
      taken_(agent);
    }
    return agent == owner_ ? first_ : others_[agent];
  }

  std::vector<mcp::Session*> sessions() const {
    std::vector<mcp::Session*> out{first_.session.get()};
    for (const auto& [agent, instance] : others_)
      if (instance.session) out.push_back(instance.session.get());
    return out;
  }

  Async<> start(Instance& instance, const std::string& agent) {
    instance.starting = std::make_shared<Channel<bool>>(0);
    instance.session = make_(agent);
    const auto work = [&]() -> Async<> {
      co_await instance.session->start();
      instance.ready = true;
    };
    const auto end = [&]() -> Async<> {
      if (!instance.ready) {
        co_await instance.session->stop();
        instance.session.reset();
      }
      instance.starting->close();
      instance.starting.reset();
    };
    co_await with_cleanup(work, end);
  }

  std::shared_ptr<tools::Tool> checked(Instance& instance, const std::string& agent,
                                       const tools::ToolSpec& shown) const {
    const auto refuse = [&](const char* what) {
      throw ErrorException(failed(about() + "the instance of " + agent + " " + what));
    };
    std::shared_ptr<tools::Tool> found;
    for (const auto& tool : instance.session->tools())
      if (tool->spec().remote_name == shown.remote_name) found = tool;
    if (!found) refuse("does not offer this tool");
    auto& [tool, same] = instance.compared[shown.remote_name];
    if (tool != found) {
      tool = found;
      same = same_offer(shown, found->spec());
    }
    if (!same) refuse("offers this tool otherwise than it was shown");
    return found;
  }

  const std::string server_;
  const Make make_;
  const Taken taken_;
  Instance first_;
  std::string owner_;                             // of first_; "" until somebody calls
  std::map<std::string, Instance> others_;        // by agent
  bool stopped_ = false;
};

namespace {

class AgentTool final : public tools::Tool {
 public:
  AgentTool(std::weak_ptr<AgentSessions::Instances> instances, std::string server,
            tools::ToolSpec spec)
      : instances_(std::move(instances)), server_(std::move(server)), spec_(std::move(spec)) {}

  const tools::ToolSpec& spec() const override { return spec_; }

  Async<tools::ToolResult> call(Json arguments, tools::ToolContext context) override {
    tools::ToolResult result;
    result.is_error = true;
    const auto instances = instances_.lock();
    if (!instances) {
      result.text = "mcp server \"" + server_ + "\": its session was stopped";
      co_return result;
    }
    std::shared_ptr<tools::Tool> tool;
    try {
      tool = co_await instances->tool_for(context.agent, spec_);
    } catch (const ErrorException& e) {
      if (e.error().kind == ErrorKind::cancelled) throw;
      result.text = e.error().message;
    }
    if (!tool) co_return result;
    co_return co_await tool->call(std::move(arguments), std::move(context));
  }

 private:
  const std::weak_ptr<AgentSessions::Instances> instances_;
  const std::string server_;
  const tools::ToolSpec spec_;
};

}  // namespace

AgentSessions::AgentSessions(std::string server, Make make, Taken taken)
    : instances_(std::make_shared<Instances>(std::move(server), std::move(make),
                                             std::move(taken))) {}

AgentSessions::~AgentSessions() = default;

Async<void> AgentSessions::start() { return instances_->first().start(); }

const mcp::ServerInfo& AgentSessions::info() const { return instances_->first().info(); }

std::vector<std::shared_ptr<tools::Tool>> AgentSessions::tools() const {
  std::vector<std::shared_ptr<tools::Tool>> out;
  for (const auto& tool : instances_->first().tools())
    out.push_back(
        std::make_shared<AgentTool>(instances_, instances_->server(), tool->spec()));
  return out;
}

Json AgentSessions::metrics() const { return instances_->metrics(); }

Async<void> AgentSessions::stop() {
  const auto instances = instances_;
  co_await instances->stop();
}

}  // namespace swarm::run
