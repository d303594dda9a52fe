#include "tests/engine/kernels/cuda/card/card_memory.h"

#include <cuda_runtime_api.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>

namespace {

constexpr size_t kRegionBytes = size_t{256} << 20;   // the tests take some 40 MiB at most
constexpr size_t kHeaderBytes = 64;                // before each block
constexpr int kUnwritten = 0xff;                   // NaN in every float type, as simt::poison()

// In front of a block; the rest of the header is kUnwritten, as is everything up to the next one.
struct Header {
  size_t size_class = 0;               // the block has 2^size_class bytes
  size_t bytes = 0;                    // that were asked for
};

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

std::byte* header_of(void* block) { return static_cast<std::byte*>(block) - kHeaderBytes; }

void* new_block(size_t size_class) {
  const std::lock_guard lock(region.mutex);
  if (void* block = region.free[size_class]) {
    region.free[size_class] = *static_cast<void**>(block);
    return block;
  }
  const size_t needed = kHeaderBytes + (size_t{1} << size_class);
  if (region.used + needed > kRegionBytes) throw std::bad_alloc();
  std::byte* header = region.begin + region.used;
  region.used += needed;
  return header + kHeaderBytes;
}

// Everything between the blocks that were asked for is NaN: who reads beyond the end computes with
// it, and who writes there is found by give().
void* take(size_t bytes) {
  const Header header{static_cast<size_t>(std::bit_width((bytes < 64 ? 64 : bytes) - 1)), bytes};
  void* const block = new_block(header.size_class);
  std::memset(header_of(block), kUnwritten, kHeaderBytes);
  std::memcpy(header_of(block), &header, sizeof header);
  std::memset(static_cast<std::byte*>(block) + bytes, kUnwritten,
              (size_t{1} << header.size_class) - bytes);
  return block;
}

bool unwritten(const std::byte* from, const std::byte* to) {
  return std::all_of(from, to, [](std::byte b) { return b == std::byte{kUnwritten}; });
}

void give(void* block) {
  Header header;
  std::memcpy(&header, header_of(block), sizeof header);
  const auto* const begin = static_cast<const std::byte*>(block);
  if (!unwritten(header_of(block) + sizeof header, begin) ||
      !unwritten(begin + header.bytes, begin + (size_t{1} << header.size_class))) {
    constexpr char kReport[] = "memory around a block of a test was overwritten\n";
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, kReport, sizeof kReport - 1);
    std::abort();
  }
  const std::lock_guard lock(region.mutex);
  *static_cast<void**>(block) = region.free[header.size_class];
  region.free[header.size_class] = block;
}

}  // namespace

namespace swarm::test {

bool use_card_memory() {
  // Our own mapping, so that it outlives the driver, whose end comes before that of static objects.
  void* const memory = ::mmap(nullptr, kRegionBytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return false;
  void* seen_by_card = nullptr;
  if (cudaHostRegister(memory, kRegionBytes, cudaHostRegisterMapped) != cudaSuccess ||
      cudaHostGetDevicePointer(&seen_by_card, memory, 0) != cudaSuccess || seen_by_card != memory)
    return false;
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
