#include "mcp/transport/stdio.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <csignal>

#include "engine/base/async/deadline.h"
#include "engine/base/async/nursery.h"
#include "engine/base/utf8.h"
#include "mcp/message/line_reader.h"

namespace swarm::mcp {
namespace net = boost::asio;
namespace {

constexpr size_t kStderrBytesMax = 8192;    // the newest are kept
constexpr size_t kOutputReadBytes = 64 * 1024;
// After its end a server's last words are still read for so long.
constexpr std::chrono::milliseconds kLastWords{300};
constexpr std::chrono::seconds kReapMax{5};

}  // namespace

StdioTransport::StdioTransport(StdioOptions options, Executor executor, Log& log)
    : options_(std::move(options)),
      executor_(std::move(executor)),
      log_(log),
      outgoing_(kOutgoingMax),
      exited_(0),
      heard_(0),
      ended_(0) {}

StdioTransport::~StdioTransport() = default;

void StdioTransport::open(Events& events) {
  events_ = &events;
  auto spawned = Process::spawn(options_.spawn);
  if (!spawned) throw ErrorException(spawned.error());
  process_.emplace(std::move(*spawned));
  streams_.emplace(executor_);
  try {
    streams_->in.assign(process_->release_stdin());
    streams_->out.assign(process_->release_stdout());
    streams_->err.assign(process_->release_stderr());
    streams_->exit.assign(process_->release_exit());
  } catch (const boost::system::system_error& e) {  // the reactor took no more descriptors
    streams_.reset();
    process_.reset();
    throw ErrorException(environment_error(e.code().message()));
  }
  log_.info("mcp.server.start", {{"server", options_.server}, {"pid", process_->pid()}});
}

Async<> StdioTransport::run() {
  // Closed on every path, also when the loops fail.
  struct Ended {
    Channel<bool>& gate;
    ~Ended() { gate.close(); }
  } ended{ended_};
  co_await with_nursery([this](Nursery& nursery) -> Async<> {
    nursery.start(write_loop());
    nursery.start(read_loop());
    nursery.start(drain_stderr());
    nursery.start(watch_exit());
    co_return;
  });
}

Async<> StdioTransport::write_loop() {
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

Async<> StdioTransport::read_loop() {
  LineReader lines(options_.message_bytes_max);
  std::string buffer(kOutputReadBytes, '\0');
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
    log_.warn("mcp.message.too_long", {{"server", options_.server}});
    events_->on_unreadable("a message is longer than " +
                           std::to_string(options_.message_bytes_max) + " bytes");
  }
  heard_.close();
  // Give the exit code a moment to arrive: "exit code 3" tells more than "end of stream".
  const bool exited = co_await closed_within(exited_, kLastWords);
  gone(exited ? "it ended with " + process_->exit_text() : "it closed its output");
}

Async<> StdioTransport::drain_stderr() {
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

Async<> StdioTransport::watch_exit() {
  boost::system::error_code code;
  co_await streams_->exit.async_wait(net::posix::stream_descriptor::wait_read,
                            net::redirect_error(net::use_awaitable, code));
  if (code) co_return;
  exited_.close();
  log_.info("mcp.server.exit",
            {{"server", options_.server}, {"status", process_->exit_text()}});
  const bool heard = co_await closed_within(heard_, kLastWords);
  if (!heard) gone("it ended with " + process_->exit_text());
}

// ---- Messages.

Async<Transport::Delivered> StdioTransport::request(Outgoing message) {
  co_await send(std::move(message));
  co_return Delivered::later;
}

Async<> StdioTransport::send(Outgoing message) {
  bool sent = true;
  std::string line = std::move(message.text) + "\n";
  traffic_.sent += line.size();
  try {
    co_await outgoing_.send(std::move(line));
  } catch (const ErrorException&) {  // closed: nobody cancelled anything, the server is gone
    sent = false;
  }
  if (!sent) throw ErrorException(environment_error("it closed its input"));
}

// Never waits: the reader must go on reading.
bool StdioTransport::post(Outgoing message) {
  traffic_.sent += message.text.size() + 1;
  return outgoing_.try_send(message.text + "\n");
}

void StdioTransport::handle_line(std::string_view line) {
  traffic_.received += line.size() + 1;
  if (line.empty()) return;
  std::vector<Incoming> messages = decode_line(line, options_.message_bytes_max);
  if (messages.empty())
    log_.debug("mcp.line.skipped", {{"server", options_.server}, {"bytes", uint64_t{line.size()}}});
  for (Incoming& message : messages) events_->on_message(std::move(message));
}

void StdioTransport::gone(const std::string& reason) {
  outgoing_.close();
  events_->on_gone(reason);
}

// ---- The end.

Async<bool> StdioTransport::closed_within(Channel<bool>& gate, std::chrono::milliseconds limit) {
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

Async<> StdioTransport::close() {
  outgoing_.close();
  if (!process_) co_return;
  // The writer sends what is queued (cancellations) and then closes stdin.
  bool exited = co_await closed_within(exited_, options_.stop_grace);
  if (!exited) {
    log_.warn("mcp.server.terminate", {{"server", options_.server}});
    process_->signal_group(SIGTERM);
    exited = co_await closed_within(exited_, options_.stop_grace);
  }
  if (!exited) {
    log_.warn("mcp.server.kill", {{"server", options_.server}});
    process_->kill_all();
    co_await closed_within(exited_, kReapMax);
  }
  co_await closed_within(ended_, kLastWords);
  boost::system::error_code ignored;
  for (auto* stream : {&streams_->in, &streams_->out, &streams_->err, &streams_->exit})
    stream->close(ignored);
  co_await ended_.receive();  // the owner always runs run()
  streams_.reset();
  if (process_->has_exited()) process_->reap();
  process_.reset();
}

std::string StdioTransport::diagnostics() const {
  constexpr size_t kTail = 2000;
  const size_t begin = stderr_.size() > kTail ? stderr_.size() - kTail : 0;
  std::string text = utf8_sanitize(std::string_view(stderr_).substr(begin));
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return text;
}

}  // namespace swarm::mcp
