// Requests of the client: envelope, renewal, input the server asks for, checked output.
#include <algorithm>

#include "engine/base/async/deadline.h"
#include "engine/base/async/nursery.h"
#include "mcp/client/call_limits.h"
#include "mcp/client/in_use.h"
#include "mcp/client/trace_context.h"
#include "mcp/message/json_member.h"

namespace swarm::mcp {
namespace {

constexpr int kRoundsMax = 10;       // of input for one call
constexpr int64_t kTaskTtlMs = 3600 * 1000;  // how long a server keeps an outcome for us
constexpr size_t kBytesPerToken = 4; // there is no tokenizer here; common texts take about so many

bool is_safe(const std::string& method) {
  return method == "tasks/get" || (method != "tools/call" && method.rfind("tasks/", 0) != 0);
}

// Which requests may be answered with "input_required".
bool takes_input(const std::string& method) {
  return method == "tools/call" || method == "prompts/get" || method == "resources/read";
}

// Of two limits of which 0 means none.
std::chrono::milliseconds shorter(std::chrono::milliseconds a, std::chrono::milliseconds b) {
  if (a.count() == 0 || b.count() == 0) return std::max(a, b);
  return std::min(a, b);
}

}  // namespace

void Core::require(const char* capability, const std::string& what) const {
  if (offers(capability)) return;
  throw ErrorException(Error{.kind = ErrorKind::unsupported,
                             .message = "mcp server \"" + config_.name + "\" offers no " + what});
}

bool Core::offers_extension(const char* name) const {
  return object_member(capabilities_, "extensions").contains(name);
}

Async<Json> Core::send(std::string method, Json params, CallOptions options) {
  const auto peer = peer_;
  if (!peer) throw ErrorException(environment_error("mcp server \"" + config_.name +
                                                    "\" was not started"));
  Peer::Request request;
  request.safe = is_safe(method);
  request.progress_token = method == "tools/call";
  request.idle = options.idle_timeout;
  add_envelope(method, params, request.headers);
  request.method = std::move(method);
  request.params = std::move(params);
  request.deadline = options.deadline;
  request.on_progress = std::move(options.on_progress);
  co_return co_await peer->request(std::move(request));
}

// Repeats once after what a server may forget: our session, the version, its own tool schemas.
Async<Json> Core::send_renewing(std::string method, Json params, CallOptions options) {
  std::optional<RpcError> refusal;
  try {
    co_return co_await send(method, params, options);
  } catch (const RpcException& e) {
    refusal = e.details();
    const bool stale_headers = e.details().code == kHeaderMismatch && method == "tools/call";
    const bool urls = e.details().code == kUrlElicitationRequired && hooks_.elicit_url;
    if (!e.details().session_lost && !stale_headers && !urls) throw;
  }
  if (refusal->session_lost) {
    co_await renew_session();
  } else if (refusal->code == kHeaderMismatch) {
    co_await refresh_tools();
  } else {
    const bool visited = co_await visit_urls(refusal->data);
    if (!visited) throw ErrorException(peer_->about(ErrorKind::environment, refusal->text));
  }
  co_return co_await send(std::move(method), std::move(params), std::move(options));
}

// A server may change its mind about us in the middle, and change it back.
Async<Json> Core::send_noting(std::string method, Json params, CallOptions options) {
  try {
    Json result = co_await send_renewing(std::move(method), std::move(params), std::move(options));
    if (state_ == State::needs_auth) set_state(State::ready);
    co_return result;
  } catch (const RpcException& e) {
    if (e.details().http_status == 401 && state_ == State::ready)
      set_state(State::needs_auth, e.error().message);
    throw;
  }
}

Async<Json> Core::call(std::string method, Json params, CallOptions options) {
  const auto self = shared_from_this();
  const InUse in_use(*this);
  Json responses, state;
  bool stateful = false;
  for (int round = 0; round <= kRoundsMax; ++round) {
    co_await ensure_ready();
    Json sent = params.is_null() ? Json::object() : params;
    if (!responses.is_null()) sent["inputResponses"] = responses;
    if (stateful) sent["requestState"] = state;
    const Json result = co_await send_noting(method, std::move(sent), options);
    restarts_ = 0;
    const std::string type = text_member(result, "resultType");
    if (dialect_ != Dialect::modern || type.empty() || type == "complete") co_return result;
    if (type == "task" && method == "tools/call")
      co_return co_await follow_task(result, std::move(options));
    if (type != "input_required" || !takes_input(method))
      throw ErrorException(
          peer_->about(ErrorKind::environment, "unexpected result type \"" + type + "\""));
    responses = nullptr;
    stateful = result.contains("requestState");
    if (stateful) state = result.at("requestState");
    if (result.contains("inputRequests"))
      responses = co_await answer_inputs(result.at("inputRequests"));
  }
  throw ErrorException(peer_->about(ErrorKind::environment,
                                    "it asked for input more than " + std::to_string(kRoundsMax) +
                                        " times"));
}

// What one server asks for inside a result; each answer under the key of its question.
Async<Json> Core::answer_inputs(Json inputs) {
  Json out = Json::object();
  if (!inputs.is_object())
    throw ErrorException(peer_->about(ErrorKind::environment, "inputRequests: expected an object"));
  for (const auto& [key, input] : inputs.items()) {
    Json params = input.is_object() && input.contains("params") ? input.at("params")
                                                                : Json::object();
    std::string problem;
    try {
      Json answer = co_await asks_.answer(text_member(input, "method"), std::move(params));
      out[key] = std::move(answer);
    } catch (const RpcException& e) {
      problem = e.details().text;
    }
    if (!problem.empty())
      throw ErrorException(peer_->about(ErrorKind::environment, "it asked for input: " + problem));
  }
  co_return out;
}

// 2025-11-25: the call needs the user to visit some pages first.
Async<bool> Core::visit_urls(Json data) {
  if (!data.is_object() || !data.contains("elicitations")) co_return false;
  const Json list = data.at("elicitations");
  for (const Json& one : list) {
    const Json answer = co_await asks_.answer("elicitation/create", one);
    if (text_member(answer, "action") != "accept") co_return false;
  }
  co_return !list.empty();
}

Async<Json> Core::call_tool(std::string name, Json arguments, CallOptions options) {
  const auto self = shared_from_this();
  const InUse in_use(*this);
  co_await ensure_ready();  // what a start takes is not charged to the call
  require("tools", "tools");
  check_unchanged(name);
  if (arguments.is_null()) arguments = Json::object();
  Json params = Json::object();
  params["name"] = name;
  params["arguments"] = std::move(arguments);
  const CallLimits limits = limits_of(config_, name);
  options.deadline = options.deadline.earlier(Deadline::after(steady_clock(), limits.total));
  options.idle_timeout = shorter(options.idle_timeout, limits.idle);
  const auto report = std::move(options.on_progress);
  options.on_progress = [this, self, name, report](const Progress& progress) {
    Json details{{"tool", name}, {"progress", progress.progress}};
    if (progress.total) details["total"] = *progress.total;
    if (!progress.message.empty()) details["message"] = progress.message;
    event("progress", details);
    if (report) report(progress);
  };
  co_await with_deadline(turns_.receive(), options.deadline);
  struct Turn {
    Channel<bool>& turns;
    ~Turn() { turns.try_send(true); }
  } turn{turns_};
  co_return co_await measured_call(name, std::move(params), std::move(options));
}

Async<Json> Core::measured_call(const std::string& name, Json params, CallOptions options) {
  const TimePoint begun = steady_clock().now();
  const auto elapsed = [begun] { return steady_clock().now() - begun; };
  if (!config_.trace_id.empty()) {
    if (options.call_id.empty()) options.call_id = name + "#" + std::to_string(++traced_);
    params["_meta"]["traceparent"] = traceparent(config_.trace_id, options.call_id);
  }
  try {
    const bool as_task = needs_legacy_task(name);
    if (as_task) params["task"]["ttl"] = kTaskTtlMs;
    Json result = co_await call("tools/call", std::move(params), options);
    if (as_task && result.contains("task"))
      result = co_await follow_task(std::move(result), std::move(options));
    check_output(name, result);
    metrics_.answered(elapsed(), result);
    co_return result;
  } catch (...) {
    metrics_.failed(elapsed(), std::current_exception());
    throw;
  }
}

Json Core::metrics_json() const {
  size_t definition_bytes = 0;
  for (const auto& tool : tools_) {
    const tools::ToolSpec& spec = tool->spec();
    definition_bytes +=
        spec.name.size() + spec.description.size() + dump_json(spec.parameters).size();
  }
  Traffic traffic = metrics_.traffic;
  if (peer_) traffic += peer_->transport().traffic();
  return Json{{"starts", metrics_.starts},
              {"start_ms", std::chrono::duration<double, std::milli>(metrics_.start_time).count()},
              {"reconnects", metrics_.reconnects},
              {"call_ms", metrics_.calls.to_json()},
              {"timeouts", metrics_.timeouts},
              {"cancelled", metrics_.cancelled},
              {"failures", metrics_.failures},
              {"tool_errors", metrics_.tool_errors},
              {"bytes_sent", traffic.sent},
              {"bytes_received", traffic.received},
              {"definition_tokens_estimate", definition_bytes / kBytesPerToken},
              {"result_tokens_estimate", metrics_.result_bytes / kBytesPerToken}};
}

// structuredContent against the tool's outputSchema: a mismatch fails the call.
void Core::check_output(const std::string& name, const Json& result) const {
  const auto tool = known_tools_.find(name);
  if (tool == known_tools_.end() || !result.is_object()) return;
  const auto schema = tool->second.definition.find("outputSchema");
  const auto structured = result.find("structuredContent");
  const auto error = result.find("isError");
  const bool failed_call = error != result.end() && error->is_boolean() && error->get<bool>();
  if (schema == tool->second.definition.end() || failed_call) return;
  if (structured == result.end()) {
    log_.warn("mcp.output.missing", {{"server", config_.name}, {"tool", name}});
    return;
  }
  const auto valid = tools::validate_json(*schema, *structured);
  if (valid) return;
  if (valid.error().kind == ErrorKind::unsupported) {  // the schema is at fault, not the result
    log_.warn("mcp.output.unchecked", {{"server", config_.name}, {"tool", name}});
    return;
  }
  throw ErrorException(peer_->about(ErrorKind::environment,
                                    "the result of " + name + " does not match its outputSchema: " +
                                        valid.error().message));
}

}  // namespace swarm::mcp
