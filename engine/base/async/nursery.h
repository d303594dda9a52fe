// engine/base/async/nursery.h — Structured concurrency: children never outlive with_nursery().
//
//   co_await with_nursery([&](Nursery& nursery) -> Async<> {
//     for (Agent& agent : agents) nursery.start(agent.speak());
//     co_return;
//   });                                  // every child has ended here
//
// Children run on the owner's executor, which must be a strand or a single-threaded context; all
// members are called on it. The first failure cancels the siblings; with_nursery() joins on every
// path and then rethrows that failure, or operation_aborted when the owner was cancelled first.
// Cancelling the owner cancels body and children. A child that ends with operation_aborted after
// the nursery was cancelled has not failed.
#pragma once

#include <boost/asio/this_coro.hpp>
#include <cstddef>
#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

#include "engine/base/async/task.h"

namespace swarm {

// True for operation_aborted and for ErrorException{cancelled}: the two forms of "asked to end".
bool is_cancellation(const std::exception_ptr& failure);

// Lets everything else on the executor run once.
Async<> yield_once();

// Runs task to its end although the caller may be cancelled meanwhile; the request is seen again at
// the caller's next co_await. A caller that is cancelled already does not get this far: its
// co_await throws first. Clean-up therefore belongs into with_cleanup().
Async<> shielded(Async<> task);

// co_await body(); then, whatever happened, co_await cleanup() shielded from cancellation; then the
// outcome of body. Give the clean-up a bound of its own.
template <class Body, class Cleanup>
Async<> with_cleanup(Body body, Cleanup cleanup) {
  namespace this_coro = boost::asio::this_coro;
  std::exception_ptr failure;
  try {
    co_await body();
  } catch (...) {
    failure = std::current_exception();
  }
  const bool throws = co_await this_coro::throw_if_cancelled();
  co_await this_coro::throw_if_cancelled(false);
  co_await shielded(cleanup());
  co_await this_coro::throw_if_cancelled(throws);
  if (failure) std::rethrow_exception(failure);
}

class Nursery {
 public:
  explicit Nursery(Executor executor);
  // with_nursery() joins on every path, so children are left only when a whole context is torn down
  // with its coroutines; their frames die with it.
  ~Nursery();
  Nursery(const Nursery&) = delete;
  Nursery& operator=(const Nursery&) = delete;

  // The child begins when the caller suspends, never inside this call. Started in a cancelled
  // nursery it begins cancelled.
  void start(Async<> child);

  // body() -> Async<>; the callable lives as long as the child, so captures are safe.
  template <class Body>
    requires std::is_invocable_r_v<Async<>, Body&>
  void start(Body body) {
    start(keep_alive(std::move(body)));
  }

  // Asks all children to end. Idempotent; the owner is not cancelled.
  void cancel();

  bool cancelled() const;
  size_t running() const;
  const Executor& executor() const;

 private:
  struct State;
  struct Child;

  template <class Body>
  friend Async<> with_nursery(Body body);

  template <class Body>
  static Async<> keep_alive(Body body) {
    co_await body();
  }
  static void child_ended(const std::shared_ptr<State>& state, Child* child,
                          const std::exception_ptr& failure);
  void note_failure(const std::exception_ptr& failure);
  // Returns when no child is left. Must be awaited with throw_if_cancelled(false).
  Async<> join();
  // The outcome: first failure, operation_aborted, or nothing.
  void rethrow() const;

  // Shared with the completion handlers of the children, which may run during tear-down.
  std::shared_ptr<State> state_;
};

template <class Body>
Async<> with_nursery(Body body) {
  namespace this_coro = boost::asio::this_coro;
  Nursery nursery(co_await this_coro::executor);
  std::exception_ptr failure;
  try {
    co_await body(nursery);
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) nursery.note_failure(failure);
  const bool throws = co_await this_coro::throw_if_cancelled();
  co_await this_coro::throw_if_cancelled(false);
  co_await nursery.join();
  co_await this_coro::throw_if_cancelled(throws);
  nursery.rethrow();
}

}  // namespace swarm
