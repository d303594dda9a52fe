// engine/device/device.h — One GPU, or host memory standing in for one: memory, streams, events,
// graphs, copies. The only doorway to the CUDA runtime (kernel launches excepted). Both backends
// keep the same contract, so everything above runs, and is tested, without a card.
//
// Ownership: a Device outlives everything made from it. Threads: one thread at a time; whoever
// takes over calls bind() first (the CUDA runtime keeps the current device per thread).
//
// What fails: opening and allocating return a Result with numbers. Anything that goes wrong later
// (a launch, a copy, a kernel that faults) loses the device: the reason is kept, every further verb
// does nothing, and synchronize() returns the error. Nobody continues on a broken context; the
// engine answers every request with Finish::failed and the process exits with code 3.
//
// The host backend runs work at once, in order; memory starts as NaN in every float type
// (bytes 0xff). Work captured into a graph does not run until the graph is launched, as on a GPU.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "engine/base/error.h"
#include "engine/base/log.h"
#include "engine/device/backend.h"
#include "engine/device/info.h"
#include "engine/device/memory.h"

namespace swarm::engine::device {

class Stream;
class Event;

struct DeviceMemory {
  uint64_t free_bytes = 0;
  uint64_t total_bytes = 0;
};

class Device {
 public:
  // A real card. Errors say what is missing: driver, device, kernels for its architecture.
  static Result<std::unique_ptr<Device>> open_cuda(int32_t index, Log* log = nullptr);
  static std::unique_ptr<Device> open_host(const HostOptions& options = {}, Log* log = nullptr);

  explicit Device(std::unique_ptr<Backend> backend, Log* log = nullptr);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  // Makes this the device of the calling thread. Cheap; call it at the start of each step.
  void bind();

  // Refused before it is tried when less is free, with what is asked, free and there in all.
  // what: for the message, "weights".
  template <class T>
  Result<Buffer<T>> allocate(size_t count, std::string_view what) {
    SWARM_TRY(Handle handle, allocate_bytes(count, sizeof(T), what));
    return Buffer<T>(std::move(handle), count);
  }
  template <class T>
  Result<PinnedBuffer<T>> allocate_pinned(size_t count, std::string_view what) {
    SWARM_TRY(Handle handle, allocate_pinned_bytes(count, sizeof(T), what));
    return PinnedBuffer<T>(std::move(handle), count);
  }
  Result<Stream> make_stream();
  Result<Event> make_event();

  // Waits for everything.
  Result<void> synchronize();

  // To be called after each kernel launch, with what it returned (simt::Status::cuda_error): a
  // launch that was refused loses the device. With blocking launches it also waits, so that a fault
  // names the kernel that caused it (not while capturing).
  void launched(std::string_view kernel, int cuda_error = 0);
  void set_blocking_launches(bool blocking) { blocking_launches_ = blocking; }

  // Idempotent: the first reason stays.
  void declare_lost(std::string_view reason);
  bool lost() const { return !lost_reason_.empty(); }
  const std::string& lost_reason() const { return lost_reason_; }
  Error lost_error() const;

  const DeviceInfo& info() const { return backend_->info(); }
  Result<DeviceMemory> memory();

 private:
  friend class Stream;
  friend class Event;

  Result<Handle> allocate_bytes(size_t count, size_t size, std::string_view what);
  Result<Handle> allocate_pinned_bytes(size_t count, size_t size, std::string_view what);
  // True when ok; anything else than ok and not_ready loses the device.
  bool accept(const Status& status, std::string_view doing);

  std::unique_ptr<Backend> backend_;
  Log* log_;
  std::string lost_reason_;
  bool blocking_launches_ = false;
  int captures_ = 0;                            // streams that capture now
};

// A point in the work of a stream, with a time.
class Event {
 public:
  bool happened() const;                        // also true when the device is lost
  Result<void> synchronize() const;
  // Both must have happened and neither may have been captured.
  Result<float> elapsed_ms_since(const Event& earlier) const;

 private:
  friend class Device;
  friend class Stream;
  Event(Device& device, Handle handle) : device_(&device), handle_(std::move(handle)) {}
  Device* device_;
  Handle handle_;
};

// Captured work that can be run again with one call, on the same memory.
class GraphExec {
 private:
  friend class Graph;
  friend class Stream;
  explicit GraphExec(Handle handle) : handle_(std::move(handle)) {}
  Handle handle_;
};

// A captured sequence of work; instantiate() makes it runnable, any number of times.
class Graph {
 public:
  Result<GraphExec> instantiate() const;

 private:
  friend class Stream;
  Graph(Device& device, Backend& backend, Handle handle)
      : device_(&device), backend_(&backend), handle_(std::move(handle)) {}
  Device* device_;
  Backend* backend_;
  Handle handle_;
};

// Work in order. Copies and launches return before they are done; nothing but synchronize() waits.
class Stream {
 public:
  // For kernel launches: the cudaStream_t, or what HostOptions::launcher made.
  void* native() const { return native_; }
  // Host backend: work in order with copies and launches. nullptr on a card.
  HostStream* host() const { return host_; }
  Device& device() const { return *device_; }

  template <class T>
  void copy(DeviceSpan<T> to, PinnedSpan<const std::type_identity_t<T>> from) {
    SWARM_CHECK(to.size() == from.size(), to.size(), from.size());
    copy_bytes(to.kernel_pointer(), from.data(), to.bytes(), CopyKind::to_device);
  }
  template <class T>
  void copy(PinnedSpan<T> to, DeviceSpan<const std::type_identity_t<T>> from) {
    SWARM_CHECK(to.size() == from.size(), to.size(), from.size());
    copy_bytes(to.data(), from.kernel_pointer(), from.bytes(), CopyKind::to_host);
  }
  template <class T>
  void copy(DeviceSpan<T> to, DeviceSpan<const std::type_identity_t<T>> from) {
    SWARM_CHECK(to.size() == from.size(), to.size(), from.size());
    copy_bytes(to.kernel_pointer(), from.kernel_pointer(), to.bytes(), CopyKind::on_device);
  }
  template <class T>
  void fill_bytes(DeviceSpan<T> to, uint8_t value) {
    fill_raw(to.kernel_pointer(), value, to.bytes());
  }

  void record(Event& event);
  void wait(const Event& event);                // later work of this stream waits for it
  Result<void> synchronize();                   // a bug while capturing

  // Between the two, work is recorded instead of run. No allocation, no synchronize meanwhile.
  void begin_capture();
  Result<Graph> end_capture();
  void launch(const GraphExec& exec);

 private:
  friend class Device;
  Stream(Device& device, Handle handle, void* native, HostStream* host)
      : device_(&device), handle_(std::move(handle)), native_(native), host_(host) {}
  void copy_bytes(void* to, const void* from, size_t bytes, CopyKind kind);
  void fill_raw(void* to, uint8_t value, size_t bytes);

  Device* device_;
  Handle handle_;
  void* native_;
  HostStream* host_;
  bool capturing_ = false;
};

}  // namespace swarm::engine::device
