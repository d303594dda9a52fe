#include <algorithm>
#include <array>
#include <set>

#include "engine/base/async/deadline.h"
#include "engine/base/async/nursery.h"
#include "mcp/connection.h"
#include "mcp/mcp.h"
#include "mcp/result.h"

namespace swarm::mcp {
namespace {

// Newest first; the first is offered.
constexpr std::array<std::string_view, 4> kVersions{"2025-11-25", "2025-06-18", "2025-03-26",
                                                    "2024-11-05"};

std::string text_member(const Json& object, const char* key) {
  if (!object.is_object()) return "";
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

[[noreturn]] void refuse(const std::string& server, const std::string& text) {
  throw ErrorException(environment_error("mcp server \"" + server + "\": " + text));
}

class McpTool final : public tools::Tool {
 public:
  // connection is shared: a tool may be called after its session has stopped, and says so.
  McpTool(std::shared_ptr<Connection> connection, std::string remote_name, tools::ToolSpec spec,
          std::chrono::milliseconds call_timeout)
      : connection_(std::move(connection)),
        remote_name_(std::move(remote_name)),
        spec_(std::move(spec)),
        call_timeout_(call_timeout) {}

  const tools::ToolSpec& spec() const override { return spec_; }

  Async<tools::ToolResult> call(Json arguments, tools::ToolContext context) override {
    Json params = Json::object();
    params["name"] = remote_name_;
    params["arguments"] = std::move(arguments);
    const Deadline deadline =
        Deadline::after(steady_clock(), call_timeout_).earlier(context.deadline);
    tools::ToolResult result;
    try {
      const Json reply = co_await connection_->request_with_progress(
          "tools/call", std::move(params), deadline);
      result = tool_result(reply);
    } catch (const ErrorException& e) {
      if (e.error().kind == ErrorKind::cancelled) throw;
      result.text = e.error().message;
      result.is_error = true;
    }
    co_return result;
  }

 private:
  std::shared_ptr<Connection> connection_;
  std::string remote_name_;
  tools::ToolSpec spec_;
  std::chrono::milliseconds call_timeout_;
};

class StdioSession final : public Session {
 public:
  StdioSession(ServerConfig config, Executor executor, Log& log)
      : config_(config),
        log_(log),
        connection_(std::make_shared<Connection>(std::move(config), std::move(executor), log)) {}

  Async<void> start() override {
    std::exception_ptr failure;
    bool ready = false;
    const auto attempt = [&]() -> Async<> {
      connection_->open();
      const Deadline deadline = Deadline::after(steady_clock(), config_.start_timeout);
      co_await with_deadline(handshake(), deadline);
      ready = true;
    };
    const auto clean_up = [&]() -> Async<> {
      if (!ready) co_await connection_->close();
    };
    try {
      co_await with_cleanup(attempt, clean_up);
    } catch (...) {
      failure = std::current_exception();
    }
    if (!failure) co_return;
    if (is_cancellation(failure)) std::rethrow_exception(failure);
    throw ErrorException(start_error(failure));
  }

  const ServerInfo& info() const override { return info_; }
  std::vector<std::shared_ptr<tools::Tool>> tools() const override { return tools_; }
  Async<void> stop() override { co_await connection_->close(); }

 private:
  Async<> handshake() {
    Json client = Json::object();
    client["name"] = "swarm";
    client["version"] = "0.1.0";
    Json params = Json::object();
    params["protocolVersion"] = kVersions[0];
    params["capabilities"] = Json::object();
    params["clientInfo"] = std::move(client);
    // initialize must not be cancelled on the wire; the start deadline is around all of this.
    const Json hello = co_await connection_->request("initialize", std::move(params),
                                                     Deadline::never(), false);
    read_hello(hello);
    co_await connection_->notify("notifications/initialized", Json());
    const auto capabilities = hello.find("capabilities");
    if (capabilities != hello.end() && capabilities->is_object() &&
        capabilities->contains("tools"))
      co_await list_tools();
    log_.info("mcp.server.ready", {{"server", config_.name},
                                   {"protocol", info_.protocol_version},
                                   {"tools", uint64_t{tools_.size()}}});
  }

  void read_hello(const Json& hello) {
    info_.protocol_version = text_member(hello, "protocolVersion");
    if (std::find(kVersions.begin(), kVersions.end(), info_.protocol_version) == kVersions.end())
      refuse(config_.name, "expected protocol version 2025-11-25, 2025-06-18, 2025-03-26 or "
                           "2024-11-05, found \"" + info_.protocol_version + "\"");
    info_.instructions = text_member(hello, "instructions");
    if (const auto server = hello.find("serverInfo"); server != hello.end()) {
      info_.name = text_member(*server, "name");
      info_.version = text_member(*server, "version");
    }
  }

  Async<> list_tools() {
    std::vector<Json> found;
    std::set<std::string> cursors;
    std::optional<std::string> cursor;
    for (int32_t page = 0; page == 0 || cursor; ++page) {
      if (page >= config_.pages_max)
        refuse(config_.name, "tools/list has more than " + std::to_string(config_.pages_max) +
                                 " pages");
      Json params = Json::object();
      if (cursor) params["cursor"] = *cursor;
      const Json reply =
          co_await connection_->request("tools/list", std::move(params), Deadline::never());
      const auto list = reply.find("tools");
      if (!reply.is_object() || list == reply.end() || !list->is_array())
        refuse(config_.name, "tools/list: expected an array \"tools\"");
      for (const Json& tool : *list) found.push_back(tool);
      const auto next = reply.find("nextCursor");
      cursor.reset();
      if (next != reply.end() && next->is_string()) cursor = next->get<std::string>();
      if (cursor && !cursors.insert(*cursor).second)
        refuse(config_.name, "tools/list repeats its cursor \"" + *cursor + "\"");
    }
    build_tools(found);
  }

  void build_tools(const std::vector<Json>& found) {
    std::vector<std::string> names;
    std::vector<const Json*> usable;
    std::set<std::string> seen;
    for (const Json& tool : found) {
      const std::string name = text_member(tool, "name");
      const bool object_schema = tool.is_object() && tool.contains("inputSchema") &&
                                 tool.at("inputSchema").is_object();
      if (name.empty() || name.size() > 128 || !object_schema || !seen.insert(name).second) {
        log_.warn("mcp.tool.quarantined", {{"server", config_.name}, {"tool", name}});
        continue;
      }
      names.push_back(name);
      usable.push_back(&tool);
    }
    const auto public_name = public_names(config_.name, names);
    for (size_t i = 0; i < names.size(); ++i) {
      tools::ToolSpec spec;
      spec.name = public_name.at(names[i]);
      spec.description = text_member(*usable[i], "description");
      if (spec.description.empty()) spec.description = text_member(*usable[i], "title");
      spec.parameters = usable[i]->at("inputSchema");
      spec.effect = effect_of(*usable[i]);
      spec.origin = "mcp:" + config_.name;
      tools_.push_back(std::make_shared<McpTool>(connection_, names[i], std::move(spec),
                                                 config_.call_timeout));
    }
  }

  Error start_error(const std::exception_ptr& failure) const {
    std::string text = "failed to start";
    try {
      std::rethrow_exception(failure);
    } catch (const ErrorException& e) {
      text = e.error().kind == ErrorKind::timeout
                 ? "mcp server \"" + config_.name + "\": not ready within " +
                       std::to_string(config_.start_timeout.count()) + " ms"
                 : e.error().message;
    } catch (const std::exception& e) {
      text = "mcp server \"" + config_.name + "\": " + e.what();
    }
    if (const std::string tail = connection_->stderr_tail(); !tail.empty())
      text += "; its stderr ends with:\n" + tail;
    return environment_error(text);
  }

  const ServerConfig config_;
  Log& log_;
  std::shared_ptr<Connection> connection_;  // shared with the tools
  ServerInfo info_;
  std::vector<std::shared_ptr<tools::Tool>> tools_;
};

}  // namespace

std::unique_ptr<Session> make_stdio_session(ServerConfig config, Executor executor, Log& log) {
  return std::make_unique<StdioSession>(std::move(config), std::move(executor), log);
}

}  // namespace swarm::mcp
