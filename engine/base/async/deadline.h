// engine/base/async/deadline.h — Waiting on a clock; the one way to bound an awaited operation.
// Nothing else in the code builds timeouts by hand. Any Clock works: with a SteadyClock one timer
// is set; any other clock is polled every millisecond of real time, so that tests may move a
// ManualClock from anywhere. Call on a strand or a single-threaded context.
#pragma once

#include <optional>
#include <type_traits>
#include <utility>

#include "engine/base/async/nursery.h"
#include "engine/base/async/task.h"
#include "engine/base/clock.h"
#include "engine/base/deadline.h"
#include "engine/base/error.h"

namespace swarm {

// The clock of this machine; immutable.
const Clock& steady_clock();

// Returns when clock.now() >= when. Cancellable.
Async<> wait_until(const Clock& clock, TimePoint when);

[[noreturn]] void throw_timeout();

// The task's result, or ErrorException{timeout} when the deadline passes first; the task is then
// cancelled and has ended when this returns. A result that arrives together with the deadline wins.
// A deadline that has passed already means the task is never begun. clock outlives the call.
template <class T>
Async<T> with_deadline(Async<T> task, Deadline deadline, const Clock& clock = steady_clock()) {
  if (deadline.is_never()) co_return co_await std::move(task);
  if (deadline.passed(clock.now())) throw_timeout();
  using Value = std::conditional_t<std::is_void_v<T>, bool, T>;
  std::optional<Value> value;
  bool timed_out = false;
  co_await with_nursery([&](Nursery& nursery) -> Async<> {
    nursery.start([&]() -> Async<> {
      try {
        if constexpr (std::is_void_v<T>) {
          co_await std::move(task);
          value = true;
        } else {
          T result = co_await std::move(task);
          value.emplace(std::move(result));
        }
      } catch (...) {
        if (!timed_out) throw;  // else: whatever it says, the deadline is the cause
      }
      nursery.cancel();
    });
    nursery.start([&]() -> Async<> {
      co_await wait_until(clock, deadline.when());
      timed_out = true;
      nursery.cancel();
    });
    co_return;
  });
  if (!value) throw_timeout();
  if constexpr (!std::is_void_v<T>) co_return std::move(*value);
}

}  // namespace swarm
