// mcp/transport/stdio.h — A server that is a child process: one JSON-RPC message per line. Four
// loops (stdin writer, stdout reader, stderr drain, exit watcher), and a polite end.
#pragma once

#include <boost/asio/posix/stream_descriptor.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/async/channel.h"
#include "engine/base/async/process.h"
#include "engine/base/log.h"
#include "mcp/transport/transport.h"

namespace swarm::mcp {

struct StdioOptions {
  std::string server;              // for the log
  SpawnOptions spawn;
  std::chrono::milliseconds stop_grace{2000};
  size_t message_bytes_max = size_t{16} << 20;
};

class StdioTransport final : public Transport {
 public:
  StdioTransport(StdioOptions options, Executor executor, Log& log);
  ~StdioTransport() override;

  void open(Events& events) override;
  Async<> run() override;
  Async<Delivered> request(Outgoing message) override;
  Async<> send(Outgoing message) override;
  bool post(Outgoing message) override;
  // Closes stdin, then asks, then insists; reaps.
  Async<> close() override;
  std::string diagnostics() const override;

 private:
  struct Streams {
    explicit Streams(const Executor& executor)
        : in(executor), out(executor), err(executor), exit(executor) {}
    boost::asio::posix::stream_descriptor in, out, err, exit;
  };

  Async<> write_loop();
  Async<> read_loop();
  Async<> drain_stderr();
  Async<> watch_exit();
  void handle_line(std::string_view line);
  void gone(const std::string& reason);
  // True if `gate` was closed within `limit`.
  Async<bool> closed_within(Channel<bool>& gate, std::chrono::milliseconds limit);

  const StdioOptions options_;
  const Executor executor_;
  Log& log_;
  Events* events_ = nullptr;       // set by open(), outlives us
  std::optional<Process> process_;
  std::optional<Streams> streams_; // from open() to close(): a tool may outlive the I/O context
  Channel<std::string> outgoing_;
  Channel<bool> exited_;           // closed when the process has ended
  Channel<bool> heard_;            // closed when the last line was read
  Channel<bool> ended_;            // closed when the loops have ended
  std::string stderr_;
};

}  // namespace swarm::mcp
