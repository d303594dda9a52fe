// engine/device/staging.h — Copies between ordinary host memory (a mapped file, a vector) and the
// device, through two page-locked blocks, so that reading the source overlaps the transfer.
// upload() and download() return when the data is there: the source may be unmapped, the target
// read. Who makes the bytes anyway (repacked weights) writes them straight into a block: block(),
// send(), and finish() at the very end. For loading and tests; steps use page-locked buffers of
// their own. One thread; dies before its stream.
#pragma once

#include <cstddef>
#include <span>

#include "engine/device/device.h"

namespace swarm::engine::device {

class Staging {
 public:
  static Result<Staging> make(Device& device, Stream& stream, size_t block_bytes = size_t{8} << 20);

  template <class T>
  Result<void> upload(DeviceSpan<T> to, std::span<const std::type_identity_t<T>> from) {
    SWARM_CHECK(to.size() == from.size(), to.size(), from.size());
    return upload_bytes({reinterpret_cast<std::byte*>(to.kernel_pointer()), to.bytes()},
                        std::as_bytes(from));
  }
  template <class T>
  Result<void> download(std::span<T> to, DeviceSpan<const std::type_identity_t<T>> from) {
    SWARM_CHECK(to.size() == from.size(), to.size(), from.size());
    return download_bytes(std::as_writable_bytes(to),
                          {reinterpret_cast<const std::byte*>(from.kernel_pointer()),
                           from.bytes()});
  }

  // The block to write next, once the transfer that last read it is over. Stays the same until
  // send().
  Result<std::span<std::byte>> block();
  // Starts copying the first to.size() bytes of block() and returns at once.
  void send(DeviceSpan<std::byte> to);
  // Waits for everything that was sent.
  Result<void> finish() { return stream_->synchronize(); }

 private:
  struct Block {
    PinnedBuffer<std::byte> memory;
    Event done;              // the last transfer from or to this block
  };
  Staging(Stream& stream, Block first, Block second);
  Result<void> upload_bytes(DeviceSpan<std::byte> to, std::span<const std::byte> from);
  Result<void> download_bytes(std::span<std::byte> to, DeviceSpan<const std::byte> from);

  Stream* stream_;
  Block blocks_[2];
  size_t turn_ = 0;          // the block that is written next
};

}  // namespace swarm::engine::device
