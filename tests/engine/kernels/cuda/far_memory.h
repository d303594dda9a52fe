// tests/engine/kernels/cuda/far_memory.h — Gigabytes of address space of which only what is touched
// exists: for kernel arguments that lie beyond 2^32 bytes. Emulator only (a card cannot read it).
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>

#include "engine/base/check.h"

namespace swarm::test {

class FarMemory {
 public:
  explicit FarMemory(size_t bytes) : bytes_(bytes) {
    void* const memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    SWARM_CHECK(memory != MAP_FAILED, bytes);
    data_ = static_cast<uint8_t*>(memory);
  }
  ~FarMemory() { ::munmap(data_, bytes_); }
  FarMemory(const FarMemory&) = delete;
  FarMemory& operator=(const FarMemory&) = delete;

  uint8_t* data() const { return data_; }

 private:
  uint8_t* data_ = nullptr;
  size_t bytes_;
};

}  // namespace swarm::test
