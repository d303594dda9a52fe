// engine/base/async/blocking.h — Blocking work (files, CPU-bound encoders) on a small thread pool,
// so that strands never block.
//
//   const std::string text = co_await run_blocking(pool, [path] { return read_all(path); });
//
// The callable runs on a pool thread; the result, or what it threw, comes back on the caller's
// executor. Work that has begun cannot be interrupted: a cancelled caller still waits for it.
#pragma once

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstddef>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "engine/base/async/nursery.h"
#include "engine/base/async/task.h"

namespace swarm {

class BlockingPool {
 public:
  explicit BlockingPool(size_t threads);
  // Waits for the work that has begun.
  ~BlockingPool();
  BlockingPool(const BlockingPool&) = delete;
  BlockingPool& operator=(const BlockingPool&) = delete;

  Executor executor() const;

 private:
  struct Threads;
  std::unique_ptr<Threads> threads_;
};

template <class Work, class R = std::invoke_result_t<Work&>>
Async<R> run_blocking(BlockingPool& pool, Work work) {
  using Value = std::conditional_t<std::is_void_v<R>, bool, R>;
  std::optional<Value> value;
  const auto on_pool = [&]() -> Async<> {
    if constexpr (std::is_void_v<R>) {
      work();
      value = true;
    } else {
      value.emplace(work());
    }
    co_return;
  };
  const auto call = [&]() -> Async<> {
    co_await boost::asio::co_spawn(pool.executor(), on_pool(), boost::asio::use_awaitable);
  };
  // Shielded: value and work live in this frame until the thread is done with them.
  co_await shielded(call());
  if constexpr (!std::is_void_v<R>) co_return std::move(*value);
}

}  // namespace swarm
