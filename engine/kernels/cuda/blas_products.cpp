#include "engine/kernels/cuda/blas_products.h"

#include <algorithm>
#include <utility>

#include "engine/kernels/cuda/launch.h"
#include "engine/kernels/cuda/matmul/halves.h"

namespace swarm::engine::kernels::cuda {

using device::DeviceSpan;
using device::GemmInput;
using device::GemmOutput;

BlasProducts BlasProducts::make(device::Device& device, device::Stream& stream,
                                const KernelLimits& limits, const BlasMemory& memory,
                                int32_t rows_min) {
  BlasProducts made;
  if (rows_min == 0 || !limits.float_weights) return made;
  made.device_ = &device;
  made.stream_ = &stream;
  made.memory_ = memory;
  made.half_count_ = BlasMemory::half_count(limits);
  made.rows_min_ = rows_min;
  auto blas = device::Blas::open(device, stream,
                                 {memory.workspace, BlasMemory::workspace_bytes(limits)});
  made.name_ = blas ? (*blas)->name() : blas.error().message;
  if (blas) made.blas_ = std::move(*blas);
  return made;
}

bool BlasProducts::takes(const MatmulArgs& args) const {
  const WeightType type = args.weight.type;
  if (blas_ == nullptr || args.rows < rows_min_) return false;
  if (args.expert_begin != nullptr || args.up != nullptr) return false;
  if (type != WeightType::f16 && type != WeightType::bf16) return false;
  return static_cast<size_t>(args.rows) *
             static_cast<size_t>(BlasMemory::stride(args.weight.cols)) <= half_count_;
}

void BlasProducts::multiply(const MatmulArgs& args) {
  const auto stream = static_cast<simt::Stream>(stream_->native());
  const bool bf16 = args.weight.type == WeightType::bf16;
  const int32_t stride = BlasMemory::stride(args.weight.cols);
  launch(*device_, "split_halves", [&] {
    return split_halves(stream, {.x = args.x, .high = memory_.high, .low = memory_.low,
                                 .scale = memory_.scale, .rows = args.rows,
                                 .cols = args.weight.cols, .stride = stride, .bf16 = bf16});
  });
  const auto count = [](int32_t a, int32_t b) {
    return static_cast<size_t>(a) * static_cast<size_t>(b);
  };
  for (const uint16_t* half : {memory_.high, memory_.low}) {
    blas_->gemm({.input = bf16 ? GemmInput::bf16 : GemmInput::f16,
                 .output = half == memory_.high ? GemmOutput::overwrite : GemmOutput::add,
                 .tokens = args.rows, .rows = args.weight.rows, .cols = args.weight.cols,
                 .x = {half, count(args.rows, stride)},
                 .weight = {reinterpret_cast<const uint16_t*>(args.weight.data),
                            count(args.weight.rows, stride)},
                 .y = {args.y, count(args.rows, args.weight.rows)},
                 .x_stride = stride, .weight_stride = stride});
  }
  if (bf16) return;
  launch(*device_, "scale_rows", [&] {
    return scale_rows(stream, {.y = args.y, .scale = memory_.scale, .rows = args.rows,
                               .cols = args.weight.rows});
  });
}

}  // namespace swarm::engine::kernels::cuda
