// tests/engine/kernels/cuda/matmul/product.h — Placed matrices, quantised rows, and what a product
// must be: arithmetic in double on the decoded weights, with a bound on what f32 may add.
//
// Integer types: with x as quantised, the integer sums are exact. Of a group of 16, what is rounded
// is t = |sum w x| and, where the type has minima, the two terms that make it up; the minimum is at
// most twice the largest |w| (a group that holds its smallest code: exactly the largest), so they
// are at most t + 4 max|w| |sum x|. Each is rounded at most 5 times before, and their sum at most
// once per group and 16 times in trees: bound = 2^-24 (groups + 21) sum of the terms.
// Float types, gemv: a lane adds ceil(cols / 256) * 8 products, then trees: that plus 16 roundings
// of the sum of magnitudes. gemm: an activation is within 2^-17 of its two bf16 halves, as is an
// fp8 weight, and the product of second halves, at most 2^-16, is left out where weights have two:
// in units of 2^-17, bf16 1, f16 1 + 2, fp8 2 + 2 of each product; and a rounding of the running
// sum, in ascending columns, per product and part (at most 3).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "engine/kernels/cuda/matmul/matmul.h"
#include "engine/kernels/cuda/simt/emulator.h"
#include "engine/kernels/cuda/weights/place_weights.h"
#include "tests/engine/kernels/matrices.h"

namespace swarm::test {

namespace cuda = swarm::engine::kernels::cuda;
using engine::formats::TensorType;

inline constexpr double kUlp = 0x1p-24;

struct Type {
  cuda::WeightType weight;
  std::string name;
  TensorType file;
  bool minima = false;
};
inline const std::vector<Type>& all_types() {
  using W = cuda::WeightType;
  using T = TensorType;
  static const std::vector<Type> kTypes{
      {W::f32, "f32", T::f32},           {W::f16, "f16", T::f16},
      {W::bf16, "bf16", T::bf16},        {W::fp8, "fp8", T::fp8},
      {W::q4_0, "q4_0", T::q4_0},        {W::q4_1, "q4_1", T::q4_1, true},
      {W::q5_0, "q5_0", T::q5_0},        {W::q5_1, "q5_1", T::q5_1, true},
      {W::q8_0, "q8_0", T::q8_0},        {W::q2_k, "q2_k", T::q2_k, true},
      {W::q3_k, "q3_k", T::q3_k},        {W::q4_k, "q4_k", T::q4_k, true},
      {W::q5_k, "q5_k", T::q5_k, true},  {W::q6_k, "q6_k", T::q6_k},
      {W::iq2_xxs, "iq2_xxs", T::iq2_xxs}, {W::iq2_xs, "iq2_xs", T::iq2_xs},
      {W::iq2_s, "iq2_s", T::iq2_s},     {W::iq3_xxs, "iq3_xxs", T::iq3_xxs},
      {W::iq3_s, "iq3_s", T::iq3_s},     {W::iq4_nl, "iq4_nl", T::iq4_nl},
      {W::iq4_xs, "iq4_xs", T::iq4_xs},  {W::mxfp4, "mxfp4", T::mxfp4}};
  return kTypes;
}

// For what a sanitizer need not see of each type: one of each way to multiply (floats, codes alone,
// codes with minima and two scales per group), which is every field of shared memory.
inline bool of_this_build(const Type& type) {
  using W = cuda::WeightType;
  return !simt::kInstrumented || type.weight == W::f16 || type.weight == W::q4_0 ||
         type.weight == W::q2_k;
}

// Types differ in how a thread decodes what it loaded: nothing that two threads could race for.
inline std::vector<Type> types_of_build() {
  std::vector<Type> types = all_types();
#if defined(__SANITIZE_THREAD__)
  std::erase_if(types, [](const Type& type) { return !of_this_build(type); });
#endif
  return types;
}

struct Placed {
  cuda::WeightView view;
  std::vector<std::byte> bytes;        // placed; exactly as long as the kernels may read
  std::vector<float> decoded;          // [rows, cols]

  const float* row(int64_t r) const {
    return decoded.data() + static_cast<size_t>(r) * static_cast<size_t>(view.cols);
  }
};

Placed random_placed(Rng& rng, const Type& type, int32_t rows, int32_t cols);

// Rows of activations and their codes, made by quantize_rows on the given stream.
struct Activations {
  std::vector<float> x;                // [rows, cols]
  std::vector<std::byte> memory;
  cuda::QuantisedRows quantised;
  int32_t rows = 0, cols = 0;
};
Activations make_activations(simt::Stream stream, std::vector<float> x, int32_t rows, int32_t cols);

// A row of activations, and as the definition quantises it: scale * code, and the scale of each
// element (both empty for widths that only float types have).
struct Row {
  std::vector<double> x, value, scale;
};
Row make_row(const float* x, int32_t cols);
std::vector<Row> make_rows(const Activations& a);

enum class Rounding : uint8_t { gemv, gemm };

struct Product {
  double value = 0;
  double bound = 0;                    // of |got - value|
  double ideal = 0;                    // with x as it was
  double sigma = 0;                    // deviation of value - ideal: half a step, uniform
};
Product product(const Type& type, const float* w, const Row& x, Rounding rounding);

// y of matmul over poisoned memory. Dense.
std::vector<float> multiply(simt::Stream stream, const Placed& w, const Activations& a,
                            cuda::Family family);
// Every element of y within its bound of the exact product, and near the product with x as it was
// (6 sigma of the quantisation).
void check_products(const Type& type, const Placed& w, const Activations& a,
                    const std::vector<float>& y, Rounding rounding);

// silu(gate) * up and what remains of the bounds: the slope of silu is at most 1.1.
Product swiglu(const Product& gate, const Product& up);

}  // namespace swarm::test
