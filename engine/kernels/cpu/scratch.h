// engine/kernels/cpu/scratch.h — Memory that only grows: 64-byte aligned, contents not kept.
// Owned by one thread at a time.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>

#include "engine/base/check.h"

namespace swarm::engine::kernels {

class Scratch {
 public:
  // At least `bytes`; what was there before is lost when it has to grow.
  std::byte* reserve(size_t bytes) {
    if (bytes > bytes_) {
      const size_t rounded = (bytes + 63) / 64 * 64;
      data_.reset(static_cast<std::byte*>(std::aligned_alloc(64, rounded)));
      SWARM_CHECK(data_ != nullptr, rounded);
      bytes_ = rounded;
    }
    return data_.get();
  }
  template <class T>
  T* reserve_of(size_t count) { return reinterpret_cast<T*>(reserve(count * sizeof(T))); }
  std::byte* data() const { return data_.get(); }

 private:
  struct Free {
    void operator()(std::byte* data) const noexcept { std::free(data); }
  };
  std::unique_ptr<std::byte, Free> data_;
  size_t bytes_ = 0;
};

}  // namespace swarm::engine::kernels
