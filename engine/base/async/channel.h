// engine/base/async/channel.h — A bounded queue between coroutines, also between strands and
// threads. FIFO in values and in waiters. Overflow policy: send() waits for room, try_send()
// refuses. Thread-safe; the channel outlives its users. Cancelling a waiting send or receive ends
// it with operation_aborted and loses nothing.
// Own code: asio's experimental channel drops buffered values and forgets waiting senders on
// close() in Boost 1.81.
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "engine/base/async/task.h"
#include "engine/base/error.h"

namespace swarm {

namespace channel_detail {

// One suspended coroutine. wake() may be called from any thread, once.
class Sleeper {
 public:
  explicit Sleeper(Executor executor);
  ~Sleeper();
  Sleeper(const Sleeper&) = delete;
  Sleeper& operator=(const Sleeper&) = delete;

  // Returns when woken or when the caller is cancelled; never throws.
  static Async<> suspend(std::shared_ptr<Sleeper> self);
  static void wake(std::shared_ptr<Sleeper> self);

 private:
  struct Timer;
  std::unique_ptr<Timer> timer_;
};

Async<Executor> own_executor();
[[noreturn]] void throw_aborted();
[[noreturn]] void throw_closed();

}  // namespace channel_detail

template <class T>
class Channel {
 public:
  // capacity: name it ..._max where it is configured; 0 = a rendezvous.
  explicit Channel(size_t capacity) : capacity_(capacity) {}

  // Throws ErrorException{cancelled} when the channel is or becomes closed.
  Async<> send(T value) {
    const Executor executor = co_await channel_detail::own_executor();
    std::shared_ptr<Waiter> waiter;  // shared: the list, and this frame
    {
      const std::lock_guard lock(mutex_);
      if (closed_) channel_detail::throw_closed();
      if (accept(value)) co_return;
      waiter = std::make_shared<Waiter>(executor);
      waiter->value.emplace(std::move(value));
      senders_.push_back(waiter);
    }
    co_await channel_detail::Sleeper::suspend(waiter);
    const std::lock_guard lock(mutex_);
    if (waiter->settled && waiter->value) channel_detail::throw_closed();
    if (waiter->settled) co_return;
    std::erase(senders_, waiter);
    channel_detail::throw_aborted();
  }

  // False when the channel is full or closed.
  bool try_send(T value) {
    const std::lock_guard lock(mutex_);
    return !closed_ && accept(value);
  }

  // The next value; nullopt once the channel is closed and drained.
  Async<std::optional<T>> receive() {
    const Executor executor = co_await channel_detail::own_executor();
    std::shared_ptr<Waiter> waiter;  // shared: the list, and this frame
    {
      const std::lock_guard lock(mutex_);
      if (std::optional<T> value = take()) co_return value;
      if (closed_) co_return std::nullopt;
      waiter = std::make_shared<Waiter>(executor);
      receivers_.push_back(waiter);
    }
    co_await channel_detail::Sleeper::suspend(waiter);
    const std::lock_guard lock(mutex_);
    if (waiter->settled) co_return std::move(waiter->value);
    std::erase(receivers_, waiter);
    channel_detail::throw_aborted();
  }

  // nullopt when nothing is there now.
  std::optional<T> try_receive() {
    const std::lock_guard lock(mutex_);
    return take();
  }

  // No more sends; what is queued can still be received, waiting sends fail. Idempotent.
  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    while (!senders_.empty()) settle(senders_);
    while (!receivers_.empty()) settle(receivers_);
  }

  bool is_open() const {
    const std::lock_guard lock(mutex_);
    return !closed_;
  }
  size_t size() const {
    const std::lock_guard lock(mutex_);
    return values_.size();
  }

 private:
  // settled: whoever took it from its list has decided. A sender still holding its value then was
  // refused; a receiver without a value then has seen the end.
  struct Waiter : channel_detail::Sleeper {
    using Sleeper::Sleeper;
    std::optional<T> value;
    bool settled = false;
  };
  using Waiters = std::deque<std::shared_ptr<Waiter>>;

  static std::shared_ptr<Waiter> settle(Waiters& waiters) {
    std::shared_ptr<Waiter> first = std::move(waiters.front());
    waiters.pop_front();
    first->settled = true;
    channel_detail::Sleeper::wake(first);
    return first;
  }

  bool accept(T& value) {
    if (!receivers_.empty()) {  // then nothing is queued
      settle(receivers_)->value.emplace(std::move(value));
      return true;
    }
    if (values_.size() >= capacity_) return false;
    values_.push_back(std::move(value));
    return true;
  }

  std::optional<T> take() {
    std::optional<T> out;
    if (!values_.empty()) {
      out.emplace(std::move(values_.front()));
      values_.pop_front();
    }
    if (senders_.empty()) return out;
    const std::shared_ptr<Waiter> sender = settle(senders_);
    if (out)
      values_.push_back(std::move(*sender->value));
    else
      out.emplace(std::move(*sender->value));
    sender->value.reset();
    return out;
  }

  mutable std::mutex mutex_;
  const size_t capacity_;
  bool closed_ = false;
  std::deque<T> values_;
  Waiters senders_, receivers_;
};

}  // namespace swarm
