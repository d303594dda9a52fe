// Products routed to experts: lists of pairs as moe_route makes them, gate and up fused with
// SwiGLU, then down, for few and many tokens, experts without tokens and experts with all of them.
#include <doctest/doctest.h>

#include "tests/engine/kernels/cuda/matmul/product.h"

using namespace swarm;
using namespace swarm::test;

namespace {

struct Routing {
  std::vector<int32_t> begin;          // [experts + 1]
  std::vector<int32_t> token;          // [pairs]
  std::vector<int32_t> expert;         // [pairs]
};

// Every token to `used` experts; lower ones are chosen more often, the last of them never.
Routing random_routing(Rng& rng, int32_t tokens, int32_t experts, int32_t used) {
  std::vector<std::vector<int32_t>> lists(static_cast<size_t>(experts));
  for (int32_t t = 0; t < tokens; ++t)
    for (int32_t k = 0; k < used;) {
      const auto wide = static_cast<uint64_t>(experts - 1);
      auto& list = lists[size_t(std::min(rng.below(wide), rng.below(wide)))];
      if (!list.empty() && list.back() == t) continue;
      list.push_back(t);
      ++k;
    }
  Routing r;
  for (size_t e = 0; e < lists.size(); ++e) {
    r.begin.push_back(static_cast<int32_t>(r.token.size()));
    for (const int32_t t : lists[e]) {
      r.token.push_back(t);
      r.expert.push_back(static_cast<int32_t>(e));
    }
  }
  r.begin.push_back(static_cast<int32_t>(r.token.size()));
  return r;
}

struct Experts {
  std::vector<Placed> each;
  std::vector<std::byte> bytes;        // one behind the other
  int64_t expert_bytes = 0;
  cuda::WeightView first;
};

Experts random_experts(Rng& rng, const Type& type, int32_t experts, int32_t rows, int32_t cols) {
  Experts all;
  for (int32_t e = 0; e < experts; ++e) {
    all.each.push_back(random_placed(rng, type, rows, cols));
    const auto& bytes = all.each.back().bytes;
    all.bytes.insert(all.bytes.end(), bytes.begin(), bytes.end());
    all.expert_bytes = static_cast<int64_t>(bytes.size());
  }
  all.first = all.each[0].view;
  all.first.data = reinterpret_cast<const uint8_t*>(all.bytes.data());
  return all;
}

struct Case {
  const Type& type;
  const Experts& gate;
  const Experts& up;
  const Activations& a;
  const Routing& routing;
  cuda::Family family;
};

enum class Fused : uint8_t { no, yes };

cuda::MatmulArgs arguments(const Case& c, Fused fused, float* y) {
  return {.weight = c.gate.first,
          .up = fused == Fused::yes ? c.up.first.data : nullptr,
          .expert_bytes = c.gate.expert_bytes, .x = c.a.x.data(), .quantised = c.a.quantised,
          .y = y, .rows = static_cast<int32_t>(c.routing.token.size()),
          .expert_begin = c.routing.begin.data(), .pair_token = c.routing.token.data(),
          .experts = static_cast<int32_t>(c.gate.each.size()), .family = c.family};
}

std::vector<int32_t> token_counts(const Type& type) {
  if (!simt::kInstrumented) return {1, 4, 37};
  return of_this_build(type) ? std::vector{1, 37} : std::vector{4};
}

void check(const Case& c, Fused fused, simt::Stream stream) {
  const int32_t rows = c.gate.first.rows;
  const size_t pairs = c.routing.token.size();
  std::vector<float> y(pairs * size_t(rows));
  simt::poison(y.data(), y.size() * sizeof(float), 0);
  REQUIRE(cuda::matmul(stream, arguments(c, fused, y.data())).ok());
  const Rounding rounding =
      c.family == cuda::Family::gemv ? Rounding::gemv : Rounding::gemm;
  const std::vector<Row> rows_of_x = make_rows(c.a);
  for (size_t i = 0; i < pairs; ++i) {
    const auto e = size_t(c.routing.expert[i]);
    const Row& x = rows_of_x[size_t(c.routing.token[i])];
    for (int32_t r = 0; r < rows; ++r) {
      Product want = product(c.type, c.gate.each[e].row(r), x, rounding);
      if (fused == Fused::yes)
        want = swiglu(want, product(c.type, c.up.each[e].row(r), x, rounding));
      const double got = y[i * size_t(rows) + size_t(r)];
      CAPTURE(c.type.name);
      CAPTURE(i);
      CAPTURE(r);
      CAPTURE(got);
      CAPTURE(want.value);
      REQUIRE(std::abs(got - want.value) <= want.bound);
    }
  }
}

}  // namespace

TEST_CASE("cuda: routed rows meet the weights of their expert, for every type") {
  for (const Type& type : types_of_build()) {
    Rng rng(mix_seed(51, static_cast<uint64_t>(type.weight)));
    const int32_t experts = 5, used = 2, rows = 67;
    const int32_t cols = cuda::weight_block(type.weight).elements > 32 ? 256 : 96;
    const Experts gate = random_experts(rng, type, experts, rows, cols);
    const Experts up = random_experts(rng, type, experts, rows, cols);
    for (const int32_t tokens : token_counts(type)) {
      const Routing routing = random_routing(rng, tokens, experts, used);
      simt::Emulator emulator;
      const Activations a = make_activations(
          emulator.stream(), random_rows(rng, size_t(tokens) * size_t(cols)), tokens, cols);
      for (const auto family : {cuda::Family::gemv, cuda::Family::gemm}) {
        const Case c{type, gate, up, a, routing, family};
        check(c, Fused::yes, emulator.stream());
        if (of_this_build(type)) check(c, Fused::no, emulator.stream());
      }
    }
  }
}

// Under sanitizers there is one order, and the case before has seen the kernels.
TEST_CASE("cuda: routed rows have the same bits in every order, fused or not, for every type" *
          doctest::skip(simt::kInstrumented)) {
  for (const Type& type : all_types()) {
    Rng rng(mix_seed(55, static_cast<uint64_t>(type.weight)));
    const int32_t experts = 4, used = 2, rows = 35, tokens = 9, cols = 256;
    const Experts gate = random_experts(rng, type, experts, rows, cols);
    const Experts up = random_experts(rng, type, experts, rows, cols);
    const Routing routing = random_routing(rng, tokens, experts, used);
    const auto x = random_rows(rng, size_t(tokens) * size_t(cols));
    std::vector<std::vector<float>> first;
    simt::for_each_order([&](simt::Stream stream, const std::string& order) {
      const Activations a = make_activations(stream, x, tokens, cols);
      size_t at = 0;
      for (const auto family : {cuda::Family::gemv, cuda::Family::gemm})
        for (const Fused fused : {Fused::no, Fused::yes}) {
          const Case c{type, gate, up, a, routing, family};
          std::vector<float> y(routing.token.size() * size_t(rows));
          simt::poison(y.data(), y.size() * sizeof(float), 0);
          REQUIRE(cuda::matmul(stream, arguments(c, fused, y.data())).ok());
          if (at == first.size()) first.push_back(y);
          CAPTURE(type.name);
          CAPTURE(order);
          CAPTURE(at);
          REQUIRE(std::memcmp(first[at].data(), y.data(), y.size() * sizeof(float)) == 0);
          ++at;
        }
    });
  }
}

TEST_CASE("cuda: large tiles cut the pairs of each expert") {
  const Type& type = all_types()[11];            // q4_k
  Rng rng(52);
  const int32_t experts = 3, tokens = 100, cols = 256;
  const Experts gate = random_experts(rng, type, experts, 40, cols);
  const Experts up = random_experts(rng, type, experts, 40, cols);
  const Routing routing = random_routing(rng, tokens, experts, 1);
  std::vector<float> first;
  simt::for_each_order([&](simt::Stream stream, const std::string& order) {
    CAPTURE(order);
    const Activations a =
        make_activations(stream, random_rows(rng = Rng(53), size_t(tokens) * size_t(cols)),
                         tokens, cols);
    const Case c{type, gate, up, a, routing, cuda::Family::gemm};
    check(c, Fused::yes, stream);
    std::vector<float> y(size_t(tokens) * 40);
    REQUIRE(cuda::matmul(stream, arguments(c, Fused::yes, y.data())).ok());
    if (first.empty()) first = y;
    CHECK(first == y);
  });
}

TEST_CASE("cuda: down reads one row per pair") {
  const Type& type = all_types()[13];            // q6_k
  Rng rng(54);
  const int32_t experts = 4, cols = 256, rows = 50;
  const Experts down = random_experts(rng, type, experts, rows, cols);
  const Routing routing = random_routing(rng, 9, experts, 2);
  const auto pairs = static_cast<int32_t>(routing.token.size());
  simt::Emulator emulator;
  const Activations a = make_activations(
      emulator.stream(), random_rows(rng, size_t(pairs) * size_t(cols)), pairs, cols);
  for (const auto family : {cuda::Family::gemv, cuda::Family::gemm}) {
    const Case c{type, down, down, a, routing, family};
    std::vector<float> y(size_t(pairs) * size_t(rows));
    simt::poison(y.data(), y.size() * sizeof(float), 0);
    cuda::MatmulArgs args = arguments(c, Fused::no, y.data());
    args.pair_token = nullptr;
    REQUIRE(cuda::matmul(emulator.stream(), args).ok());
    const std::vector<Row> rows_of_x = make_rows(a);
    for (int32_t i = 0; i < pairs; ++i)
      for (int32_t r = 0; r < rows; ++r) {
        const Product want =
            product(type, down.each[size_t(routing.expert[size_t(i)])].row(r),
                    rows_of_x[size_t(i)], Rounding::gemm);
        CAPTURE(i);
        CAPTURE(r);
        REQUIRE(std::abs(y[size_t(i * rows + r)] - want.value) <= want.bound);
      }
  }
}
