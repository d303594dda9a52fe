// mcp/transport/wire.h — One TCP or TLS connection as bytes. Lives on one strand; cancelling an
// awaited member closes nothing, destroying the object does.
#pragma once

#include <boost/asio/ip/address.hpp>
#include <memory>
#include <string>
#include <string_view>

#include "engine/base/async/task.h"
#include "engine/base/deadline.h"
#include "engine/base/error.h"
#include "mcp/transport/url.h"

namespace swarm::mcp {

class Wire {
 public:
  virtual ~Wire() = default;
  // 0 at the end of the stream. Throws ErrorException{environment}.
  virtual Async<size_t> read_some(char* bytes, size_t bytes_max) = 0;
  virtual Async<> write(std::string_view bytes) = 0;
  // Whether the peer has closed it or sent something unasked: it cannot carry another request.
  virtual bool is_stale() = 0;
};

// Who may be talked to. A model's or a server's URL must not reach into the local network unless
// the configuration itself points there.
enum class Reach : uint8_t { anywhere, public_only };

struct WireOptions {
  Reach reach = Reach::anywhere;
  std::string ca_file;             // additional certificate authorities, PEM
};

// Certificates and settings shared by the connections of one client.
class WireContext {
 public:
  explicit WireContext(const WireOptions& options);
  ~WireContext();
  // Resolves, connects and, for https, shakes hands with verification of the host name. Tries every
  // address ("localhost" is ::1 and 127.0.0.1). Throws ErrorException{environment}.
  Async<std::unique_ptr<Wire>> connect(Url url, Executor executor);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Loopback, private, link-local, multicast, unspecified: nothing a stranger should send us to.
bool is_public(const boost::asio::ip::address& address);

}  // namespace swarm::mcp
