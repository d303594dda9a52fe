#include "mcp/server/endpoint.h"

#include <algorithm>

#include "engine/base/async/deadline.h"
#include "mcp/auth/crypto.h"
#include "mcp/message/header_value.h"
#include "mcp/message/json_member.h"
#include "mcp/server/cors.h"

namespace swarm::mcp {
namespace {

constexpr size_t kEventsMax = 1024;          // of one stream that are kept
constexpr size_t kStreamsMax = 64;           // of one session that are kept

bool is_local(const std::string& host) {
  // "host", "host:port", "[::1]:port"
  const size_t bracket = host.find(']');
  const size_t colon = host.find(':', bracket == std::string::npos ? 0 : bracket);
  std::string name = host.substr(0, colon);
  if (!name.empty() && name.front() == '[') name = name.substr(1, name.size() - 2);
  return name == "localhost" || name == "127.0.0.1" || name == "::1";
}

std::string origin_host(const std::string& origin) {
  const size_t scheme = origin.find("://");
  return scheme == std::string::npos ? origin : origin.substr(scheme + 3);
}

std::string header(const ServerRequest& request, std::string_view name) {
  const std::string* value = find_header(request.headers, name);
  return value != nullptr ? *value : "";
}

std::string sse_event(const EventStream& stream, const EventStream::Event& event, bool numbered) {
  std::string out;
  if (numbered) out = "id: " + stream.name() + "-" + std::to_string(event.number) + "\n";
  return out + "event: message\ndata: " + event.message + "\n\n";
}

[[noreturn]] void header_mismatch(const std::string& what) {
  RpcError details;
  details.code = kHeaderMismatch;
  details.http_status = 400;
  details.text = what + " does not match the body";
  throw RpcException(failed(details.text), details);
}

Headers json_headers() {
  return {{"Content-Type", "application/json"}, {"Cache-Control", "no-store"}};
}

const char* name_key(const std::string& method) {
  if (method == "tools/call" || method == "prompts/get") return "name";
  if (method == "tasks/get" || method == "tasks/update" || method == "tasks/cancel")
    return "taskId";
  return method == "resources/read" ? "uri" : nullptr;
}

}  // namespace

Async<> Endpoint::refuse(Responder& responder, int status, int code, std::string text,
                         const Json& id, const Json& data) {
  std::string body = encode_error(id, code, text, data);
  co_await responder.respond(status, json_headers(), std::move(body));
}

// ---- Who may come in.

bool Endpoint::is_allowed(const ServerRequest& request) const {
  const ServeOptions& options = service_.options();
  const std::string origin = header(request, "Origin");
  const bool known = std::find(options.origins.begin(), options.origins.end(), origin) !=
                     options.origins.end();
  if (!origin.empty() && !known && !is_local(origin_host(origin))) return false;
  // Behind a token any name may lead to us; without one only those of this machine (DNS rebinding).
  return !options.bearer_token.empty() || is_local(header(request, "Host"));
}

Async<bool> Endpoint::admitted(const ServerRequest& request, Responder& responder) {
  if (!is_allowed(request)) {
    co_await refuse(responder, 403, -32000, "this Host or Origin is not allowed");
    co_return false;
  }
  const std::string& token = service_.options().bearer_token;
  if (!token.empty()) {
    // Digests have one length, so that the comparison tells nothing.
    const std::string given = sha256(header(request, "Authorization"));
    const std::string want = sha256("Bearer " + token);
    unsigned char difference = 0;
    for (size_t i = 0; i < want.size(); ++i)
      difference = static_cast<unsigned char>(difference | (given[i] ^ want[i]));
    if (difference != 0) {
      Headers headers = json_headers();
      headers.emplace_back("WWW-Authenticate", "Bearer");
      co_await responder.respond(401, std::move(headers),
                                 encode_error(nullptr, -32000, "a bearer token is required"));
      co_return false;
    }
  }
  const std::string path = request.target.substr(0, request.target.find('?'));
  if (path != service_.options().path) {
    co_await refuse(responder, 404, -32000, "not found");
    co_return false;
  }
  co_return true;
}

Async<> Endpoint::handle(ServerRequest& request, Responder& responder, Nursery& jobs) {
  const std::string origin = header(request, "Origin");
  if (origin.empty() || !is_allowed(request)) {
    co_await answer(request, responder, jobs);
    co_return;
  }
  CorsResponder readable(responder, origin);
  if (is_preflight(request))                // comes without the token
    co_await readable.respond(204, preflight_headers(request), "");
  else
    co_await answer(request, readable, jobs);
}

Async<> Endpoint::answer(ServerRequest& request, Responder& responder, Nursery& jobs) {
  const bool welcome = co_await admitted(request, responder);
  if (!welcome) co_return;
  if (request.method == "POST") {
    co_await post(request, responder, jobs);
  } else if (header(request, "MCP-Protocol-Version") >= "2026") {
    Headers headers = json_headers();
    headers.emplace_back("Allow", "POST");
    co_await responder.respond(405, std::move(headers), "");
  } else if (request.method == "GET") {
    co_await get(request, responder);
  } else if (request.method == "DELETE") {
    co_await remove(request, responder);
  } else {
    Headers headers = json_headers();
    headers.emplace_back("Allow", "POST, GET, DELETE");
    co_await responder.respond(405, std::move(headers), "");
  }
}

// ---- POST.

Async<> Endpoint::post(ServerRequest& request, Responder& responder, Nursery& jobs) {
  if (header(request, "Content-Type").rfind("application/json", 0) != 0) {
    co_await refuse(responder, 415, -32000, "expected application/json");
    co_return;
  }
  std::vector<Incoming> messages =
      decode_line(request.body, service_.options().body_bytes_max);
  if (messages.empty()) {
    co_await refuse(responder, 400, -32700, "not a JSON-RPC message");
    co_return;
  }
  const std::string version = header(request, "MCP-Protocol-Version");
  const Json& params = messages.front().payload;
  const bool meta = params.is_object() && params.contains("_meta") &&
                    params.at("_meta").is_object() &&
                    params.at("_meta").contains("io.modelcontextprotocol/protocolVersion");
  const bool legacy_version = version.rfind("2024-", 0) == 0 || version.rfind("2025-", 0) == 0;
  const bool modern = meta || (!version.empty() && !legacy_version);
  if (modern && messages.size() == 1) {
    co_await post_modern(std::move(messages.front()), request, responder, jobs);
  } else {
    co_await post_legacy(std::move(messages), request, responder, jobs);
  }
}

// Requests of older clients outlive their connections, whose number does not bound them.
bool Endpoint::has_room(const Nursery& jobs, size_t more) const {
  return jobs.running() + more <= static_cast<size_t>(service_.options().requests_max);
}

void Endpoint::start_job(Nursery& jobs, Incoming message, RequestContext context) {
  const auto job = std::make_shared<std::pair<Incoming, RequestContext>>(
      std::move(message), std::move(context));  // with the child
  Service& service = service_;
  const std::string key = dump_json(job->first.id);
  jobs.start([&service, job, key]() -> Async<> {
    const std::shared_ptr<Reply> reply = job->second.reply;
    const std::shared_ptr<LegacySession> session = job->second.session;
    co_await with_nursery([&](Nursery& nursery) -> Async<> {
      nursery.start([&]() -> Async<> {
        co_await service.answer(std::move(job->first), std::move(job->second));
      });
      co_await reply->stop().receive();
      nursery.cancel();
    });
    reply->abandon();
    if (!session) co_return;
    const auto mine = session->running.find(key);
    if (mine != session->running.end() && mine->second == reply) session->running.erase(mine);
  });
}

Async<> Endpoint::post_modern(Incoming message, const ServerRequest& request,
                              Responder& responder, Nursery& jobs) {
  if (message.kind == Incoming::Kind::notification) {
    co_await responder.respond(202, {}, "");
    co_return;
  }
  if (message.kind != Incoming::Kind::request) {
    co_await refuse(responder, 400, -32600, "expected a request");
    co_return;
  }
  const auto events = std::make_shared<EventStream>("m", kEventsMax);  // with its job
  RequestContext context;
  context.id = message.id;
  context.reply = events;
  std::optional<RpcError> refusal;
  try {
    const Json params = message.payload.is_object() ? message.payload : Json::object();
    const std::string told = header(request, "MCP-Protocol-Version");
    const Json meta = params.value("_meta", Json::object());
    const std::string said =
        text_member(meta, "io.modelcontextprotocol/protocolVersion");
    if (!said.empty() && said != told)
      header_mismatch("MCP-Protocol-Version");
    service_.read_meta(params, context);
    check_headers(request, message);
  } catch (const RpcException& e) {
    refusal = e.details();
  }
  if (refusal) {
    co_await refuse(responder, refusal->http_status, refusal->code, refusal->text, message.id,
                    refusal->data);
    co_return;
  }
  if (!has_room(jobs, 1)) {
    co_await refuse(responder, 503, -32000, "too many requests at once", message.id);
    co_return;
  }
  start_job(jobs, std::move(message), std::move(context));
  co_await stream(events, 0, true, false, responder);
}

void Endpoint::check_headers(const ServerRequest& request, const Incoming& message) const {
  const Json params = message.payload.is_object() ? message.payload : Json::object();
  const std::string* method = find_header(request.headers, "Mcp-Method");
  if (method == nullptr || *method != message.method) header_mismatch("Mcp-Method");
  if (const char* key = name_key(message.method); key != nullptr && params.contains(key)) {
    const std::string* name = find_header(request.headers, "Mcp-Name");
    const auto decoded = name != nullptr ? decode_header_value(*name) : std::nullopt;
    if (!decoded || *decoded != text_member(params, key)) header_mismatch("Mcp-Name");
  }
  if (message.method != "tools/call") return;
  for (const ServedTool& tool : service_.served().tools) {
    if (text_member(tool.definition, "name") != text_member(params, "name")) continue;
    const auto annotated = header_params(tool.definition.at("inputSchema"));
    if (!annotated) return;
    const Json arguments = params.value("arguments", Json::object());
    for (const HeaderParam& param : *annotated) {
      const auto want = header_argument(param, arguments);
      const std::string* got = find_header(request.headers, param.header);
      if (!want && got == nullptr) continue;
      const auto decoded = got != nullptr ? decode_header_value(*got) : std::nullopt;
      const auto plain = want ? decode_header_value(*want) : std::nullopt;
      if (!decoded || !plain || *decoded != *plain) header_mismatch(param.header);
    }
  }
}

Async<> Endpoint::initialize(Incoming message, Responder& responder) {
  expire();
  if (static_cast<int32_t>(sessions_.size()) >= service_.options().sessions_max) {
    co_await refuse(responder, 503, -32000, "too many sessions", message.id);
    co_return;
  }
  const auto session = std::make_shared<HttpSession>();
  session->state = std::make_shared<LegacySession>();
  session->state->id = random_token(24);
  session->state->last_seen = steady_clock().now();
  session->unasked = std::make_shared<EventStream>("u", kEventsMax);
  session->state->unasked = session->unasked;
  const Json hello = service_.greet(message.payload, *session->state);
  service_.join(session->state);
  sessions_[session->state->id] = session;
  Headers headers = json_headers();
  headers.emplace_back("Mcp-Session-Id", session->state->id);
  co_await responder.respond(200, std::move(headers), encode_result(message.id, hello));
}

Endpoint::SessionPtr Endpoint::session_of(const ServerRequest& request) {
  const auto found = sessions_.find(header(request, "Mcp-Session-Id"));
  if (found == sessions_.end()) return nullptr;
  found->second->state->last_seen = steady_clock().now();
  return found->second;
}

Async<> Endpoint::post_legacy(std::vector<Incoming> messages, const ServerRequest& request,
                              Responder& responder, Nursery& jobs) {
  if (messages.size() == 1 && messages.front().kind == Incoming::Kind::request &&
      messages.front().method == "initialize") {
    co_await initialize(std::move(messages.front()), responder);
    co_return;
  }
  const SessionPtr session = session_of(request);
  if (!session) {
    const bool named = !header(request, "Mcp-Session-Id").empty();
    const Json id = messages.front().id;
    co_await refuse(responder, named ? 404 : 400, -32000,
                    named ? "unknown session" : "initialize first", id);
    co_return;
  }
  const auto open = std::make_shared<size_t>(static_cast<size_t>(std::count_if(
      messages.begin(), messages.end(),
      [](const Incoming& one) { return one.kind == Incoming::Kind::request; })));
  if (!has_room(jobs, *open)) {
    co_await refuse(responder, 503, -32000, "too many requests at once", messages.front().id);
    co_return;
  }
  const std::shared_ptr<EventStream> events = *open > 0 ? new_stream(*session) : nullptr;
  const bool batch = *open > 1;
  for (Incoming& message : messages) {
    if (message.kind == Incoming::Kind::notification) {
      service_.notice(message, *session->state);
    } else if (message.kind != Incoming::Kind::request) {
      service_.settle(message, *session->state);
    } else {
      RequestContext context;
      context.version = session->state->version;
      context.capabilities = session->state->capabilities;
      context.session = session->state;
      context.reply = events;
      if (batch) context.reply = std::make_shared<BatchReply>(events, open);
      context.id = message.id;
      session->state->running[dump_json(message.id)] = context.reply;
      start_job(jobs, std::move(message), std::move(context));
    }
  }
  if (!events) {
    co_await responder.respond(202, {}, "");
    co_return;
  }
  const bool resumable = session->state->version >= "2025-11-25";
  co_await stream(events, 0, false, resumable, responder);
}

std::shared_ptr<EventStream> Endpoint::new_stream(HttpSession& session) {
  const auto events = std::make_shared<EventStream>("s" + std::to_string(++session.last_stream),
                                                    kEventsMax);
  if (session.streams.size() >= kStreamsMax)
    std::erase_if(session.streams, [](const auto& one) { return one.second->finished(); });
  session.streams[events->name()] = events;
  return events;
}

// ---- Streams.

Async<> Endpoint::stream(std::shared_ptr<EventStream> events, int64_t after, bool modern,
                         bool resumable, Responder& responder) {
  bool left = false;
  co_await with_nursery([&](Nursery& nursery) -> Async<> {
    nursery.start([&]() -> Async<> {
      co_await responder.gone();
      left = true;
      nursery.cancel();
    });
    nursery.start([&]() -> Async<> {
      co_await stream_events(*events, after, resumable, responder);
      nursery.cancel();
    });
    co_return;
  });
  if (left && modern) events->stop().close();  // closing the stream is cancelling
}

Async<> Endpoint::stream_events(EventStream& events, int64_t after, bool resumable,
                                Responder& responder) {
  const auto wait_for_news = [&]() -> Async<bool> {
    const Deadline deadline = Deadline::after(steady_clock(), service_.options().keep_alive);
    bool quiet = false;
    try {
      co_await with_deadline(events.news().receive(), deadline);
    } catch (const ErrorException& e) {
      if (e.error().kind != ErrorKind::timeout) throw;
      quiet = true;
    }
    co_return !quiet;
  };
  // An answer that nothing preceded needs no stream.
  while (after == 0 && events.last() == 0 && !events.finished() && !resumable) {
    const bool news = co_await wait_for_news();
    if (!news) break;
  }
  if (after == 0 && events.answered() && events.last() == 1) {
    co_await responder.respond(events.status(), json_headers(), events.after(0)->message);
    co_return;
  }
  Headers headers{{"Content-Type", "text/event-stream"},
                  {"Cache-Control", "no-store"},
                  {"X-Accel-Buffering", "no"}};
  co_await responder.begin(200, std::move(headers));
  if (resumable && after == 0)  // so that a client can come back from the very beginning
    co_await responder.write("id: " + events.name() + "-0\nretry: " +
                             std::to_string(events.retry().count()) + "\ndata:\n\n");
  while (true) {
    while (const EventStream::Event* event = events.after(after)) {
      after = event->number;
      std::string text = sse_event(events, *event, resumable);
      co_await responder.write(std::move(text));
    }
    if (events.finished()) break;
    if (events.take_hang_up()) {
      co_await responder.write("retry: " + std::to_string(events.retry().count()) + "\n\n");
      break;
    }
    const bool news = co_await wait_for_news();
    if (!news) co_await responder.write(": alive\n\n");
  }
  co_await responder.finish();
}

// ---- GET and DELETE, legacy only.

Async<> Endpoint::get(const ServerRequest& request, Responder& responder) {
  const SessionPtr session = session_of(request);
  if (!session) {
    const bool named = !header(request, "Mcp-Session-Id").empty();
    co_await refuse(responder, named ? 404 : 400, -32000,
                    named ? "unknown session" : "initialize first");
    co_return;
  }
  const std::string last = header(request, "Last-Event-ID");
  const size_t dash = last.rfind('-');
  std::shared_ptr<EventStream> events = session->unasked;
  int64_t after = 0;
  if (dash != std::string::npos) {
    const auto found = session->streams.find(last.substr(0, dash));
    if (found != session->streams.end()) events = found->second;
    const auto number = id_number(Json(last.substr(dash + 1)));
    after = number ? std::max<int64_t>(0, *number) : 0;
  }
  const bool numbered = session->state->version >= "2025-11-25";
  // Nothing was heard yet: -1 takes everything up as a stream, not as a single answer.
  co_await stream(events, after == 0 ? -1 : after, false, numbered, responder);
}

Async<> Endpoint::remove(const ServerRequest& request, Responder& responder) {
  const SessionPtr session = session_of(request);
  if (!session) {
    co_await refuse(responder, 404, -32000, "unknown session");
    co_return;
  }
  for (const auto& [id, reply] : session->state->running) reply->stop().close();
  for (const auto& [id, gate] : session->state->asked) gate->close();
  session->unasked->end();
  sessions_.erase(session->state->id);
  co_await responder.respond(200, json_headers(), "");
}

void Endpoint::expire() {
  const TimePoint now = steady_clock().now();
  std::erase_if(sessions_, [&](const auto& one) {
    const LegacySession& state = *one.second->state;
    const bool old = now - state.last_seen > service_.options().session_idle_max;
    if (old && state.running.empty()) one.second->unasked->end();
    return old && state.running.empty();
  });
}

}  // namespace swarm::mcp
