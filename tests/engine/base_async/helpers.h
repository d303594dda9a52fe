// tests/engine/base_async/helpers.h — Coroutines that wait, fail and count, and a cancellable root.
#pragma once

#include <doctest/doctest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>

#include "engine/base/async/nursery.h"

namespace swarm::test {

// Suspends until cancelled; notes that it has ended, also on cancellation.
inline Async<> forever(int& ended) {
  struct Count {
    int& count;
    ~Count() { ++count; }
  } on_exit{ended};
  boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor);
  timer.expires_at(boost::asio::steady_timer::time_point::max());
  co_await timer.async_wait(boost::asio::use_awaitable);
}

inline Async<> fail_with(std::string text) {
  co_await yield_once();
  throw std::runtime_error(text);
}

inline Async<int> number(int value, int turns) {
  for (int i = 0; i < turns; ++i) co_await yield_once();
  co_return value;
}

inline bool aborted(const std::exception_ptr& e) {
  try {
    if (e) std::rethrow_exception(e);
  } catch (const boost::system::system_error& error) {
    return error.code() == boost::asio::error::operation_aborted;
  }
  return false;
}

// Runs task as a root that can be cancelled by `cancel_when` becoming true.
inline std::exception_ptr run_cancelled(Async<> task,
                                        const std::function<bool()>& cancel_when) {
  boost::asio::io_context context(1);
  boost::asio::cancellation_signal signal;
  std::exception_ptr failure;
  bool ended = false;
  boost::asio::co_spawn(context, std::move(task),
                boost::asio::bind_cancellation_slot(signal.slot(),
                                                    [&](const std::exception_ptr& e) {
                                                      failure = e;
                                                      ended = true;
                                                    }));
  // Polls: the condition may also become true on another thread.
  while (!cancel_when() && !context.stopped())
    if (context.poll_one() == 0) std::this_thread::yield();
  signal.emit(boost::asio::cancellation_type::terminal);
  context.run();
  CHECK(ended);
  return failure;
}

}  // namespace swarm::test
