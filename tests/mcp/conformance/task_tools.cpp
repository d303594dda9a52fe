#include "tests/mcp/conformance/task_tools.h"

#include "engine/base/async/deadline.h"
#include "mcp/message/rpc_error.h"

namespace swarm::mcp {
namespace {

using Handler = std::function<Async<Json>(Json, ServedCall&)>;

Json text_result(const std::string& text) {
  Json out = Json::object();
  out["content"] = Json::array({Json{{"type", "text"}, {"text", text}}});
  return out;
}

ServedTool& add(Served& served, const std::string& name, const char* argument, const char* type,
                TaskUse task, Handler handler) {
  Json definition = Json::object();
  definition["name"] = name;
  definition["description"] = "Conformance tool " + name;
  definition["inputSchema"]["type"] = "object";
  definition["inputSchema"]["properties"] = Json::object();
  if (argument != nullptr) definition["inputSchema"]["properties"][argument]["type"] = type;
  served.tools.push_back(
      {.definition = std::move(definition), .call = std::move(handler), .task = task});
  return served.tools.back();
}

Async<> pause(double seconds) {
  const auto length = std::chrono::milliseconds(static_cast<int64_t>(seconds * 1000));
  co_await wait_until(steady_clock(), steady_clock().now() + length);
}

Question form(const std::string& message, const char* field, const char* type) {
  Json params = Json::object();
  params["mode"] = "form";
  params["message"] = message;
  params["requestedSchema"]["type"] = "object";
  params["requestedSchema"]["properties"][field]["type"] = type;
  params["requestedSchema"]["required"] = Json::array({field});
  return {"elicitation/create", std::move(params)};
}

Async<Json> ask_name(ServedCall& call) {
  std::map<std::string, Question> questions;
  questions["user_name"] = form("What is your name?", "name", "string");
  const auto answers = co_await call.ask(std::move(questions));
  co_return answers.at("user_name");
}

void add_asking_tasks(Served& served) {
  add(served, "confirm_delete", "filename", "string", TaskUse::offered,
      [](Json arguments, ServedCall& call) -> Async<Json> {
        std::map<std::string, Question> questions;
        questions["confirm"] = form("Delete it?", "confirm", "boolean");
        const auto answers = co_await call.ask(std::move(questions));
        co_return text_result(arguments.value("filename", std::string()) + ": " +
                              dump_json(answers.at("confirm")));
      });
  add(served, "multi_input", nullptr, "", TaskUse::offered,
      [](Json, ServedCall& call) -> Async<Json> {
        std::map<std::string, Question> questions;
        questions["name"] = form("Your name?", "name", "string");
        questions["confirm"] = form("Sure?", "confirm", "boolean");
        const auto answers = co_await call.ask(std::move(questions));
        co_return text_result(std::to_string(answers.size()) + " answers");
      });
  ServedTool& composed = add(served, "test_tool_with_task", nullptr, "", TaskUse::required,
                             [](Json, ServedCall& call) -> Async<Json> {
                               const Json answer = co_await ask_name(call);
                               co_await pause(0.2);
                               co_return text_result("Hello, " + dump_json(answer));
                             });
  composed.prepare = [](const Json&, ServedCall& call) -> Async<> { co_await ask_name(call); };
}

}  // namespace

void add_task_tools(Served& served) {
  add(served, "greet", "name", "string", TaskUse::never,
      [](Json arguments, ServedCall&) -> Async<Json> {
        co_return text_result("Hello, " + arguments.value("name", std::string("you")) + "!");
      });
  add(served, "slow_compute", "seconds", "number", TaskUse::offered,
      [](Json arguments, ServedCall& call) -> Async<Json> {
        call.progress(0, 1, "computing");
        co_await pause(arguments.value("seconds", 1.0));
        co_return text_result("computed");
      });
  add(served, "failing_job", nullptr, "", TaskUse::required,
      [](Json, ServedCall&) -> Async<Json> {
        co_await pause(1);
        throw ErrorException(failed("This job fails on purpose"));
      });
  add(served, "protocol_error_job", nullptr, "", TaskUse::offered,
      [](Json, ServedCall&) -> Async<Json> {
        co_await pause(0.2);
        refuse(kInternalError, "This job breaks the protocol on purpose");
      });
  add_asking_tasks(served);
}

}  // namespace swarm::mcp
