#include "mcp/client/mcp_tool.h"

#include "mcp/client/core.h"
#include "mcp/client/result.h"

namespace swarm::mcp {
namespace {

class McpTool final : public tools::Tool {
 public:
  McpTool(std::weak_ptr<Core> core, std::string server, std::string remote_name,
          tools::ToolSpec spec)
      : core_(std::move(core)),
        server_(std::move(server)),
        remote_name_(std::move(remote_name)),
        spec_(std::move(spec)) {}

  const tools::ToolSpec& spec() const override { return spec_; }

  Async<tools::ToolResult> call(Json arguments, tools::ToolContext context) override {
    tools::ToolResult result;
    const auto core = core_.lock();
    if (!core) {
      result.text = "mcp server \"" + server_ + "\": its session was stopped";
      result.is_error = true;
      co_return result;
    }
    CallOptions options;
    options.deadline = context.deadline;
    options.call_id = context.call_id;
    try {
      const Json reply =
          co_await core->call_tool(remote_name_, std::move(arguments), std::move(options));
      result = tool_result(reply);
      core->note_result_text(result.text.size());
    } catch (const ErrorException& e) {
      if (e.error().kind == ErrorKind::cancelled) throw;
      result.text = e.error().message;
      result.is_error = true;
    }
    co_return result;
  }

 private:
  const std::weak_ptr<Core> core_;  // the core holds its tools
  const std::string server_;
  const std::string remote_name_;
  const tools::ToolSpec spec_;
};

}  // namespace

std::shared_ptr<tools::Tool> make_tool(std::shared_ptr<Core> core, std::string remote_name,
                                       tools::ToolSpec spec) {
  const std::string server = core->config().name;
  return std::make_shared<McpTool>(std::move(core), server, std::move(remote_name),
                                   std::move(spec));
}

}  // namespace swarm::mcp
