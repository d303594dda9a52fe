// engine/kernels/cpu/thread_pool.h — Fixed threads that share out numbered tasks.
// run() hands out task numbers through one counter and returns when all are done; the caller works
// too and never waits for a thread that has taken nothing, so a machine busy with other programs
// costs little. Which thread takes which task is not fixed: a task must own its outputs completely,
// then results cannot depend on the number of threads. No allocation per call. One thread calls
// run() at a time; tasks must not throw and must not call run().
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <type_traits>
#include <vector>

namespace swarm::engine::kernels {

class ThreadPool {
 public:
  explicit ThreadPool(int32_t threads);   // >= 1, the caller included
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // body(task, thread): task in [0, tasks), thread in [0, threads()).
  template <class Body>
  void run(int32_t tasks, Body&& body) {
    using Plain = std::remove_reference_t<Body>;
    run_erased(tasks, [](void* context, int32_t task, int32_t thread) {
      (*static_cast<Plain*>(context))(task, thread);
    }, const_cast<void*>(static_cast<const void*>(&body)));
  }

  int32_t threads() const { return static_cast<int32_t>(workers_.size()) + 1; }

 private:
  using Call = void (*)(void* context, int32_t task, int32_t thread);
  void run_erased(int32_t tasks, Call call, void* context);
  void work(int32_t thread);
  void take_tasks(int32_t thread);

  // Written by the caller before it publishes left_, and not again before pending_ is zero; read
  // only by a thread that has taken a task, which keeps pending_ above zero.
  Call call_ = nullptr;
  void* context_ = nullptr;
  int32_t tasks_ = 0;

  alignas(64) std::atomic<uint32_t> round_{0};     // rises when there is news for sleeping workers
  alignas(64) std::atomic<int32_t> left_{0};       // tasks nobody has taken; may go below zero
  alignas(64) std::atomic<int32_t> pending_{0};    // tasks that are not done
  std::atomic<bool> stop_{false};
  std::vector<std::thread> workers_;
};

}  // namespace swarm::engine::kernels
