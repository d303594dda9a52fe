// Pages through our own client: no way into the private network, bounds, redirects.
#include "mcp/fetch.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "engine/base/async/run.h"

namespace swarm::mcp {
namespace {

// Answers each connection with the next text, then ends. Loopback only.
class PageServer {
 public:
  explicit PageServer(std::vector<std::string> answers) : answers_(std::move(answers)) {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    REQUIRE(::bind(fd_, reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(::listen(fd_, 16) == 0);
    ::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = std::to_string(ntohs(address.sin_port));
    thread_ = std::thread([this] { serve(); });
  }
  ~PageServer() {
    ::shutdown(fd_, SHUT_RDWR);
    thread_.join();
    ::close(fd_);
  }
  std::string port() const { return port_; }
  // Only after the client is done.
  int calls() const { return calls_; }

 private:
  void serve() {
    for (const std::string& answer : answers_) {
      pollfd wait{fd_, POLLIN, 0};
      if (::poll(&wait, 1, 5000) <= 0) return;
      const int peer = ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC);
      if (peer < 0) return;
      calls_ = calls_ + 1;
      char buffer[4096];
      [[maybe_unused]] const ssize_t got = ::recv(peer, buffer, sizeof buffer, 0);
      for (size_t sent = 0; sent < answer.size();) {
        const ssize_t count =
            ::send(peer, answer.data() + sent, answer.size() - sent, MSG_NOSIGNAL);
        if (count <= 0) break;
        sent += static_cast<size_t>(count);
      }
      ::close(peer);
    }
  }

  std::vector<std::string> answers_;
  int fd_ = -1;
  std::string port_;
  std::atomic<int> calls_{0};
  std::thread thread_;
};

std::string answer(const std::string& head, const std::string& body = "") {
  return "HTTP/1.1 " + head + "\r\nConnection: close\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::string why_not(const std::string& url, bool private_addresses) {
  try {
    const auto get = make_http_get(private_addresses);
    run_root(get(url, 1000));
    return "";
  } catch (const ErrorException& e) {
    return e.error().message;
  }
}

TEST_CASE("fetch: no address of a private network, however it is written") {
  PageServer server({answer("200 OK", "inside")});
  for (const std::string& host :
       {std::string("127.0.0.1"), std::string("localhost"), std::string("[::1]"),
        std::string("0.0.0.0"), std::string("2130706433"), std::string("127.1"),
        std::string("[::ffff:127.0.0.1]"), std::string("169.254.169.254"), std::string("10.0.0.1"),
        std::string("192.168.1.1"), std::string("[fd00::1]"), std::string("[fe80::1]")}) {
    CAPTURE(host);
    CHECK(why_not("http://" + host + ":" + server.port() + "/", false)
              .find("private network") != std::string::npos);
  }
  CHECK(server.calls() == 0);
  // The same request arrives where it is allowed.
  CHECK(why_not("http://127.0.0.1:" + server.port() + "/", true).empty());
  CHECK(server.calls() == 1);
}

TEST_CASE("fetch: other schemes and user names are refused before anything is sent") {
  for (const char* url : {"file:///etc/passwd", "ftp://h/", "gopher://h/", "http://user:pw@h/", ""})
    CHECK_FALSE(why_not(url, true).empty());
}

TEST_CASE("fetch: the page is what the redirects lead to, within their number") {
  PageServer server({answer("302 Found\r\nLocation: /b?c=d"),
                 answer("200 OK\r\nContent-Type: Text/Plain; charset=utf-8", "there")});
  const auto get = make_http_get(true);
  const tools::HttpPage page = run_root(get("http://127.0.0.1:" + server.port() + "/a", 1000));
  CHECK(page.status == 200);
  CHECK(page.body == "there");
  CHECK(page.content_type == "text/plain");
  CHECK(page.url == "http://127.0.0.1:" + server.port() + "/b?c=d");
  CHECK_FALSE(page.cut);
  PageServer loop(std::vector<std::string>(10, answer("301 Moved\r\nLocation: /")));
  CHECK(why_not("http://127.0.0.1:" + loop.port() + "/", true).find("more than 5 redirects") !=
        std::string::npos);
  CHECK(loop.calls() == 6);
}

TEST_CASE("fetch: a page that is too long is cut") {
  PageServer server({answer("200 OK", std::string(100000, 'x'))});
  const auto get = make_http_get(true);
  const tools::HttpPage page = run_root(get("http://127.0.0.1:" + server.port() + "/", 1000));
  CHECK(page.cut);
  CHECK(page.body.size() == 1000);
}

}  // namespace
}  // namespace swarm::mcp
