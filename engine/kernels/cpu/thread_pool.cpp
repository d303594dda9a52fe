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
  stop_ = true;
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
  next_.store(0, std::memory_order_relaxed);
  busy_.store(static_cast<int32_t>(workers_.size()), std::memory_order_relaxed);
  round_.fetch_add(1, std::memory_order_release);
  round_.notify_all();
  take_tasks(0);
  for (int32_t left = busy_.load(std::memory_order_acquire); left != 0;
       left = busy_.load(std::memory_order_acquire)) {
    wait_while_equal(busy_, left);
  }
}

void ThreadPool::work(int32_t thread) {
  uint32_t seen = 0;
  for (;;) {
    wait_while_equal(round_, seen);
    const uint32_t round = round_.load(std::memory_order_acquire);
    if (round == seen) continue;   // woken without news
    seen = round;
    if (stop_) return;
    take_tasks(thread);
    if (busy_.fetch_sub(1, std::memory_order_acq_rel) == 1) busy_.notify_one();
  }
}

void ThreadPool::take_tasks(int32_t thread) {
  for (;;) {
    const int32_t task = next_.fetch_add(1, std::memory_order_relaxed);
    if (task >= tasks_) return;
    call_(context_, task, thread);
  }
}

}  // namespace swarm::engine::kernels
