// engine/kernels/cuda/blas_products.h — Large dense products of f16 and bf16 matrices by a library
// (device/blas.h) instead of our own kernels: the choice, and the calls. Activations are split into
// two halves (matmul/halves.h), so the numbers are as good as those of our kernels; the bits are
// others and may depend on the number of rows, so `deterministic` and `portable` never take it.
// Borrows device, stream and scratch. One thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>

#include "engine/device/blas.h"
#include "engine/kernels/cuda/matmul/matmul.h"
#include "engine/kernels/kernels.h"

namespace swarm::engine::kernels::cuda {

// Fewer rows are left to our kernels: they read each weight once as well, and need no halves.
inline constexpr int32_t kBlasRows = 128;

// Device memory of the products, claimed by the owner; nothing where no matrix is f16 or bf16.
struct BlasMemory {
  uint16_t* high = nullptr;            // half_count
  uint16_t* low = nullptr;
  float* scale = nullptr;              // [rows]
  std::byte* workspace = nullptr;      // workspace_bytes

  static int32_t stride(int32_t cols) { return (cols + 7) / 8 * 8; }   // as placed float weights
  static size_t half_count(const KernelLimits& l) {
    if (!l.float_weights) return 0;
    const int32_t widest = std::max({l.hidden, l.heads * l.head_dim, l.experts == 0 ? l.ffn : 0});
    return static_cast<size_t>(l.rows) * static_cast<size_t>(stride(widest));
  }
  static size_t workspace_bytes(const KernelLimits& l) {
    return l.float_weights ? device::kBlasWorkspaceBytesMax : 0;
  }
};

class BlasProducts {
 public:
  // rows_min: of a product that takes it; 0 = none does. Without the library none does either, and
  // name() says why.
  static BlasProducts make(device::Device& device, device::Stream& stream,
                           const KernelLimits& limits, const BlasMemory& memory, int32_t rows_min);

  // Dense, f16 or bf16, one matrix, enough rows.
  bool takes(const MatmulArgs& args) const;
  // args as takes() wants them.
  void multiply(const MatmulArgs& args);
  const std::string& name() const { return name_; }      // "cuBLAS 13.0.2"; "" = not asked for

 private:
  device::Device* device_ = nullptr;
  device::Stream* stream_ = nullptr;
  BlasMemory memory_;
  size_t half_count_ = 0;
  int32_t rows_min_ = 0;
  std::unique_ptr<device::Blas> blas_;
  std::string name_;
};

}  // namespace swarm::engine::kernels::cuda
