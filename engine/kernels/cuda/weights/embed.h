// engine/kernels/cuda/weights/embed.h — Decoding of embedding rows: the kernel template behind
// embed() for all types, instantiated by weights_*.cu. Device code. One block per 4096 columns of a
// row, a thread per group of 32 (8 for plain numbers). Bytes: one weight row and 4 cols per token;
// small.
#pragma once

#include <cstdint>

#include "engine/kernels/cuda/matmul/matmul.h"
#include "engine/kernels/cuda/prim/math.h"
#include "engine/kernels/cuda/simt/simt.h"
#include "engine/kernels/cuda/weights/weight_codec.h"
#include "engine/kernels/cuda/weights/weight_codec_float.h"

namespace swarm::engine::kernels::cuda {
inline namespace SIMT_SIDE {

inline constexpr int kEmbedThreads = 128;

template <class C>
__device__ inline void embed_group(const uint8_t* row, int g, int cols, float* out) {
  Group w;
  C::decode(C::load(row, g, cols / 32), g, w);
#pragma unroll
  for (int i = 0; i < 32; ++i) {
    const auto code = static_cast<int8_t>((w.codes[i / 4] >> (8 * (i % 4))) & 0xffu);
    const int half = C::kHalves ? i / 16 : 0;
    float value = prim::multiply(w.scale[half], static_cast<float>(code));
    if constexpr (C::kMin) value = prim::add(value, -w.min[half]);
    out[32 * g + i] = value;
  }
}

template <WeightType type>
__global__ void embed_kernel(EmbedArgs p, int chunks) {
  const int64_t i = blockIdx.x / static_cast<unsigned>(chunks);
  const int unit = static_cast<int>(blockIdx.x % static_cast<unsigned>(chunks)) * kEmbedThreads +
                   static_cast<int>(threadIdx.x);
  const int cols = p.table.cols;
  const uint8_t* row = p.table.data + p.tokens[i] * placed_row_bytes(type, cols);
  float* out = p.out + i * cols;
  if constexpr (is_integer(type)) {
    if (unit < cols / 32) embed_group<Codec<type>>(row, unit, cols, out);
  } else {
    if (8 * unit >= cols) return;
    Eight w;
    Codec<type>::decode(Codec<type>::load(row, unit, cols), w);
    for (int k = 0; k < 8; ++k)
      if (8 * unit + k < cols) out[8 * unit + k] = w.v[k];
  }
}

template <WeightType type>
simt::Status launch_embed(simt::Stream stream, const EmbedArgs& args) {
  const int units = prim::ceil_div(args.table.cols, is_integer(type) ? 32 : 8);
  const int chunks = prim::ceil_div(units, kEmbedThreads);
  const simt::Config config{.grid = {.x = int64_t{args.rows} * chunks}, .block = kEmbedThreads,
                            .stream = stream};
  return simt::launch(config, embed_kernel<type>, args, chunks);
}

}  // namespace SIMT_SIDE
}  // namespace swarm::engine::kernels::cuda
