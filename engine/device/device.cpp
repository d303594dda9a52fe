#include "engine/device/device.h"

#include "engine/base/units.h"

namespace swarm::engine::device {
namespace {

std::string describe(const DeviceInfo& info) { return info.id() + " (" + info.name + ")"; }

}  // namespace

Result<std::unique_ptr<Device>> Device::open_cuda(int32_t index, Log* log) {
  SWARM_TRY(std::unique_ptr<Backend> backend, make_cuda_backend(index));
  return std::make_unique<Device>(std::move(backend), log);
}

std::unique_ptr<Device> Device::open_host(const HostOptions& options, Log* log) {
  return std::make_unique<Device>(make_host_backend(options), log);
}

Device::Device(std::unique_ptr<Backend> backend, Log* log)
    : backend_(std::move(backend)), log_(log) {
  bind();
}

Device::~Device() = default;

void Device::bind() {
  if (!lost()) accept(backend_->bind(), "taking the device over");
}

Result<Handle> Device::allocate_bytes(size_t count, size_t size, std::string_view what) {
  if (lost()) return lost_error();
  const std::optional<uint64_t> bytes = checked_mul(count, size);
  const std::string text = bytes ? format_bytes(*bytes) : "more than 2^64 bytes";
  SWARM_TRY(const DeviceMemory now, memory());
  const auto refuse = [&](const std::string& why) {
    return environment_error("out of device memory: " + std::string(what) + " needs " + text +
                             ", " + describe(info()) + " has " + format_bytes(now.free_bytes) +
                             " free of " + format_bytes(now.total_bytes) + why);
  };
  if (!bytes || *bytes > now.free_bytes) return refuse("");
  if (*bytes == 0) return Handle();
  void* pointer = nullptr;
  const Status status = backend_->allocate(static_cast<size_t>(*bytes), pointer);
  if (status.code == Status::Code::no_memory) return refuse(", but not in one piece");
  if (!accept(status, "allocating " + std::string(what))) return lost_error();
  return Handle(*backend_, pointer, &Backend::release);
}

Result<Handle> Device::allocate_pinned_bytes(size_t count, size_t size, std::string_view what) {
  if (lost()) return lost_error();
  const std::optional<uint64_t> bytes = checked_mul(count, size);
  const std::string text = bytes ? format_bytes(*bytes) : "more than 2^64 bytes";
  const auto refuse = [&](const std::string& why) {
    return environment_error("out of page-locked host memory: " + std::string(what) + " needs " +
                             text + why);
  };
  if (!bytes) return refuse("");
  if (*bytes == 0) return Handle();
  void* pointer = nullptr;
  const Status status = backend_->allocate_pinned(static_cast<size_t>(*bytes), pointer);
  if (status.code == Status::Code::no_memory) return refuse(": " + status.text);
  if (!accept(status, "allocating " + std::string(what))) return lost_error();
  return Handle(*backend_, pointer, &Backend::release_pinned);
}

Result<Stream> Device::make_stream() {
  if (lost()) return lost_error();
  void* object = nullptr;
  if (!accept(backend_->make_stream(object), "making a stream")) return lost_error();
  return Stream(*this, Handle(*backend_, object, &Backend::destroy_stream),
                backend_->native(object), backend_->host(object));
}

Result<Event> Device::make_event() {
  if (lost()) return lost_error();
  void* object = nullptr;
  if (!accept(backend_->make_event(object), "making an event")) return lost_error();
  return Event(*this, Handle(*backend_, object, &Backend::destroy_event));
}

Result<void> Device::synchronize() {
  if (!lost()) accept(backend_->synchronize(), "waiting for the device");
  if (lost()) return lost_error();
  return {};
}

void Device::launched(std::string_view kernel, int cuda_error) {
  if (lost()) return;
  const Status status = backend_->launch_error(cuda_error);
  if (!status.ok()) {
    declare_lost("launching " + std::string(kernel) + ": " + status.text);
  } else if (blocking_launches_ && captures_ == 0) {
    accept(backend_->synchronize(), "running " + std::string(kernel));
  }
}

void Device::declare_lost(std::string_view reason) {
  SWARM_CHECK(!reason.empty());
  if (lost()) return;
  lost_reason_ = reason;
  if (log_ != nullptr)
    log_->error("device.lost", {{"device", info().id()}, {"reason", lost_reason_}});
}

Error Device::lost_error() const {
  SWARM_CHECK(lost());
  return environment_error("device " + describe(info()) + " was lost: " + lost_reason_);
}

Result<DeviceMemory> Device::memory() {
  if (lost()) return lost_error();
  DeviceMemory out;
  if (!accept(backend_->memory(out.free_bytes, out.total_bytes), "asking for free memory"))
    return lost_error();
  return out;
}

bool Device::accept(const Status& status, std::string_view doing) {
  if (status.ok()) return true;
  if (status.code != Status::Code::not_ready)
    declare_lost(std::string(doing) + ": " + status.text);
  return false;
}

bool Event::happened() const {
  if (device_->lost()) return true;
  return device_->accept(device_->backend_->query(handle_.get()), "asking for an event") ||
         device_->lost();
}

Result<void> Event::synchronize() const {
  if (!device_->lost())
    device_->accept(device_->backend_->synchronize_event(handle_.get()), "waiting for an event");
  if (device_->lost()) return device_->lost_error();
  return {};
}

Result<float> Event::elapsed_ms_since(const Event& earlier) const {
  float ms = 0;
  if (!device_->lost())
    device_->accept(device_->backend_->elapsed_ms(earlier.handle_.get(), handle_.get(), ms),
                    "reading the time between events");
  if (device_->lost()) return device_->lost_error();
  return ms;
}

Result<GraphExec> Graph::instantiate() const {
  if (device_->lost()) return device_->lost_error();
  void* exec = nullptr;
  const Status status = backend_->instantiate(handle_.get(), exec);
  if (!status.ok()) {
    device_->declare_lost("making a graph runnable: " + status.text);
    return device_->lost_error();
  }
  return GraphExec(Handle(*backend_, exec, &Backend::destroy_exec));
}

void Stream::copy_bytes(void* to, const void* from, size_t bytes, CopyKind kind) {
  if (bytes == 0 || device_->lost()) return;
  constexpr std::string_view kDoing[] = {"copying to the device", "copying to the host",
                                         "copying on the device"};
  device_->accept(device_->backend_->copy(handle_.get(), to, from, bytes, kind),
                  kDoing[static_cast<size_t>(kind)]);
}

void Stream::fill_raw(void* to, uint8_t value, size_t bytes) {
  if (bytes == 0 || device_->lost()) return;
  device_->accept(device_->backend_->fill(handle_.get(), to, value, bytes), "filling memory");
}

void Stream::record(Event& event) {
  if (device_->lost()) return;
  device_->accept(device_->backend_->record(handle_.get(), event.handle_.get()),
                  "recording an event");
}

void Stream::wait(const Event& event) {
  if (device_->lost()) return;
  device_->accept(device_->backend_->wait(handle_.get(), event.handle_.get()),
                  "making a stream wait");
}

Result<void> Stream::synchronize() {
  SWARM_CHECK(!capturing_);
  if (!device_->lost())
    device_->accept(device_->backend_->synchronize_stream(handle_.get()), "waiting for a stream");
  if (device_->lost()) return device_->lost_error();
  return {};
}

void Stream::begin_capture() {
  SWARM_CHECK(!capturing_);
  capturing_ = true;
  ++device_->captures_;
  if (!device_->lost())
    device_->accept(device_->backend_->begin_capture(handle_.get()), "beginning a capture");
}

Result<Graph> Stream::end_capture() {
  SWARM_CHECK(capturing_);
  capturing_ = false;
  --device_->captures_;
  if (device_->lost()) return device_->lost_error();
  void* graph = nullptr;
  if (!device_->accept(device_->backend_->end_capture(handle_.get(), graph), "ending a capture"))
    return device_->lost_error();
  return Graph(*device_, *device_->backend_, Handle(*device_->backend_, graph,
                                                    &Backend::destroy_graph));
}

void Stream::launch(const GraphExec& exec) {
  SWARM_CHECK(!capturing_);
  if (device_->lost()) return;
  device_->accept(device_->backend_->launch_graph(exec.handle_.get(), handle_.get()),
                  "launching a graph");
}

}  // namespace swarm::engine::device
