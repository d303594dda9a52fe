#include "mcp/client/peer.h"

#include <boost/asio/co_spawn.hpp>

#include "engine/base/async/deadline.h"

namespace swarm::mcp {
namespace net = boost::asio;
namespace {

constexpr int kAnswersMax = 32;      // requests of the server being worked on at once

std::optional<double> number_member(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number()) return std::nullopt;
  return found->get<double>();
}

}  // namespace

struct Peer::Pending {
  std::optional<Json> result;
  std::exception_ptr failure;
  std::function<void(const Progress&)> on_progress;
  int64_t beats = 0;                 // signs of life
  bool silent = false;               // given up for want of them
  int64_t recorded = 0;              // its number in the recording
  double last_progress = -1e300;
  Channel<bool> wake{1};

  bool settled() const { return result.has_value() || failure != nullptr; }
  void succeed(Json value) {
    if (!settled()) result = std::move(value);
    wake.try_send(true);
  }
  void fail(std::exception_ptr why) {
    if (!settled()) failure = std::move(why);
    wake.try_send(true);
  }
};

Peer::Peer(std::string server, std::unique_ptr<Transport> transport, Hooks hooks,
           Executor executor, Log& log)
    : server_(std::move(server)),
      executor_(std::move(executor)),
      log_(log),
      hooks_(std::move(hooks)),
      transport_(std::move(transport)),
      stop_(0),
      ended_(0),
      closed_(0) {}

Peer::~Peer() = default;

Error Peer::about(ErrorKind kind, const std::string& text) const {
  return Error{.kind = kind, .message = "mcp server \"" + server_ + "\": " + text};
}

void Peer::trace(bool outgoing, const std::string& text) const {
  if (hooks_.trace) hooks_.trace(outgoing, text);
}

void Peer::open() {
  try {
    transport_->open(*this);
  } catch (const ErrorException& e) {
    throw ErrorException(about(e.error().kind, e.error().message));
  }
  opened_ = true;
  // The loops' parent is close(), which waits for ended_.
  net::co_spawn(executor_, run(), [self = shared_from_this()](const std::exception_ptr& failure) {
    self->nursery_ = nullptr;
    if (failure) self->on_gone("its connection failed");
    self->ended_.close();
  });
}

Async<> Peer::run() {
  const auto self = shared_from_this();
  co_await with_nursery([this](Nursery& nursery) -> Async<> {
    nursery_ = &nursery;
    nursery.start(transport_->run());
    co_await stop_.receive();
    nursery_ = nullptr;
    nursery.cancel();
  });
}

void Peer::start(std::function<Async<>()> child) {
  if (nursery_ != nullptr) nursery_->start(std::move(child));
}

// ---- Requests.

Async<Json> Peer::request(Request request) {
  const auto self = shared_from_this();
  if (!gone_.empty()) throw ErrorException(about(ErrorKind::environment, gone_));
  const int64_t id = ++last_id_;
  if (request.progress_token) request.params["_meta"]["progressToken"] = id;
  struct Entry {
    std::map<int64_t, std::shared_ptr<Pending>>& table;
    int64_t id;
    ~Entry() { table.erase(id); }
  } entry{pending_, id};
  const auto pending = std::make_shared<Pending>();
  pending->on_progress = std::move(request.on_progress);
  pending_[id] = pending;
  Outgoing message;
  message.text = encode_request(id, request.method, request.params);
  message.method = request.method;
  message.id = id;
  message.headers = std::move(request.headers);
  message.safe = request.safe;
  trace(true, message.text);
  if (hooks_.recorder) pending->recorded = hooks_.recorder->request(request.method, request.params);
  std::exception_ptr failure;
  bool begun = false;
  const auto bounded = [&]() -> Async<> {
    begun = true;
    co_await exchange(message, pending, request.idle);
  };
  try {
    co_await with_deadline(bounded(), request.deadline);
  } catch (...) {
    failure = std::current_exception();
  }
  if (pending->result) {
    if (hooks_.recorder) hooks_.recorder->result(pending->recorded, *pending->result);
    co_return std::move(*pending->result);
  }
  const bool cancelled = !pending->failure && is_cancellation(failure);
  if (!pending->failure && request.cancellable) give_up(message, begun, cancelled);
  if (pending->failure) {
    failure = pending->failure;
  } else if (!cancelled) {
    failure = std::make_exception_ptr(ErrorException(about(
        ErrorKind::timeout, pending->silent ? "no progress of " + message.method + " for " +
                                                  std::to_string(request.idle.count()) + " ms"
                                            : "no answer to " + message.method + " in time")));
  }
  if (hooks_.recorder && !closing_) hooks_.recorder->failure(pending->recorded, failure);
  std::rethrow_exception(failure);
}

void Peer::give_up(const Outgoing& message, bool sent, bool cancelled) {
  if (!sent || transport_->closing_cancels() || !gone_.empty()) return;
  const Json note{{"requestId", message.id}, {"reason", cancelled ? "cancelled" : "timeout"}};
  Outgoing notice;
  notice.text = encode_notification("notifications/cancelled", note);
  notice.method = "notifications/cancelled";
  trace(true, notice.text);
  transport_->post(std::move(notice));
}

// Ends when the request is settled; throws when it is given up.
Async<> Peer::exchange(Outgoing message, std::shared_ptr<Pending> pending,
                       std::chrono::milliseconds idle) {
  co_await with_nursery([&](Nursery& nursery) -> Async<> {
    nursery.start([&]() -> Async<> {
      try {
        const auto delivered = co_await transport_->request(std::move(message));
        if (delivered == Transport::Delivered::complete)
          pending->fail(std::make_exception_ptr(
              ErrorException(about(ErrorKind::environment, "no answer in the reply"))));
      } catch (const RpcException& e) {
        pending->fail(std::make_exception_ptr(
            RpcException(about(e.error().kind, e.error().message), e.details())));
      } catch (const ErrorException& e) {
        if (e.error().kind == ErrorKind::cancelled) throw;
        // A server that died says why on its own.
        const std::string why = gone_.empty() ? e.error().message : gone_;
        pending->fail(std::make_exception_ptr(ErrorException(about(e.error().kind, why))));
      }
    });
    co_await await_outcome(pending, idle);
    nursery.cancel();
  });
}

Async<> Peer::await_outcome(std::shared_ptr<Pending> pending, std::chrono::milliseconds idle) {
  while (!pending->settled()) {
    const int64_t beats = pending->beats;
    Deadline deadline;
    if (idle.count() > 0) deadline = Deadline::after(steady_clock(), idle);
    try {
      co_await with_deadline(pending->wake.receive(), deadline);
    } catch (const ErrorException& e) {
      if (e.error().kind != ErrorKind::timeout || pending->settled()) throw;
      pending->silent = pending->beats == beats;
      if (pending->silent) throw;
    }
  }
}

Async<> Peer::notify(std::string method, Json params, Headers headers) {
  const auto self = shared_from_this();
  if (!gone_.empty()) throw ErrorException(about(ErrorKind::environment, gone_));
  Outgoing message;
  message.text = encode_notification(method, params);
  message.method = std::move(method);
  message.headers = std::move(headers);
  trace(true, message.text);
  std::string problem;
  try {
    co_await transport_->send(std::move(message));
  } catch (const ErrorException& e) {
    if (e.error().kind == ErrorKind::cancelled) throw;
    problem = e.error().message;
  }
  if (!problem.empty())
    throw ErrorException(about(ErrorKind::environment, gone_.empty() ? problem : gone_));
}

// ---- What the server says.

void Peer::on_message(Incoming message) {
  if (hooks_.trace) trace(false, message.method + dump_json(message.payload));
  if (message.kind == Incoming::Kind::request) return answer(std::move(message));
  if (message.kind == Incoming::Kind::notification) {
    if (message.method == "notifications/progress") return progress(message.payload);
    if (hooks_.recorder) hooks_.recorder->notice(message.method, message.payload);
    if (hooks_.notice) hooks_.notice(message.method, message.payload);
    return;
  }
  const auto pending = pending_of(message.id);
  if (!pending) return log_.debug("mcp.reply.unmatched", {{"server", server_}});
  if (message.kind == Incoming::Kind::result) return pending->succeed(std::move(message.payload));
  RpcError details;
  const auto code = message.payload.find("code");
  if (code != message.payload.end() && code->is_number_integer()) details.code = code->get<int>();
  const auto data = message.payload.find("data");
  if (data != message.payload.end()) details.data = *data;
  details.text = error_text(message.payload);
  pending->fail(std::make_exception_ptr(
      RpcException(about(ErrorKind::environment, details.text), details)));
}

// An outcome without a usable id belongs to the only pending request, if there is just one.
std::shared_ptr<Peer::Pending> Peer::pending_of(const Json& id) const {
  if (const auto number = id_number(id)) {
    const auto found = pending_.find(*number);
    return found == pending_.end() ? nullptr : found->second;
  }
  return id.is_null() && pending_.size() == 1 ? pending_.begin()->second : nullptr;
}

void Peer::on_unreadable(const std::string& reason) {
  if (const auto pending = pending_of(Json()))
    pending->fail(
        std::make_exception_ptr(ErrorException(about(ErrorKind::environment, reason))));
}

void Peer::on_gone(const std::string& reason) {
  if (!gone_.empty()) return;
  gone_ = reason;
  if (hooks_.recorder && !closing_) hooks_.recorder->gone(reason);
  for (const auto& [id, pending] : pending_)
    pending->fail(
        std::make_exception_ptr(ErrorException(about(ErrorKind::environment, reason))));
}

void Peer::progress(const Json& params) {
  if (!params.is_object() || !params.contains("progressToken")) return;
  const auto pending = pending_of(params.at("progressToken"));
  if (!pending || pending->settled()) return;
  if (hooks_.recorder) hooks_.recorder->progress(pending->recorded, params);
  ++pending->beats;
  pending->wake.try_send(true);
  Progress progress;
  progress.progress = number_member(params, "progress").value_or(0);
  progress.total = number_member(params, "total");
  const auto message = params.find("message");
  if (message != params.end() && message->is_string())
    progress.message = message->get<std::string>();
  if (progress.progress <= pending->last_progress) return;  // must increase; late ones are old
  pending->last_progress = progress.progress;
  if (pending->on_progress) pending->on_progress(progress);
}

// ---- What the server asks.

void Peer::post_answer(const std::string& method, std::string text) {
  trace(true, text);
  Outgoing message;
  message.text = std::move(text);
  if (!transport_->post(std::move(message)) && !closing_)
    log_.warn("mcp.answer.dropped", {{"server", server_}, {"method", method}});
}

void Peer::answer(Incoming request) {
  if (hooks_.recorder) hooks_.recorder->asked(request.method, request.id, request.payload);
  if (request.method == "ping")
    return post_answer(request.method, encode_result(request.id, Json::object()));
  if (!hooks_.answer || nursery_ == nullptr)
    return post_answer(request.method, encode_error(request.id, kMethodNotFound,
                                                    "method not found: " + request.method));
  if (answering_count_ >= kAnswersMax)
    return post_answer(request.method,
                       encode_error(request.id, kInternalError, "too many requests at once"));
  ++answering_count_;
  const auto shared = std::make_shared<Incoming>(std::move(request));  // with its child below
  nursery_->start([this, shared]() -> Async<> { co_await answer_with_hook(std::move(*shared)); });
}

Async<> Peer::answer_with_hook(Incoming request) {
  struct Count {
    int& value;
    ~Count() { --value; }
  } count{answering_count_};
  std::string text;
  try {
    Json params = request.payload.is_object() ? std::move(request.payload) : Json::object();
    const Json result = co_await hooks_.answer(request.method, std::move(params));
    text = encode_result(request.id, result);
  } catch (const RpcException& e) {
    text = encode_error(request.id, e.details().code != 0 ? e.details().code : kInternalError,
                        e.details().text, e.details().data);
  } catch (const ErrorException& e) {
    if (e.error().kind == ErrorKind::cancelled) throw;
    text = encode_error(request.id, kInternalError, e.error().message);
  }
  post_answer(request.method, std::move(text));
}

// ---- The end.

Async<> Peer::close(std::string reason) {
  const auto self = shared_from_this();
  if (closing_) {
    co_await closed_.receive();
    co_return;
  }
  closing_ = true;
  co_await shielded(close_now(std::move(reason)));
  closed_.close();
}

Async<> Peer::close_now(std::string reason) {
  on_gone(reason);
  if (!opened_) co_return;
  co_await transport_->close();
  stop_.close();
  co_await ended_.receive();
}

}  // namespace swarm::mcp
