// mcp/transport/transport.h — How JSON-RPC messages reach a server and come back. A transport knows
// bytes, connections and HTTP sessions; it knows nothing of eras, methods or tools. Lives on the
// strand of its Peer, which owns it and is its Events.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "engine/base/async/task.h"
#include "engine/base/json.h"
#include "mcp/message/jsonrpc.h"
#include "mcp/transport/http_message.h"
#include "mcp/transport/traffic.h"

namespace swarm::mcp {

struct Outgoing {
  Outgoing() = default;            // not an aggregate: GCC 12, see tools/tool.h
  std::string text;                // one JSON-RPC message, no line end
  std::string method;              // of a request or notification, "" of an answer
  int64_t id = 0;                  // of a request
  Headers headers = {};            // for HTTP: Mcp-Method and what belongs to it
  bool safe = false;               // may be sent again if its fate is unknown
};

// What was agreed with the server; decides session ids, resumption and headers over HTTP.
enum class Dialect : uint8_t { undecided, legacy, modern };

// Messages that wait to be sent; senders wait beyond.
constexpr size_t kOutgoingMax = 256;

class Transport {
 public:
  class Events {
   public:
    virtual ~Events() = default;
    virtual void on_message(Incoming message) = 0;
    // A message could not be read (too long, no JSON): the only pending request, if any, fails.
    virtual void on_unreadable(const std::string& reason) = 0;
    // No request can be made any more.
    virtual void on_gone(const std::string& reason) = 0;
  };
  // Where the answer to a request comes from.
  enum class Delivered : uint8_t {
    later,      // on a stream of its own: wait
    complete,   // everything that belongs to the request has been handed over
  };

  virtual ~Transport() = default;
  // Called once, before anything else. Throws ErrorException{environment}.
  virtual void open(Events& events) = 0;
  // The background loops; returns after close() or the end of the server.
  virtual Async<> run() = 0;
  // Cancelling it gives up the exchange. Throws ErrorException, RpcException for HTTP statuses.
  virtual Async<Delivered> request(Outgoing message) = 0;
  // A notification; returns when it was accepted. Throws like request().
  virtual Async<> send(Outgoing message) = 0;
  // Queues an answer or notification without waiting; false when the queue is full or closed.
  virtual bool post(Outgoing message) = 0;
  // Ends loops, connections and processes, politely first. Called once, shielded by the caller.
  virtual Async<> close() = 0;

  virtual void use(Dialect, const std::string& /*version*/) {}
  // Whether ending an exchange is itself a cancellation (modern HTTP).
  virtual bool closing_cancels() const { return false; }
  virtual bool is_http() const { return false; }
  // The server has forgotten our session: the next initialize opens another one.
  virtual void forget_session() {}
  // The last words of a local server, for error messages.
  virtual std::string diagnostics() const { return ""; }
  const Traffic& traffic() const { return traffic_; }

 protected:
  Traffic traffic_;
};

}  // namespace swarm::mcp
