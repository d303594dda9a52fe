#include "mcp/server/service.h"

#include <algorithm>
#include <array>

#include "engine/base/async/nursery.h"
#include "mcp/message/json_member.h"
#include "mcp/message/versions.h"
#include "mcp/server/call.h"
#include "mcp/server/uri_template.h"
#include "tools/tool.h"

namespace swarm::mcp {
namespace {

constexpr size_t kCompletionsMax = 100;
constexpr size_t kListenersMax = 256;

Json text_result(const std::string& text, bool error) {
  Json out = Json::object();
  out["content"] = Json::array({Json{{"type", "text"}, {"text", text}}});
  if (error) out["isError"] = true;
  return out;
}

[[noreturn]] void refuse_task_unaware() {
  Json data = Json::object();
  data["requiredCapabilities"]["extensions"][kTasksExtension] = Json::object();
  refuse(kMissingCapability, "the client does not know tasks", std::move(data), 400);
}

template <class List>
std::vector<Json> definitions_of(const List& list) {
  std::vector<Json> out;
  for (const auto& one : list) out.push_back(one.definition);
  return out;
}

}  // namespace

Service::Service(const Served& served, ServeOptions options, Log& log)
    : served_(served),
      options_(std::move(options)),
      log_(log),
      tasks_([this](const std::string& id, const Json& task) { task_changed(id, task); }) {}

// ---- Handshakes.

Json Service::capabilities(bool modern) const {
  Json out = Json::object();
  if (!served_.tools.empty()) out["tools"]["listChanged"] = true;
  if (!served_.resources.empty() || !served_.templates.empty()) {
    out["resources"]["subscribe"] = true;
    out["resources"]["listChanged"] = true;
  }
  if (!served_.prompts.empty()) out["prompts"]["listChanged"] = true;
  if (served_.complete) out["completions"] = Json::object();
  out["logging"] = Json::object();
  const bool tasks = std::any_of(served_.tools.begin(), served_.tools.end(),
                                 [](const ServedTool& one) { return one.task != TaskUse::never; });
  if (modern && tasks) out["extensions"][kTasksExtension] = Json::object();
  return out;
}

Json Service::greet(const Json& params, LegacySession& session) const {
  const std::string wanted = text_member(params, "protocolVersion");
  const bool known = std::find(kLegacyVersions.begin(), kLegacyVersions.end(), wanted) !=
                     kLegacyVersions.end();
  session.version = known ? wanted : std::string(kLegacyVersions[0]);
  if (params.is_object() && params.contains("capabilities") &&
      params.at("capabilities").is_object())
    session.capabilities = params.at("capabilities");
  Json out = Json::object();
  out["protocolVersion"] = session.version;
  out["capabilities"] = capabilities(false);
  out["serverInfo"] = Json{{"name", served_.name}, {"version", served_.version}};
  if (!served_.instructions.empty()) out["instructions"] = served_.instructions;
  return out;
}

Json Service::discover() const {
  Json out = Json::object();
  out["supportedVersions"] = Json::array({kModernVersion});
  out["capabilities"] = capabilities(true);
  if (!served_.instructions.empty()) out["instructions"] = served_.instructions;
  return out;
}

void Service::read_meta(const Json& params, RequestContext& context) const {
  const auto meta = params.is_object() ? params.find("_meta") : params.end();
  if (!params.is_object() || meta == params.end() || !meta->is_object())
    refuse(kInvalidParams, "params._meta is missing", nullptr, 400);
  const std::string version = text_member(*meta, "io.modelcontextprotocol/protocolVersion");
  const auto offered = meta->find("io.modelcontextprotocol/clientCapabilities");
  if (version.empty()) refuse(kInvalidParams, "_meta names no protocol version", nullptr, 400);
  if (version != kModernVersion)
    refuse(kUnsupportedVersion, "unsupported protocol version \"" + version + "\"",
           Json{{"supported", Json::array({kModernVersion})}, {"requested", version}}, 400);
  if (offered == meta->end() || !offered->is_object())
    refuse(kInvalidParams, "_meta names no client capabilities", nullptr, 400);
  context.modern = true;
  context.version = version;
  context.capabilities = *offered;
  const std::string level = text_member(*meta, "io.modelcontextprotocol/logLevel");
  if (!level.empty()) context.log_level = level;
}

// ---- One request.

Async<> Service::answer(Incoming request, RequestContext context) {
  std::string message;
  int status = 200;
  try {
    Json params = request.payload.is_object() ? std::move(request.payload) : Json::object();
    Json result = co_await dispatch(request.method, std::move(params), context);
    if (context.modern) add_hints(result, context);
    message = encode_result(request.id, result);
  } catch (const RpcException& e) {
    const RpcError& details = e.details();
    message = encode_error(request.id, details.code, details.text, details.data);
    if (details.http_status != 0) status = details.http_status;
  } catch (const ErrorException& e) {
    if (e.error().kind == ErrorKind::cancelled) throw;
    message = encode_error(request.id, kInternalError, e.error().message);
  } catch (const boost::system::system_error& e) {
    if (is_cancellation(std::current_exception())) throw;
    message = encode_error(request.id, kInternalError, e.code().message());
  }
  context.reply->finish(std::move(message), status);
}

// resultType, who we are, and how long it may be kept.
void Service::add_hints(Json& result, const RequestContext&) const {
  if (!result.contains("resultType")) result["resultType"] = "complete";
  result["_meta"]["io.modelcontextprotocol/serverInfo"] =
      Json{{"name", served_.name}, {"version", served_.version}};
}

Async<Json> Service::dispatch(std::string method, Json params, RequestContext& context) {
  const auto hinted = [&](Json result) {
    if (context.modern) {
      result["ttlMs"] = served_.ttl.count();
      result["cacheScope"] = "private";
    }
    return result;
  };
  if (method == "tools/call" && !served_.tools.empty())
    co_return co_await call_tool(std::move(params), context);
  if (method == "tools/list" && !served_.tools.empty())
    co_return list("tools", definitions_of(served_.tools), context);
  if (method == "prompts/list" && !served_.prompts.empty())
    co_return list("prompts", definitions_of(served_.prompts), context);
  if (method == "prompts/get" && !served_.prompts.empty())
    co_return co_await get_prompt(std::move(params), context);
  const bool resources = !served_.resources.empty() || !served_.templates.empty();
  if (method == "resources/list" && resources)
    co_return list("resources", resources_now(), context);
  if (method == "resources/templates/list" && resources)
    co_return list("resourceTemplates", definitions_of(served_.templates), context);
  if (method == "resources/read" && resources) {
    Json read = co_await read_resource(std::move(params), context);
    co_return hinted(std::move(read));
  }
  if (method == "completion/complete" && served_.complete) co_return complete(params);
  if (context.modern) {
    if (method == "server/discover") co_return hinted(discover());
    if (method == "tasks/get" || method == "tasks/update" || method == "tasks/cancel")
      co_return task_request(method, params, context);
    if (method == "subscriptions/listen")
      co_return co_await subscribe(std::move(params), context);
    refuse(kMethodNotFound, "method not found: " + method, nullptr, 404);
  }
  if (method == "ping") co_return Json::object();
  if (method == "logging/setLevel") {
    const std::string level = text_member(params, "level");
    if (log_rank(level) < 0) refuse(kInvalidParams, "unknown level \"" + level + "\"");
    context.session->log_level = level;
    co_return Json::object();
  }
  if (method == "resources/subscribe" && resources) {
    context.session->subscribed.insert(text_member(params, "uri"));
    co_return Json::object();
  }
  if (method == "resources/unsubscribe" && resources) {
    context.session->subscribed.erase(text_member(params, "uri"));
    co_return Json::object();
  }
  refuse(kMethodNotFound, "method not found: " + method);
}

std::vector<Json> Service::resources_now() const {
  std::vector<Json> out = definitions_of(served_.resources);
  for (const ServedResource& one : served_.templates)
    if (one.instances)
      for (Json& definition : one.instances()) out.push_back(std::move(definition));
  return out;
}

// Everything fits on one page; a cursor can only be somebody else's.
Json Service::list(const char* key, std::vector<Json> items, const RequestContext& context) const {
  Json out = Json::object();
  out[key] = Json(std::move(items));
  if (context.modern) {
    out["ttlMs"] = served_.ttl.count();
    out["cacheScope"] = "private";
  }
  return out;
}

Async<Json> Service::call_tool(Json params, RequestContext& context) {
  const std::string name = text_member(params, "name");
  const auto tool = std::find_if(
      served_.tools.begin(), served_.tools.end(),
      [&](const ServedTool& one) { return text_member(one.definition, "name") == name; });
  if (tool == served_.tools.end()) refuse(kInvalidParams, "unknown tool \"" + name + "\"");
  Json arguments = params.contains("arguments") ? params.at("arguments") : Json::object();
  if (arguments.is_null()) arguments = Json::object();
  const std::string about = "tools/call " + name + " " + dump_json(arguments);
  Call call(*this, context, params, about);
  for (const std::string& need : tool->needs) {
    if (call.client_offers(need)) continue;
    Json data = Json::object();
    data["requiredCapabilities"][need] = Json::object();
    refuse(context.modern ? kMissingCapability : kInvalidParams,
           "the client does not offer " + need, std::move(data), 400);
  }
  const auto valid = tools::validate_json(tool->definition.at("inputSchema"), arguments);
  if (!valid && valid.error().kind != ErrorKind::unsupported)
    co_return text_result("wrong arguments: " + valid.error().message, true);
  co_return co_await run_tool(*tool, std::move(arguments), call, context);
}

Async<Json> Service::run_tool(const ServedTool& tool, Json arguments, Call& call,
                              RequestContext& context) {
  const bool knows_tasks =
      context.modern &&
      object_member(context.capabilities, "extensions").contains(kTasksExtension);
  if (tool.task == TaskUse::required && context.modern && !knows_tasks)
    refuse_task_unaware();
  const bool as_task = knows_tasks && tool.task != TaskUse::never && tasks_.can_start();
  std::string problem;
  std::optional<NeedInput> need;
  try {
    if (as_task) co_return co_await start_task(tool, std::move(arguments), call, context);
    co_return co_await tool.call(std::move(arguments), call);
  } catch (const NeedInput& missing) {
    need = missing;
  } catch (const RpcException&) {
    throw;
  } catch (const ErrorException& e) {
    if (e.error().kind == ErrorKind::cancelled) throw;
    problem = e.error().message;
  }
  if (need) co_return call.input_required(*need);
  co_return text_result(problem, true);
}

Async<Json> Service::start_task(const ServedTool& tool, Json arguments, Call& call,
                                RequestContext& context) {
  if (tool.prepare) co_await tool.prepare(arguments, call);
  const auto work = [&tool, arguments](ServedCall& later) { return tool.call(arguments, later); };
  co_return tasks_.start(work, context.capabilities, call.answers());
}

Json Service::task_request(const std::string& method, const Json& params,
                           const RequestContext& context) {
  if (!object_member(context.capabilities, "extensions").contains(kTasksExtension))
    refuse_task_unaware();
  if (method == "tasks/get") return tasks_.get(params);
  return method == "tasks/update" ? tasks_.update(params) : tasks_.cancel(params);
}

void Service::task_changed(const std::string& id, const Json& task) {
  for (const auto& listener : listeners_) {
    const Json wanted = listener->wanted.value("taskIds", Json::array());
    if (std::find(wanted.begin(), wanted.end(), Json(id)) == wanted.end()) continue;
    Json params = task;
    params["_meta"]["io.modelcontextprotocol/subscriptionId"] = listener->id;
    listener->reply->send(encode_notification("notifications/tasks", params));
  }
}

Async<Json> Service::get_prompt(Json params, RequestContext& context) {
  const std::string name = text_member(params, "name");
  const auto prompt = std::find_if(
      served_.prompts.begin(), served_.prompts.end(),
      [&](const ServedPrompt& one) { return text_member(one.definition, "name") == name; });
  if (prompt == served_.prompts.end()) refuse(kInvalidParams, "unknown prompt \"" + name + "\"");
  Json arguments = params.contains("arguments") ? params.at("arguments") : Json::object();
  const std::string about = "prompts/get " + name + " " + dump_json(arguments);
  Call call(*this, context, params, about);
  const Json declared = prompt->definition.value("arguments", Json::array());
  for (const Json& argument : declared)
    if (argument.value("required", false) &&
        !arguments.contains(argument.at("name").get<std::string>()))
      refuse(kInvalidParams, "missing argument " + dump_json(argument.at("name")));
  std::optional<NeedInput> need;
  try {
    co_return co_await prompt->get(std::move(arguments), call);
  } catch (const NeedInput& missing) {
    need = missing;
  }
  co_return call.input_required(*need);
}

Async<Json> Service::read_resource(Json params, RequestContext&) {
  const std::string uri = text_member(params, "uri");
  const ServedResource* found = nullptr;
  for (const ServedResource& one : served_.resources)
    if (text_member(one.definition, "uri") == uri) found = &one;
  for (const ServedResource& one : served_.templates)
    if (!found && matches_template(text_member(one.definition, "uriTemplate"), uri)) found = &one;
  Json out = Json::object();
  std::string problem = "unknown resource \"" + uri + "\"";
  if (found) {
    try {
      out["contents"] = co_await found->read(uri);
      co_return out;
    } catch (const ErrorException& e) {
      if (e.error().kind != ErrorKind::invalid_input) throw;
      problem = e.error().message;
    }
  }
  refuse(kInvalidParams, problem, Json{{"uri", uri}});
}

Json Service::complete(const Json& params) const {
  const auto argument = params.find("argument");
  if (!params.contains("ref") || argument == params.end() || !argument->is_object())
    refuse(kInvalidParams, "expected ref and argument");
  std::vector<std::string> values = served_.complete(
      params.at("ref"), text_member(*argument, "name"), text_member(*argument, "value"));
  Json completion = Json::object();
  completion["total"] = values.size();
  completion["hasMore"] = values.size() > kCompletionsMax;
  values.resize(std::min(values.size(), kCompletionsMax));
  completion["values"] = values;
  Json out = Json::object();
  out["completion"] = std::move(completion);
  return out;
}

// ---- Changes.

Async<Json> Service::subscribe(Json params, RequestContext& context) {
  const Json wanted = params.contains("notifications") ? params.at("notifications") : Json();
  if (!wanted.is_object()) refuse(kInvalidParams, "expected notifications");
  if (listeners_.size() >= kListenersMax) refuse(kInternalError, "too many subscriptions");
  Json granted = Json::object();
  for (const char* key : {"toolsListChanged", "promptsListChanged", "resourcesListChanged"})
    if (wanted.contains(key) && wanted.at(key) == true) granted[key] = true;
  if (wanted.contains("resourceSubscriptions") && wanted.at("resourceSubscriptions").is_array())
    granted["resourceSubscriptions"] = wanted.at("resourceSubscriptions");
  if (wanted.contains("taskIds") && wanted.at("taskIds").is_array())
    granted["taskIds"] = wanted.at("taskIds");
  const auto listener = std::make_shared<Listener>();  // shared with tell(), which may outlast us
  listener->id = context.id;
  listener->wanted = granted;
  listener->reply = context.reply;
  listeners_.push_back(listener);
  struct Entry {
    std::vector<std::shared_ptr<Listener>>& all;
    std::shared_ptr<Listener> mine;
    ~Entry() { std::erase(all, mine); }
  } entry{listeners_, listener};
  Json ack = Json::object();
  ack["_meta"]["io.modelcontextprotocol/subscriptionId"] = context.id;
  ack["notifications"] = granted;
  context.reply->send(encode_notification("notifications/subscriptions/acknowledged", ack));
  co_await context.reply->stop().receive();
  Json out = Json::object();
  out["_meta"]["io.modelcontextprotocol/subscriptionId"] = context.id;
  co_return out;
}

void Service::end_subscriptions() {
  for (const auto& listener : std::vector(listeners_)) listener->reply->stop().close();
}

void Service::tell(const char* method, const char* filter) {
  for (const auto& listener : listeners_) {
    if (!listener->wanted.contains(filter)) continue;
    Json params = Json::object();
    params["_meta"]["io.modelcontextprotocol/subscriptionId"] = listener->id;
    listener->reply->send(encode_notification(method, params));
  }
  std::erase_if(sessions_, [](const auto& weak) { return weak.expired(); });
  for (const auto& weak : sessions_)
    if (const auto session = weak.lock(); session && session->unasked)
      session->unasked->send(encode_notification(method, Json()));
}

void Service::tools_changed() {
  tell("notifications/tools/list_changed", "toolsListChanged");
}
void Service::prompts_changed() {
  tell("notifications/prompts/list_changed", "promptsListChanged");
}

void Service::resources_changed() {
  tell("notifications/resources/list_changed", "resourcesListChanged");
}

void Service::resource_updated(const std::string& uri) {
  for (const auto& listener : listeners_) {
    const Json wanted = listener->wanted.value("resourceSubscriptions", Json::array());
    if (std::find(wanted.begin(), wanted.end(), Json(uri)) == wanted.end()) continue;
    Json params = Json::object();
    params["_meta"]["io.modelcontextprotocol/subscriptionId"] = listener->id;
    params["uri"] = uri;
    listener->reply->send(encode_notification("notifications/resources/updated", params));
  }
  for (const auto& weak : sessions_)
    if (const auto session = weak.lock();
        session && session->unasked && session->subscribed.contains(uri))
      session->unasked->send(
          encode_notification("notifications/resources/updated", Json{{"uri", uri}}));
}

// ---- What legacy clients send besides requests.

void Service::notice(const Incoming& message, LegacySession& session) {
  if (message.method != "notifications/cancelled" || !message.payload.is_object()) return;
  const auto id = message.payload.find("requestId");
  if (id == message.payload.end()) return;
  const auto running = session.running.find(dump_json(*id));
  if (running != session.running.end()) running->second->stop().close();
}

void Service::settle(const Incoming& answer, LegacySession& session) {
  const auto id = id_number(answer.id);
  const auto asked = id ? session.asked.find(*id) : session.asked.end();
  if (asked == session.asked.end()) return;
  const bool error = answer.kind == Incoming::Kind::error;
  asked->second->try_send(Json{{error ? "error" : "result", answer.payload}});
}

}  // namespace swarm::mcp
