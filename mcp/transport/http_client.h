// mcp/transport/http_client.h — HTTP/1.1 requests whose answers are read as they arrive. Keeps idle
// connections, bounds how many are open. Lives on one strand; outlives its exchanges.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/async/channel.h"
#include "engine/base/async/task.h"
#include "mcp/transport/http_message.h"
#include "mcp/transport/wire.h"

namespace swarm::mcp {

class HttpClient {
 public:
  struct Options {
    WireOptions wire;
    size_t connections_max = 64;     // in use at once; further requests wait their turn
    size_t idle_max = 16;            // kept for reuse
    int redirects_max = 3;           // fetch() only; never to another origin with credentials
  };

  // One answer in the making. Destroying it closes the connection unless the answer was read whole.
  class Exchange {
   public:
    explicit Exchange(HttpClient& client) : client_(client) {}
    ~Exchange();
    const HttpResponse& head() const { return reader_->head(); }
    // The next piece of the body; nullopt at the end. Throws ErrorException{environment}.
    Async<std::optional<std::string>> read();
    // The whole body. Throws when it is longer than bytes_max.
    Async<std::string> read_all(size_t bytes_max);

   private:
    friend class HttpClient;
    Async<bool> read_more();         // false: the connection ended before the first byte
    void done();

    HttpClient& client_;
    std::string origin_;
    std::unique_ptr<Wire> wire_;
    std::unique_ptr<ResponseReader> reader_;
    bool permit_ = false;
    bool any_byte_ = false;
  };

  HttpClient(Executor executor, Options options);
  ~HttpClient();

  // Sends and returns when the head of the answer is in. Throws ErrorException{environment}.
  Async<std::unique_ptr<Exchange>> begin(HttpRequest request);
  // The whole answer; follows redirects of GET. Bounded by bytes_max.
  Async<HttpResponse> fetch(HttpRequest request, size_t bytes_max);

 private:
  struct Idle {
    std::string origin;
    std::unique_ptr<Wire> wire;
  };
  std::unique_ptr<Wire> take_idle(const std::string& origin);
  Async<bool> attempt(Exchange& exchange, const HttpRequest& request, const std::string& bytes);

  const Executor executor_;
  const Options options_;
  WireContext wires_;
  Channel<bool> permits_;
  std::vector<Idle> idle_;
};

}  // namespace swarm::mcp
