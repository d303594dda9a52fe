// The split kernel and its merge, through attention(), against the reference kernels.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <span>

#include "engine/kernels/cuda/attention/attention_split.h"
#include "engine/kernels/cuda/simt/emulator.h"
#include "tests/engine/kernels/cuda/attention/attention_case.h"
#include "tests/support/support.h"

using namespace swarm;
using namespace swarm::engine::kernels;
using test::AttentionCase;
using test::AttentionShape;

namespace {

constexpr KvType kTypes[] = {KvType::f32, KvType::f16, KvType::bf16, KvType::q8_0, KvType::q4_0};

// |q|, |k|, |v| <= 1. A logit is a sum of d products, each below 1, over sqrt(d) <= 16: its error
// in f32 is at most (d + 4) 2^-24 sqrt(d) < 2.5e-4 for d = 256, and of the order of sqrt(d) 2^-24 =
// 1e-6 when errors are as random as the inputs. Weights inherit it as relative error, twice (sum
// and total), and add 2^-22 for exp2; |v| <= 1. 1e-5 leaves a factor of 4 over the random estimate;
// an error of one key in 300 would show as 3e-3.
constexpr test::Bound kBound{.abs = 1e-5, .rel = 0};

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

void check_case(AttentionCase& c) {
  CAPTURE(c.shape.heads);
  CAPTURE(c.shape.kv_heads);
  CAPTURE(c.shape.head_dim);
  CAPTURE(c.shape.page_tokens);
  CAPTURE(test::kv_name(c.shape.k_type));
  CAPTURE(test::kv_name(c.shape.v_type));
  const auto want = c.want();
  std::vector<std::vector<float>> results;
  simt::for_each_order([&](simt::Stream stream, const std::string& order) {
    CAPTURE(order);
    results.push_back(c.run(stream, true));
    const auto mismatch = test::compare(results.back(), want, kBound);
    CHECK_MESSAGE(!mismatch, *mismatch);
  });
  for (const auto& result : results) CHECK(same_bits(result, results[0]));
}

}  // namespace

TEST_CASE("attention split: every head size and group matches the reference, in every order") {
  const std::vector<test::SpanSpec> specs = {
      {.position = 0, .count = 3}, {.position = 63, .count = 3}, {.position = 298, .count = 1}};
  for (const AttentionShape shape :
       {AttentionShape{.heads = 1, .kv_heads = 1, .head_dim = 64},
        AttentionShape{.heads = 4, .kv_heads = 2, .head_dim = 64},
        AttentionShape{.heads = 3, .kv_heads = 1, .head_dim = 64},
        AttentionShape{.heads = 8, .kv_heads = 1, .head_dim = 64},
        AttentionShape{.heads = 1, .kv_heads = 1, .head_dim = 128},
        AttentionShape{.heads = 2, .kv_heads = 1, .head_dim = 128},
        AttentionShape{.heads = 8, .kv_heads = 2, .head_dim = 128},
        AttentionShape{.heads = 12, .kv_heads = 1, .head_dim = 128},
        AttentionShape{.heads = 4, .kv_heads = 4, .head_dim = 32},
        AttentionShape{.heads = 2, .kv_heads = 1, .head_dim = 2},
        AttentionShape{.heads = 4, .kv_heads = 1, .head_dim = 90},
        AttentionShape{.heads = 6, .kv_heads = 1, .head_dim = 256}}) {
    AttentionCase c(shape, specs);
    check_case(c);
  }
}

TEST_CASE("attention split: contexts around tiles and parts, pages of 1 to 256 tokens") {
  for (const int32_t page_tokens : {1, 7, 16, 256})
    for (const int32_t context : {1, 2, 31, 32, 33, 64, 65, 127, 128, 129, 256, 257}) {
      AttentionCase c({.heads = 2, .kv_heads = 1, .head_dim = 64, .page_tokens = page_tokens},
                      {{.position = context - 1, .count = 1}});
      CAPTURE(context);
      check_case(c);
    }
}

TEST_CASE("attention split: every pair of types, read natively") {
  for (const int32_t head_dim : {32, 64, 128})
    for (const int32_t page_tokens : {3, 16})
      for (const KvType k_type : kTypes)
        for (const KvType v_type : kTypes) {
          if (!test::of_this_build(k_type, v_type)) continue;
          AttentionCase c({.heads = 4, .kv_heads = 2, .head_dim = head_dim,
                           .page_tokens = page_tokens, .k_type = k_type, .v_type = v_type},
                          {{.position = 70, .count = 2}});
          check_case(c);
        }
}

TEST_CASE("attention split: long contexts are cut into longer parts") {
  CHECK(cuda::split_count(1) == 1);
  CHECK(cuda::split_count(129) == 2);
  CHECK(cuda::split_count(4096) == 32);
  CHECK(cuda::split_count(4097) == 33);
  CHECK(cuda::split_count(131072) == 32 + 248);
  for (int32_t s = 0; s < 300; ++s) {
    CHECK(cuda::split_count(cuda::split_begin(s)) == s);
    CHECK(cuda::split_count(cuda::split_begin(s) + 1) == s + 1);
  }
  AttentionCase c({.heads = 2, .kv_heads = 1, .head_dim = 64, .page_tokens = 64},
                  {{.position = 4096 + 700, .count = 1}, {.position = 4096, .count = 1}});
  check_case(c);
}

TEST_CASE("attention split: a row's bits do not depend on page size, chunk or neighbours") {
  simt::Emulator emulator;
  const AttentionShape shape{.heads = 4, .kv_heads = 1, .head_dim = 64,
                             .k_type = KvType::q8_0, .v_type = KvType::q4_0};
  AttentionCase whole(shape, {{.position = 120, .count = 20}, {.position = 3, .count = 2}});
  const auto all = whole.run(emulator.stream(), true);
  for (const int32_t page_tokens : {1, 5, 64, 256})
    for (const int32_t position : {120, 127, 128, 139}) {
      AttentionShape other = shape;
      other.page_tokens = page_tokens;
      AttentionCase alone(other, {{.position = position, .count = 1}});
      CHECK(same_bits(alone.run(emulator.stream(), true), whole.row(all, position - 120)));
      // Few rows take the same kernel without being asked to.
      CHECK(same_bits(alone.run(emulator.stream(), false), whole.row(all, position - 120)));
    }
}

TEST_CASE("attention split: the bits do not depend on scratch and bounds, too little is refused") {
  simt::Emulator emulator;
  AttentionCase c({.heads = 4, .kv_heads = 2, .head_dim = 32},
                  {{.position = 100, .count = 3}, {.position = 300, .count = 2}});
  const auto want = c.run(emulator.stream(), true);
  const int64_t part = 4 * (32 + 2) * 4;         // heads (head_dim and a state of two) floats
  for (const int64_t parts : {3, 4, 7, 100}) {
    auto out = test::poisoned(want.size());
    std::vector<uint8_t> scratch(static_cast<size_t>(part * parts));
    cuda::PagedAttentionArgs args = c.args(out, scratch);
    args.deterministic = true;
    CHECK(cuda::attention(emulator.stream(), args).ok());
    CHECK(same_bits(out, want));
    if (parts < 100) continue;
    args.max_context = 5000;
    CHECK(cuda::attention(emulator.stream(), args).ok());
    CHECK(same_bits(out, want));
  }
  auto out = test::poisoned(want.size());
  std::vector<uint8_t> scratch(static_cast<size_t>(part * 2));
  CHECK(!cuda::attention(emulator.stream(), c.args(out, scratch)).ok());
}

TEST_CASE("attention: head sizes it does not know are refused") {
  simt::Emulator emulator;
  for (const int32_t head_dim : {33, 258}) {
    AttentionCase c({.heads = 1, .kv_heads = 1, .head_dim = head_dim},
                    {{.position = 9, .count = 1}});
    auto out = test::poisoned(c.q.size());
    std::vector<uint8_t> scratch(1 << 16);
    CHECK(!cuda::attention(emulator.stream(), c.args(out, scratch)).ok());
  }
}

TEST_CASE("attention split: padding rows and empty spans are left alone") {
  simt::Emulator emulator;
  AttentionCase c({.heads = 2, .kv_heads = 1, .head_dim = 64},
                  {{.position = 9, .count = 1}, {.position = 4, .count = 1}});
  auto want = c.want();
  c.batch.row_span[1] = -1;
  c.batch.spans[1].count = 0;
  for (const bool deterministic : {true, false}) {
    const auto out = c.run(emulator.stream(), deterministic);
    CHECK(!test::compare(c.row(out, 0), c.row(want, 0), kBound));
    CHECK(test::compare(c.row(out, 1), c.row(out, 1), kBound));    // still NaN
  }
}

TEST_CASE("attention split: NaN in a row stays in that row, and large logits do not overflow") {
  simt::Emulator emulator;
  AttentionCase c({.heads = 2, .kv_heads = 1, .head_dim = 64}, {{.position = 200, .count = 2}});
  c.q[3] = std::numeric_limits<float>::quiet_NaN();
  auto out = c.run(emulator.stream(), true);
  for (size_t i = 0; i < 64; ++i) CHECK(out[i] != out[i]);
  const auto want = c.want();
  CHECK(!test::compare(std::span(out).subspan(64), std::span(want).subspan(64), kBound));
  c.q[3] = 0;
  for (float& value : c.q) value *= 1e4f;                          // softmax becomes a choice
  out = c.run(emulator.stream(), true);
  for (const float value : out) CHECK(std::abs(value) <= 1.0f);
}

TEST_CASE("attention split: the comparison notices one wrong element") {
  simt::Emulator emulator;
  AttentionCase c({.heads = 2, .kv_heads = 1, .head_dim = 64}, {{.position = 80, .count = 1}});
  auto out = c.run(emulator.stream(), true);
  const auto want = c.want();
  CHECK(!test::compare(out, want, kBound));
  out[77] += 1e-4f;
  CHECK(test::compare(out, want, kBound).value().index == 77);
  // One key read from its neighbour's slot.
  c.kv.k[10] ^= 0x40;
  CHECK(test::compare(c.run(emulator.stream(), true), want, kBound));
}
