#include "mcp/connection.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <csignal>

#include "engine/base/async/deadline.h"
#include "engine/base/async/nursery.h"
#include "engine/base/utf8.h"
#include "mcp/line_reader.h"

namespace swarm::mcp {
namespace net = boost::asio;
namespace {

constexpr size_t kOutgoingMax = 256;        // messages; senders wait beyond
constexpr size_t kStderrBytesMax = 8192;    // the newest are kept
constexpr size_t kReadBytes = 64 * 1024;
// After its end a server's last words are still read for so long.
constexpr std::chrono::milliseconds kLastWords{300};
constexpr std::chrono::seconds kReapMax{5};

// A write to a server that died must be an error, not the end of us. Process-wide, and only where
// nobody has decided otherwise; children get the default back.
void ignore_broken_pipes() {
  struct sigaction current{};
  if (::sigaction(SIGPIPE, nullptr, &current) == 0 && current.sa_handler == SIG_DFL)
    ::signal(SIGPIPE, SIG_IGN);
}

Error about(const std::string& server, ErrorKind kind, const std::string& text) {
  return Error{.kind = kind, .message = "mcp server \"" + server + "\": " + text};
}

}  // namespace

Connection::Connection(ServerConfig config, Executor executor, Log& log)
    : config_(std::move(config)),
      executor_(std::move(executor)),
      log_(log),
      outgoing_(kOutgoingMax),
      exited_(0),
      heard_(0),
      ended_(0),
      closed_(0) {}

Connection::~Connection() = default;

void Connection::open() {
  ignore_broken_pipes();
  SpawnOptions options;
  options.command = config_.command;
  options.env = config_.env;
  options.cwd = config_.cwd;
  auto spawned = Process::spawn(options);
  if (!spawned)
    throw ErrorException(about(config_.name, spawned.error().kind, spawned.error().message));
  process_.emplace(std::move(*spawned));
  streams_.emplace(executor_);
  try {
    streams_->in.assign(process_->release_stdin());
    streams_->out.assign(process_->release_stdout());
    streams_->err.assign(process_->release_stderr());
    streams_->exit.assign(process_->release_exit());
  } catch (const boost::system::system_error& e) {  // the reactor took no more descriptors
    process_.reset();
    throw ErrorException(about(config_.name, ErrorKind::environment, e.code().message()));
  }
  log_.info("mcp.server.start", {{"server", config_.name}, {"pid", process_->pid()}});
  // The loops' parent is close(), which waits for ended_.
  net::co_spawn(executor_, run(), [self = shared_from_this()](const std::exception_ptr& failure) {
    if (failure) self->server_gone("its connection failed");
    self->ended_.close();
  });
}

Async<> Connection::run() {
  const auto self = shared_from_this();
  co_await with_nursery([this](Nursery& nursery) -> Async<> {
    nursery.start(write_loop());
    nursery.start(read_loop());
    nursery.start(drain_stderr());
    nursery.start(watch_exit());
    co_return;
  });
}

// ---- Loops. They end when their descriptor does; close() closes the descriptors.

Async<> Connection::write_loop() {
  boost::system::error_code code;
  while (true) {
    const std::optional<std::string> line = co_await outgoing_.receive();
    if (!line || code) break;
    co_await net::async_write(streams_->in, net::buffer(*line),
                              net::redirect_error(net::use_awaitable, code));
    if (code) outgoing_.close();
  }
  boost::system::error_code ignored;
  streams_->in.close(ignored);
}

Async<> Connection::read_loop() {
  LineReader lines(config_.message_bytes_max);
  std::string buffer(kReadBytes, '\0');
  size_t dropped = 0;
  while (true) {
    boost::system::error_code code;
    const size_t got = co_await streams_->out.async_read_some(
        net::buffer(buffer), net::redirect_error(net::use_awaitable, code));
    if (code) break;
    lines.feed(std::string_view(buffer).substr(0, got),
               [this](std::string_view line) { handle_line(line); });
    if (lines.dropped() == dropped) continue;
    dropped = lines.dropped();
    Outcome outcome;
    outcome.error = about(config_.name, ErrorKind::environment,
                          "a message is longer than " +
                              std::to_string(config_.message_bytes_max) + " bytes");
    log_.warn("mcp.message.too_long", {{"server", config_.name}});
    settle(Json(), std::move(outcome));
  }
  heard_.close();
  // Give the exit code a moment to arrive: "exit code 3" tells more than "end of stream".
  const bool exited = co_await closed_within(exited_, kLastWords);
  server_gone(exited ? "it ended with " + process_->exit_text() : "it closed its output");
}

Async<> Connection::drain_stderr() {
  std::string buffer(4096, '\0');
  while (true) {
    boost::system::error_code code;
    const size_t got = co_await streams_->err.async_read_some(
        net::buffer(buffer), net::redirect_error(net::use_awaitable, code));
    if (code) break;
    stderr_.append(buffer, 0, got);
    if (stderr_.size() > 2 * kStderrBytesMax) stderr_.erase(0, stderr_.size() - kStderrBytesMax);
  }
}

Async<> Connection::watch_exit() {
  boost::system::error_code code;
  co_await streams_->exit.async_wait(net::posix::stream_descriptor::wait_read,
                            net::redirect_error(net::use_awaitable, code));
  if (code) co_return;
  exited_.close();
  log_.info("mcp.server.exit",
            {{"server", config_.name}, {"status", process_->exit_text()}});
  // A grandchild may hold the pipes open; what it says is not the server's word.
  process_->signal_group(SIGTERM);
  const bool heard = co_await closed_within(heard_, kLastWords);
  if (!heard) server_gone("it ended with " + process_->exit_text());
}

// ---- Requests.

Async<Json> Connection::request(std::string method, Json params, Deadline deadline,
                                bool cancellable) {
  const auto self = shared_from_this();
  const int64_t id = ++last_id_;
  co_return co_await exchange(id, std::move(method), std::move(params), deadline, cancellable);
}

Async<Json> Connection::request_with_progress(std::string method, Json params,
                                              Deadline deadline) {
  const auto self = shared_from_this();
  const int64_t id = ++last_id_;
  params["_meta"]["progressToken"] = id;
  co_return co_await exchange(id, std::move(method), std::move(params), deadline, true);
}

Async<Json> Connection::exchange(int64_t id, std::string method, Json params, Deadline deadline,
                                 bool cancellable) {
  if (!gone_.empty()) throw ErrorException(gone_error());
  struct Entry {
    std::map<int64_t, Pending>& table;
    int64_t id;
    ~Entry() { table.erase(id); }
  } entry{pending_, id};
  const Pending reply = std::make_shared<Channel<Outcome>>(1);
  pending_[id] = reply;
  std::string line = encode_request(id, method, params) + "\n";
  bool sent = false;
  const auto send_and_wait = [&]() -> Async<Outcome> {
    sent = true;
    try {
      co_await outgoing_.send(std::move(line));
    } catch (const ErrorException&) {  // closed: the reply channel says why, or soon will
    }
    auto outcome = co_await reply->receive();
    co_return std::move(*outcome);
  };
  std::exception_ptr failure;
  Outcome outcome;
  try {
    outcome = co_await with_deadline(send_and_wait(), deadline);
  } catch (...) {
    failure = std::current_exception();
  }
  if (!failure) {
    if (outcome.error) throw ErrorException(*outcome.error);
    co_return std::move(outcome.result);
  }
  const bool cancelled = is_cancellation(failure);
  if (cancellable && sent) {
    Json note{{"requestId", id}, {"reason", cancelled ? "cancelled" : "timeout"}};
    outgoing_.try_send(encode_notification("notifications/cancelled", note) + "\n");
  }
  if (cancelled) std::rethrow_exception(failure);
  throw ErrorException(
      about(config_.name, ErrorKind::timeout, "no answer to " + method + " in time"));
}

Async<> Connection::notify(std::string method, Json params) {
  std::string line = encode_notification(method, params) + "\n";
  bool sent = true;
  try {
    co_await outgoing_.send(std::move(line));
  } catch (const ErrorException&) {  // closed: nobody cancelled anything, the server is gone
    sent = false;
  }
  if (sent) co_return;
  throw ErrorException(
      about(config_.name, ErrorKind::environment, gone_.empty() ? "it closed its input" : gone_));
}

// ---- What the server says.

void Connection::handle_line(std::string_view line) {
  if (line.empty()) return;
  std::vector<Incoming> messages = decode_line(line, config_.message_bytes_max);
  if (messages.empty())
    log_.debug("mcp.line.skipped", {{"server", config_.name}, {"bytes", uint64_t{line.size()}}});
  for (Incoming& message : messages) handle(std::move(message));
}

void Connection::handle(Incoming message) {
  switch (message.kind) {
    case Incoming::Kind::request: return answer(message);
    case Incoming::Kind::notification: return notice(message);
    case Incoming::Kind::result: {
      Outcome outcome;
      outcome.result = std::move(message.payload);
      return settle(message.id, std::move(outcome));
    }
    case Incoming::Kind::error: {
      Outcome outcome;
      outcome.error = about(config_.name, ErrorKind::environment, error_text(message.payload));
      return settle(message.id, std::move(outcome));
    }
  }
}

// We offer no client features here, so ping is all that has an answer.
void Connection::answer(const Incoming& request) {
  const std::string line =
      request.method == "ping"
          ? encode_result(request.id, Json::object())
          : encode_error(request.id, kMethodNotFound, "method not found: " + request.method);
  // Never waits: the reader must go on reading.
  if (!outgoing_.try_send(line + "\n"))
    log_.warn("mcp.answer.dropped", {{"server", config_.name}, {"method", request.method}});
}

void Connection::notice(const Incoming& notification) {
  if (notification.method == "notifications/tools/list_changed") {
    if (!list_changed_) log_.info("mcp.tools.changed", {{"server", config_.name}});
    list_changed_ = true;
    return;
  }
  log_.debug("mcp.notification", {{"server", config_.name}, {"method", notification.method}});
}

// An outcome without a usable id belongs to the only pending request, if there is just one.
void Connection::settle(const Json& id, Outcome outcome) {
  auto found = pending_.end();
  if (const auto number = id_number(id)) {
    found = pending_.find(*number);
  } else if (pending_.size() == 1) {
    found = pending_.begin();
  }
  if (found == pending_.end()) {
    log_.debug("mcp.reply.unmatched", {{"server", config_.name}});
    return;
  }
  found->second->try_send(std::move(outcome));
}

void Connection::server_gone(const std::string& reason) {
  if (!gone_.empty()) return;
  gone_ = reason;
  outgoing_.close();
  for (const auto& [id, reply] : pending_) {
    Outcome outcome;
    outcome.error = gone_error();
    reply->try_send(std::move(outcome));
  }
}

Error Connection::gone_error() const { return about(config_.name, ErrorKind::environment, gone_); }

// ---- The end.

Async<bool> Connection::closed_within(Channel<bool>& gate, std::chrono::milliseconds limit) {
  const Deadline deadline = Deadline::after(steady_clock(), limit);
  bool late = false;
  try {
    co_await with_deadline(gate.receive(), deadline);
  } catch (const ErrorException& e) {
    if (e.error().kind != ErrorKind::timeout) throw;
    late = true;
  }
  co_return !late;
}

Async<> Connection::close() {
  const auto self = shared_from_this();
  if (closing_) {
    co_await closed_.receive();
    co_return;
  }
  closing_ = true;
  co_await shielded(close_now());
  closed_.close();
}

Async<> Connection::close_now() {
  server_gone("its session was stopped");
  if (!process_) co_return;
  // The writer sends what is queued (cancellations) and then closes stdin.
  bool exited = co_await closed_within(exited_, config_.stop_grace);
  if (!exited) {
    log_.warn("mcp.server.terminate", {{"server", config_.name}});
    process_->signal_group(SIGTERM);
    exited = co_await closed_within(exited_, config_.stop_grace);
  }
  if (!exited) {
    log_.warn("mcp.server.kill", {{"server", config_.name}});
    process_->signal_group(SIGKILL);
    co_await closed_within(exited_, kReapMax);
  } else {
    // Grandchildren were asked by watch_exit(); while they live they hold the pipes.
    co_await closed_within(ended_, kLastWords);
    process_->signal_group(SIGKILL);
  }
  co_await closed_within(ended_, kLastWords);
  boost::system::error_code ignored;
  for (auto* stream : {&streams_->in, &streams_->out, &streams_->err, &streams_->exit})
    stream->close(ignored);
  co_await ended_.receive();
  streams_.reset();
  if (process_->has_exited()) process_->reap();
  process_.reset();
}

std::string Connection::stderr_tail() const {
  constexpr size_t kTail = 2000;
  const size_t begin = stderr_.size() > kTail ? stderr_.size() - kTail : 0;
  std::string text = utf8_sanitize(std::string_view(stderr_).substr(begin));
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return text;
}

}  // namespace swarm::mcp
