// engine/base/async/task.h — Async<T>: a coroutine that somebody awaits. Own target, not linked by
// the engine. Every coroutine has a parent (nursery.h); nothing is detached.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

namespace swarm {

template <class T = void>
using Async = boost::asio::awaitable<T>;

using Executor = boost::asio::any_io_executor;

}  // namespace swarm
