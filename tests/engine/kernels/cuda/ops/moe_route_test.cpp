// Routing, grouping and combining on the emulator against the scalar backend and a stable sort.
#include "engine/kernels/cuda/moe_route.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "engine/base/rng.h"
#include "engine/kernels/cuda/simt/emulator.h"
#include "engine/kernels/kernels.h"
#include "tests/engine/kernels/matrices.h"
#include "tests/support/support.h"

using namespace swarm;
using namespace swarm::engine::kernels;

namespace {

struct Shape {
  int32_t tokens, experts, used;
};
// One expert, odd counts, all experts used, the model's own shape, the largest table.
constexpr Shape kShapes[] = {{1, 1, 1},   {3, 3, 2},    {50, 10, 3},
                             {9, 16, 16}, {70, 128, 8}, {2, 1024, 5}};

std::vector<int32_t> poisoned_ints(size_t count) {
  std::vector<int32_t> values(count);
  simt::poison(values.data(), count * sizeof(int32_t), 1);
  return values;
}
std::vector<float> poisoned_floats(size_t count) {
  std::vector<float> values(count);
  simt::poison(values.data(), count * sizeof(float), 0);
  return values;
}

}  // namespace

TEST_CASE("cuda: routing picks the same experts, ties to the lower id") {
  const auto reference = open_kernels("reference", 1).value();
  Rng rng(5);
  for (const auto& [tokens, experts, used] : kShapes) {
    const size_t slots = size_t(tokens) * size_t(used);
    auto logits = test::random_rows(rng, size_t(tokens) * size_t(experts));
    for (int32_t e = 0; e < experts; ++e) logits[size_t(e)] = e % 2 == 0 ? 0.0f : -0.0f;
    std::vector<int32_t> want_ids(slots);
    std::vector<float> want(slots);
    reference->route({.logits = logits.data(), .tokens = tokens, .experts = experts, .used = used,
                      .ids = want_ids.data(), .weights = want.data()});
    simt::for_each_order([&](simt::Stream stream, const std::string& order) {
      auto ids = poisoned_ints(slots);
      auto weights = poisoned_floats(slots);
      REQUIRE(cuda::route_tokens(stream, {.logits = logits.data(), .ids = ids.data(),
                                          .weights = weights.data(), .tokens = tokens,
                                          .experts = experts, .used = used}).ok());
      CAPTURE(order);
      CAPTURE(experts);
      CHECK(ids == want_ids);
      // exp of at most 2 ulp, a sum of up to 16 terms, a division: 20 * 2^-24.
      if (const auto bad = test::compare(weights, want, {.rel = 1.2e-6})) FAIL(*bad);
    });
  }
}

TEST_CASE("cuda: pairs are grouped by expert in token order, and each slot finds its pair") {
  Rng rng(6);
  for (const auto& [tokens, experts, used] : kShapes) {
    const size_t pairs = size_t(tokens) * size_t(used);
    std::vector<int32_t> ids(pairs);
    // Distinct experts within a token; the last expert stays empty where there is room for it.
    for (int32_t t = 0; t < tokens; ++t) {
      const auto first = static_cast<int32_t>(rng.below(size_t(experts)));
      for (int32_t s = 0; s < used; ++s)
        ids[size_t(t * used + s)] = (first + s) % std::max(used, experts - 1);
    }
    std::vector<size_t> order_of(pairs);
    for (size_t i = 0; i < pairs; ++i) order_of[i] = i;
    std::stable_sort(order_of.begin(), order_of.end(),
                     [&](size_t a, size_t b) { return ids[a] < ids[b]; });
    simt::for_each_order([&](simt::Stream stream, const std::string& order) {
      auto count = poisoned_ints(size_t(experts));
      auto begin = poisoned_ints(size_t(experts) + 1);
      auto token = poisoned_ints(pairs);
      auto pair_of = poisoned_ints(pairs);
      REQUIRE(cuda::group_by_expert(stream, {.ids = ids.data(), .expert_count = count.data(),
                                             .expert_begin = begin.data(),
                                             .pair_token = token.data(),
                                             .pair_of = pair_of.data(), .tokens = tokens,
                                             .experts = experts, .used = used}).ok());
      CAPTURE(order);
      CAPTURE(experts);
      CHECK(begin[0] == 0);
      CHECK(begin[size_t(experts)] == int32_t(pairs));
      for (size_t place = 0; place < pairs; ++place) {
        const size_t slot = order_of[place];
        REQUIRE(token[place] == int32_t(slot) / used);
        REQUIRE(pair_of[slot] == int32_t(place));
        REQUIRE(begin[size_t(ids[slot])] <= int32_t(place));
        REQUIRE(int32_t(place) < begin[size_t(ids[slot]) + 1]);
      }
    });
  }
}

TEST_CASE("cuda: experts are combined with their weights, in slot order") {
  Rng rng(7);
  const int32_t tokens = 11, used = 3, hidden = 70;
  const auto down = test::random_rows(rng, size_t(tokens * used * hidden));
  const auto weights = test::random_rows(rng, size_t(tokens * used));
  const auto start = test::random_rows(rng, size_t(tokens * hidden));
  std::vector<int32_t> pair_of;
  for (int32_t i = 0; i < tokens * used; ++i) pair_of.push_back((i * 7) % (tokens * used));
  std::vector<float> want = start;
  for (int32_t t = 0; t < tokens; ++t)
    for (int32_t j = 0; j < hidden; ++j) {
      float sum = 0;
      for (int32_t s = 0; s < used; ++s)
        sum = std::fma(weights[size_t(t * used + s)],
                       down[size_t(pair_of[size_t(t * used + s)] * hidden + j)], sum);
      want[size_t(t * hidden + j)] += sum;
    }
  simt::for_each_order([&](simt::Stream stream, const std::string& order) {
    std::vector<float> residual = start;
    REQUIRE(cuda::combine_experts(stream, {.down = down.data(), .weights = weights.data(),
                                           .pair_of = pair_of.data(), .residual = residual.data(),
                                           .tokens = tokens, .used = used,
                                           .hidden = hidden}).ok());
    CAPTURE(order);
    CHECK(residual == want);                 // the same roundings in the same order
  });
}
