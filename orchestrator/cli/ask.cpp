#include "orchestrator/cli/ask.h"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <utility>

namespace swarm::cli {
namespace {

namespace net = boost::asio;

constexpr size_t kArgumentsMax = 300;
constexpr size_t kLineMax = 1000;

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

// The next line without its end; "" at the end of the input.
Async<std::string> read_line() {
  const KeepFlags keep(STDIN_FILENO);
  net::posix::stream_descriptor input(co_await net::this_coro::executor, ::dup(STDIN_FILENO));
  std::string line;
  while (line.size() < kLineMax) {
    boost::system::error_code code;
    co_await input.async_wait(net::posix::stream_descriptor::wait_read,
                              net::redirect_error(net::use_awaitable, code));
    if (code) throw boost::system::system_error(code);
    char byte = 0;
    const ssize_t got = ::read(STDIN_FILENO, &byte, 1);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (got <= 0 || byte == '\n') break;
    line += byte;
  }
  co_return line;
}

Async<run::Consent> ask(std::function<void(const std::string& line)> show,
                        std::function<void()> answered, run::Question question) {
  ::tcflush(STDIN_FILENO, TCIFLUSH);
  for (const std::string& line : question_lines(question)) show(line);
  const std::string line = co_await read_line();
  answered();
  if (line == "a" || line == "A" || line == "always") co_return run::Consent::always;
  const bool yes = line == "y" || line == "Y" || line == "yes";
  co_return yes ? run::Consent::yes : run::Consent::no;
}

}  // namespace

std::vector<std::string> question_lines(const run::Question& question) {
  // JSON escapes control characters, so nothing a model writes moves the cursor.
  std::string arguments = question.arguments.dump(-1, ' ', /*ensure_ascii=*/true,
                                                  Json::error_handler_t::replace);
  if (arguments.size() > kArgumentsMax) {
    arguments.resize(kArgumentsMax);
    arguments += "...";
  }
  return {question.agent + " wants to call " + question.tool + " " + arguments,
          "allow? y = yes, N = no, a = always in this run (rule: " + question.rule + ")"};
}

run::Ask make_ask(std::function<void(const std::string& line)> show,
                  std::function<void()> answered) {
  return [show = std::move(show), answered = std::move(answered)](run::Question question) {
    return ask(show, answered, std::move(question));
  };
}

}  // namespace swarm::cli
