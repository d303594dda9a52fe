// The operations behind prim_cases.h. Each is one thread's view: its input words, its output words.
#include "tests/engine/kernels/cuda/prim/prim_cases.h"

#include <cstring>

#include "engine/kernels/cuda/prim/async_copy.h"
#include "engine/kernels/cuda/prim/block.h"
#include "engine/kernels/cuda/prim/integer.h"
#include "engine/kernels/cuda/prim/ldmatrix.h"
#include "engine/kernels/cuda/prim/math.h"
#include "engine/kernels/cuda/prim/memory.h"
#include "engine/kernels/cuda/prim/mma.h"
#include "engine/kernels/cuda/simt/simt.h"

namespace swarm::test::SIMT_SIDE {
namespace {

using namespace prim;

struct NoSmem {};

__device__ inline float as_float(uint32_t word) { return bit_cast<float>(word); }
__device__ inline uint32_t as_word(float value) { return bit_cast<uint32_t>(value); }
__device__ inline int as_int(uint32_t word) { return static_cast<int>(word); }

struct Shuffle {
  using Smem = NoSmem;
  static __device__ void run(NoSmem&, const uint32_t* in, uint32_t* out) {
    const int n = as_int(in[2]);
    out[0] = shuffle(in[0], n);
    out[1] = shuffle_xor(in[0], n);
    out[2] = shuffle_up(in[0], n);
    out[3] = shuffle_down(in[0], n);
    const uint64_t wide = shuffle(in[0] | uint64_t{in[1]} << 32, n);
    out[4] = static_cast<uint32_t>(wide);
    out[5] = static_cast<uint32_t>(wide >> 32);
    out[6] = shuffle(static_cast<uint16_t>(in[0]), n);
    out[7] = shuffle(static_cast<uint8_t>(in[0]), n);
    out[8] = as_word(shuffle(as_float(in[0]), n));
  }
};

struct Vote {
  using Smem = NoSmem;
  static __device__ void run(NoSmem&, const uint32_t* in, uint32_t* out) {
    out[0] = ballot(in[0] != 0);
    out[1] = any(in[0] != 0) ? 1 : 0;
    out[2] = all(in[0] != 0) ? 1 : 0;
    out[3] = any(false) ? 1 : 0;
    out[4] = all(true) ? 1 : 0;
  }
};

struct WarpReduce {
  using Smem = NoSmem;
  static __device__ void run(NoSmem&, const uint32_t* in, uint32_t* out) {
    out[0] = as_word(warp_sum(as_float(in[0])));
    out[1] = as_word(warp_max(as_float(in[0])));
    out[2] = as_word(warp_min(as_float(in[0])));
    out[3] = warp_sum(in[1]);
    out[4] = static_cast<uint32_t>(warp_max(as_int(in[1])));
    out[5] = warp_min(in[1]);
    out[6] = warp_inclusive_sum(in[1]);
    out[7] = as_word(warp_sum<8>(as_float(in[0])));
    out[8] = static_cast<uint32_t>(warp_max<4>(as_int(in[1])));
    const uint64_t best = warp_max(in[1] | uint64_t{in[0]} << 32);
    out[9] = static_cast<uint32_t>(best);
    out[10] = static_cast<uint32_t>(best >> 32);
    float sum = as_float(in[0]), running = as_float(in[0]);
    for (int bits = 16; bits > 0; bits /= 2) sum += shuffle_xor(sum, bits);
    for (int delta = 1; delta < 32; delta *= 2) {
      const float below = shuffle_up(running, delta);
      if (simt::lane() >= delta) running += below;
    }
    out[11] = as_word(sum);
    out[12] = as_word(running);
    out[13] = as_word(warp_inclusive_sum(as_float(in[0])));
  }
};

struct BlockReduce {
  struct Smem {
    float floats[simt::kMaxWarps];
    uint32_t words[simt::kMaxWarps];
  };
  static __device__ void run(Smem& smem, const uint32_t* in, uint32_t* out) {
    out[0] = as_word(block_sum(as_float(in[0]), smem.floats));
    out[1] = as_word(block_max(as_float(in[0]), smem.floats));
    out[2] = as_word(block_min(as_float(in[0]), smem.floats));
    out[3] = block_sum(in[1], smem.words);
    out[4] = block_exclusive_sum(in[1], smem.words, &out[5]);
    out[6] = block_exclusive_sum(in[1], smem.words);
  }
};

template <class T>
struct Mma16 {
  using Smem = NoSmem;
  static __device__ void run(NoSmem&, const uint32_t* in, uint32_t* out) {
    const uint32_t a[4] = {in[0], in[1], in[2], in[3]}, b[2] = {in[4], in[5]};
    const uint32_t a8[2] = {in[0], in[1]}, b8[1] = {in[4]};
    float wide[4], narrow[4];
    for (int i = 0; i < 4; ++i) wide[i] = narrow[i] = as_float(in[6 + i]);
    mma_m16n8k16<T>(wide, a, b);
    mma_m16n8k8<T>(narrow, a8, b8);
    for (int i = 0; i < 4; ++i) {
      out[i] = as_word(wide[i]);
      out[4 + i] = as_word(narrow[i]);
      out[8 + i] = static_cast<uint32_t>(mma_row(i) * 8 + mma_column(i));
    }
  }
};

struct MmaS8 {
  using Smem = NoSmem;
  static __device__ void run(NoSmem&, const uint32_t* in, uint32_t* out) {
    const uint32_t a[4] = {in[0], in[1], in[2], in[3]}, b[2] = {in[4], in[5]};
    const uint32_t a16[2] = {in[0], in[1]}, b16[1] = {in[4]};
    int32_t wide[4], narrow[4];
    for (int i = 0; i < 4; ++i) wide[i] = narrow[i] = as_int(in[6 + i] >> 4);
    mma_m16n8k32_s8(wide, a, b);
    mma_m16n8k16_s8(narrow, a16, b16);
    for (int i = 0; i < 4; ++i) {
      out[i] = static_cast<uint32_t>(wide[i]);
      out[4 + i] = static_cast<uint32_t>(narrow[i]);
    }
  }
};

struct LdMatrix {
  struct Smem {
    uint32_t tile[64][4];              // 64 rows of 16 bytes per warp; one warp
  };
  static __device__ void run(Smem& smem, const uint32_t* in, uint32_t* out) {
    for (int i = 0; i < 8; ++i) smem.tile[2 * simt::lane() + i / 4][i % 4] = in[i];
    simt::sync_threads();
    const void* row = smem.tile[in[8]];
    uint32_t x1[1], x2[2], x4[4];
    ldmatrix_x1(x1, row);
    ldmatrix_x2(x2, row);
    ldmatrix_x4(x4, row);
    out[0] = x1[0];
    for (int i = 0; i < 2; ++i) out[1 + i] = x2[i];
    for (int i = 0; i < 4; ++i) out[3 + i] = x4[i];
    ldmatrix_x1_trans(x1, row);
    ldmatrix_x2_trans(x2, row);
    ldmatrix_x4_trans(x4, row);
    out[7] = x1[0];
    for (int i = 0; i < 2; ++i) out[8 + i] = x2[i];
    for (int i = 0; i < 4; ++i) out[10 + i] = x4[i];
  }
};

// Tiles in shared memory to products, the way kernels do it: A [16 x 16] f16 row-major, B as [n][k]
// and as [k][n]; then the same memory as bytes, A [16 x 32], B [n][k].
struct TileProduct {
  struct Smem {
    alignas(16) uint16_t a[16][16];
    alignas(16) uint16_t b_nk[8][16];
    alignas(16) uint16_t b_kn[16][8];
  };
  static __device__ void run(Smem& smem, const uint32_t* in, uint32_t* out) {
    const int lane = simt::lane(), row = lane % 8, matrix = lane / 8;
    for (int i = 0; i < 8; ++i)
      smem.a[lane / 2][lane % 2 * 8 + i] = static_cast<uint16_t>(in[i / 2] >> (i % 2 * 16));
    for (int i = 0; i < 4; ++i) {
      const auto value = static_cast<uint16_t>(in[4 + i / 2] >> (i % 2 * 16));
      smem.b_nk[lane / 4][lane % 4 * 4 + i] = value;
      smem.b_kn[lane % 4 * 4 + i][lane / 4] = value;
    }
    sync_warp();
    uint32_t a[4], b[2];
    float acc[4] = {}, acc_trans[4] = {};
    int32_t acc_s8[4] = {};
    ldmatrix_x4(a, &smem.a[row + 8 * (matrix % 2)][8 * (matrix / 2)]);
    ldmatrix_x2(b, &smem.b_nk[row][8 * (matrix % 2)]);
    mma_m16n8k16<f16>(acc, a, b);
    mma_m16n8k32_s8(acc_s8, a, b);
    ldmatrix_x2_trans(b, &smem.b_kn[8 * (matrix % 2) + row][0]);
    mma_m16n8k16<f16>(acc_trans, a, b);
    for (int i = 0; i < 4; ++i) {
      out[i] = as_word(acc[i]);
      out[4 + i] = as_word(acc_trans[i]);
      out[8 + i] = static_cast<uint32_t>(acc_s8[i]);
    }
  }
};

struct AsyncCopy {
  struct Smem {
    Words4 quads[128];
    Words2 pairs[128];
    uint32_t words[128];
  };
  // Three groups, waited for one after the other; each neighbour's copy is read after a barrier.
  static __device__ void run(Smem& smem, const uint32_t* in, uint32_t* out) {
    const auto t = static_cast<int>(threadIdx.x);
    const int neighbour = t ^ 1;
    copy_async<16>(&smem.quads[t], in, (in[7] & 1) != 0);
    copy_async_commit();
    copy_async<8>(&smem.pairs[t], in + 4, (in[7] & 2) != 0);
    copy_async_commit();
    copy_async<4>(&smem.words[t], in + 6, (in[7] & 4) != 0);
    copy_async_commit();
    copy_async_wait<2>();
    simt::sync_threads();
    for (int i = 0; i < 4; ++i) out[i] = smem.quads[neighbour].w[i];
    copy_async_wait<1>();
    simt::sync_threads();
    for (int i = 0; i < 2; ++i) out[4 + i] = smem.pairs[neighbour].w[i];
    copy_async_wait<0>();
    simt::sync_threads();
    out[6] = smem.words[neighbour];
    simt::sync_threads();
    copy_async<4>(&smem.words[t], in);           // never committed
    copy_async_wait_all();
    simt::sync_threads();
    out[7] = smem.words[neighbour];
  }
};

struct Integer {
  using Smem = NoSmem;
  static __device__ void run(NoSmem&, const uint32_t* in, uint32_t* out) {
    out[0] = static_cast<uint32_t>(dp4a(in[0], in[1], as_int(in[2])));
    out[1] = static_cast<uint32_t>(dp4a_unsigned(in[0], in[1], as_int(in[2])));
    out[2] = byte_permute(in[0], in[1], in[2]);
    out[3] = subtract_bytes(in[0], in[1]);
    out[4] = add_bytes(in[0], in[1]);
    out[5] = differing_bytes(in[0], in[1]);
    out[6] = differing_bytes(in[0], (in[0] & 0xff00ffu) | (in[1] & 0xff00ff00u));
    out[7] = static_cast<uint32_t>(popcount(in[0]));
    out[8] = static_cast<uint32_t>(leading_zeros(in[0] >> (in[2] & 31)));
    out[9] = static_cast<uint32_t>(lowest_bit(in[0] << (in[2] & 31)));
    out[10] = funnel_shift_right(in[0], in[1], in[2]);
    out[11] = static_cast<uint32_t>(leading_zeros(0)) + static_cast<uint32_t>(lowest_bit(0));
  }
};

struct MathExact {
  using Smem = NoSmem;
  static __device__ void run(NoSmem&, const uint32_t* in, uint32_t* out) {
    const float a = as_float(in[0]), b = as_float(in[1]), c = as_float(in[2]);
    out[0] = as_word(fma(a, b, c));
    out[1] = as_word(multiply(a, b));
    out[2] = as_word(add(a, b));
    out[3] = as_word(divide(a, b));
    out[4] = as_word(prim::sqrt(c));
    out[5] = as_word(prim::abs(a));
    out[6] = as_word(prim::round(a * 16.0f));
    out[7] = static_cast<uint32_t>(to_int(a * 16.0f));
    out[8] = static_cast<uint32_t>(to_int(a * 1e9f));
    out[9] = as_word(prim::max(a, b));
    out[10] = as_word(prim::min(a, b));
  }
};

struct MathFast {
  using Smem = NoSmem;
  static __device__ void run(NoSmem&, const uint32_t* in, uint32_t* out) {
    out[0] = as_word(rsqrt(as_float(in[1])));
    out[1] = as_word(prim::exp2(as_float(in[0])));
    out[2] = as_word(prim::exp(as_float(in[0])));
    out[3] = as_word(reciprocal(as_float(in[0])));
  }
};

struct MathLibrary {
  using Smem = NoSmem;
  static __device__ void run(NoSmem&, const uint32_t* in, uint32_t* out) {
    const float a = as_float(in[0]), b = as_float(in[1]);
    out[0] = as_word(exp_library(a));
    out[1] = as_word(prim::log(b));
    out[2] = as_word(prim::sin(a));
    out[3] = as_word(prim::cos(a));
    out[4] = as_word(prim::pow(b, a));
    out[5] = as_word(prim::tanh(a));
  }
};

struct Narrow {                        // f32 to storage types
  using Smem = NoSmem;
  static __device__ void run(NoSmem&, const uint32_t* in, uint32_t* out) {
    const float value = as_float(in[0]);
    out[0] = from_float<f16>(value).bits;
    out[1] = from_float<bf16>(value).bits;
    out[2] = from_float<e4m3>(value).bits;
    out[3] = from_float<e5m2>(value).bits;
    out[4] = pack(to_f16(value), to_f16(1.0f));
    out[5] = pack(to_bf16(value), to_bf16(1.0f));
  }
};

struct Widen {                         // storage types to f32; NaN compared as such
  using Smem = NoSmem;
  static __device__ uint32_t word(float value) {
    return value != value ? 0x7fc00000u : as_word(value);
  }
  static __device__ void run(NoSmem&, const uint32_t* in, uint32_t* out) {
    const auto half = static_cast<uint16_t>(in[0]);
    const auto byte = static_cast<uint8_t>(in[0]);
    out[0] = word(to_float(f16{half}));
    out[1] = word(to_float(bf16{half}));
    out[2] = word(to_float(e4m3{byte}));
    out[3] = word(to_float(e5m2{byte}));
  }
};

struct Memory {
  using Smem = NoSmem;
  static __device__ void run(NoSmem&, const uint32_t* in, uint32_t* out) {
    const Words4 a = load_readonly(reinterpret_cast<const Words4*>(in));
    const Words4 b = load_once(reinterpret_cast<const Words4*>(in + 4));
    for (int i = 0; i < 4; ++i) out[i] = a.w[i], out[4 + i] = b.w[i];
    const Words2 c = load_readonly(reinterpret_cast<const Words2*>(in + 2));
    const Words2 d = load_once(reinterpret_cast<const Words2*>(in + 6));
    for (int i = 0; i < 2; ++i) out[8 + i] = c.w[i], out[10 + i] = d.w[i];
    out[12] = load_readonly(in + 1);
    out[13] = load_once(in + 3);
    const auto* bytes = reinterpret_cast<const uint8_t*>(in);
    out[14] = load_bytes(bytes + 5);
    out[15] = load_halves(bytes + 10);
  }
};

struct Atomics {
  struct Smem {
    uint32_t sum, highest;
    int32_t signed_highest;
    uint64_t wide_sum, wide_highest;
  };
  static __device__ void run(Smem& smem, const uint32_t* in, uint32_t* out) {
    if (threadIdx.x == 0) smem = {0, 0, INT32_MIN, 0, 0};
    simt::sync_threads();
    atomic_add(&smem.sum, in[0]);
    atomic_add(&smem.wide_sum, uint64_t{in[0]} << 8);
    atomic_max(&smem.highest, in[0]);
    atomic_max(&smem.signed_highest, as_int(in[0]));
    atomic_max(&smem.wide_highest, uint64_t{in[0]} << 32 | in[1]);
    simt::sync_threads();
    out[0] = smem.sum;
    out[1] = smem.highest;
    out[2] = static_cast<uint32_t>(smem.signed_highest);
    out[3] = static_cast<uint32_t>(smem.wide_sum);
    out[4] = static_cast<uint32_t>(smem.wide_sum >> 32);
    out[5] = static_cast<uint32_t>(smem.wide_highest);
    out[6] = static_cast<uint32_t>(smem.wide_highest >> 32);
  }
};

template <class Op>
__global__ void apply(const uint32_t* in, uint32_t* out, int inputs, int outputs) {
  const int64_t thread = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if constexpr (__is_same(typename Op::Smem, NoSmem)) {
    NoSmem none;
    Op::run(none, in + thread * inputs, out + thread * outputs);
  } else {
    Op::run(simt::shared<typename Op::Smem>(), in + thread * inputs, out + thread * outputs);
  }
}

template <class Op>
constexpr int64_t kSharedBytes =
    __is_same(typename Op::Smem, NoSmem) ? 0 : int64_t{sizeof(typename Op::Smem)};

// kInputs and kOutputs of the table are not visible to a captureless function: passed by template.
template <class Op, int inputs, int outputs>
simt::Status run(simt::Stream stream, int blocks, int threads, const uint32_t* in, uint32_t* out) {
  const simt::Config config{.grid = {.x = blocks}, .block = threads,
                            .shared_bytes = kSharedBytes<Op>, .stream = stream};
  return simt::launch(config, apply<Op>, in, out, inputs, outputs);
}

template <class Op, size_t letters, int outputs>
constexpr PrimCase prim_case(const char* name, const char (&inputs)[letters],
                             Agreement agreement = Agreement::bits) {
  return {name, inputs, outputs, kSharedBytes<Op>, agreement,
          &run<Op, static_cast<int>(letters) - 1, outputs>};
}

}  // namespace

std::span<const PrimCase> prim_cases() {
  static const PrimCase kCases[] = {
      prim_case<Shuffle, 4, 9>("shuffle", "xxl"),
      prim_case<Vote, 2, 5>("vote", "b"),
      prim_case<WarpReduce, 3, 14>("warp_reduce", "fx"),
      prim_case<BlockReduce, 3, 7>("block_reduce", "fx"),
      prim_case<Mma16<f16>, 11, 12>("mma_f16", "hhhhhhgggg"),
      prim_case<Mma16<bf16>, 11, 12>("mma_bf16", "kkkkkkgggg"),
      prim_case<MmaS8, 11, 8>("mma_s8", "xxxxxxxxxx"),
      prim_case<LdMatrix, 10, 14>("ldmatrix", "xxxxxxxxr"),
      prim_case<TileProduct, 7, 12>("tile_product", "hhhhhh"),
      prim_case<AsyncCopy, 9, 8>("async_copy", "xxxxxxxx"),
      prim_case<Integer, 4, 12>("integer", "xxx"),
      prim_case<MathExact, 4, 11>("math_exact", "ffp"),
      prim_case<MathFast, 3, 4>("math_fast", "fp", Agreement::fast),
      prim_case<MathLibrary, 3, 6>("math_library", "fp", Agreement::library),
      prim_case<Narrow, 2, 6>("narrow", "u"),
      prim_case<Widen, 2, 4>("widen", "x"),
      prim_case<Memory, 9, 16>("memory", "xxxxxxxx"),
      prim_case<Atomics, 3, 7>("atomics", "xx"),
  };
  return kCases;
}

}  // namespace swarm::test::SIMT_SIDE
