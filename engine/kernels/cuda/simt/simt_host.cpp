#include "engine/kernels/cuda/simt/simt_host.h"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/base/check.h"
#include "engine/kernels/cuda/simt/block_runner.h"
#include "engine/kernels/cuda/simt/emulator.h"

namespace swarm::simt {

// The OS threads of an Emulator. The calling thread works too; helpers sleep between launches.
class Emulator::Pool {
 public:
  explicit Pool(int threads) : runners_(static_cast<size_t>(threads)) {
    for (auto& runner : runners_) runner = std::make_unique<BlockRunner>();
    for (size_t i = 1; i < runners_.size(); ++i)
      helpers_.emplace_back([this, i] { help(*runners_[i]); });
  }

  ~Pool() {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    wake_.notify_all();
    for (std::thread& helper : helpers_) helper.join();
  }

  Failure run(const GridRun& grid, int64_t blocks) {
    const bool alone = helpers_.empty() || blocks == 1;
    {
      const std::lock_guard lock(mutex_);
      grid_ = &grid;
      blocks_ = blocks;
      next_ = 0;
      failure_ = {};
      if (!alone) {
        ++launch_;
        busy_ = static_cast<int>(helpers_.size());
      }
    }
    if (!alone) wake_.notify_all();
    take_blocks(*runners_[0]);
    std::unique_lock lock(mutex_);
    done_.wait(lock, [this] { return busy_ == 0; });
    return std::exchange(failure_, {});
  }

  uint64_t switches() const {
    uint64_t sum = 0;
    for (const auto& runner : runners_) sum += runner->switches();
    return sum;
  }

 private:
  void help(BlockRunner& runner) {
    uint64_t seen = 0;
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [&] { return ending_ || launch_ != seen; });
      if (ending_) return;
      seen = launch_;
      lock.unlock();
      take_blocks(runner);
      lock.lock();
      if (--busy_ == 0) done_.notify_all();
    }
  }

  void take_blocks(BlockRunner& runner) {
    for (;;) {
      const int64_t turn = next_.fetch_add(1, std::memory_order_relaxed);
      if (turn >= blocks_) return;
      const bool backwards = grid_->options.order == Order::reverse;
      Failure failure = runner.run(*grid_, backwards ? blocks_ - 1 - turn : turn);
      if (failure.message.empty()) continue;
      const std::lock_guard lock(mutex_);
      if (failure_.message.empty()) failure_ = std::move(failure);
      next_ = blocks_;                 // nobody starts another block
    }
  }

  std::vector<std::unique_ptr<BlockRunner>> runners_;
  std::vector<std::thread> helpers_;
  std::mutex mutex_;
  std::condition_variable wake_, done_;
  const GridRun* grid_ = nullptr;
  int64_t blocks_ = 0;
  std::atomic<int64_t> next_{0};
  Failure failure_;
  uint64_t launch_ = 0;
  int busy_ = 0;
  bool ending_ = false;
};

namespace {

int thread_count(int wanted) {
  if (wanted > 0) return wanted;
  const unsigned cores = std::thread::hardware_concurrency();
  return cores == 0 ? 1 : static_cast<int>(cores);
}

void check_config(const Config& config) {
  SWARM_CHECK(config.stream != nullptr, "a launch names its stream");
  SWARM_CHECK(current_runner() == nullptr, "a kernel does not launch kernels");
  SWARM_CHECK(config.block > 0 && config.block <= kThreadsMax, config.block);
  SWARM_CHECK(config.block % kWarp == 0, config.block);
  SWARM_CHECK(config.grid.x > 0 && config.grid.x <= 0x7fffffff, config.grid.x);
  SWARM_CHECK(config.grid.y > 0 && config.grid.y <= 65535, config.grid.y);
  SWARM_CHECK(config.grid.z > 0 && config.grid.z <= 65535, config.grid.z);
  SWARM_CHECK(config.shared_bytes >= 0 && config.shared_bytes <= kSharedBytesMax,
              config.shared_bytes);
}

BlockRunner& runner() {
  BlockRunner* runner = current_runner();
  SWARM_CHECK(runner != nullptr, "device code runs inside simt::launch only");
  return *runner;
}

}  // namespace

Emulator::Emulator(const EmulatorOptions& options)
    : options_(options), pool_(std::make_unique<Pool>(thread_count(options.threads))) {}
Emulator::~Emulator() = default;

Stream Emulator::stream() { return stream_.handle(); }
uint64_t Emulator::switches() const { return pool_->switches(); }

int orders_at_most() { return kOrders; }

inline namespace emulated {

void run_grid(const Config& config, std::function<void()> body) {
  check_config(config);
  auto& stream = *reinterpret_cast<EmulatedStream*>(config.stream);
  auto run = [grid = GridRun{config, std::move(body), stream.emulator.options()},
              emulator = &stream.emulator] {
    const int64_t blocks = grid.config.grid.x * grid.config.grid.y * grid.config.grid.z;
    const Failure failure = emulator->pool().run(grid, blocks);
    if (!failure.message.empty())
      check_failed("emulated kernel", failure.where.file, failure.where.line,
                   " " + failure.message);
  };
  if (stream.defer) stream.defer(std::move(run));
  else run();
}

void sync_threads(Where where) { runner().sync_threads(where); }
void sync_warp(Where where) { runner().gather({}, "sync_warp", where, true); }
void fail(std::string_view message, Where where) {
  runner().note(std::string(message), where);
  runner().abandon();
}
void* shared_memory(size_t bytes, Where where) { return runner().shared_memory(bytes, where); }
const LaneWords* gather(const LaneWords& mine, const char* what, Where where) {
  return runner().gather(mine, what, where, false);
}
void expect_shared(const void* pointer, size_t bytes, size_t alignment, const char* what,
                   Where where) {
  if (!runner().is_shared(pointer, bytes, alignment)) {
    runner().note(std::string(what) + ": expected an address in shared memory aligned to " +
                      std::to_string(alignment) + " bytes", where);
    runner().abandon();
  }
}
void fence() {
  void* order = runner().grid_order();
  tsan_release(order);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  tsan_acquire(order);
}
void async_push(const AsyncCopy& copy) { runner().async_push(copy); }
void async_commit() { runner().async_commit(); }
bool async_pop(int groups_left, AsyncCopy& copy) { return runner().async_pop(groups_left, copy); }

}  // namespace emulated
}  // namespace swarm::simt
