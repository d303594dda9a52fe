#include "orchestrator/cli/typed_line.h"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>

namespace swarm::cli {
namespace {

namespace net = boost::asio;

constexpr size_t kLineMax = 4000;

// The reactor makes the terminal non-blocking for everybody who shares it.
class KeepFlags {
 public:
  explicit KeepFlags(int fd) : fd_(fd), flags_(::fcntl(fd, F_GETFL)) {}
  ~KeepFlags() {
    if (flags_ >= 0) ::fcntl(fd_, F_SETFL, flags_);
  }

 private:
  int fd_, flags_;
};

}  // namespace

Async<Desk::Turn> Desk::turn() {
  co_await turns_.receive();
  ::tcflush(STDIN_FILENO, TCIFLUSH);
  co_return Turn(turns_);
}

Async<std::optional<std::string>> Desk::read() {
  const KeepFlags keep(STDIN_FILENO);
  net::posix::stream_descriptor input(co_await net::this_coro::executor, ::dup(STDIN_FILENO));
  std::string line;
  bool ended = false;
  while (line.size() < kLineMax) {
    boost::system::error_code code;
    co_await input.async_wait(net::posix::stream_descriptor::wait_read,
                              net::redirect_error(net::use_awaitable, code));
    if (code) throw boost::system::system_error(code);
    char byte = 0;
    const ssize_t got = ::read(STDIN_FILENO, &byte, 1);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    ended = got <= 0;
    if (ended || byte == '\n') break;
    line += byte;
  }
  answered_();
  if (ended && line.empty()) co_return std::nullopt;
  co_return line;
}

}  // namespace swarm::cli
