#include "engine/base/async/channel.h"

#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace swarm::channel_detail {
namespace net = boost::asio;

// Never expires; cancelled to wake.
struct Sleeper::Timer {
  explicit Timer(Executor executor)
      : timer(std::move(executor), net::steady_timer::time_point::max()) {}
  net::steady_timer timer;
};

Sleeper::Sleeper(Executor executor) : timer_(std::make_unique<Timer>(std::move(executor))) {}
Sleeper::~Sleeper() = default;

Async<> Sleeper::suspend(std::shared_ptr<Sleeper> self) {
  boost::system::error_code woken;
  co_await self->timer_->timer.async_wait(net::redirect_error(net::use_awaitable, woken));
}

void Sleeper::wake(std::shared_ptr<Sleeper> self) {
  // On the sleeper's own executor, hence after its wait has begun: nothing runs there between
  // entering the list and suspending.
  const auto executor = self->timer_->timer.get_executor();
  net::post(executor, [self = std::move(self)] { self->timer_->timer.cancel(); });
}

Async<Executor> own_executor() { co_return co_await net::this_coro::executor; }

void throw_aborted() {
  throw boost::system::system_error(net::error::operation_aborted, "channel");
}

void throw_closed() {
  throw ErrorException(Error{.kind = ErrorKind::cancelled, .message = "the channel is closed"});
}

}  // namespace swarm::channel_detail
