// mcp/transport/authorizer.h — Who answers a 401 or 403. The HTTP transports ask for the headers of
// every request and hand over every challenge; they know nothing of OAuth.
#pragma once

#include <string>

#include "engine/base/async/task.h"
#include "mcp/transport/http_message.h"

namespace swarm::mcp {

class Authorizer {
 public:
  virtual ~Authorizer() = default;
  // Headers for a request to the server (and to nobody else). May refresh a token.
  virtual Async<Headers> headers(std::string method) = 0;
  // An answer 401 or 403 to a request made with `sent`: true when the request is worth another try,
  // false when it is final. Throws ErrorException{environment} when authorization failed.
  virtual Async<bool> challenged(HttpResponse answer, Headers sent) = 0;
  // A request was neither 401 nor 403.
  virtual void accepted() = 0;
  // It was challenged, and nothing has been accepted since.
  virtual bool unsettled() const { return false; }
};

}  // namespace swarm::mcp
