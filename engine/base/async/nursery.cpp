#include "engine/base/async/nursery.h"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <list>

#include "engine/base/check.h"
#include "engine/base/error.h"

namespace swarm {
namespace net = boost::asio;

bool is_cancellation(const std::exception_ptr& failure) {
  if (!failure) return false;
  try {
    std::rethrow_exception(failure);
  } catch (const boost::system::system_error& e) {
    return e.code() == net::error::operation_aborted;
  } catch (const ErrorException& e) {
    return e.error().kind == ErrorKind::cancelled;
  } catch (...) {
    return false;
  }
}

Async<> yield_once() { co_await net::post(net::use_awaitable); }

Async<> shielded(Async<> task) {
  const auto executor = co_await net::this_coro::executor;
  const bool throws = co_await net::this_coro::throw_if_cancelled();
  co_await net::this_coro::throw_if_cancelled(false);
  std::exception_ptr failure;
  try {
    // The empty slot cuts the child off from the cancellation of this coroutine.
    co_await net::co_spawn(executor, std::move(task),
                           net::bind_cancellation_slot(net::cancellation_slot(),
                                                       net::use_awaitable));
  } catch (...) {
    failure = std::current_exception();
  }
  co_await net::this_coro::throw_if_cancelled(throws);
  if (failure) std::rethrow_exception(failure);
}

struct Nursery::Child {
  net::cancellation_signal signal;
  std::list<Child>::iterator self;
};

struct Nursery::State {
  explicit State(Executor e) : executor(std::move(e)), all_ended(executor) {
    all_ended.expires_at(net::steady_timer::time_point::max());
  }
  Executor executor;
  net::steady_timer all_ended;  // never expires; cancelled to wake join()
  std::list<Child> children;    // a child leaves only after its coroutine frame is gone
  std::exception_ptr first_failure;
  bool cancelled = false;
  bool owner_cancelled = false;
  bool joined = false;
};

Nursery::Nursery(Executor executor) : state_(std::make_shared<State>(std::move(executor))) {}

Nursery::~Nursery() = default;

namespace {

// The hop makes sure that a child has switched context before anything can cancel it: co_spawn of
// Boost 1.81 loses the completion of a cancelled coroutine that never suspended.
Async<> hop_then(Async<> child) {
  co_await net::post(net::use_awaitable);
  co_await std::move(child);
}

}  // namespace

void Nursery::start(Async<> child) {
  SWARM_CHECK(!state_->joined);
  state_->children.emplace_back();
  Child* entry = &state_->children.back();
  entry->self = std::prev(state_->children.end());
  net::co_spawn(state_->executor, hop_then(std::move(child)),
                net::bind_cancellation_slot(
                    entry->signal.slot(), [state = state_, entry](const std::exception_ptr& e) {
                      child_ended(state, entry, e);
                    }));
  if (state_->cancelled) entry->signal.emit(net::cancellation_type::terminal);
}

void Nursery::child_ended(const std::shared_ptr<State>& state, Child* child,
                          const std::exception_ptr& failure) {
  if (failure && !state->first_failure && !(state->cancelled && is_cancellation(failure)) &&
      !state->owner_cancelled) {
    state->first_failure = failure;
    // Not inline: we may be inside the loop of another cancel().
    net::post(state->executor, [state] {
      state->cancelled = true;
      for (Child& sibling : state->children)
        sibling.signal.emit(net::cancellation_type::terminal);
    });
  }
  // Posted, so that the frame that called us is gone before its signal and before join() returns.
  net::post(state->executor, [state, child] {
    state->children.erase(child->self);
    if (state->children.empty()) state->all_ended.cancel();
  });
}

void Nursery::cancel() {
  state_->cancelled = true;
  // Completions are posted, so no child leaves the list during this loop.
  for (Child& child : state_->children) child.signal.emit(net::cancellation_type::terminal);
}

void Nursery::note_failure(const std::exception_ptr& failure) {
  if (!state_->first_failure) state_->first_failure = failure;
  cancel();
}

Async<> Nursery::join() {
  State& state = *state_;
  while (true) {
    const auto requested = co_await net::this_coro::cancellation_state;
    if (requested.cancelled() != net::cancellation_type::none && !state.owner_cancelled) {
      state.owner_cancelled = !state.first_failure || is_cancellation(state.first_failure);
      cancel();
    }
    if (state.children.empty()) break;
    boost::system::error_code woken;
    co_await state.all_ended.async_wait(net::redirect_error(net::use_awaitable, woken));
  }
  state.joined = true;
}

void Nursery::rethrow() const {
  if (state_->owner_cancelled)
    throw boost::system::system_error(net::error::operation_aborted, "nursery");
  if (state_->first_failure) std::rethrow_exception(state_->first_failure);
}

bool Nursery::cancelled() const { return state_->cancelled; }
size_t Nursery::running() const { return state_->children.size(); }
const Executor& Nursery::executor() const { return state_->executor; }

}  // namespace swarm
