// The server under test of the official conformance suite: our server with the tools, resources and
// prompts the suite looks for. Prints its URL once it listens; ends by SIGTERM. With "--stdio" it
// serves one client on its standard streams instead.
#include <unistd.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <iostream>
#include <string>

#include "engine/base/async/deadline.h"
#include "engine/base/async/nursery.h"
#include "engine/base/async/run.h"
#include "mcp/serve.h"
#include "tests/mcp/conformance/task_tools.h"

namespace swarm::mcp {
namespace {

using std::chrono::milliseconds;

constexpr const char* kPng =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJg"
    "gg==";
constexpr const char* kWav = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA=";

Json text_block(const std::string& text) { return Json{{"type", "text"}, {"text", text}}; }

Json content(Json blocks) {
  Json out = Json::object();
  out["content"] = std::move(blocks);
  return out;
}

Json text_result(const std::string& text) { return content(Json::array({text_block(text)})); }

Json image_block() { return Json{{"type", "image"}, {"data", kPng}, {"mimeType", "image/png"}}; }

Json resource_block(const std::string& uri, const std::string& type, const std::string& text) {
  return Json{{"type", "resource"},
              {"resource", {{"uri", uri}, {"mimeType", type}, {"text", text}}}};
}

Json object_schema(Json properties, Json required = Json::array()) {
  Json out = Json::object();
  out["type"] = "object";
  out["properties"] = std::move(properties);
  if (!required.empty()) out["required"] = std::move(required);
  return out;
}

Json string_schema(const std::string& description) {
  return Json{{"type", "string"}, {"description", description}};
}

Async<> pause(milliseconds duration) {
  co_await wait_until(steady_clock(), steady_clock().now() + duration);
}

using Handler = std::function<Async<Json>(Json, ServedCall&)>;

void add_tool(Served& served, const std::string& name, Json schema, Handler handler,
              std::vector<std::string> needs = {}) {
  Json definition = Json::object();
  definition["name"] = name;
  definition["description"] = "Conformance tool " + name;
  definition["inputSchema"] = std::move(schema);
  served.tools.push_back({std::move(definition), std::move(handler), std::move(needs)});
}

void add_fixed(Served& served, const std::string& name, Json result) {
  add_tool(served, name, object_schema(Json::object()),
           [result](Json, ServedCall&) -> Async<Json> { co_return result; });
}

// ---- Tools of both generations.

void add_content_tools(Served& served) {
  add_fixed(served, "test_simple_text",
            text_result("This is a simple text response for testing."));
  add_fixed(served, "test_image_content", content(Json::array({image_block()})));
  add_fixed(served, "test_audio_content",
            content(Json::array({Json{{"type", "audio"}, {"data", kWav},
                                      {"mimeType", "audio/wav"}}})));
  add_fixed(served, "test_embedded_resource",
            content(Json::array({resource_block("test://embedded-resource", "text/plain",
                                                "This is an embedded resource content.")})));
  add_fixed(served, "test_multiple_content_types",
            content(Json::array({text_block("Multiple content types test:"), image_block(),
                                 resource_block("test://mixed-content-resource",
                                                "application/json",
                                                R"({"test":"data","value":123})")})));
  add_tool(served, "test_error_handling", object_schema(Json::object()),
           [](Json, ServedCall&) -> Async<Json> {
             throw ErrorException(
                 failed("This tool intentionally returns an error for testing"));
             co_return Json();
           });
  add_tool(served, "test_tool_with_progress", object_schema(Json::object()),
           [](Json, ServedCall& call) -> Async<Json> {
             for (const int done : {0, 50, 100}) {
               call.progress(done, 100, "");
               co_await pause(milliseconds(50));
             }
             co_return text_result("progress reported");
           });
  add_tool(served, "test_tool_with_logging", object_schema(Json::object()),
           [](Json, ServedCall& call) -> Async<Json> {
             for (const char* text : {"Tool execution started", "Tool processing data",
                                      "Tool execution completed"}) {
               call.log("info", text);
               co_await pause(milliseconds(50));
             }
             co_return text_result("logged");
           });
  add_tool(served, "test_reconnection", object_schema(Json::object()),
           [](Json, ServedCall& call) -> Async<Json> {
             call.hang_up(milliseconds(500));
             co_await pause(milliseconds(200));
             co_return text_result("Reconnection test completed");
           });
  const char* schema = R"({"$schema":"https://json-schema.org/draft/2020-12/schema",
    "type":"object","$defs":{"address":{"$anchor":"addressDef","type":"object","properties":
    {"street":{"type":"string"},"city":{"type":"string"}}}},"properties":{"name":{"type":"string"},
    "address":{"$ref":"#/$defs/address"},"contactMethod":{"type":"string","enum":["phone","email"]},
    "phone":{"type":"string"},"email":{"type":"string"}},"allOf":[{"anyOf":[{"required":["phone"]},
    {"required":["email"]}]}],"if":{"properties":{"contactMethod":{"const":"phone"}},"required":
    ["contactMethod"]},"then":{"required":["phone"]},"else":{"required":["email"]},
    "additionalProperties":false})";
  add_tool(served, "json_schema_2020_12_tool", parse_json(schema).value(),
           [](Json, ServedCall&) -> Async<Json> { co_return text_result("ok"); });
  Json region = string_schema("mirrored into a header");
  region["x-mcp-header"] = "Region";
  Json properties = Json::object();
  properties["region"] = region;
  add_tool(served, "test_header_param", object_schema(properties),
           [](Json arguments, ServedCall&) -> Async<Json> {
             co_return text_result(dump_json(arguments));
           });
}

// ---- Questions to the client.

Question elicitation(const std::string& message, Json properties,
                     Json required = Json::array()) {
  Json params = Json::object();
  params["message"] = message;
  params["requestedSchema"] = object_schema(std::move(properties), std::move(required));
  return {"elicitation/create", std::move(params)};
}

Question sampling(const std::string& prompt, int max_tokens) {
  Json params = Json::object();
  params["messages"] =
      Json::array({Json{{"role", "user"}, {"content", text_block(prompt)}}});
  params["maxTokens"] = max_tokens;
  return {"sampling/createMessage", std::move(params)};
}

Question roots() { return {"roots/list", Json::object()}; }

Question named(const std::string& message, const std::string& key,
               const std::string& type = "string") {
  Json properties = Json::object();
  properties[key] = Json{{"type", type}};
  return elicitation(message, std::move(properties), Json::array({key}));
}

Async<Json> ask_one(ServedCall& call, std::string key, Question question) {
  std::map<std::string, Question> questions;
  questions[key] = std::move(question);
  const std::map<std::string, Json> answers = co_await call.ask(std::move(questions));
  co_return answers.at(key);
}

std::string action_text(const Json& answer) {
  return "action=" + answer.value("action", std::string()) +
         ", content=" + dump_json(answer.value("content", Json()));
}

Json enum_properties() {
  const auto titled = [](const char* value, const char* title) {
    return Json{{"const", value}, {"title", title}};
  };
  const Json plain = Json::array({"option1", "option2", "option3"});
  const Json titles = Json::array({titled("value1", "First Option"),
                                   titled("value2", "Second Option"),
                                   titled("value3", "Third Option")});
  Json out = Json::object();
  out["untitledSingle"] = Json{{"type", "string"}, {"enum", plain}};
  out["titledSingle"] = Json{{"type", "string"}, {"oneOf", titles}};
  out["legacyEnum"] = Json{{"type", "string"},
                           {"enum", Json::array({"opt1", "opt2", "opt3"})},
                           {"enumNames", Json::array({"Option One", "Option Two",
                                                      "Option Three"})}};
  out["untitledMulti"] =
      Json{{"type", "array"}, {"items", {{"type", "string"}, {"enum", plain}}}};
  Json items = Json::object();
  items["anyOf"] = titles;
  out["titledMulti"] = Json{{"type", "array"}, {"items", items}};
  return out;
}

Json default_properties() {
  Json out = Json::object();
  out["name"] = Json{{"type", "string"}, {"default", "John Doe"}};
  out["age"] = Json{{"type", "integer"}, {"default", 30}};
  out["score"] = Json{{"type", "number"}, {"default", 95.5}};
  out["status"] = Json{{"type", "string"},
                       {"enum", Json::array({"active", "inactive", "pending"})},
                       {"default", "active"}};
  out["verified"] = Json{{"type", "boolean"}, {"default", true}};
  return out;
}

void add_asking_tools(Served& served) {
  Json prompt = Json::object();
  prompt["prompt"] = string_schema("The prompt to send to the LLM");
  add_tool(served, "test_sampling", object_schema(prompt, Json::array({"prompt"})),
           [](Json arguments, ServedCall& call) -> Async<Json> {
             const Json answer = co_await ask_one(
                 call, "sample", sampling(arguments.at("prompt").get<std::string>(), 100));
             co_return text_result("LLM response: " + dump_json(answer.at("content")));
           });
  Json message = Json::object();
  message["message"] = string_schema("The message to show the user");
  add_tool(served, "test_elicitation", object_schema(message, Json::array({"message"})),
           [](Json arguments, ServedCall& call) -> Async<Json> {
             Json properties = Json::object();
             properties["username"] = string_schema("User's response");
             properties["email"] = string_schema("User's email address");
             Json required = Json::array({"username", "email"});
             const auto text = arguments.at("message").get<std::string>();
             const Json answer = co_await ask_one(
                 call, "user", elicitation(text, std::move(properties), std::move(required)));
             co_return text_result("User response: " + action_text(answer));
           });
  const auto add_form = [&](const std::string& name, Json (*properties)()) {
    add_tool(served, name, object_schema(Json::object()),
             [properties](Json, ServedCall& call) -> Async<Json> {
               const Json answer =
                   co_await ask_one(call, "form", elicitation("Please fill in", properties()));
               co_return text_result("Elicitation completed: " + action_text(answer));
             });
  };
  add_form("test_elicitation_sep1034_defaults", default_properties);
  add_form("test_elicitation_sep1330_enums", enum_properties);
}

// ---- Tools of 2026-07-28.

void add_input(Served& served, const std::string& suffix, Handler handler) {
  add_tool(served, "test_input_required_result_" + suffix, object_schema(Json::object()),
           std::move(handler));
}

void add_input_tools(Served& served) {
  add_input(served, "elicitation", [](Json, ServedCall& call) -> Async<Json> {
    const Json answer = co_await ask_one(call, "user_name", named("What is your name?", "name"));
    const Json given = answer.value("content", Json::object());
    co_return text_result("Hello, " + given.value("name", std::string("stranger")) + "!");
  });
  add_input(served, "sampling", [](Json, ServedCall& call) -> Async<Json> {
    const Json answer = co_await ask_one(call, "capital_question",
                                         sampling("What is the capital of France?", 100));
    co_return text_result(dump_json(answer.at("content")));
  });
  add_input(served, "list_roots", [](Json, ServedCall& call) -> Async<Json> {
    const Json answer = co_await ask_one(call, "client_roots", roots());
    co_return text_result("roots: " + dump_json(answer.at("roots")));
  });
  for (const char* suffix : {"request_state", "tampered_state"})
    add_input(served, suffix, [](Json, ServedCall& call) -> Async<Json> {
      co_await ask_one(call, "confirm", named("Please confirm", "ok", "boolean"));
      co_return text_result(call.resumed() ? "state-ok" : "no state came back");
    });
  add_input(served, "multiple_inputs", [](Json, ServedCall& call) -> Async<Json> {
    std::map<std::string, Question> questions;
    questions["user_name"] = named("What is your name?", "name");
    questions["greeting"] = sampling("Generate a greeting", 50);
    questions["client_roots"] = roots();
    const auto answers = co_await call.ask(std::move(questions));
    co_return text_result(std::to_string(answers.size()) + " answers");
  });
  add_input(served, "multi_round", [](Json, ServedCall& call) -> Async<Json> {
    const Json first =
        co_await ask_one(call, "step1", named("Step 1: What is your name?", "name"));
    const Json second =
        co_await ask_one(call, "step2", named("Step 2: What is your favorite color?", "color"));
    co_return text_result(action_text(first) + "; " + action_text(second));
  });
  add_input(served, "capabilities", [](Json, ServedCall& call) -> Async<Json> {
    std::map<std::string, Question> questions;
    if (call.client_offers("elicitation")) questions["name"] = named("Your name?", "name");
    if (call.client_offers("sampling")) questions["sample"] = sampling("Say something", 50);
    if (call.client_offers("roots")) questions["roots"] = roots();
    const auto answers = co_await call.ask(std::move(questions));
    co_return text_result(std::to_string(answers.size()) + " answers");
  });
}

void add_modern_tools(Served& served, std::function<Announcer&()> announcer) {
  add_tool(served, "test_missing_capability", object_schema(Json::object()),
           [](Json, ServedCall&) -> Async<Json> { co_return text_result("has sampling"); },
           {"sampling"});
  add_tool(served, "test_logging_tool", object_schema(Json::object()),
           [](Json, ServedCall& call) -> Async<Json> {
             call.log("info", "a message of test_logging_tool");
             co_return text_result("logged");
           });
  add_tool(served, "test_streaming_elicitation", object_schema(Json::object()),
           [](Json, ServedCall& call) -> Async<Json> {
             call.progress(1, 2, "asking");
             co_await ask_one(call, "user_name", named("What is your name?", "name"));
             co_return text_result("done");
           });
  add_tool(served, "test_trigger_tool_change", object_schema(Json::object()),
           [announcer](Json, ServedCall&) -> Async<Json> {
             announcer().tools_changed();
             co_return text_result("told");
           });
  add_tool(served, "test_trigger_prompt_change", object_schema(Json::object()),
           [announcer](Json, ServedCall&) -> Async<Json> {
             announcer().prompts_changed();
             co_return text_result("told");
           });
}

// ---- Resources and prompts.

void add_resources(Served& served) {
  const auto add = [&](std::vector<ServedResource>& to, Json definition, const std::string& type,
                       Json fields) {
    definition["mimeType"] = type;
    definition["description"] = "Conformance resource";
    to.push_back({std::move(definition), [type, fields](std::string uri) -> Async<Json> {
                    Json one = Json::object();
                    one["uri"] = uri;
                    one["mimeType"] = type;
                    for (const auto& [key, value] : fields.items()) one[key] = value;
                    co_return Json::array({one});
                  }});
  };
  add(served.resources, Json{{"uri", "test://static-text"}, {"name", "static text"}},
      "text/plain", Json{{"text", "This is the content of the static text resource."}});
  add(served.resources, Json{{"uri", "test://static-binary"}, {"name", "static binary"}},
      "image/png", Json{{"blob", kPng}});
  add(served.resources, Json{{"uri", "test://watched-resource"}, {"name", "watched"}},
      "text/plain", Json{{"text", "watched"}});
  Json definition{{"uriTemplate", "test://template/{id}/data"}, {"name", "template"},
                  {"description", "Conformance template"}, {"mimeType", "application/json"}};
  served.templates.push_back(
      {std::move(definition), [](std::string uri) -> Async<Json> {
         const std::string rest = uri.substr(std::string("test://template/").size());
         const std::string id = rest.substr(0, rest.find('/'));
         const Json data{{"id", id}, {"templateTest", true}, {"data", "Data for ID: " + id}};
         const Json one{{"uri", uri}, {"mimeType", "application/json"},
                        {"text", dump_json(data)}};
         co_return Json::array({one});
       }});
}

Json user_message(Json block) { return Json{{"role", "user"}, {"content", std::move(block)}}; }

void add_prompt(Served& served, const std::string& name, const std::vector<std::string>& arguments,
                Handler get) {
  Json definition{{"name", name}, {"description", "Conformance prompt " + name}};
  for (const std::string& argument : arguments)
    definition["arguments"].push_back(
        Json{{"name", argument}, {"description", "argument " + argument}, {"required", true}});
  served.prompts.push_back({std::move(definition), std::move(get)});
}

Json messages(Json list) {
  Json out = Json::object();
  out["messages"] = std::move(list);
  return out;
}

void add_prompts(Served& served) {
  add_prompt(served, "test_simple_prompt", {}, [](Json, ServedCall&) -> Async<Json> {
    co_return messages(
        Json::array({user_message(text_block("This is a simple prompt for testing."))}));
  });
  add_prompt(served, "test_prompt_with_arguments", {"arg1", "arg2"},
             [](Json arguments, ServedCall&) -> Async<Json> {
               const std::string text = "Prompt with arguments: arg1='" +
                                        arguments.at("arg1").get<std::string>() + "', arg2='" +
                                        arguments.at("arg2").get<std::string>() + "'";
               co_return messages(Json::array({user_message(text_block(text))}));
             });
  add_prompt(served, "test_prompt_with_embedded_resource", {"resourceUri"},
             [](Json arguments, ServedCall&) -> Async<Json> {
               co_return messages(Json::array(
                   {user_message(resource_block(arguments.at("resourceUri").get<std::string>(),
                                                "text/plain",
                                                "Embedded resource content for testing.")),
                    user_message(text_block("Please process the embedded resource above."))}));
             });
  add_prompt(served, "test_prompt_with_image", {}, [](Json, ServedCall&) -> Async<Json> {
    co_return messages(
        Json::array({user_message(image_block()),
                     user_message(text_block("Please analyze the image above."))}));
  });
  add_prompt(served, "test_input_required_result_prompt", {},
             [](Json, ServedCall& call) -> Async<Json> {
               const Json answer =
                   co_await ask_one(call, "user_context",
                                    named("What context should the prompt use?", "context"));
               co_return messages(Json::array({user_message(text_block(action_text(answer)))}));
             });
  served.complete = [](const Json&, const std::string& argument, const std::string& value) {
    std::vector<std::string> out;
    for (const char* one : {"paris", "park", "party"})
      if (argument == "arg1" && std::string(one).rfind(value, 0) == 0) out.emplace_back(one);
    return out;
  };
}

int run(bool stdio) {
  boost::asio::io_context context(1);
  Log log(std::cerr, LogLevel::info);
  std::unique_ptr<Server> server;
  Served served;
  served.name = "swarm-conformance";
  served.version = "1";
  served.instructions = "Tools of the conformance suite.";
  add_content_tools(served);
  add_asking_tools(served);
  add_input_tools(served);
  add_modern_tools(served, [&]() -> Announcer& { return server->announcer(); });
  add_task_tools(served);
  add_resources(served);
  add_prompts(served);
  server = make_server(served, {}, context.get_executor(), log);
  boost::asio::signal_set signals(context, SIGTERM, SIGINT);
  boost::asio::cancellation_signal cancel;
  signals.async_wait([&](const boost::system::error_code& error, int) {
    if (!error) cancel.emit(boost::asio::cancellation_type::all);
  });
  if (!stdio) {
    server->listen();
    std::cout << server->url() << std::endl;
  }
  boost::asio::co_spawn(
      context, stdio ? server->run_stdio(STDIN_FILENO, STDOUT_FILENO) : server->run_http(),
      boost::asio::bind_cancellation_slot(
          cancel.slot(), [&](const std::exception_ptr&) { signals.cancel(); }));
  context.run();
  return 0;
}

}  // namespace
}  // namespace swarm::mcp

int main(int count, char** arguments) {
  try {
    return swarm::mcp::run(count > 1 && std::string(arguments[1]) == "--stdio");
  } catch (const std::exception& e) {
    std::cerr << e.what() << "\n";
    return 1;
  }
}
