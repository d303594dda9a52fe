#include "mcp/client/replay_transport.h"

#include "engine/base/async/nursery.h"
#include "mcp/message/json_member.h"
#include "mcp/message/rpc_error.h"

namespace swarm::mcp {
namespace {

constexpr size_t kShownMax = 300;

Json member(const Json& line, const char* name) {
  const auto found = line.find(name);
  return found != line.end() ? *found : Json();
}

int number(const Json& object, const char* name) {
  const Json value = member(object, name);
  return value.is_number_integer() ? value.get<int>() : 0;
}

[[noreturn]] void throw_refusal(const Json& refused) {
  RpcError details;
  details.code = number(refused, "code");
  details.http_status = number(refused, "http_status");
  details.text = text_member(refused, "text");
  details.data = member(refused, "data");
  details.session_lost = member(refused, "session_lost") == true;
  throw RpcException(environment_error(details.text), details);
}

}  // namespace

Async<> ReplayTransport::run() { co_await closing_.receive(); }

Async<Transport::Delivered> ReplayTransport::request(Outgoing message) {
  const Json sent = parse_json(message.text).value();
  const Json params = member(sent, "params");
  const Replay::Exchange* exchange = replay_->take(message.method, params);
  if (exchange == nullptr) {
    Json shown = params;
    if (shown.is_object()) shown.erase("_meta");
    throw ErrorException(environment_error(
        "the recording \"" + replay_->file() + "\" has no answer, or no further one, to " +
        message.method + " " + dump_json(shown).substr(0, kShownMax)));
  }
  co_await yield_once();                   // as over a wire: not inside the request
  bool answered = false;
  for (const Replay::Step& step : exchange->steps) {
    play(step, message.id);
    answered = answered || step.kind == Replay::Step::Kind::result;
    // The server answered after we had.
    if (step.kind == Replay::Step::Kind::asked && !answered) co_await replies_.receive();
  }
  if (answered) co_return Delivered::complete;
  for (const Replay::Step& step : exchange->steps) {
    const Json& line = step.line;
    if (step.kind == Replay::Step::Kind::refused) throw_refusal(line.at("refused"));
    if (step.kind != Replay::Step::Kind::problem) continue;
    const Json& problem = line.at("problem");
    const bool late = text_member(problem, "kind") == "timeout";
    throw ErrorException(
        Error{.kind = late ? ErrorKind::timeout : ErrorKind::environment,
              .message = text_member(problem, "text")});
  }
  co_await closing_.receive();             // it was cancelled then, or the session ended first
  throw ErrorException(environment_error("the recording has no outcome of it"));
}

// What came besides exceptions.
void ReplayTransport::play(const Replay::Step& step, int64_t id) {
  using Kind = Replay::Step::Kind;
  Incoming message{.kind = Incoming::Kind::notification, .id = nullptr, .method = "",
                   .payload = member(step.line, "params")};
  switch (step.kind) {
    case Kind::progress:
      message.method = "notifications/progress";
      if (message.payload.is_object()) message.payload["progressToken"] = id;
      return events_->on_message(std::move(message));
    case Kind::notice:
      message.method = text_member(step.line, "notice");
      return events_->on_message(std::move(message));
    case Kind::asked:
      message.kind = Incoming::Kind::request;
      message.method = text_member(step.line, "asked");
      message.id = member(step.line, "id");
      return events_->on_message(std::move(message));
    case Kind::result:
      message.kind = Incoming::Kind::result;
      message.id = id;
      message.payload = member(step.line, "result");
      return events_->on_message(std::move(message));
    case Kind::gone: return events_->on_gone(text_member(step.line, "gone"));
    case Kind::refused:
    case Kind::problem:
    case Kind::cancelled: return;
  }
}

// What we say unasked, and our answers, were recorded by nobody.
Async<> ReplayTransport::send(Outgoing) { co_return; }
bool ReplayTransport::post(Outgoing message) {
  if (message.method.empty()) replies_.try_send(true);
  return true;
}

Async<> ReplayTransport::close() {
  closing_.close();
  co_return;
}

}  // namespace swarm::mcp
