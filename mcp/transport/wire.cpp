#include "mcp/transport/wire.h"

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <vector>

#include "engine/base/async/deadline.h"

namespace swarm::mcp {
namespace net = boost::asio;
namespace {

using boost::system::error_code;
using net::ip::tcp;

constexpr std::chrono::seconds kConnectMax{10};  // per address, handshake included

[[noreturn]] void throw_network(const std::string& what, const error_code& code) {
  if (code == net::error::operation_aborted) throw boost::system::system_error(code);
  throw ErrorException(environment_error(what + ": " + code.message()));
}

// True if a byte or the end waits on a socket that should be silent.
bool has_news(tcp::socket& socket) {
  error_code code;
  socket.non_blocking(true, code);
  char byte = 0;
  const size_t got = socket.receive(net::buffer(&byte, 1), tcp::socket::message_peek, code);
  return got > 0 || (code && code != net::error::would_block && code != net::error::try_again);
}

template <class Stream>
class StreamWire final : public Wire {
 public:
  explicit StreamWire(Stream stream) : stream_(std::move(stream)) {}

  Async<size_t> read_some(char* bytes, size_t bytes_max) override {
    error_code code;
    const size_t got = co_await stream_.async_read_some(
        net::buffer(bytes, bytes_max), net::redirect_error(net::use_awaitable, code));
    if (code == net::error::eof || code == net::ssl::error::stream_truncated) co_return 0;
    if (code) throw_network("cannot read", code);
    co_return got;
  }

  Async<> write(std::string_view bytes) override {
    error_code code;
    co_await net::async_write(stream_, net::buffer(bytes),
                              net::redirect_error(net::use_awaitable, code));
    if (code) throw_network("cannot write", code);
  }

  bool is_stale() override { return has_news(socket()); }

 private:
  tcp::socket& socket() {
    if constexpr (std::is_same_v<Stream, tcp::socket>) {
      return stream_;
    } else {
      return stream_.next_layer();
    }
  }

  Stream stream_;
};

bool in_v4_range(uint32_t address, uint32_t range, int bits) {
  return (address >> (32 - bits)) == (range >> (32 - bits));
}

}  // namespace

struct WireContext::State {
  explicit State(const WireOptions& o) : options(o), tls(net::ssl::context::tls_client) {}
  WireOptions options;
  net::ssl::context tls;
};

WireContext::WireContext(const WireOptions& options) : state_(std::make_unique<State>(options)) {
  error_code ignored;
  state_->tls.set_options(net::ssl::context::default_workarounds | net::ssl::context::no_sslv2 |
                          net::ssl::context::no_sslv3 | net::ssl::context::no_tlsv1 |
                          net::ssl::context::no_tlsv1_1);
  state_->tls.set_default_verify_paths(ignored);
  state_->tls.set_verify_mode(net::ssl::verify_peer);
  if (options.ca_file.empty()) return;
  error_code code;
  state_->tls.load_verify_file(options.ca_file, code);
  if (code)
    throw ErrorException(environment_error("ca_file \"" + options.ca_file +
                                           "\": " + code.message()));
}

WireContext::~WireContext() = default;

bool is_public(const net::ip::address& address) {
  if (address.is_loopback() || address.is_multicast() || address.is_unspecified()) return false;
  if (address.is_v6()) {
    const auto v6 = address.to_v6();
    if (v6.is_v4_mapped()) return is_public(net::ip::make_address_v4(net::ip::v4_mapped, v6));
    const unsigned char first = v6.to_bytes()[0];
    return !v6.is_link_local() && !v6.is_site_local() && (first & 0xfe) != 0xfc;
  }
  const uint32_t v4 = address.to_v4().to_uint();
  struct Range {
    uint32_t base;
    int bits;
  };
  // RFC 6890: this network, private, shared, link-local, protocol, benchmark, reserved.
  constexpr Range kRanges[] = {{0x00000000, 8},  {0x0a000000, 8},  {0x64400000, 10},
                               {0xa9fe0000, 16}, {0xac100000, 12}, {0xc0000000, 24},
                               {0xc0a80000, 16}, {0xc6120000, 15}, {0xf0000000, 4}};
  for (const Range& range : kRanges)
    if (in_v4_range(v4, range.base, range.bits)) return false;
  return true;
}

namespace {

Async<std::vector<tcp::endpoint>> endpoints_of(const Url& url, const Executor& executor) {
  std::vector<tcp::endpoint> out;
  error_code code;
  if (const auto address = net::ip::make_address(url.host, code); !code) {
    out.emplace_back(address, url.port);
    co_return out;
  }
  if (is_loopback_name(url.host)) {
    out.emplace_back(net::ip::address_v4::loopback(), url.port);
    out.emplace_back(net::ip::address_v6::loopback(), url.port);
    co_return out;
  }
  tcp::resolver resolver(executor);
  const auto found =
      co_await resolver.async_resolve(url.host, std::to_string(url.port),
                                      net::redirect_error(net::use_awaitable, code));
  if (code) throw_network("cannot resolve \"" + url.host + "\"", code);
  for (const auto& entry : found) out.push_back(entry.endpoint());
  co_return out;
}

Async<tcp::socket> connect_one(tcp::endpoint endpoint, Executor executor) {
  tcp::socket socket(executor);
  error_code code;
  co_await socket.async_connect(endpoint, net::redirect_error(net::use_awaitable, code));
  if (code) throw_network("cannot connect to port " + std::to_string(endpoint.port()), code);
  socket.set_option(tcp::no_delay(true), code);
  co_return socket;
}

Async<std::unique_ptr<Wire>> shake_hands(tcp::socket socket, std::string host,
                                         net::ssl::context& tls) {
  net::ssl::stream<tcp::socket> stream(std::move(socket), tls);
  SSL_set_tlsext_host_name(stream.native_handle(), host.c_str());
  stream.set_verify_callback(net::ssl::host_name_verification(host));
  error_code code;
  co_await stream.async_handshake(net::ssl::stream_base::client,
                                  net::redirect_error(net::use_awaitable, code));
  if (code) throw_network("TLS with \"" + host + "\" failed", code);
  co_return std::make_unique<StreamWire<net::ssl::stream<tcp::socket>>>(std::move(stream));
}

Async<std::unique_ptr<Wire>> open_wire(tcp::endpoint endpoint, Url url, Executor executor,
                                       net::ssl::context& tls) {
  tcp::socket socket = co_await connect_one(endpoint, executor);
  if (url.tls()) co_return co_await shake_hands(std::move(socket), url.host, tls);
  co_return std::make_unique<StreamWire<tcp::socket>>(std::move(socket));
}

}  // namespace

Async<std::unique_ptr<Wire>> WireContext::connect(Url url, Executor executor) {
  const std::vector<tcp::endpoint> endpoints = co_await endpoints_of(url, executor);
  Error last = environment_error("\"" + url.host + "\" has no address");
  for (const tcp::endpoint& endpoint : endpoints) {
    if (state_->options.reach == Reach::public_only && !is_public(endpoint.address())) {
      last = environment_error("\"" + url.host + "\" is an address of a private network");
      continue;
    }
    try {
      const Deadline deadline = Deadline::after(steady_clock(), kConnectMax);
      co_return co_await with_deadline(open_wire(endpoint, url, executor, state_->tls), deadline);
    } catch (const ErrorException& e) {
      if (e.error().kind == ErrorKind::cancelled) throw;
      last = e.error().kind == ErrorKind::timeout
                 ? environment_error("no connection within " + std::to_string(kConnectMax.count()) +
                                     " s")
                 : e.error();
    }
  }
  throw ErrorException(environment_error(url.origin() + ": " + last.message));
}

}  // namespace swarm::mcp
