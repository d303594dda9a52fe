// One backend with several threads over the ops that share memory between them - products, experts,
// attention - against the same with one thread. ThreadSanitizer sees this test.
#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

#include "engine/kernels/kernels.h"
#include "tests/engine/kernels/matrices.h"

using namespace swarm;
using namespace swarm::engine::kernels;

namespace {

std::vector<float> run_ops(std::string_view isa, int32_t threads) {
  auto opened = open_kernels(isa, threads);
  SWARM_CHECK(opened.has_value());
  Kernels& kernels = **opened;
  constexpr int32_t kTokens = 6, kHidden = 256, kFfn = 256, kExperts = 3, kUsed = 2;
  Rng rng(21);
  const auto* q8 = engine::formats::find_block_type(engine::formats::TensorType::q8_0);
  const test::Matrix weight = test::random_matrix(rng, *q8, kExperts * kFfn, kHidden);
  const auto x = test::random_rows(rng, size_t(kTokens * kHidden));
  std::vector<float> y(size_t(kTokens * kExperts * kFfn), NAN);
  const LinearOutput out[] = {{weight.weight, y.data()}};
  kernels.linear(out, x.data(), kTokens);

  ExpertWeights experts{.first = weight.weight, .count = kExperts, .stride = 0};
  experts.first.rows = kFfn;
  experts.stride = experts.first.bytes();
  std::vector<int32_t> ids;
  for (int32_t t = 0; t < kTokens; ++t) ids.insert(ids.end(), {t % 3, (t + 1) % 3});
  const std::vector<float> parts(size_t(kTokens * kUsed), 0.5f);
  std::vector<float> residual = x;
  kernels.expert_ffn({.x = x.data(), .tokens = kTokens, .used = kUsed, .ids = ids.data(),
                      .weights = parts.data(), .gate = experts, .up = experts, .down = experts,
                      .residual = residual.data()});

  const std::vector<int32_t> pages = {0, 1};
  const BatchSpan span[] = {{0, kTokens, 0, pages}};
  std::vector<std::byte> k(2 * 2 * 4 * 64 * 2), v(k.size());
  const KvLayer kv{.k_type = KvType::f16, .v_type = KvType::f16, .page_tokens = 4, .kv_heads = 2,
                   .head_dim = 64, .k = k.data(), .v = v.data()};
  std::vector<float> q(x.begin(), x.end()), keys(x.begin(), x.begin() + kTokens * 128);
  const std::vector<float> ones(64, 1.0f), angle(size_t(kTokens * 32), 0.6f);
  std::vector<float> mixed(q.size(), NAN);
  kernels.begin({.tokens = std::span(ids).first(kTokens), .positions = {}, .spans = span,
                 .wanted = {}});
  kernels.qk_norm_rope_append({.q = q.data(), .k = keys.data(), .v = keys.data(),
                               .q_norm = ones.data(), .k_norm = ones.data(), .cos = angle.data(),
                               .sin = angle.data(), .eps = 1e-6f, .heads = 4, .kv = kv});
  kernels.attention({.q = q.data(), .out = mixed.data(), .heads = 4, .scale = 0.125f, .kv = kv});
  y.insert(y.end(), residual.begin(), residual.end());
  y.insert(y.end(), mixed.begin(), mixed.end());
  return y;
}

}  // namespace

TEST_CASE("kernels: three threads give the bits of one in every op they share") {
  for (const std::string_view isa : available_isas()) {
    const std::vector<float> one = run_ops(isa, 1);
    for (const float value : one) REQUIRE(std::isfinite(value));
    CAPTURE(isa);
    for (int round = 0; round < 5; ++round) CHECK(run_ops(isa, 3) == one);
  }
}
