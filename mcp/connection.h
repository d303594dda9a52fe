// mcp/connection.h — One server process and the JSON-RPC traffic with it: four loops (stdin writer,
// stdout reader, stderr drain, exit watcher) under one nursery, a table of pending requests, and
// the end of it all. Lives on one strand. Shared between the session and its tools, so that a tool
// that outlives the session answers with an error.
#pragma once

#include <boost/asio/posix/stream_descriptor.hpp>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/async/channel.h"
#include "engine/base/async/task.h"
#include "engine/base/deadline.h"
#include "engine/base/log.h"
#include "mcp/jsonrpc.h"
#include "mcp/mcp.h"
#include "mcp/process.h"

namespace swarm::mcp {

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(ServerConfig config, Executor executor, Log& log);
  ~Connection();

  // Spawns the process and its loops. Throws ErrorException{environment}.
  void open();
  // Sends and waits. Throws ErrorException: timeout (the server was told), environment (server
  // gone, JSON-RPC error with its code). cancellable: whether giving up is announced on the wire.
  Async<Json> request(std::string method, Json params, Deadline deadline, bool cancellable = true);
  // The same with a progress token in params._meta.
  Async<Json> request_with_progress(std::string method, Json params, Deadline deadline);
  // Throws ErrorException{environment} when the server is gone.
  Async<> notify(std::string method, Json params);
  // Closes stdin, then asks, then insists; joins the loops and reaps. Idempotent, uncancellable.
  Async<> close();

  const std::string& server() const { return config_.name; }
  std::string stderr_tail() const;
  bool list_changed() const { return list_changed_; }

 private:
  struct Outcome {
    Json result;
    std::optional<Error> error;
  };
  struct Streams {
    explicit Streams(const Executor& executor)
        : in(executor), out(executor), err(executor), exit(executor) {}
    boost::asio::posix::stream_descriptor in, out, err, exit;
  };
  // Shared between the table and the waiting request.
  using Pending = std::shared_ptr<Channel<Outcome>>;

  Async<> run();
  Async<> write_loop();
  Async<> read_loop();
  Async<> drain_stderr();
  Async<> watch_exit();
  Async<> close_now();
  // True if `gate` was closed within `limit`.
  Async<bool> closed_within(Channel<bool>& gate, std::chrono::milliseconds limit);

  Async<Json> exchange(int64_t id, std::string method, Json params, Deadline deadline,
                       bool cancellable);
  void handle_line(std::string_view line);
  void handle(Incoming message);
  void answer(const Incoming& request);
  void notice(const Incoming& notification);
  void settle(const Json& id, Outcome outcome);
  void server_gone(const std::string& reason);
  Error gone_error() const;

  const ServerConfig config_;
  const Executor executor_;
  Log& log_;
  std::optional<Process> process_;
  std::optional<Streams> streams_;  // from open() to close(): a tool may outlive the I/O context
  Channel<std::string> outgoing_;
  Channel<bool> exited_;   // closed when the process has ended
  Channel<bool> heard_;    // closed when the last line was read
  Channel<bool> ended_;    // closed when the loops have ended
  Channel<bool> closed_;   // closed when close() is through
  std::map<int64_t, Pending> pending_;
  int64_t last_id_ = 0;
  std::string stderr_;
  std::string gone_;       // why no request can be made any more
  bool list_changed_ = false;
  bool closing_ = false;
};

}  // namespace swarm::mcp
