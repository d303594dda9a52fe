// The tile kernel, through attention(), against the reference kernels.
#include "engine/kernels/cuda/attention/attention_tile.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <span>
#include <vector>

#include "engine/kernels/cuda/prim/types.h"
#include "engine/kernels/cuda/simt/emulator.h"
#include "tests/engine/kernels/cuda/attention/attention_case.h"
#include "tests/support/support.h"

using namespace swarm;
using namespace swarm::engine::kernels;
using test::AttentionCase;
using test::AttentionShape;

namespace {

constexpr KvType kTileTypes[] = {KvType::f16, KvType::bf16, KvType::q8_0, KvType::q4_0};

// Against the reference with q, K and V rounded to f16 as well, what is left is the rounding of
// the weights to f16, 2^-11 of each: at most 2^-11 sum(w |v|) / sum(w), |v| < 1.1 (q4_0
// overshoots); and sums in f32, 1e-5 (attention_split_test.cpp).
constexpr test::Bound kRounded{.abs = 1.1 * 0x1p-11 + 1e-5, .rel = 0};
// Against the exact one: a logit is the sum of d products over sqrt(d), each off by up to 2^-11
// for q and, when quantised, for K. For q, k uniform in [-1, 1) a product is 1/3 in the mean square
// and its error 1/3 * 2^-11 * sqrt(2/3) = 1.3e-4, and so is the error of the logit; at four sigma,
// 5e-4, twice (weights and their total), plus 5e-4 of above.
constexpr test::Bound kExact{.abs = 2e-3, .rel = 0};

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
  const auto exact = c.want(), rounded = c.rounded().want();
  std::vector<std::vector<float>> results;
  simt::for_each_order([&](simt::Stream stream, const std::string& order) {
    CAPTURE(order);
    results.push_back(c.run(stream, false));
  });
  auto mismatch = test::compare(results[0], rounded, kRounded);
  CHECK_MESSAGE(!mismatch, *mismatch);
  mismatch = test::compare(results[0], exact, kExact);
  CHECK_MESSAGE(!mismatch, *mismatch);
  for (const auto& result : results) CHECK(same_bits(result, results[0]));
}

}  // namespace

TEST_CASE("attention tile: every group and head size matches the reference, in every order") {
  for (const AttentionShape shape : {AttentionShape{.heads = 1, .kv_heads = 1, .head_dim = 64},
                                     AttentionShape{.heads = 4, .kv_heads = 2, .head_dim = 64},
                                     AttentionShape{.heads = 3, .kv_heads = 1, .head_dim = 64},
                                     AttentionShape{.heads = 4, .kv_heads = 1, .head_dim = 128},
                                     AttentionShape{.heads = 8, .kv_heads = 1, .head_dim = 128},
                                     AttentionShape{.heads = 40, .kv_heads = 1, .head_dim = 64}}) {
    AttentionCase c(shape, {{.position = 0, .count = 9},      // no full tile
                            {.position = 130, .count = 1},    // the split kernel's
                            {.position = 60, .count = 21}});  // over a tile's edge
    check_case(c);
  }
}

TEST_CASE("attention tile: every number of rows from 5 to 70") {
  simt::Emulator emulator;
  for (int32_t rows = 5; rows <= 70; rows += rows < 12 ? 1 : 13) {
    CAPTURE(rows);
    AttentionCase c({.heads = 2, .kv_heads = 1, .head_dim = 64}, {{.position = 3, .count = rows}});
    const auto mismatch = test::compare(c.run(emulator.stream(), false), c.rounded().want(),
                                        kRounded);
    CHECK_MESSAGE(!mismatch, *mismatch);
  }
}

TEST_CASE("attention tile: every pair of types it supports, pages of 1 to 256 tokens") {
  // Under sanitizers each head size with pages that cut its tiles.
  const auto pages = simt::kInstrumented ? std::vector{1, 7} : std::vector{1, 7, 16, 256};
  for (const int32_t page_tokens : pages)
    for (const KvType k_type : kTileTypes)
      for (const KvType v_type : kTileTypes) {
        if (!test::of_this_build(k_type, v_type)) continue;
        const int32_t head_dim = page_tokens == 7 ? 64 : 128;
        AttentionCase c({.heads = 8, .kv_heads = 2, .head_dim = head_dim,
                         .page_tokens = page_tokens, .k_type = k_type, .v_type = v_type},
                        {{.position = 50, .count = 18}});
        std::vector<float> out;
        std::vector<uint8_t> scratch;
        CHECK(cuda::attention_tile_supports(c.args(out, scratch)));
        check_case(c);
      }
}

TEST_CASE("attention tile: f32 is left to the split kernel, bit for bit") {
  simt::Emulator emulator;
  AttentionCase c({.heads = 2, .kv_heads = 1, .head_dim = 64, .k_type = KvType::f32},
                  {{.position = 50, .count = 9}});
  std::vector<float> out;
  std::vector<uint8_t> scratch;
  CHECK(!cuda::attention_tile_supports(c.args(out, scratch)));
  CHECK(same_bits(c.run(emulator.stream(), false), c.run(emulator.stream(), true)));
}

TEST_CASE("attention tile: what f16 cannot hold becomes NaN, never a wrong number") {
  simt::Emulator emulator;
  AttentionCase c({.heads = 1, .kv_heads = 1, .head_dim = 64, .k_type = KvType::bf16,
                   .v_type = KvType::bf16}, {{.position = 10, .count = 9}});
  const KvPlace place = c.kv.shape.v_place(c.batch.page(0, 14), 0, 14);
  const uint16_t huge = prim::to_bf16(1e5f).bits;
  std::memcpy(&c.kv.v[place.codes], &huge, 2);
  const auto out = c.run(emulator.stream(), false), exact = c.run(emulator.stream(), true);
  for (int32_t i = 4; i < 9; ++i) {                // rows that see position 14
    CHECK(!std::isfinite(c.row(out, i)[0]));
    CHECK(std::isfinite(c.row(exact, i)[0]));
    CHECK(std::isfinite(c.row(out, i)[1]));
  }
}

TEST_CASE("attention tile: a row's bits do not depend on page size, chunk or neighbours") {
  simt::Emulator emulator;
  const AttentionShape shape{.heads = 4, .kv_heads = 1, .head_dim = 64,
                             .k_type = KvType::q8_0, .v_type = KvType::f16};
  AttentionCase whole(shape, {{.position = 100, .count = 40}, {.position = 3, .count = 6}});
  const auto all = whole.run(emulator.stream(), false);
  for (const int32_t page_tokens : {1, 64, 256})
    for (const test::SpanSpec chunk : {test::SpanSpec{.position = 100, .count = 5},
                                       test::SpanSpec{.position = 103, .count = 30},
                                       test::SpanSpec{.position = 127, .count = 13}}) {
      AttentionShape other = shape;
      other.page_tokens = page_tokens;
      AttentionCase part(other, {chunk});
      const auto out = part.run(emulator.stream(), false);
      for (int32_t i = 0; i < chunk.count; ++i)
        CHECK(same_bits(part.row(out, i), whole.row(all, chunk.position - 100 + i)));
    }
}

TEST_CASE("attention tile: long rows are cut into parts, and nothing else changes") {
  for (int32_t part = 0; part < 100; ++part) {
    CHECK(cuda::tile_parts(cuda::tile_part_begin(part)) == part);
    CHECK(cuda::tile_parts(cuda::tile_part_begin(part) + 1) == part + 1);
    CHECK(cuda::tile_part_begin(part) % 128 == 0);
  }
  CHECK(cuda::tile_parts(131072) == 8 + 14);
  simt::Emulator emulator;
  const AttentionShape shape{.heads = 8, .kv_heads = 1, .head_dim = 64, .page_tokens = 64,
                             .k_type = KvType::q8_0};
  AttentionCase c(shape, {{.position = 2043, .count = 14}, {.position = 1, .count = 6}});
  check_case(c);
  const auto all = c.run(emulator.stream(), false);
  // Alone, rows up to position 2047 need no parts.
  AttentionCase alone(shape, {{.position = 2043, .count = 5}});
  const auto out = alone.run(emulator.stream(), false);
  for (int32_t i = 0; i < 5; ++i) CHECK(same_bits(alone.row(out, i), c.row(all, i)));
  // One tile at a time: 8 rows, 2 parts each, but not two.
  constexpr int64_t kPlace = 8 * (64 + 2) * 4;
  std::vector<uint8_t> scratch(31 * kPlace);
  auto again = test::poisoned(all.size());
  cuda::PagedAttentionArgs args = c.args(again, scratch);
  CHECK(cuda::attention(emulator.stream(), args).ok());
  CHECK(same_bits(again, all));
  args.scratch_bytes = 16 * kPlace;                // the split kernel wants 17
  CHECK(!cuda::attention(emulator.stream(), args).ok());
  // A tile of one head has 64 rows.
  AttentionCase one({.heads = 1, .kv_heads = 1, .head_dim = 64}, {{.position = 2043, .count = 6}});
  again = test::poisoned(one.q.size());
  scratch.assign(128 * (64 + 2) * 4, 0xff);
  args = one.args(again, scratch);
  CHECK(cuda::attention(emulator.stream(), args).ok());
  args.scratch_bytes -= 1;
  CHECK(!cuda::attention(emulator.stream(), args).ok());
}

// Under sanitizers the case before has parts enough.
TEST_CASE("attention tile: contexts where parts become longer" *
          doctest::skip(simt::kInstrumented)) {
  simt::Emulator emulator;
  AttentionCase c({.heads = 8, .kv_heads = 1, .head_dim = 64, .page_tokens = 256},
                  {{.position = 16384 - 2, .count = 5}});
  const auto mismatch = test::compare(c.run(emulator.stream(), false), c.rounded().want(),
                                      kRounded);
  CHECK_MESSAGE(!mismatch, *mismatch);
}

TEST_CASE("attention tile: NaN in a row stays in that row, large logits become a choice") {
  simt::Emulator emulator;
  AttentionCase c({.heads = 2, .kv_heads = 1, .head_dim = 64}, {{.position = 60, .count = 9}});
  c.q[3] = std::numeric_limits<float>::quiet_NaN();
  auto out = c.run(emulator.stream(), false);
  for (size_t i = 0; i < 64; ++i) CHECK(out[i] != out[i]);
  c.q[3] = 0;
  const auto want = c.rounded().want();
  CHECK(!test::compare(std::span(out).subspan(64), std::span(want).subspan(64), kRounded));
  for (float& value : c.q) value *= 1e4f;
  out = c.run(emulator.stream(), false);
  CHECK(!test::compare(out, c.rounded().want(), kRounded));
}

TEST_CASE("attention tile: a span's own keys matter, later and foreign ones do not") {
  simt::Emulator emulator;
  AttentionCase c({.heads = 2, .kv_heads = 1, .head_dim = 64},
                  {{.position = 60, .count = 9}, {.position = 0, .count = 9}});
  const auto before = c.run(emulator.stream(), false);
  // The key of position 64 of the first span: rows 0 to 3 do not see it.
  const KvPlace place = c.kv.shape.k_place(c.batch.page(0, 64), 0, 64 % 16);
  c.kv.k[place.codes + 1] ^= 0x40;
  const auto after = c.run(emulator.stream(), false);
  for (int32_t i = 0; i < 18; ++i)
    CHECK(same_bits(c.row(before, i), c.row(after, i)) == (i < 4 || i >= 9));
}

TEST_CASE("attention tile: the comparison notices one wrong element") {
  simt::Emulator emulator;
  AttentionCase c({.heads = 2, .kv_heads = 1, .head_dim = 64}, {{.position = 80, .count = 6}});
  auto out = c.run(emulator.stream(), false);
  const auto want = c.rounded().want();
  CHECK(!test::compare(out, want, kRounded));
  out[77] += 2e-3f;
  CHECK(test::compare(out, want, kRounded).value().index == 77);
}
