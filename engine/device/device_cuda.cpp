// The CUDA runtime behind Backend: one call per verb. The runtime is linked statically and loads
// the driver when it is first called, so this runs (and lists nothing) on machines without one.
#include <cuda_runtime_api.h>

#include "engine/device/backend.h"
#include "engine/device/probe.h"

namespace swarm::engine::device {
namespace {

std::string text_of(cudaError_t error) {
  return std::string(cudaGetErrorName(error)) + ": " + cudaGetErrorString(error);
}

// Takes the error out of the runtime's own slot too, so that the next launch does not report it.
Status status_of(cudaError_t error) {
  if (error == cudaSuccess) return {};
  static_cast<void>(cudaGetLastError());
  if (error == cudaErrorNotReady) return {.code = Status::Code::not_ready};
  const bool memory = error == cudaErrorMemoryAllocation;
  return {.code = memory ? Status::Code::no_memory : Status::Code::failed,
          .text = text_of(error)};
}

// Destructors: the device may be lost, or the process ending; there is nobody left to tell.
void ignore(cudaError_t error) noexcept {
  if (error != cudaSuccess) static_cast<void>(cudaGetLastError());
}

cudaStream_t stream_of(void* stream) { return static_cast<cudaStream_t>(stream); }
cudaEvent_t event_of(void* event) { return static_cast<cudaEvent_t>(event); }

Status read_info(int32_t index, DeviceInfo& out) {
  cudaDeviceProp properties{};
  const Status status = status_of(cudaGetDeviceProperties(&properties, index));
  if (!status.ok()) return status;
  out = {.kind = DeviceKind::cuda,
         .index = index,
         .name = properties.name,
         .compute_major = properties.major,
         .compute_minor = properties.minor,
         .memory_bytes = properties.totalGlobalMem,
         .memory_free_bytes = {},
         .multiprocessors = properties.multiProcessorCount,
         .l2_bytes = static_cast<uint64_t>(properties.l2CacheSize),
         .shared_bytes_max = properties.sharedMemPerBlockOptin};
  return {};
}

std::string why_none(cudaError_t error, const CudaDevices& found) {
  const NoDevices why = error == cudaErrorInsufficientDriver ? NoDevices::driver_too_old
                        : error == cudaErrorNoDevice         ? NoDevices::no_device
                                                             : NoDevices::other;
  return no_devices_text(why, found, text_of(error));
}

// Stays unknown for a card that somebody else has to himself, say: the others are listed with it.
void read_free_memory(DeviceInfo& info) {
  int before = 0;
  if (!status_of(cudaGetDevice(&before)).ok()) return;
  size_t free_bytes = 0, total_bytes = 0;
  Status status = status_of(cudaSetDevice(info.index));
  if (status.ok()) status = status_of(cudaMemGetInfo(&free_bytes, &total_bytes));
  if (status.ok()) info.memory_free_bytes = free_bytes;
  ignore(cudaSetDevice(before));
}

class CudaBackend final : public Backend {
 public:
  explicit CudaBackend(const DeviceInfo& info) : info_(info) {}

  const DeviceInfo& info() const override { return info_; }
  Status bind() override { return status_of(cudaSetDevice(info_.index)); }
  Status memory(uint64_t& free_bytes, uint64_t& total_bytes) override {
    size_t free_now = 0, total = 0;
    const Status status = status_of(cudaMemGetInfo(&free_now, &total));
    free_bytes = free_now;
    total_bytes = total;
    return status;
  }

  Status allocate(size_t bytes, void*& out) override {
    return status_of(cudaMalloc(&out, bytes));
  }
  void release(void* memory) noexcept override { ignore(cudaFree(memory)); }
  Status allocate_pinned(size_t bytes, void*& out) override {
    return status_of(cudaHostAlloc(&out, bytes, cudaHostAllocDefault));
  }
  void release_pinned(void* memory) noexcept override { ignore(cudaFreeHost(memory)); }

  Status make_stream(void*& out) override {
    cudaStream_t stream = nullptr;
    const Status status = status_of(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    out = stream;
    return status;
  }
  void* native(void* stream) override { return stream; }
  HostStream* host(void*) override { return nullptr; }
  void destroy_stream(void* stream) noexcept override {
    ignore(cudaStreamDestroy(stream_of(stream)));
  }
  Status synchronize_stream(void* stream) override {
    return status_of(cudaStreamSynchronize(stream_of(stream)));
  }
  Status copy(void* stream, void* to, const void* from, size_t bytes, CopyKind kind) override {
    constexpr cudaMemcpyKind kKinds[] = {cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost,
                                         cudaMemcpyDeviceToDevice};
    return status_of(cudaMemcpyAsync(to, from, bytes, kKinds[static_cast<size_t>(kind)],
                                     stream_of(stream)));
  }
  Status fill(void* stream, void* to, uint8_t value, size_t bytes) override {
    return status_of(cudaMemsetAsync(to, value, bytes, stream_of(stream)));
  }

  Status make_event(void*& out) override {
    cudaEvent_t event = nullptr;
    const Status status = status_of(cudaEventCreateWithFlags(&event, cudaEventDefault));
    out = event;
    return status;
  }
  void destroy_event(void* event) noexcept override { ignore(cudaEventDestroy(event_of(event))); }
  Status record(void* stream, void* event) override {
    return status_of(cudaEventRecord(event_of(event), stream_of(stream)));
  }
  Status wait(void* stream, void* event) override {
    return status_of(cudaStreamWaitEvent(stream_of(stream), event_of(event), 0));
  }
  Status query(void* event) override { return status_of(cudaEventQuery(event_of(event))); }
  Status synchronize_event(void* event) override {
    return status_of(cudaEventSynchronize(event_of(event)));
  }
  Status elapsed_ms(void* from, void* to, float& out) override {
    return status_of(cudaEventElapsedTime(&out, event_of(from), event_of(to)));
  }

  Status begin_capture(void* stream) override {
    return status_of(
        cudaStreamBeginCapture(stream_of(stream), cudaStreamCaptureModeThreadLocal));
  }
  Status end_capture(void* stream, void*& graph) override {
    cudaGraph_t captured = nullptr;
    const Status status = status_of(cudaStreamEndCapture(stream_of(stream), &captured));
    graph = captured;
    return status;
  }
  void destroy_graph(void* graph) noexcept override {
    ignore(cudaGraphDestroy(static_cast<cudaGraph_t>(graph)));
  }
  Status instantiate(void* graph, void*& exec) override {
    cudaGraphExec_t made = nullptr;
    const Status status =
        status_of(cudaGraphInstantiate(&made, static_cast<cudaGraph_t>(graph), 0));
    exec = made;
    return status;
  }
  void destroy_exec(void* exec) noexcept override {
    ignore(cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(exec)));
  }
  Status launch_graph(void* exec, void* stream) override {
    return status_of(cudaGraphLaunch(static_cast<cudaGraphExec_t>(exec), stream_of(stream)));
  }

  Status launch_error(int cuda_error) override {
    const Status last = status_of(cudaGetLastError());
    return last.ok() ? status_of(static_cast<cudaError_t>(cuda_error)) : last;
  }
  Status synchronize() override { return status_of(cudaDeviceSynchronize()); }

 private:
  DeviceInfo info_;
};

// Runs the smallest kernel there is: what stops every kernel is said here, before a model is read.
Status probe(Backend& backend) {
  void* memory = nullptr;
  Status status = backend.allocate(sizeof(uint32_t), memory);
  if (!status.ok()) return status;
  const Handle owner(backend, memory, &Backend::release);
  uint32_t answer = 0;
  void* arguments[] = {&memory};
  status = status_of(cudaLaunchKernel(probe_kernel(), dim3(1), dim3(1), arguments, 0, nullptr));
  if (status.ok())
    status = status_of(cudaMemcpy(&answer, memory, sizeof answer, cudaMemcpyDeviceToHost));
  if (status.ok() && answer != kProbeAnswer)
    return {.code = Status::Code::failed, .text = "a kernel ran and wrote nothing"};
  return status;
}

}  // namespace

CudaDevices list_cuda_devices(FreeMemory free_memory) {
  CudaDevices out{.built = true,
                  .architectures = SWARM_CUDA_ARCHITECTURES,
                  .runtime_version = CUDART_VERSION,
                  .devices = {}};
  ignore(cudaDriverGetVersion(&out.driver_version));
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess || count == 0) {
    ignore(error);
    out.reason = why_none(error == cudaSuccess ? cudaErrorNoDevice : error, out);
    return out;
  }
  for (int32_t index = 0; index < count; ++index) {
    DeviceInfo info;
    const Status status = read_info(index, info);
    if (!status.ok()) {
      out.devices.clear();
      out.reason = "cuda:" + std::to_string(index) + ": " + status.text;
      return out;
    }
    if (free_memory == FreeMemory::ask) read_free_memory(info);
    out.devices.push_back(info);
  }
  return out;
}

Result<std::unique_ptr<Backend>> make_cuda_backend(int32_t index) {
  const CudaDevices found = list_cuda_devices();
  const std::string wanted = "cuda:" + std::to_string(index);
  SWARM_TRY_VOID(choose_device(wanted, found));
  auto backend = std::make_unique<CudaBackend>(found.devices[static_cast<size_t>(index)]);
  Status status = backend->bind();
  if (!status.ok()) return environment_error("cannot use " + wanted + ": " + status.text);
  // Every kernel of the build has the same architectures as this one.
  cudaFuncAttributes attributes{};
  if (const cudaError_t error = cudaFuncGetAttributes(&attributes, probe_kernel());
      error != cudaSuccess) {
    ignore(error);
    const bool image = error == cudaErrorNoKernelImageForDevice ||
                       error == cudaErrorInvalidDeviceFunction ||
                       error == cudaErrorUnsupportedPtxVersion;
    if (image) return no_kernels_error(backend->info(), SWARM_CUDA_ARCHITECTURES);
    return environment_error("cannot use " + wanted + ": " + text_of(error));
  }
  status = probe(*backend);
  if (!status.ok()) return environment_error("cannot use " + wanted + ": " + status.text);
  return std::unique_ptr<Backend>(std::move(backend));
}

}  // namespace swarm::engine::device
