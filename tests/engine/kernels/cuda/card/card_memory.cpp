#include "tests/engine/kernels/cuda/card/card_memory.h"

#include <cuda_runtime_api.h>

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <new>

namespace {

constexpr size_t kRegionBytes = size_t{8} << 30;   // address space; pages come when touched
constexpr size_t kHeaderBytes = 64;                // before each block: its size class

// One region cut from the front; freed blocks wait in lists by power of two.
struct Region {
  std::mutex mutex;
  std::byte* begin = nullptr;
  size_t used = 0;
  std::array<void*, 64> free = {};
};
constinit Region region;
constinit std::atomic<bool> active{false};

bool owns(const void* memory) {
  const auto* at = static_cast<const std::byte*>(memory);
  return region.begin != nullptr && at >= region.begin && at < region.begin + kRegionBytes;
}

void* take(size_t bytes) {
  const auto size_class = static_cast<size_t>(std::bit_width((bytes < 64 ? 64 : bytes) - 1));
  const std::lock_guard lock(region.mutex);
  if (void* block = region.free[size_class]) {
    region.free[size_class] = *static_cast<void**>(block);
    return block;
  }
  const size_t needed = kHeaderBytes + (size_t{1} << size_class);
  if (region.used + needed > kRegionBytes) throw std::bad_alloc();
  std::byte* header = region.begin + region.used;
  region.used += needed;
  *reinterpret_cast<size_t*>(header) = size_class;
  return header + kHeaderBytes;
}

void give(void* block) {
  const size_t size_class = *reinterpret_cast<size_t*>(static_cast<std::byte*>(block) -
                                                       kHeaderBytes);
  const std::lock_guard lock(region.mutex);
  *static_cast<void**>(block) = region.free[size_class];
  region.free[size_class] = block;
}

}  // namespace

namespace swarm::test {

bool use_card_memory() {
  void* memory = nullptr;
  if (cudaMallocManaged(&memory, kRegionBytes, cudaMemAttachGlobal) != cudaSuccess) return false;
  region.begin = static_cast<std::byte*>(memory);
  active = true;
  return true;
}

}  // namespace swarm::test

void* operator new(size_t bytes) {
  if (active) return take(bytes);
  if (void* memory = std::malloc(bytes == 0 ? 1 : bytes)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept {
  if (owns(memory)) give(memory);
  else std::free(memory);
}
void operator delete(void* memory, size_t) noexcept { operator delete(memory); }
