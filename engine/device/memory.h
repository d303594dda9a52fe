// engine/device/memory.h — Typed views and owners of device memory and of pinned host memory.
// A DeviceSpan is deliberately not a std::span: the host cannot read through it, on either backend.
// Views borrow; owners free when they die, before their Device. Bounds are checked (bugs stop).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>

#include "engine/base/check.h"
#include "engine/device/backend.h"

namespace swarm::engine::device {

inline constexpr size_t kAlignment = 256;   // of allocations and arena regions, in bytes

template <class T>
class DeviceSpan {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  constexpr DeviceSpan() = default;
  DeviceSpan(T* pointer, size_t count) : pointer_(pointer), count_(count) {}
  template <class U>
    requires(std::is_same_v<const U, T>)
  DeviceSpan(DeviceSpan<U> other) : pointer_(other.kernel_pointer()), count_(other.size()) {}

  size_t size() const { return count_; }
  size_t bytes() const { return count_ * sizeof(T); }
  bool empty() const { return count_ == 0; }

  DeviceSpan subspan(size_t offset, size_t count) const {
    SWARM_CHECK(offset <= count_, offset, count_);
    SWARM_CHECK(count <= count_ - offset, offset, count, count_);
    return {pointer_ + offset, count};
  }
  DeviceSpan first(size_t count) const { return subspan(0, count); }

  // The same bytes as another type; size and alignment must fit.
  template <class U>
  DeviceSpan<U> as() const {
    static_assert(std::is_const_v<U> || !std::is_const_v<T>);
    SWARM_CHECK(bytes() % sizeof(U) == 0, bytes(), sizeof(U));
    const auto address = reinterpret_cast<uintptr_t>(pointer_);
    SWARM_CHECK(address % alignof(U) == 0, address, alignof(U));
    return {reinterpret_cast<U*>(pointer_), bytes() / sizeof(U)};
  }

  // For kernel arguments and driver calls only: never dereferenced on the host.
  T* kernel_pointer() const { return pointer_; }

 private:
  T* pointer_ = nullptr;
  size_t count_ = 0;
};

// Owns `count` elements on a device. Made by Device::allocate.
template <class T>
class Buffer {
 public:
  Buffer() = default;
  Buffer(Handle handle, size_t count) : handle_(std::move(handle)), count_(count) {}

  DeviceSpan<T> span() const { return {static_cast<T*>(handle_.get()), size()}; }
  size_t size() const { return handle_ ? count_ : 0; }   // 0 once it was moved from

 private:
  Handle handle_;
  size_t count_ = 0;
};

// A view of page-locked host memory: the host may read it, and copies to and from it overlap.
template <class T>
class PinnedSpan {
 public:
  constexpr PinnedSpan() = default;
  PinnedSpan(T* data, size_t count) : data_(data), count_(count) {}
  template <class U>
    requires(std::is_same_v<const U, T>)
  PinnedSpan(PinnedSpan<U> other) : data_(other.data()), count_(other.size()) {}

  T* data() const { return data_; }
  size_t size() const { return count_; }
  T& operator[](size_t i) const {
    SWARM_DCHECK(i < count_, i, count_);
    return data_[i];
  }
  std::span<T> host() const { return {data_, count_}; }
  PinnedSpan subspan(size_t offset, size_t count) const {
    SWARM_CHECK(offset <= count_, offset, count_);
    SWARM_CHECK(count <= count_ - offset, offset, count, count_);
    return {data_ + offset, count};
  }
  PinnedSpan first(size_t count) const { return subspan(0, count); }

 private:
  T* data_ = nullptr;
  size_t count_ = 0;
};

// Owns page-locked host memory. Made by Device::allocate_pinned.
template <class T>
class PinnedBuffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  PinnedBuffer() = default;
  PinnedBuffer(Handle handle, size_t count) : handle_(std::move(handle)), count_(count) {}

  PinnedSpan<T> span() const { return {static_cast<T*>(handle_.get()), size()}; }
  size_t size() const { return handle_ ? count_ : 0; }   // 0 once it was moved from

 private:
  Handle handle_;
  size_t count_ = 0;
};

}  // namespace swarm::engine::device
