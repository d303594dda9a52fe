// Servers that start with their first call and stop when nobody needs them.
#include <boost/asio/co_spawn.hpp>

#include "mcp/client/in_use.h"
#include "mcp/client/list_cache.h"

namespace swarm::mcp {
namespace net = boost::asio;
namespace {

using std::chrono::milliseconds;

}  // namespace

// ---- The first start is put off.

bool Core::adopt_remembered() {
  std::optional<Offer> offer = load_offer(config_);
  if (!offer) return false;
  info_ = std::move(offer->info);
  capabilities_ = std::move(offer->capabilities);
  kind_ = config_.url.empty() ? TransportKind::stdio : TransportKind::http;
  adopt_tools(std::move(offer->tools));
  for (const auto& [name, tool] : known_tools_) shown_.show(name, tool.definition);
  shown_version_ = info_.version;
  resting_ = true;
  log_.info("mcp.server.remembered", {{"server", config_.name},
                                      {"version", info_.version},
                                      {"tools", uint64_t{tools_.size()}}});
  set_state(State::idle, "starts with its first call");
  return true;
}

void Core::remember(const std::vector<Json>& tools) {
  if (config_.list_cache.empty()) return;
  if (!shown_.empty() && shown_version_ != info_.version) {
    log_.warn("mcp.server.version", {{"server", config_.name},
                                     {"remembered", shown_version_},
                                     {"found", info_.version}});
    event("version_changed", Json{{"remembered", shown_version_}, {"found", info_.version}});
    shown_version_ = info_.version;
  }
  const Offer offer{.info = info_, .capabilities = capabilities_, .tools = tools};
  const auto saved = save_offer(config_, offer);
  if (!saved)
    log_.warn("mcp.list.not_kept", {{"server", config_.name}, {"why", saved.error().message}});
}

// A tool that is not what the remembered list said has been chosen, checked and allowed for
// something else: its call is refused, and the next run sees it as it is.
void Core::check_unchanged(const std::string& tool) const {
  const std::string_view complaint = shown_.complaint(tool);
  if (complaint.empty()) return;
  throw ErrorException(peer_->about(
      ErrorKind::environment,
      "its tool \"" + tool + "\" " + std::string(complaint) +
          " since its list was remembered; the next run knows the new list"));
}

// ---- And when it is idle, it is stopped.

void Core::watch_idleness() {
  if (config_.idle_stop.count() == 0 || idle_stop_) return;
  idle_stop_ = std::make_shared<Channel<bool>>(0);
  idle_ended_ = std::make_shared<Channel<bool>>(0);
  const auto loop = [](std::weak_ptr<Core> weak, std::shared_ptr<Channel<bool>> gate,
                       milliseconds limit) -> Async<> {
    Deadline due = Deadline::after(steady_clock(), limit);
    while (true) {
      bool over = true;
      try {
        co_await with_deadline(gate->receive(), due);
      } catch (const ErrorException& e) {
        if (e.error().kind != ErrorKind::timeout) throw;
        over = false;
      }
      const auto self = weak.lock();
      if (over || !self) co_return;
      due = Deadline::at(co_await self->rest_if_idle());
    }
  };
  // The loop's parent is stop(), which waits for its end.
  net::co_spawn(executor_, loop(weak_from_this(), idle_stop_, config_.idle_stop),
                [ended = idle_ended_](const std::exception_ptr&) { ended->close(); });
}

// When to look again.
Async<TimePoint> Core::rest_if_idle() {
  const TimePoint now = steady_clock().now();
  const bool unused = state_ == State::ready && in_use_ == 0 && !recovery_ && peer_ &&
                      peer_->gone().empty();
  if (unused && now < used_ + config_.idle_stop) co_return used_ + config_.idle_stop;
  if (unused) co_await rest();
  co_return steady_clock().now() + config_.idle_stop;
}

// Whoever calls meanwhile waits, and then starts it again.
Async<> Core::rest() {
  const auto gate = std::make_shared<Channel<bool>>(0);
  recovery_ = gate;
  resting_ = true;
  log_.info("mcp.server.rest", {{"server", config_.name}});
  co_await close_peer("it was idle");
  if (state_ != State::stopped)
    set_state(State::idle, "stopped after " + std::to_string(config_.idle_stop.count()) +
                               " ms without a call");
  recovery_.reset();
  gate->close();
}

}  // namespace swarm::mcp
