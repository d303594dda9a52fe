// engine/device/backend.h — What one kind of device must offer to Device: thin verbs over opaque
// objects, no policy. Implemented by device_cuda.cpp (the CUDA runtime) and device_host.cpp (host
// memory); everything above sees device.h only. The thread that called bind() last calls it.
//
// Verbs return a Status and never throw. Objects are void*. Destroying tolerates a lost device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "engine/base/error.h"
#include "engine/device/host_stream.h"
#include "engine/device/info.h"

namespace swarm::engine::device {

struct Status {
  enum class Code : uint8_t { ok, not_ready, no_memory, failed };
  Code code = Code::ok;
  std::string text = {};   // what the driver said; empty when ok

  bool ok() const { return code == Code::ok; }
};

enum class CopyKind : uint8_t { to_device, to_host, on_device };

class Backend {
 public:
  virtual ~Backend() = default;

  virtual const DeviceInfo& info() const = 0;
  virtual Status bind() = 0;
  virtual Status memory(uint64_t& free_bytes, uint64_t& total_bytes) = 0;

  virtual Status allocate(size_t bytes, void*& out) = 0;           // 256-byte aligned
  virtual void release(void* memory) noexcept = 0;
  virtual Status allocate_pinned(size_t bytes, void*& out) = 0;
  virtual void release_pinned(void* memory) noexcept = 0;

  virtual Status make_stream(void*& out) = 0;
  virtual void* native(void* stream) = 0;                          // what kernel launches take
  virtual HostStream* host(void* stream) = 0;                      // nullptr on a card
  virtual void destroy_stream(void* stream) noexcept = 0;
  virtual Status synchronize_stream(void* stream) = 0;
  virtual Status copy(void* stream, void* to, const void* from, size_t bytes, CopyKind kind) = 0;
  virtual Status fill(void* stream, void* to, uint8_t value, size_t bytes) = 0;

  virtual Status make_event(void*& out) = 0;
  virtual void destroy_event(void* event) noexcept = 0;
  virtual Status record(void* stream, void* event) = 0;
  virtual Status wait(void* stream, void* event) = 0;
  virtual Status query(void* event) = 0;                           // not_ready until it happened
  virtual Status synchronize_event(void* event) = 0;
  virtual Status elapsed_ms(void* from, void* to, float& out) = 0;

  virtual Status begin_capture(void* stream) = 0;
  virtual Status end_capture(void* stream, void*& graph) = 0;
  virtual void destroy_graph(void* graph) noexcept = 0;
  virtual Status instantiate(void* graph, void*& exec) = 0;
  virtual void destroy_exec(void* exec) noexcept = 0;
  virtual Status launch_graph(void* exec, void* stream) = 0;

  // Of the last kernel launch; cuda_error is what the launch itself returned.
  virtual Status launch_error(int cuda_error) = 0;
  virtual Status synchronize() = 0;
};

// One object of a backend, destroyed through it. Move-only; the backend outlives it.
class Handle {
 public:
  using Destroy = void (Backend::*)(void*) noexcept;

  Handle() = default;
  Handle(Backend& backend, void* object, Destroy destroy)
      : backend_(&backend), object_(object), destroy_(destroy) {}
  ~Handle() { reset(); }
  Handle(Handle&& other) noexcept
      : backend_(other.backend_),
        object_(std::exchange(other.object_, nullptr)),
        destroy_(other.destroy_) {}
  Handle& operator=(Handle&& other) noexcept {
    if (this == &other) return *this;
    reset();
    backend_ = other.backend_;
    object_ = std::exchange(other.object_, nullptr);
    destroy_ = other.destroy_;
    return *this;
  }

  void* get() const { return object_; }
  explicit operator bool() const { return object_ != nullptr; }
  void reset() noexcept {
    if (object_ != nullptr) (backend_->*destroy_)(std::exchange(object_, nullptr));
  }

 private:
  Backend* backend_ = nullptr;
  void* object_ = nullptr;
  Destroy destroy_ = nullptr;
};

// The host backend never fails to open. The CUDA backend fails without a driver, for an index that
// does not exist, for an architecture this build has no kernels for, and in builds without CUDA.
std::unique_ptr<Backend> make_host_backend(const HostOptions& options);
Result<std::unique_ptr<Backend>> make_cuda_backend(int32_t index);

}  // namespace swarm::engine::device
