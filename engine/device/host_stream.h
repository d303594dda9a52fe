// engine/device/host_stream.h — What Stream::native() points to on the host backend. The kernel
// emulator hands its launches to run(), so that they are captured into graphs like copies are.
// Called by the thread that owns the device.
#pragma once

#include <functional>

namespace swarm::engine::device {

class HostStream {
 public:
  virtual ~HostStream() = default;
  // Runs work now, or keeps it for the graph while the stream captures.
  virtual void run(std::function<void()> work) = 0;
};

}  // namespace swarm::engine::device
