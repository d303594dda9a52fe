// engine/device/host_stream.h — How kernels of the emulator join the streams of the host backend.
// The device layer does not know the emulator; who opens a host device for it passes a launcher.
// Called by the thread that owns the device.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

namespace swarm::engine::device {

class HostStream {
 public:
  virtual ~HostStream() = default;
  // Runs work now, or keeps it for the graph while the stream captures.
  virtual void run(std::function<void()> work) = 0;
};

struct HostOptions {
  uint64_t memory_bytes = uint64_t{4} << 30;  // more is refused like on a real device
  // Called for each new stream. Its result is Stream::native() of that stream and is kept while the
  // stream lives, as is the HostStream it was made for. Without it native() is null: no kernels.
  //   {.launcher = [&emulator](HostStream& stream) {
  //     return std::make_shared<simt::EmulatedStream>(simt::EmulatedStream{
  //         emulator, [&stream](std::function<void()> work) { stream.run(std::move(work)); }});
  //   }}
  std::function<std::shared_ptr<void>(HostStream& stream)> launcher = {};
};

}  // namespace swarm::engine::device
