// x [rows, cols] f32 -> codes, scales, sums (matmul.h). A lane takes 4 consecutive elements, 8
// lanes a group of 32; the maximum is taken over the bits of |x|, so that a NaN wins and makes the
// scale NaN. Columns beyond cols become zeros with scale 0.
// Memory-bound: reads 4 and writes 1.25 bytes per element; 512 columns per block so that one row of
// 2048 already occupies four SMs.
// quantize_rows_test.cpp: exact against the definition, ragged padding, groups that are not finite.
#include "engine/kernels/cuda/matmul/matmul.h"
#include "engine/kernels/cuda/prim/integer.h"
#include "engine/kernels/cuda/prim/math.h"
#include "engine/kernels/cuda/prim/memory.h"
#include "engine/kernels/cuda/prim/warp.h"
#include "engine/kernels/cuda/simt/simt.h"

namespace swarm::engine::kernels::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kBlockColumns = kThreads * 4;

__global__ void quantize_rows_kernel(QuantizeArgs p, int chunks) {
  const int64_t row = blockIdx.x / static_cast<unsigned>(chunks);
  const int chunk = static_cast<int>(blockIdx.x % static_cast<unsigned>(chunks));
  const int column = chunk * kBlockColumns + static_cast<int>(threadIdx.x) * 4;
  prim::Words4 words{};
  if (column < p.cols)
    words = prim::load_readonly(
        reinterpret_cast<const prim::Words4*>(p.x + row * p.cols + column));
  uint32_t top = 0;
#pragma unroll
  for (int i = 0; i < 4; ++i) top = prim::max(top, words.w[i] & 0x7fffffffu);
  top = prim::warp_max<8>(top);
  // A scale below the smallest normal number has no finite reciprocal: such a group is zero.
  float scale = prim::divide(prim::bit_cast<float>(top), 127.0f);
  if (scale < 0x1p-126f) scale = 0.0f;
  const float inverse = scale > 0.0f ? prim::divide(1.0f, scale) : 0.0f;
  uint32_t codes = 0;
  int32_t sum = 0;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int32_t code =
        prim::to_int(prim::multiply(prim::bit_cast<float>(words.w[i]), inverse));
    codes |= (static_cast<uint32_t>(code) & 0xffu) << (8 * i);
    sum += code;
  }
  const int32_t half = prim::warp_sum<4>(sum);
  const int32_t other = prim::shuffle_xor(half, 4);
  if (column >= p.to.padded) return;
  const int64_t at = row * p.to.padded + column;
  *reinterpret_cast<uint32_t*>(p.to.codes + at) = codes;
  if (simt::lane() % 8 == 0) {
    p.to.scales[at / 32] = scale;
    p.to.sums[at / 32] = (static_cast<uint32_t>(half) & 0xffffu) | static_cast<uint32_t>(other)
                                                                       << 16;
  }
}

}  // namespace

QuantisedRows quantised_rows(void* memory, int64_t rows, int32_t cols) {
  QuantisedRows q{.padded = quantised_columns(cols)};
  const int64_t count = rows * q.padded;
  q.codes = static_cast<int8_t*>(memory);
  q.scales = reinterpret_cast<float*>(q.codes + count);
  q.sums = reinterpret_cast<uint32_t*>(q.scales + count / 32);
  return q;
}

simt::Status quantize_rows(simt::Stream stream, const QuantizeArgs& args) {
  if (args.rows == 0) return {};
  const int chunks = prim::ceil_div(args.to.padded, kBlockColumns);
  const simt::Config config{.grid = {.x = int64_t{args.rows} * chunks}, .block = kThreads,
                            .stream = stream};
  return simt::launch(config, quantize_rows_kernel, args, chunks);
}

}  // namespace swarm::engine::kernels::cuda
