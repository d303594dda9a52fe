// mcp/client/peer.h — JSON-RPC with one server, whatever the transport: ids, the table of pending
// requests, progress, cancellation on the wire, requests of the server. Every request ends exactly
// once. Lives on one strand; shared between the client and its loops, so that a call which outlives
// the client ends with an error. Must be closed before the executor's context ends.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "engine/base/async/channel.h"
#include "engine/base/async/nursery.h"
#include "engine/base/deadline.h"
#include "engine/base/log.h"
#include "mcp/client/recording.h"
#include "mcp/mcp.h"
#include "mcp/message/rpc_error.h"
#include "mcp/transport/transport.h"

namespace swarm::mcp {

class Peer : public std::enable_shared_from_this<Peer>, private Transport::Events {
 public:
  struct Hooks {
    // A request of the server; an ErrorException is its error answer. Runs in the peer's nursery.
    std::function<Async<Json>(std::string method, Json params)> answer;
    std::function<void(const std::string& method, const Json& params)> notice;
    // Every message as it passes; for traces.
    std::function<void(bool outgoing, const std::string& text)> trace = {};
    std::shared_ptr<Recorder> recorder = nullptr;  // shared with the client
  };
  struct Request {
    Request() = default;           // not an aggregate: GCC 12, see tools/tool.h
    std::string method;
    Json params = Json::object();
    Deadline deadline = {};
    // Without progress for so long the request is given up; 0 = no such limit.
    std::chrono::milliseconds idle{0};
    std::function<void(const Progress&)> on_progress = {};
    bool progress_token = false;
    bool cancellable = true;       // whether giving up is announced on the wire
    bool safe = false;             // may be sent again if its fate is unknown
    Headers headers = {};
  };

  Peer(std::string server, std::unique_ptr<Transport> transport, Hooks hooks, Executor executor,
       Log& log);
  ~Peer() override;

  // Starts transport and loops. Throws ErrorException{environment}.
  void open();
  // Throws ErrorException: timeout (the server was told), environment (server gone), RpcException.
  Async<Json> request(Request request);
  Async<> notify(std::string method, Json params, Headers headers = {});
  // Ends everything, politely; pending requests fail with `reason`. Idempotent, uncancellable.
  Async<> close(std::string reason = "its session was stopped");

  // Why no request can be made any more; "" while one can.
  const std::string& gone() const { return gone_; }
  Transport& transport() { return *transport_; }
  size_t pending() const { return pending_.size(); }
  // "mcp server \"NAME\": text"
  Error about(ErrorKind kind, const std::string& text) const;
  // A child of the peer: it is cancelled by close(). Ignored when the peer is closed.
  void start(std::function<Async<>()> child);

 private:
  struct Pending;

  Async<> run();
  Async<> exchange(Outgoing message, std::shared_ptr<Pending> pending,
                   std::chrono::milliseconds idle);
  Async<> await_outcome(std::shared_ptr<Pending> pending, std::chrono::milliseconds idle);
  void give_up(const Outgoing& message, bool sent, bool cancelled);
  Async<> close_now(std::string reason);

  void on_message(Incoming message) override;
  void on_unreadable(const std::string& reason) override;
  void on_gone(const std::string& reason) override;
  void answer(Incoming request);
  Async<> answer_with_hook(Incoming request);
  void post_answer(const std::string& method, std::string text);
  void progress(const Json& params);
  std::shared_ptr<Pending> pending_of(const Json& id) const;
  void trace(bool outgoing, const std::string& text) const;

  const std::string server_;
  const Executor executor_;
  Log& log_;
  Hooks hooks_;
  std::unique_ptr<Transport> transport_;
  std::map<int64_t, std::shared_ptr<Pending>> pending_;  // shared with the waiting request
  int64_t last_id_ = 0;
  int answering_count_ = 0;
  Nursery* nursery_ = nullptr;     // that of run(), while it lasts
  Channel<bool> stop_, ended_, closed_;
  std::string gone_;
  bool closing_ = false;
  bool opened_ = false;
};

}  // namespace swarm::mcp
