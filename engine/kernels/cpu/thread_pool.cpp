#include "engine/kernels/cpu/thread_pool.h"

#include <immintrin.h>

#include "engine/base/check.h"

namespace swarm::engine::kernels {
namespace {

// Rounds follow each other within microseconds during a forward pass, so a short spin saves the
// price of sleeping and waking; it stays short because other programs want the cores too.
constexpr int kSpins = 4000;

template <class Value>
void wait_while_equal(std::atomic<Value>& value, Value old) {
  for (int i = 0; i < kSpins; ++i) {
    if (value.load(std::memory_order_acquire) != old) return;
    _mm_pause();
  }
  value.wait(old, std::memory_order_acquire);
}

}  // namespace

ThreadPool::ThreadPool(int32_t threads) {
  SWARM_CHECK(threads >= 1, threads);
  for (int32_t i = 1; i < threads; ++i) {
    workers_.emplace_back([this, i] { work(i); });
  }
}

ThreadPool::~ThreadPool() {
  stop_.store(true, std::memory_order_relaxed);
  round_.fetch_add(1, std::memory_order_release);
  round_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run_erased(int32_t tasks, Call call, void* context) {
  if (workers_.empty() || tasks <= 1) {
    for (int32_t task = 0; task < tasks; ++task) call(context, task, 0);
    return;
  }
  call_ = call;
  context_ = context;
  tasks_ = tasks;
  pending_.store(tasks, std::memory_order_relaxed);
  left_.store(tasks, std::memory_order_release);
  round_.fetch_add(1, std::memory_order_release);
  round_.notify_all();
  take_tasks(0);
  for (int32_t pending = pending_.load(std::memory_order_acquire); pending != 0;
       pending = pending_.load(std::memory_order_acquire)) {
    wait_while_equal(pending_, pending);
  }
}

void ThreadPool::work(int32_t thread) {
  uint32_t seen = 0;
  for (;;) {
    wait_while_equal(round_, seen);
    seen = round_.load(std::memory_order_acquire);
    if (stop_.load(std::memory_order_relaxed)) return;
    take_tasks(thread);
  }
}

// A worker that comes late, even from an earlier round, takes tasks of the round that is open now:
// whatever it takes is published together with left_.
void ThreadPool::take_tasks(int32_t thread) {
  for (;;) {
    const int32_t left = left_.fetch_sub(1, std::memory_order_acq_rel);
    if (left <= 0) return;
    call_(context_, tasks_ - left, thread);
    if (pending_.fetch_sub(1, std::memory_order_acq_rel) == 1) pending_.notify_one();
  }
}

}  // namespace swarm::engine::kernels
