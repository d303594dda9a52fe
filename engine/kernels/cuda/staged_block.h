// engine/kernels/cuda/staged_block.h — Small things for the device, written one behind the other
// into page-locked memory and sent with one copy. Each piece is 16-byte aligned. Borrows stream and
// device memory; one thread.
#pragma once

#include <algorithm>
#include <span>

#include "engine/device/device.h"

namespace swarm::engine::kernels::cuda {

class StagedBlock {
 public:
  static constexpr size_t kAlignment = 16;
  // What a piece of `count` takes, for sizing the block.
  template <class T>
  static constexpr size_t bytes_of(size_t count) {
    return (count * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
  }

  StagedBlock(device::Stream& stream, device::PinnedBuffer<std::byte> block, device::Event sent)
      : stream_(&stream), block_(std::move(block)), sent_(std::move(sent)) {}

  static Result<StagedBlock> make(device::Device& device, device::Stream& stream, size_t bytes) {
    SWARM_TRY(auto block, device.allocate_pinned<std::byte>(bytes, "a staging block"));
    SWARM_TRY(auto sent, device.make_event());
    return StagedBlock(stream, std::move(block), std::move(sent));
  }

  // Starts over; waits until the copy before has left the block. `to`: where send() will copy.
  void begin(std::byte* to) {
    if (pending_) {
      const auto waited = sent_.synchronize();
      if (!waited) throw ErrorException(waited.error());
    }
    pending_ = false;
    to_ = to;
    used_ = 0;
  }

  // Room for `count`, here and there.
  template <class T>
  struct Piece {
    T* here;
    const T* there;
  };
  template <class T>
  Piece<T> take(size_t count) {
    const size_t bytes = bytes_of<T>(count);
    SWARM_CHECK(bytes <= block_.size() - used_, bytes, used_, block_.size());
    const Piece<T> piece{reinterpret_cast<T*>(block_.span().data() + used_),
                         reinterpret_cast<const T*>(to_ + used_)};
    used_ += bytes;
    return piece;
  }
  // Returns where the values will be.
  template <class T>
  const T* put(std::span<const T> values) {
    const Piece<T> piece = take<T>(values.size());
    std::copy(values.begin(), values.end(), piece.here);
    return piece.there;
  }

  void send() {
    stream_->copy(device::DeviceSpan<std::byte>(to_, used_), block_.span().first(used_));
    stream_->record(sent_);
    pending_ = true;
  }

 private:
  device::Stream* stream_;
  device::PinnedBuffer<std::byte> block_;
  device::Event sent_;                 // the last copy has left the block
  std::byte* to_ = nullptr;
  size_t used_ = 0;
  bool pending_ = false;
};

}  // namespace swarm::engine::kernels::cuda
