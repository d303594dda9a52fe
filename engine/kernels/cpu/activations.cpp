#include "engine/kernels/cpu/activations.h"

#include <algorithm>

#include "engine/base/check.h"

namespace swarm::engine::kernels {

void Activations::set(const float* x, int32_t rows, int32_t cols) {
  x_ = x;
  rows_ = rows;
  cols_ = cols;
  q8_32_.ready = false;
  q8_256_.ready = false;
}

void Activations::allocate(Buffers& buffers, int32_t block) {
  const auto count = static_cast<size_t>(rows_) * static_cast<size_t>(cols_);
  QuantRows& rows = buffers.rows;
  rows.cols = cols_;
  rows.codes = buffers.codes.reserve_of<int8_t>(count);
  rows.scales = buffers.scales.reserve_of<float>(count / static_cast<size_t>(block));
  if (block == 32) {
    rows.sums = buffers.sums.reserve_of<int32_t>(count / 32);
  } else {
    rows.sums16 = buffers.sums16.reserve_of<int16_t>(count / 16 + count / 32);
    rows.sums32 = rows.sums16 + count / 16;
  }
}

void Activations::prepare(ActivationFormat format) {
  if (format == ActivationFormat::f32) return;
  const bool small = format == ActivationFormat::q8_32;
  Buffers& buffers = small ? q8_32_ : q8_256_;
  if (buffers.ready) return;
  const int32_t block = small ? 32 : 256;
  SWARM_CHECK(cols_ % block == 0, cols_, block);
  allocate(buffers, block);
  const auto quantize = small ? table_.quantize_32 : table_.quantize_256;
  // A few rows per task: one row of 2048 takes about a microsecond.
  constexpr int32_t kRowsPerTask = 8;
  pool_.run((rows_ + kRowsPerTask - 1) / kRowsPerTask, [&](int32_t task, int32_t) {
    const int32_t end = std::min(rows_, (task + 1) * kRowsPerTask);
    for (int32_t row = task * kRowsPerTask; row < end; ++row) {
      quantize(x_ + static_cast<size_t>(row) * static_cast<size_t>(cols_), buffers.rows, row);
    }
  });
  buffers.ready = true;
}

void Activations::describe(ActivationFormat format, DotJob& job) const {
  job.cols = cols_;
  job.x = x_;
  if (format == ActivationFormat::q8_32) job.quant = q8_32_.rows;
  if (format == ActivationFormat::q8_256) job.quant = q8_256_.rows;
}

}  // namespace swarm::engine::kernels
