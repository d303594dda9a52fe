// engine/device/blas.h — Large matrix products behind one function: cuBLAS on a card (loaded when
// it is opened, so neither the build nor a machine needs it), plain loops on the host. Owned by who
// opened it; dies before its stream. One thread, that of the Device.
//
// All matrices are row-major: x [tokens, cols], weight [rows, cols], y [tokens, rows],
//   y[t, r] = sum over c of x[t, c] * weight[r, c]   (+ y[t, r])
// f16 or bf16 inputs, f32 sums and outputs. 2 * tokens * rows * cols flops.
//
// Determinism: the same call gives the same bits on the same card. A row of y may depend on the
// number of tokens in the call (cuBLAS chooses another kernel), so `deterministic: true` uses the
// portable kernels instead.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "engine/device/device.h"

namespace swarm::engine::device {

enum class GemmInput : uint8_t { f16, bf16 };
enum class GemmOutput : uint8_t { overwrite, add };

struct GemmArgs {
  GemmInput input = GemmInput::f16;
  GemmOutput output = GemmOutput::overwrite;
  int32_t tokens = 0;
  int32_t rows = 0;
  int32_t cols = 0;
  DeviceSpan<const uint16_t> x;        // bits of f16 or bf16
  DeviceSpan<const uint16_t> weight;
  DeviceSpan<float> y;
  int64_t x_stride = 0;                // elements from row to row; 0 = dense
  int64_t weight_stride = 0;
  int64_t y_stride = 0;
};

class Blas {
 public:
  // workspace: scratch that lives as long as the Blas, at least blas_workspace_bytes(). Errors name
  // the library that was looked for.
  static Result<std::unique_ptr<Blas>> open(Device& device, Stream& stream,
                                            DeviceSpan<std::byte> workspace);
  virtual ~Blas() = default;

  // Enqueued on the stream; may be captured. Shapes that do not fit the spans are bugs, a refused
  // call loses the device.
  virtual void gemm(const GemmArgs& args) = 0;
  virtual std::string name() const = 0;           // "cuBLAS 13.0.2", "host"
};

size_t blas_workspace_bytes(const DeviceInfo& info);
inline constexpr size_t kBlasWorkspaceBytesMax = size_t{32} << 20;   // of any device

// "cuBLAS 13.0.2": what open() would use on a card; an error says what was looked for.
Result<std::string> blas_library();

}  // namespace swarm::engine::device
