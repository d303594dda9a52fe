#include "engine/base/async/deadline.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace swarm {
namespace net = boost::asio;

const Clock& steady_clock() {
  static const SteadyClock clock;
  return clock;
}

Async<> wait_until(const Clock& clock, TimePoint when) {
  constexpr std::chrono::milliseconds kPoll{1};
  const bool real = dynamic_cast<const SteadyClock*>(&clock) != nullptr;
  net::steady_timer timer(co_await net::this_coro::executor);
  while (clock.now() < when) {
    if (real)
      timer.expires_at(when);
    else
      timer.expires_after(kPoll);
    co_await timer.async_wait(net::use_awaitable);
  }
}

void throw_timeout() {
  throw ErrorException(Error{.kind = ErrorKind::timeout, .message = "the deadline passed"});
}

}  // namespace swarm
