#include "engine/kernels/cuda/simt/block_runner.h"

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <utility>

#include "engine/base/check.h"

constinit thread_local uint3 threadIdx{};
constinit thread_local uint3 blockIdx{};
constinit thread_local uint3 blockDim{};
constinit thread_local uint3 gridDim{};

namespace swarm::simt {
namespace {

// Instrumented frames are several times as large.
constexpr size_t kStackBytes = (SIMT_ASAN || SIMT_TSAN ? 256 : 64) * 1024;
constexpr size_t kStackColours = 16;
constexpr size_t kStackColourBytes = 256;
constexpr size_t kSharedAlignment = 128;
constexpr uint32_t kAllLanes = 0xffffffffu;

constinit thread_local BlockRunner* running = nullptr;   // set while run() is on the stack

bool same(const char* a, const char* b) { return a == b || std::string_view(a) == b; }
bool same(Where a, Where b) {
  return a.line == b.line && same(a.file, b.file);
}

std::string text(Where where) {
  return std::string(where.file) + ":" + std::to_string(where.line);
}

}  // namespace

BlockRunner* current_runner() { return running; }

BlockRunner::BlockRunner() = default;
BlockRunner::~BlockRunner() = default;

void BlockRunner::prepare(const GridRun& grid, int64_t block) {
  grid_ = &grid;
  block_threads_ = grid.config.block;
  const auto threads = static_cast<size_t>(block_threads_);
  if (!stacks_ || stacks_->count() < block_threads_) {
    stacks_ = std::make_unique<FiberStacks>(block_threads_, kStackBytes);
    while (threads_.size() < threads) threads_.push_back(std::make_unique<Thread>());
    while (warps_.size() < threads / kWarp) warps_.push_back(std::make_unique<Warp>());
  }
  for (size_t i = 0; i < threads; ++i) {
    Thread& thread = *threads_[i];
    // Stacks begin at different places in their pages: else the busy ends of all of them fall into
    // the same few sets of the first-level cache.
    const size_t bytes = stacks_->stack_bytes() - i % kStackColours * kStackColourBytes;
    thread.fiber.start_on(stacks_->stack(static_cast<int>(i)), bytes, &entry);
    thread.group = 0;
    thread.copies.clear();
  }
  for (size_t i = 0; i < threads / kWarp; ++i) {
    warps_[i]->arrived = 0;
    warps_[i]->live = kAllLanes;
    warps_[i]->ready = kAllLanes;
    warps_[i]->at_barrier = 0;
  }
  live_ = block_threads_;
  at_barrier_ = 0;
  failure_ = {};
  random_state_ = grid.options.seed * 0x9e3779b97f4a7c15u + static_cast<uint64_t>(block);
  const auto nx = static_cast<uint64_t>(grid.config.grid.x);
  const auto ny = static_cast<uint64_t>(grid.config.grid.y);
  const auto index = static_cast<uint64_t>(block);
  blockIdx = {static_cast<unsigned>(index % nx), static_cast<unsigned>(index / nx % ny),
              static_cast<unsigned>(index / nx / ny)};
  blockDim = {static_cast<unsigned>(block_threads_), 1, 1};
  gridDim = {static_cast<unsigned>(nx), static_cast<unsigned>(ny),
             static_cast<unsigned>(grid.config.grid.z)};
}

Failure BlockRunner::run(const GridRun& grid, int64_t block) {
  const auto bytes = static_cast<size_t>(grid.config.shared_bytes);
  struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }
  };
  std::unique_ptr<std::byte, Free> shared;
  if (bytes > 0) {
    void* memory = nullptr;
    SWARM_CHECK(posix_memalign(&memory, kSharedAlignment, bytes) == 0, bytes);
    shared.reset(static_cast<std::byte*>(memory));
    const bool other = grid.options.order == Order::reverse ||
                       (grid.options.order == Order::random && grid.options.seed % 2 == 0);
    poison(shared.get(), bytes, other ? 1 : 0);
  }
  shared_ = shared.get();
  scheduler_.adopt();
  prepare(grid, block);
  running = this;
  schedule(grid.options.order);
  running = nullptr;
  for (int i = 0; i < block_threads_; ++i) {     // abandoned in the middle, after a failure
    Thread& thread = *threads_[static_cast<size_t>(i)];
    if (doing(i) == Doing::ended) continue;
    thread.fiber.release_for(&end_order_, scheduler_);
    thread.fiber.retire();
  }
  tsan_acquire(&end_order_);
  return std::exchange(failure_, {});
}

uint64_t BlockRunner::random() {       // splitmix64
  uint64_t z = random_state_ += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

// Warps in turn, each until all its lanes wait; in random order each gets one pass at a time.
void BlockRunner::schedule(Order order) {
  const int warps = block_threads_ / kWarp;
  while (live_ > 0 && failure_.message.empty()) {
    bool progress = false;
    const auto offset = order == Order::random
                            ? static_cast<int>(random() % static_cast<uint64_t>(warps)) : 0;
    const bool backwards = order == Order::reverse || (order == Order::random && random() % 2 == 0);
    for (int i = 0; i < warps && failure_.message.empty(); ++i) {
      const int turn = (i + offset) % warps;
      const int warp = backwards ? warps - 1 - turn : turn;
      while (pass_over_warp(warp, order) && failure_.message.empty()) {
        progress = true;
        if (order == Order::random) break;
      }
    }
    if (!progress && live_ > 0 && failure_.message.empty()) report_deadlock();
  }
}

// Resumes each lane that can go on, once. False when there was none.
bool BlockRunner::pass_over_warp(int warp, Order order) {
  Warp& state = *warps_[static_cast<size_t>(warp)];
  if (state.ready == 0) return false;
  // An odd stride visits every lane of 32 exactly once.
  unsigned first = 0, stride = 1;
  if (order == Order::reverse) first = kWarp - 1, stride = kWarp - 1;
  if (order == Order::random) {
    const uint64_t bits = random();
    first = bits % kWarp;
    stride = (bits >> 8) % kWarp | 1u;
  }
  for (unsigned i = 0; i < kWarp; ++i) {
    const unsigned lane = (first + i * stride) % kWarp;
    if ((state.ready >> lane & 1u) == 0) continue;
    resume(warp * kWarp + static_cast<int>(lane));
    if (!failure_.message.empty()) break;
  }
  return true;
}

void BlockRunner::resume(int thread) {
  current_ = thread;
  threadIdx = {static_cast<unsigned>(thread), 0, 0};
  ++switches_;
  threads_[static_cast<size_t>(thread)]->fiber.enter(scheduler_);
}

void BlockRunner::entry() {
  BlockRunner& self = *running;
  Thread& thread = *self.threads_[static_cast<size_t>(self.current_)];
  thread.fiber.entered(self.scheduler_);
  try {
    self.grid_->body();
  } catch (const std::exception& error) {
    self.failure_ = {std::string("the kernel threw: ") + error.what(), {}};
  } catch (...) {
    self.failure_ = {"the kernel threw", {}};
  }
  Warp& warp = *self.warps_[static_cast<size_t>(self.current_ / kWarp)];
  warp.ready &= ~(1u << self.current_ % kWarp);
  warp.live &= ~(1u << self.current_ % kWarp);
  --self.live_;
  tsan_release(&self.end_order_);
  if (self.live_ > 0 && self.at_barrier_ == self.live_) self.release_barrier();
  self.scheduler_.enter_for_good(thread.fiber);
  std::abort();                        // an ended fiber is never entered again
}

void BlockRunner::yield() {
  scheduler_.enter(threads_[static_cast<size_t>(current_)]->fiber);
}

void BlockRunner::release_barrier() {
  for (int i = 0; i < block_threads_ / kWarp; ++i) {
    Warp& warp = *warps_[static_cast<size_t>(i)];
    warp.ready |= std::exchange(warp.at_barrier, 0);
  }
  at_barrier_ = 0;
  barrier_phase_ ^= 1;
}

void BlockRunner::sync_threads(Where where) {
  if (at_barrier_ == 0) barrier_ = where;
  if (!same(barrier_, where)) {
    note("divergent barrier: " + thread_name() + " waits at " + text(where) +
             " while other threads of the block wait at " + text(barrier_), where);
    abandon();
  }
  void* order = &barrier_order_[barrier_phase_];
  tsan_release(order);
  Warp& warp = *warps_[static_cast<size_t>(current_ / kWarp)];
  warp.ready &= ~(1u << current_ % kWarp);
  warp.at_barrier |= 1u << current_ % kWarp;
  if (++at_barrier_ == live_) release_barrier();
  yield();
  tsan_acquire(order);
}

const LaneWords* BlockRunner::gather(const LaneWords& mine, const char* what, Where where,
                                     bool orders_memory) {
  const int lane = current_ % kWarp;
  Warp& warp = *warps_[static_cast<size_t>(current_ / kWarp)];
  if (warp.live != kAllLanes) {
    note(thread_name() + " calls " + what + " at " + text(where) + ", but " +
             std::to_string(kWarp - __builtin_popcount(warp.live)) +
             " lanes of its warp have left the kernel", where);
    abandon();
  }
  if (warp.arrived == 0) {
    warp.what = what;
    warp.where = where;
  }
  if (!same(warp.where, where) || !same(warp.what, what)) {
    note("divergent warp: " + thread_name() + " calls " + what + " at " + text(where) +
             " while other lanes of its warp wait in " + warp.what + " at " + text(warp.where),
         where);
    abandon();
  }
  const int phase = warp.phase;
  warp.words[phase][lane] = mine;
  if (orders_memory) tsan_release(&warp.order[phase]);
  warp.ready &= ~(1u << lane);
  if (++warp.arrived == kWarp) {
    warp.arrived = 0;
    warp.phase ^= 1;
    warp.ready = kAllLanes;
  }
  yield();
  if (orders_memory) tsan_acquire(&warp.order[phase]);
  return warp.words[phase];
}

void* BlockRunner::shared_memory(size_t bytes, Where where) {
  const auto have = static_cast<size_t>(grid_->config.shared_bytes);
  if (bytes != have) {
    note("the kernel has " + std::to_string(bytes) +
             " bytes of shared memory, launched with shared_bytes = " + std::to_string(have),
         where);
    abandon();
  }
  return shared_;
}

bool BlockRunner::is_shared(const void* pointer, size_t bytes, size_t alignment) const {
  const auto at = reinterpret_cast<uintptr_t>(pointer);
  const auto begin = reinterpret_cast<uintptr_t>(shared_);
  const auto have = static_cast<uintptr_t>(grid_->config.shared_bytes);
  return at % alignment == 0 && at >= begin && at + bytes <= begin + have;
}

void BlockRunner::async_push(const AsyncCopy& copy) {
  Thread& thread = *threads_[static_cast<size_t>(current_)];
  thread.copies.push_back({copy, thread.group});
}

void BlockRunner::async_commit() { ++threads_[static_cast<size_t>(current_)]->group; }

bool BlockRunner::async_pop(int groups_left, AsyncCopy& copy) {
  Thread& thread = *threads_[static_cast<size_t>(current_)];
  if (thread.copies.empty() || thread.copies.front().group >= thread.group - groups_left)
    return false;
  copy = thread.copies.front().copy;
  thread.copies.pop_front();
  return true;
}

void BlockRunner::note(std::string message, Where where) {
  failure_ = {std::move(message), where};
}

// Leaves the fiber where it is, without unwinding: its stack is used again from the start.
void BlockRunner::abandon() {
  scheduler_.enter_for_good(threads_[static_cast<size_t>(current_)]->fiber);
  std::abort();
}

std::string BlockRunner::thread_name() const {
  return "block (" + std::to_string(blockIdx.x) + ", " + std::to_string(blockIdx.y) + ", " +
         std::to_string(blockIdx.z) + ") thread " + std::to_string(current_);
}

void BlockRunner::report_deadlock() {
  const std::string block = "block (" + std::to_string(blockIdx.x) + ", " +
                            std::to_string(blockIdx.y) + ", " + std::to_string(blockIdx.z) + ")";
  failure_ = {"deadlock in " + block + ": " + waiting_threads(), {}};
}

BlockRunner::Doing BlockRunner::doing(int thread) const {
  const Warp& warp = *warps_[static_cast<size_t>(thread / kWarp)];
  const uint32_t lane = 1u << thread % kWarp;
  if ((warp.live & lane) == 0) return Doing::ended;
  if ((warp.at_barrier & lane) != 0) return Doing::waits_at_barrier;
  return (warp.ready & lane) != 0 ? Doing::runs : Doing::waits_in_collective;
}

// "threads 0-15 wait in shuffle at a.cu:7; threads 16-31 ended": runs of neighbours that do the
// same. A warp waits in one collective at a time, the block at one barrier.
std::string BlockRunner::waiting_threads() const {
  std::string out;
  for (int begin = 0; begin < block_threads_;) {
    const Doing now = doing(begin);
    int end = begin + 1;
    while (end < block_threads_ && doing(end) == now &&
           (now != Doing::waits_in_collective || end % kWarp != 0))
      ++end;
    const Warp& warp = *warps_[static_cast<size_t>(begin / kWarp)];
    out += out.empty() ? "" : "; ";
    out += "threads " + std::to_string(begin) + "-" + std::to_string(end - 1);
    if (now == Doing::ended) out += " ended";
    if (now == Doing::runs) out += " run";
    if (now == Doing::waits_at_barrier) out += " wait in barrier at " + text(barrier_);
    if (now == Doing::waits_in_collective)
      out += " wait in " + std::string(warp.what) + " at " + text(warp.where);
    begin = end;
  }
  return out;
}

}  // namespace swarm::simt
