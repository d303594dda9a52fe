#include "mcp/client/core.h"

#include <algorithm>
#include <array>

#include "engine/base/async/deadline.h"
#include "engine/base/async/nursery.h"
#include "mcp/auth/oauth.h"
#include "mcp/client/replay_transport.h"
#include "mcp/message/json_member.h"
#include "mcp/message/versions.h"
#include "mcp/transport/http_transport.h"
#include "mcp/transport/sse_transport.h"
#include "mcp/transport/stdio.h"

namespace swarm::mcp {
namespace {

using std::chrono::milliseconds;

constexpr std::array<std::string_view, 1> kModernVersions{kModernVersion};
constexpr milliseconds kBackoffMax{30000};

Json client_info() {
  Json out = Json::object();
  out["name"] = "swarm";
  out["version"] = SWARM_VERSION;
  return out;
}

}  // namespace

std::string_view to_string(State state) {
  switch (state) {
    case State::idle: return "idle";
    case State::starting: return "starting";
    case State::ready: return "ready";
    case State::needs_auth: return "needs_auth";
    case State::failed: return "failed";
    case State::stopped: return "stopped";
  }
  return "unknown";
}

Core::Core(ServerConfig config, Executor executor, Log& log, ClientHooks hooks,
           const AuthOptions* auth)
    : config_(std::move(config)),
      executor_(std::move(executor)),
      log_(log),
      hooks_(std::move(hooks)),
      asks_(config_.name, hooks_),
      turns_(static_cast<size_t>(std::max(1, config_.calls_max))) {
  const auto url = parse_url(config_.url);
  if (auth == nullptr) auth = config_.auth.get();
  if (auth != nullptr && url) authorizer_ = make_oauth(*auth, *url, executor_, log_);
  for (int32_t i = 0; i < std::max(1, config_.calls_max); ++i) turns_.try_send(true);
}

Core::~Core() = default;

void Core::set_state(State state, std::string reason) {
  state_ = state;
  state_reason_ = std::move(reason);
  event("state", Json{{"state", to_string(state)}, {"reason", state_reason_}});
}

// ---- Start and stop.

Async<> Core::start() {
  const auto self = shared_from_this();
  watch_idleness();
  if (config_.lazy && config_.replay.empty() && adopt_remembered()) co_return;
  set_state(State::starting);
  std::exception_ptr failure;
  try {
    co_await begin("its session was stopped");
  } catch (...) {
    failure = std::current_exception();
  }
  settle_start(failure);
}

// Reaches the server; when that fails nothing is left of it, and it is gone because of `reason`.
Async<> Core::begin(std::string reason) {
  bool ready = false;
  const auto attempt = [&]() -> Async<> {
    const TimePoint begun = steady_clock().now();
    co_await with_deadline(establish(), Deadline::at(begun + config_.start_timeout));
    ready = true;
    ++metrics_.starts;
    metrics_.start_time = steady_clock().now() - begun;
  };
  const auto clean_up = [&]() -> Async<> {
    if (!ready) co_await close_peer(std::move(reason));
  };
  co_await with_cleanup(attempt, clean_up);
}

// The state after begin(); throws why it is not `ready`.
void Core::settle_start(const std::exception_ptr& failure) {
  used_ = steady_clock().now();
  const bool stopped = state_ == State::stopped;  // meanwhile; that is its last state
  if (!failure && !stopped) set_state(State::ready);
  if (!failure) return;
  if (is_cancellation(failure)) std::rethrow_exception(failure);
  const Error error = start_error(failure);
  bool unauthorized = authorizer_ && authorizer_->unsettled();
  try {
    std::rethrow_exception(failure);
  } catch (const RpcException& e) {
    unauthorized = unauthorized || e.details().http_status == 401;
  } catch (...) {
  }
  if (!stopped) set_state(unauthorized ? State::needs_auth : State::failed, error.message);
  throw ErrorException(error);
}

Async<> Core::stop() {
  const auto self = shared_from_this();
  set_state(State::stopped);
  if (idle_stop_) {
    idle_stop_->close();
    co_await idle_ended_->receive();
  }
  co_await close_peer("its session was stopped");
  if (replay_ && replay_->unused() > 0)
    log_.warn("mcp.replay.unused",
              {{"server", config_.name}, {"requests", uint64_t{replay_->unused()}}});
}

Async<> Core::close_peer(std::string reason) {
  const auto peer = peer_;
  if (peer) co_await peer->close(std::move(reason));
}

Error Core::start_error(const std::exception_ptr& failure) const {
  const std::string prefix = "mcp server \"" + config_.name + "\": ";
  std::string text = prefix + "failed to start";
  const bool asks = authorizer_ && authorizer_->unsettled();
  try {
    std::rethrow_exception(failure);
  } catch (const ErrorException& e) {
    text = e.error().kind == ErrorKind::timeout
               ? prefix + "not ready within " + std::to_string(config_.start_timeout.count()) +
                     " ms" + (asks ? ": nobody has allowed it yet" : "")
               : e.error().message;
  } catch (const std::exception& e) {
    text = prefix + e.what();
  }
  if (peer_)
    if (const std::string tail = peer_->transport().diagnostics(); !tail.empty())
      text += "; its stderr ends with:\n" + tail;
  return environment_error(text);
}

// ---- Reaching the server.

Async<> Core::establish() {
  if (config_.url.empty()) {
    co_await establish_stdio();
  } else {
    co_await establish_http();
  }
  if (offers("tools")) co_await refresh_tools();
  co_await tell_again();
  log_.info("mcp.server.ready", {{"server", config_.name},
                                 {"protocol", info_.protocol_version},
                                 {"tools", uint64_t{tools_.size()}}});
  start_listening();
}

Async<> Core::open_peer(TransportKind kind) {
  co_await close_peer("its connection was replaced");
  if (state_ == State::stopped)
    throw ErrorException(environment_error("mcp server \"" + config_.name +
                                           "\": its session was stopped"));
  if (peer_) metrics_.traffic += peer_->transport().traffic();
  kind_ = kind;
  std::unique_ptr<Transport> transport = make_transport(kind);
  Peer::Hooks hooks;
  const std::weak_ptr<Core> weak = weak_from_this();
  hooks.notice = [weak](const std::string& method, const Json& params) {
    if (const auto self = weak.lock()) self->notice(method, params);
  };
  if (asks_.any())
    hooks.answer = [weak](std::string method, Json params) -> Async<Json> {
      const auto self = weak.lock();
      if (!self) throw ErrorException(failed("the client is gone"));
      co_return co_await self->asks_.answer(std::move(method), std::move(params));
    };
  hooks.trace = hooks_.trace;
  if (!config_.record.empty() && !recorder_) recorder_ = Recorder::create(config_).value();
  hooks.recorder = recorder_;
  peer_ = std::make_shared<Peer>(config_.name, std::move(transport), std::move(hooks), executor_,
                                 log_);
  peer_->open();
  // Of the server that was there before.
  refresh_scheduled_ = false;
  lists_.clear();
  cache_.clear();
  listening_ = replaced_ = nullptr;
  if (dialect_ != Dialect::modern) version_.clear();
}

std::unique_ptr<Transport> Core::make_transport(TransportKind kind) {
  if (!config_.replay.empty()) {
    if (!replay_) replay_ = Replay::load(config_).value();
    return std::make_unique<ReplayTransport>(replay_);
  }
  if (kind == TransportKind::stdio) {
    StdioOptions options;
    options.server = config_.name;
    options.spawn = {.command = config_.command, .env = config_.env, .cwd = config_.cwd};
    options.stop_grace = config_.stop_grace;
    options.message_bytes_max = config_.message_bytes_max;
    return std::make_unique<StdioTransport>(std::move(options), executor_, log_);
  }
  HttpOptions options;
  options.server = config_.name;
  options.url = parse_url(config_.url).value();
  options.headers = config_.headers;
  options.stop_grace = config_.stop_grace;
  options.message_bytes_max = config_.message_bytes_max;
  options.wire.ca_file = config_.ca_file;
  if (kind == TransportKind::sse)
    return std::make_unique<SseTransport>(std::move(options), authorizer_.get(), executor_, log_);
  return std::make_unique<HttpTransport>(std::move(options), authorizer_.get(), executor_, log_);
}

Async<> Core::establish_stdio() {
  co_await open_peer(TransportKind::stdio);
  const bool ask = config_.era != Era::legacy && dialect_ != Dialect::legacy;
  if (ask) {
    const Verdict verdict = co_await probe();
    if (verdict == Verdict::modern) co_return;
    // Some servers end when anything comes before initialize.
    if (!peer_->gone().empty()) co_await open_peer(TransportKind::stdio);
  }
  co_await initialize();
}

Async<> Core::establish_http() {
  const auto url = parse_url(config_.url);
  if (!url) throw ErrorException(url.error());
  if (config_.transport == TransportKind::sse || kind_ == TransportKind::sse) {
    co_await open_peer(TransportKind::sse);
    co_await initialize();
    co_return;
  }
  co_await open_peer(TransportKind::http);
  if (config_.era != Era::legacy && dialect_ != Dialect::legacy) {
    const Verdict verdict = co_await probe();
    if (verdict == Verdict::modern) co_return;
  }
  bool fall_back = false;
  try {
    co_await initialize();
  } catch (const RpcException& e) {
    const int status = e.details().http_status;
    fall_back = config_.transport == TransportKind::automatic &&
                (status == 400 || status == 404 || status == 405);
    if (!fall_back) throw;
  }
  if (!fall_back) co_return;
  log_.info("mcp.transport.fallback", {{"server", config_.name}, {"to", "sse"}});
  co_await open_peer(TransportKind::sse);
  co_await initialize();
}

// ---- Modern: server/discover.

Async<Core::Verdict> Core::probe() {
  dialect_ = Dialect::modern;
  version_ = kModernVersions[0];
  peer_->transport().use(dialect_, version_);
  const bool modern = co_await discover();
  if (modern) co_return Verdict::modern;
  if (config_.era == Era::modern)
    throw ErrorException(peer_->about(ErrorKind::environment,
                                      "it does not speak protocol version 2026-07-28"));
  dialect_ = Dialect::undecided;
  version_.clear();
  peer_->transport().use(dialect_, version_);
  co_return Verdict::legacy;
}

// False: not a modern server, as far as one can tell.
Async<bool> Core::discover() {
  for (int attempt = 0; attempt < 2; ++attempt) {
    std::optional<RpcError> refusal;
    try {
      CallOptions options;
      options.deadline = Deadline::after(steady_clock(), config_.probe_timeout);
      const Json result = co_await send("server/discover", Json::object(), options);
      if (!result.is_object() || !result.contains("supportedVersions")) co_return false;
      adopt_discovery(result);
      co_return true;
    } catch (const RpcException& e) {
      refusal = e.details();
      const int status = e.details().http_status;
      if (status == 401 || status == 403 || status >= 500) throw;
    } catch (const ErrorException& e) {
      if (e.error().kind == ErrorKind::cancelled || kind_ != TransportKind::stdio) throw;
      co_return false;  // silence, or the process ended
    }
    if (!is_modern_code(refusal->code)) co_return false;
    const bool again = refusal->code == kUnsupportedVersion && attempt == 0 &&
                       refusal->data.is_object() && refusal->data.contains("supported") &&
                       choose_version(refusal->data.at("supported"));
    if (!again)
      throw ErrorException(peer_->about(ErrorKind::environment, refusal->text));
  }
  co_return false;
}

bool Core::choose_version(const Json& supported) {
  for (const std::string_view version : kModernVersions)
    for (const Json& one : supported)
      if (one.is_string() && one.get_ref<const std::string&>() == version) {
        version_ = version;
        peer_->transport().use(dialect_, version_);
        return true;
      }
  return false;
}

void Core::adopt_discovery(const Json& result) {
  if (!choose_version(result.at("supportedVersions")))
    throw ErrorException(peer_->about(ErrorKind::environment,
                                      "no common protocol version; it supports " +
                                          dump_json(result.at("supportedVersions"))));
  info_ = {};
  info_.protocol_version = version_;
  info_.instructions = text_member(result, "instructions");
  const auto meta = result.find("_meta");
  if (meta != result.end() && meta->is_object()) {
    const auto server = meta->find("io.modelcontextprotocol/serverInfo");
    if (server != meta->end()) {
      info_.name = text_member(*server, "name");
      info_.version = text_member(*server, "version");
    }
  }
  const auto capabilities = result.find("capabilities");
  capabilities_ = capabilities != result.end() && capabilities->is_object() ? *capabilities
                                                                            : Json::object();
}

void Core::add_envelope(const std::string& method, Json& params, Headers& headers) const {
  if (dialect_ != Dialect::modern) return;
  Json& meta = params["_meta"];
  meta["io.modelcontextprotocol/protocolVersion"] = version_;
  meta["io.modelcontextprotocol/clientInfo"] = client_info();
  meta["io.modelcontextprotocol/clientCapabilities"] = asks_.capabilities(true);
  if (!config_.log_level.empty()) meta["io.modelcontextprotocol/logLevel"] = config_.log_level;
  if (config_.tasks)
    meta["io.modelcontextprotocol/clientCapabilities"]["extensions"][kTasksExtension] =
        Json::object();
  if (kind_ != TransportKind::http) return;
  headers.emplace_back("MCP-Protocol-Version", version_);
  headers.emplace_back("Mcp-Method", method);
  const char* key = method == "tools/call" || method == "prompts/get" ? "name"
                    : method == "resources/read"                      ? "uri"
                    : method.rfind("tasks/", 0) == 0                  ? "taskId"
                                                                      : nullptr;
  if (key != nullptr && params.contains(key))
    headers.emplace_back("Mcp-Name", encode_header_value(text_member(params, key)));
  if (method != "tools/call") return;
  const auto tool = known_tools_.find(text_member(params, "name"));
  if (tool == known_tools_.end() || !params.contains("arguments")) return;
  for (const HeaderParam& param : tool->second.headers)
    if (const auto value = header_argument(param, params.at("arguments")))
      headers.emplace_back(param.header, *value);
}

// ---- Legacy: initialize.

Async<> Core::initialize() {
  Json params = Json::object();
  params["protocolVersion"] = config_.legacy_version;
  params["capabilities"] = asks_.capabilities(false);
  params["clientInfo"] = client_info();
  Peer::Request request;
  request.method = "initialize";
  request.params = std::move(params);
  request.cancellable = false;  // the start deadline is around all of this
  request.safe = true;
  const Json hello = co_await peer_->request(std::move(request));
  read_hello(hello);
  dialect_ = Dialect::legacy;
  version_ = info_.protocol_version;
  // Told before the notification, which already carries version and session.
  peer_->transport().use(dialect_, version_);
  co_await peer_->notify("notifications/initialized", Json());
}

void Core::read_hello(const Json& hello) {
  info_ = {};
  info_.protocol_version = text_member(hello, "protocolVersion");
  if (std::find(kLegacyVersions.begin(), kLegacyVersions.end(), info_.protocol_version) ==
      kLegacyVersions.end())
    throw ErrorException(peer_->about(
        ErrorKind::environment, "expected protocol version 2025-11-25, 2025-06-18, 2025-03-26 or "
                                "2024-11-05, found \"" + info_.protocol_version + "\""));
  info_.instructions = text_member(hello, "instructions");
  if (const auto server = hello.find("serverInfo"); server != hello.end()) {
    info_.name = text_member(*server, "name");
    info_.version = text_member(*server, "version");
  }
  const auto capabilities = hello.find("capabilities");
  capabilities_ = capabilities != hello.end() && capabilities->is_object() ? *capabilities
                                                                           : Json::object();
}

// ---- Restarts.

// Returns when a request can be made. One caller starts the server, the others wait for it.
Async<> Core::ensure_ready() {
  while (true) {
    if (state_ == State::stopped || (!peer_ && !resting_))
      throw ErrorException(environment_error("mcp server \"" + config_.name +
                                             "\": its session was stopped"));
    if (recovery_) {
      const auto gate = recovery_;
      co_await gate->receive();
      continue;
    }
    if (!resting_ && peer_->gone().empty()) co_return;
    if (!resting_ && restarts_ >= config_.restarts_max)
      throw ErrorException(peer_->about(ErrorKind::environment, peer_->gone()));
    recovery_ = std::make_shared<Channel<bool>>(0);  // shared with those who wait
    const auto work = [this]() -> Async<> { co_await recover(); };
    const auto done = [this]() -> Async<> {
      recovery_->close();
      recovery_.reset();
      co_return;
    };
    co_await with_cleanup(work, done);
  }
}

// Starts a server that rests, or one that ended by itself.
Async<> Core::recover() {
  const bool waking = resting_;
  const std::string why = waking ? "its start failed" : peer_->gone();
  if (waking) {
    state_ = State::starting;                    // nothing is wrong: nobody is told
    state_reason_.clear();
  } else {
    set_state(State::starting, why);
    const milliseconds backoff =
        std::min(kBackoffMax, config_.restart_backoff * (1 << std::min(restarts_, 10)));
    ++restarts_;
    ++metrics_.reconnects;
    log_.warn("mcp.server.restart", {{"server", config_.name}, {"restarts", int64_t{restarts_}}});
    co_await wait_until(steady_clock(), steady_clock().now() + backoff);
    if (state_ == State::stopped) co_return;
  }
  std::exception_ptr failure;
  try {
    co_await begin(why);
  } catch (...) {
    failure = std::current_exception();
  }
  // A start that was given up with its caller is the next caller's.
  resting_ = waking && failure && is_cancellation(failure);
  if (resting_ && state_ != State::stopped) set_state(State::idle, "starts with its next call");
  settle_start(failure);
}

// The server has forgotten our HTTP session: a new one, once for all who noticed.
Async<> Core::renew_session() {
  if (recovery_) {
    const auto gate = recovery_;
    co_await gate->receive();
    co_return;
  }
  recovery_ = std::make_shared<Channel<bool>>(0);  // shared with those who wait
  const auto work = [this]() -> Async<> {
    log_.info("mcp.session.renew", {{"server", config_.name}});
    ++metrics_.reconnects;
    peer_->transport().forget_session();
    const Deadline deadline = Deadline::after(steady_clock(), config_.start_timeout);
    co_await with_deadline(initialize(), deadline);
    co_await with_deadline(tell_again(), deadline);
  };
  const auto done = [this]() -> Async<> {
    recovery_->close();
    recovery_.reset();
    co_return;
  };
  co_await with_cleanup(work, done);
}

}  // namespace swarm::mcp
