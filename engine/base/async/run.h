// engine/base/async/run.h — From plain code into coroutines: main() and tests, nobody else.
// Runs the root task on the calling thread until it has ended and returns its result or rethrows.
#pragma once

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#include "engine/base/async/task.h"
#include "engine/base/check.h"

namespace swarm {

// Drives `context` until it runs out of work; the task must have ended by then.
template <class T>
T run_root(boost::asio::io_context& context, Async<T> task) {
  using Value = std::conditional_t<std::is_void_v<T>, bool, T>;
  std::exception_ptr failure;
  std::optional<Value> value;
  bool ended = false;
  const auto finish = [&](const std::exception_ptr& e) {
    failure = e;
    ended = true;
  };
  if constexpr (std::is_void_v<T>) {
    boost::asio::co_spawn(context, std::move(task), finish);
  } else {
    boost::asio::co_spawn(context, std::move(task), [&](const std::exception_ptr& e, T result) {
      finish(e);
      if (!e) value.emplace(std::move(result));
    });
  }
  context.restart();
  context.run();
  SWARM_CHECK(ended);
  if (failure) std::rethrow_exception(failure);
  if constexpr (!std::is_void_v<T>) return std::move(*value);
}

template <class T>
T run_root(Async<T> task) {
  boost::asio::io_context context(1);
  return run_root(context, std::move(task));
}

}  // namespace swarm
