// What a server says unasked, and what it is asked to say: changes of lists and resources, logs.
#include <algorithm>

#include "engine/base/async/deadline.h"
#include "engine/base/async/nursery.h"
#include "mcp/client/in_use.h"
#include "mcp/message/json_member.h"

namespace swarm::mcp {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kDebounce{100};            // several notices in a row are one change
constexpr int64_t kLoggedMax = 1000;              // messages of one server in our log
constexpr size_t kLogTextMax = 500;
constexpr int kListensMax = 10;                   // in a row that did not last
constexpr milliseconds kListenBackoffMin{1000}, kListenBackoffMax{30000};

bool says(const Json& capabilities, const char* what, const char* how) {
  const Json part = object_member(capabilities, what);
  return part.contains(how) && part.at(how) == true;
}

Json about_resource(const std::string& uri) {
  Json out = Json::object();
  out["uri"] = uri;
  return out;
}

}  // namespace

// ---- Notices.

void Core::notice(const std::string& method, const Json& params) {
  if (method.ends_with("/list_changed")) ++changes_told_;
  if (method == "notifications/tools/list_changed") {
    lists_.erase(List::tools);
    schedule_refresh();
  } else if (method == "notifications/resources/list_changed") {
    lists_.erase(List::resources);
    lists_.erase(List::resource_templates);
    forget("resources/");
    event("list_changed", Json{{"list", "resources"}});
  } else if (method == "notifications/prompts/list_changed") {
    lists_.erase(List::prompts);
    event("list_changed", Json{{"list", "prompts"}});
  } else if (method == "notifications/resources/updated") {
    forget("resources/read");
    event("resource_updated", params);
  } else if (method == "notifications/subscriptions/acknowledged") {
    if (replaced_) replaced_->close();  // what it listened to is told to its successor
  } else if (method == "notifications/message") {
    log_message(params);
  } else {
    log_.debug("mcp.notification", {{"server", config_.name}, {"method", method}});
  }
}

void Core::log_message(const Json& params) {
  event("log", params);
  if (++logged_ > kLoggedMax) return;
  const std::string level = text_member(params, "level");
  std::string text;
  if (params.is_object() && params.contains("data")) text = dump_json(params.at("data"));
  text.resize(std::min(text.size(), kLogTextMax));
  const bool loud = level == "error" || level == "critical" || level == "alert" ||
                    level == "emergency";
  log_.event(loud ? LogLevel::warn : LogLevel::debug, "mcp.server.log",
             {{"server", config_.name}, {"level", level}, {"text", text}});
}

// A storm of notices is one new list. Whoever is to read it may end with its server.
void Core::schedule_refresh() {
  if (refresh_scheduled_ || !peer_) return;
  refresh_scheduled_ = true;
  const std::weak_ptr<Core> weak = weak_from_this();
  const auto refresh = [](std::weak_ptr<Core> core) -> Async<> {
    co_await wait_until(steady_clock(), steady_clock().now() + kDebounce);
    const auto self = core.lock();
    if (!self) co_return;
    self->refresh_scheduled_ = false;
    try {
      co_await self->refresh_tools(/*noticed=*/true);
    } catch (const ErrorException& e) {
      if (e.error().kind == ErrorKind::cancelled) throw;
      if (self->state_ == State::stopped) co_return;
      self->log_.warn("mcp.tools.refresh",
                      {{"server", self->config_.name}, {"why", e.error().message}});
    }
  };
  peer_->start([weak, refresh]() { return refresh(weak); });
}

// ---- Being told: what is listened to, and since when.

void Core::start_listening() {
  const bool any = says(capabilities_, "tools", "listChanged") ||
                   says(capabilities_, "prompts", "listChanged") ||
                   says(capabilities_, "resources", "listChanged") || !subscribed_.empty();
  if (dialect_ != Dialect::modern || !config_.listen || !any || !peer_) return;
  replaced_ = listening_;
  listening_ = std::make_shared<Channel<bool>>(0);  // shared with the listener it ends
  const std::weak_ptr<Core> weak = weak_from_this();
  peer_->start([weak, gate = listening_]() -> Async<> {
    if (const auto self = weak.lock()) co_await self->listen(gate);
  });
}

// 2026-07-28: changes are only told to who asks for them. Ends when the gate is closed: another
// listener, which wants more or less, has taken over.
Async<> Core::listen(std::shared_ptr<Channel<bool>> gate) {
  co_await with_nursery([&](Nursery& nursery) -> Async<> {
    nursery.start([&]() -> Async<> {
      co_await keep_listening();
      nursery.cancel();
    });
    co_await gate->receive();
    nursery.cancel();
  });
}

Json Core::listen_params() const {
  Json wanted = Json::object();
  if (says(capabilities_, "tools", "listChanged")) wanted["toolsListChanged"] = true;
  if (says(capabilities_, "prompts", "listChanged")) wanted["promptsListChanged"] = true;
  if (says(capabilities_, "resources", "listChanged")) wanted["resourcesListChanged"] = true;
  if (!subscribed_.empty()) wanted["resourceSubscriptions"] = Json(subscribed_);
  Json params = Json::object();
  params["notifications"] = std::move(wanted);
  return params;
}

// The lists are read again after a gap, whoever made it: a server may end a subscription in peace,
// too, before it is replaced by another.
Async<> Core::keep_listening() {
  milliseconds backoff = kListenBackoffMin;
  for (int attempt = 0; attempt < kListensMax; ++attempt) {
    const TimePoint begun = steady_clock().now();
    try {
      co_await send("subscriptions/listen", listen_params(), {});
    } catch (const RpcException& e) {
      if (e.details().http_status < 500) co_return;  // not offered
    } catch (const ErrorException& e) {
      if (e.error().kind == ErrorKind::cancelled) throw;
      if (!peer_->gone().empty()) co_return;
    }
    if (steady_clock().now() - begun > kListenBackoffMax) {
      attempt = 0;
      backoff = kListenBackoffMin;
    }
    co_await wait_until(steady_clock(), steady_clock().now() + backoff);
    backoff = std::min(backoff * 3 / 2, kListenBackoffMax);
    lists_.clear();
    forget("");
    schedule_refresh();
  }
}

// ---- Resources somebody follows.

Async<> Core::subscribe(std::string uri) {
  const auto self = shared_from_this();
  const InUse in_use(*this);
  co_await ensure_ready();
  require_subscriptions();
  if (!subscribed_.insert(uri).second) co_return;
  if (dialect_ == Dialect::modern) co_return start_listening();
  bool done = false;
  const auto ask = [&]() -> Async<> {
    co_await call("resources/subscribe", about_resource(uri), in_time());
    done = true;
  };
  const auto undo = [&]() -> Async<> {
    if (!done) subscribed_.erase(uri);
    co_return;
  };
  co_await with_cleanup(ask, undo);
}

Async<> Core::unsubscribe(std::string uri) {
  const auto self = shared_from_this();
  if (subscribed_.erase(uri) == 0) co_return;
  forget("resources/read");        // nobody tells any more that it has changed
  if (state_ != State::ready) co_return;
  if (dialect_ == Dialect::modern) co_return start_listening();
  co_await call("resources/unsubscribe", about_resource(uri), in_time());
}

void Core::require_subscriptions() const {
  require("resources", "resources");
  if (!says(capabilities_, "resources", "subscribe"))
    throw ErrorException(
        Error{.kind = ErrorKind::unsupported,
              .message = "mcp server \"" + config_.name + "\" offers no subscriptions"});
}

CallOptions Core::in_time() const {
  CallOptions out;
  out.deadline = Deadline::after(steady_clock(), config_.call_timeout);
  return out;
}

// What a new process, or a new session, has to be told again.
Async<> Core::tell_again() {
  if (dialect_ != Dialect::legacy) co_return;
  std::vector<std::pair<std::string, Json>> told;
  if (!config_.log_level.empty() && offers("logging"))
    told.emplace_back("logging/setLevel", Json{{"level", config_.log_level}});
  if (says(capabilities_, "resources", "subscribe"))
    for (const std::string& uri : subscribed_)
      told.emplace_back("resources/subscribe", about_resource(uri));
  for (const auto& [method, params] : told) {
    const CallOptions options = in_time();
    try {
      co_await send(method, params, options);
    } catch (const RpcException& e) {
      log_.warn("mcp.told_again", {{"server", config_.name},
                                   {"method", method},
                                   {"why", e.error().message}});
    }
  }
}

}  // namespace swarm::mcp
