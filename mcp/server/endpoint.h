// mcp/server/endpoint.h — The HTTP face of a Service at one path: both generations of clients,
// sessions of the older one, event streams that can be taken up again. One strand.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "engine/base/async/nursery.h"
#include "mcp/server/http_listener.h"
#include "mcp/server/service.h"

namespace swarm::mcp {

class Endpoint {
 public:
  // service outlives us.
  Endpoint(Service& service, uint16_t port) : service_(service), port_(port) {}

  // jobs: the nursery of requests, which may live longer than their connections.
  Async<> handle(ServerRequest& request, Responder& responder, Nursery& jobs);
  // Drops sessions that have not been heard of for long.
  void expire();

 private:
  struct HttpSession {
    std::shared_ptr<LegacySession> state;
    std::map<std::string, std::shared_ptr<EventStream>> streams;  // by name
    std::shared_ptr<EventStream> unasked;
    int64_t last_stream = 0;
  };
  using SessionPtr = std::shared_ptr<HttpSession>;  // shared with its requests

  bool is_allowed(const ServerRequest& request) const;
  Async<> answer(ServerRequest& request, Responder& responder, Nursery& jobs);
  Async<bool> admitted(const ServerRequest& request, Responder& responder);
  Async<> post(ServerRequest& request, Responder& responder, Nursery& jobs);
  Async<> post_modern(Incoming message, const ServerRequest& request, Responder& responder,
                      Nursery& jobs);
  Async<> post_legacy(std::vector<Incoming> messages, const ServerRequest& request,
                      Responder& responder, Nursery& jobs);
  Async<> initialize(Incoming message, Responder& responder);
  Async<> get(const ServerRequest& request, Responder& responder);
  Async<> remove(const ServerRequest& request, Responder& responder);
  // The headers that repeat the body (2026-07-28). Throws RpcException{header mismatch}.
  void check_headers(const ServerRequest& request, const Incoming& message) const;
  static std::shared_ptr<EventStream> new_stream(HttpSession& session);
  SessionPtr session_of(const ServerRequest& request);
  bool has_room(const Nursery& jobs, size_t more) const;
  void start_job(Nursery& jobs, Incoming message, RequestContext context);
  // Sends a stream from `after` on. modern: a client that leaves has cancelled.
  Async<> stream(std::shared_ptr<EventStream> events, int64_t after, bool modern, bool resumable,
                 Responder& responder);
  Async<> stream_events(EventStream& events, int64_t after, bool resumable,
                        Responder& responder);
  Async<> refuse(Responder& responder, int status, int code, std::string text,
                 const Json& id = nullptr, const Json& data = nullptr);

  Service& service_;
  const uint16_t port_;
  std::map<std::string, SessionPtr> sessions_;
};

}  // namespace swarm::mcp
