#include "engine/device/staging.h"

#include <algorithm>
#include <cstring>

namespace swarm::engine::device {

Result<Staging> Staging::make(Device& device, Stream& stream, size_t block_bytes) {
  SWARM_CHECK(block_bytes > 0);
  SWARM_TRY(auto first, device.allocate_pinned<std::byte>(block_bytes, "staging"));
  SWARM_TRY(auto second, device.allocate_pinned<std::byte>(block_bytes, "staging"));
  SWARM_TRY(Event first_done, device.make_event());
  SWARM_TRY(Event second_done, device.make_event());
  return Staging(stream, {std::move(first), std::move(first_done)},
                 {std::move(second), std::move(second_done)});
}

Staging::Staging(Stream& stream, Block first, Block second)
    : stream_(&stream), blocks_{std::move(first), std::move(second)} {}

Result<void> Staging::upload_bytes(DeviceSpan<std::byte> to, std::span<const std::byte> from) {
  const size_t step = blocks_[0].memory.size();
  for (size_t at = 0; at < from.size(); at += step) {
    const size_t count = std::min(step, from.size() - at);
    SWARM_TRY(const std::span<std::byte> into, block());
    std::memcpy(into.data(), from.data() + at, count);
    send(to.subspan(at, count));
  }
  return finish();
}

Result<std::span<std::byte>> Staging::block() {
  SWARM_TRY_VOID(blocks_[turn_].done.synchronize());
  return blocks_[turn_].memory.span().host();
}

void Staging::send(DeviceSpan<std::byte> to) {
  Block& block = blocks_[turn_];
  stream_->copy(to, block.memory.span().first(to.size()));
  stream_->record(block.done);
  turn_ ^= 1;
}

Result<void> Staging::download_bytes(std::span<std::byte> to, DeviceSpan<const std::byte> from) {
  const size_t step = blocks_[0].memory.size();
  const auto count_at = [&](size_t at) { return std::min(step, to.size() - at); };
  const auto start = [&](size_t at) {
    Block& block = blocks_[at / step % 2];
    stream_->copy(block.memory.span().first(count_at(at)), from.subspan(at, count_at(at)));
    stream_->record(block.done);
  };
  // Block n + 1 is on its way while block n is copied out.
  if (!to.empty()) start(0);
  for (size_t at = 0; at < to.size(); at += step) {
    if (to.size() - at > step) start(at + step);
    Block& block = blocks_[at / step % 2];
    SWARM_TRY_VOID(block.done.synchronize());
    std::memcpy(to.data() + at, block.memory.span().data(), count_at(at));
  }
  return stream_->synchronize();
}

}  // namespace swarm::engine::device
