#include "tests/engine/kernels/cuda/matmul/product.h"

#include <doctest/doctest.h>

#include "engine/base/check.h"

namespace swarm::test {

Placed random_placed(Rng& rng, const Type& type, int32_t rows, int32_t cols) {
  const auto* block = engine::formats::find_block_type(type.file);
  SWARM_CHECK(block != nullptr);
  SWARM_CHECK(cuda::weight_type(type.file) == type.weight);
  Matrix matrix = random_matrix(rng, *block, rows, cols);
  Placed placed{.view = {type.weight, rows, cols, nullptr}, .bytes = {}, .decoded = {}};
  placed.bytes.resize(cuda::placed_bytes(type.weight, rows, cols));
  cuda::place_rows(type.weight, matrix.weight.data, matrix.weight.row_bytes, rows, cols,
                   placed.bytes.data());
  placed.decoded = std::move(matrix.decoded);
  placed.view.data = reinterpret_cast<const uint8_t*>(placed.bytes.data());
  return placed;
}

Activations make_activations(simt::Stream stream, std::vector<float> x, int32_t rows,
                             int32_t cols) {
  Activations a;
  a.x = std::move(x);
  a.rows = rows;
  a.cols = cols;
  if (cols % 32 != 0) return a;        // only float types have such widths
  a.memory.resize(cuda::quantised_bytes(rows, cols));
  simt::poison(a.memory.data(), a.memory.size(), 0);
  a.quantised = cuda::quantised_rows(a.memory.data(), rows, cols);
  const cuda::QuantizeArgs args{
      .x = a.x.data(), .rows = rows, .cols = cols, .to = a.quantised};
  SWARM_CHECK(cuda::quantize_rows(stream, args).ok());
  return a;
}

Row make_row(const float* x, int32_t cols) {
  Row row;
  row.x.assign(x, x + cols);
  if (cols % 32 != 0) return row;
  for (int32_t b = 0; b < cols; b += 32) {
    float top = 0;
    for (int32_t i = b; i < b + 32; ++i) top = std::max(top, std::abs(x[i]));
    const float scale = top / 127.0f;
    const float inverse = scale > 0 ? 1.0f / scale : 0.0f;
    for (int32_t i = b; i < b + 32; ++i) {
      row.value.push_back(double{scale} * std::nearbyintf(x[i] * inverse));
      row.scale.push_back(double{scale});
    }
  }
  return row;
}

std::vector<Row> make_rows(const Activations& a) {
  std::vector<Row> rows;
  for (int32_t t = 0; t < a.rows; ++t) rows.push_back(make_row(a.x.data() + t * a.cols, a.cols));
  return rows;
}

namespace {

double squared(double x) { return x * x; }

Product integer_product(const Type& type, const float* w, const Row& x) {
  Product p;
  double terms = 0;
  for (size_t h = 0; h < x.value.size(); h += 16) {
    double dot = 0, sum = 0, top = 0;
    for (size_t i = h; i < h + 16; ++i) {
      dot += double{w[i]} * x.value[i];
      sum += x.value[i];
      top = std::max(top, std::abs(double{w[i]}));
      p.ideal += double{w[i]} * x.x[i];
      p.sigma += squared(double{w[i]} * x.scale[i]) / 12;
    }
    p.value += dot;
    terms += std::abs(dot) + (type.minima ? 4 * top * std::abs(sum) : 0);
  }
  p.sigma = std::sqrt(p.sigma);
  p.bound = kUlp * (double(x.value.size() / 32) + 21) * terms;
  return p;
}

}  // namespace

Product product(const Type& type, const float* w, const Row& x, Rounding rounding) {
  if (cuda::is_integer(type.weight)) return integer_product(type, w, x);
  Product p;
  double magnitude = 0, top = 0;
  for (size_t i = 0; i < x.x.size(); ++i) {
    p.value += double{w[i]} * x.x[i];
    magnitude += std::abs(double{w[i]} * x.x[i]);
    top = std::max(top, std::abs(p.value));
  }
  p.ideal = p.value;
  const double halves = type.weight == cuda::WeightType::bf16  ? 0x1p-17
                        : type.weight == cuda::WeightType::f16 ? 3 * 0x1p-17
                                                               : 4 * 0x1p-17;
  const bool tensor = rounding == Rounding::gemm && type.weight != cuda::WeightType::f32;
  p.bound = tensor ? halves * magnitude + kUlp * 3 * double(x.x.size()) * top
                   : kUlp * (double((x.x.size() + 255) / 256 * 8) + 16) * magnitude;
  return p;
}

std::vector<float> multiply(simt::Stream stream, const Placed& w, const Activations& a,
                            cuda::Family family) {
  std::vector<float> y(size_t(a.rows) * size_t(w.view.rows));
  simt::poison(y.data(), y.size() * sizeof(float), 0);
  REQUIRE(cuda::matmul(stream, {.weight = w.view, .x = a.x.data(), .quantised = a.quantised,
                                .y = y.data(), .rows = a.rows, .family = family})
              .ok());
  return y;
}

void check_products(const Type& type, const Placed& w, const Activations& a,
                    const std::vector<float>& y, Rounding rounding) {
  const std::vector<Row> x = make_rows(a);
  for (int32_t t = 0; t < a.rows; ++t)
    for (int32_t r = 0; r < w.view.rows; ++r) {
      const Product want = product(type, w.row(r), x[size_t(t)], rounding);
      const double got = y[size_t(t * w.view.rows + r)];
      CAPTURE(type.name);
      CAPTURE(a.cols);
      CAPTURE(t);
      CAPTURE(r);
      CAPTURE(got);
      CAPTURE(want.value);
      REQUIRE(std::abs(got - want.value) <= want.bound);
      REQUIRE(std::abs(got - want.ideal) <= 6 * want.sigma + want.bound);
    }
}

Product swiglu(const Product& gate, const Product& up) {
  const auto silu = [](double g) { return g / (1 + std::exp(-g)); };
  Product p;
  p.value = silu(gate.value) * up.value;
  const double gate_bound = 1.1 * gate.bound + std::abs(silu(gate.value)) * 0x1p-18;
  p.bound = gate_bound * (std::abs(up.value) + up.bound) + std::abs(silu(gate.value)) * up.bound +
            kUlp * std::abs(p.value);
  p.ideal = silu(gate.ideal) * up.ideal;
  return p;
}

}  // namespace swarm::test
