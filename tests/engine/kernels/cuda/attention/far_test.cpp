// Pages of K and V beyond 2^32 bytes of a layer's block: written and read where 64-bit arithmetic
// says, bit for bit as from pages that lie close together.
#include <doctest/doctest.h>

#include <cstring>

#include "engine/kernels/cuda/attention/rope_append.h"
#include "engine/kernels/cuda/simt/emulator.h"
#include "tests/engine/kernels/cuda/attention/attention_case.h"
#include "tests/engine/kernels/cuda/far_memory.h"

using namespace swarm;
using namespace swarm::engine::kernels;
using test::AttentionCase;

namespace {

// 16 tokens of 8 heads of 128 as f16: 32 KiB, so page 70000 is beyond 2 GiB and 140000 beyond 4.
constexpr int32_t kFarPages[] = {140000, 5, 70000, 139999};
constexpr size_t kFarBytes = size_t{5} << 30;
constexpr test::AttentionShape kShape{.heads = 8, .kv_heads = 8, .head_dim = 128};

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace

TEST_CASE("attention: pages further than 4 GiB apart are read") {
  for (const KvType type : {KvType::f16, KvType::q8_0})
    for (const bool deterministic : {true, false}) {             // the split kernel and the other
      CAPTURE(test::kv_name(type));
      CAPTURE(deterministic);
      simt::Emulator emulator;
      test::AttentionShape shape = kShape;
      shape.k_type = shape.v_type = type;
      AttentionCase c(shape, {{.position = 50, .count = 9}});
      const auto want = c.run(emulator.stream(), deterministic);
      REQUIRE(c.batch.page_count == 4);
      // q8_0 pages are half as large, and twice as many of them fit.
      const int32_t scale = type == KvType::f16 ? 1 : 2;
      const test::FarMemory k(kFarBytes), v(kFarBytes);
      const size_t page_bytes = c.kv.k.size() / 4;
      for (int32_t& page : c.batch.pages) {
        const auto from = static_cast<size_t>(page) * page_bytes;
        page = kFarPages[page] * scale;
        const auto to = static_cast<size_t>(page) * page_bytes;
        REQUIRE(to + page_bytes <= kFarBytes);
        std::memcpy(k.data() + to, c.kv.k.data() + from, page_bytes);
        std::memcpy(v.data() + to, c.kv.v.data() + from, page_bytes);
      }
      auto out = test::poisoned(want.size());
      std::vector<uint8_t> scratch(size_t{4} << 20);
      cuda::PagedAttentionArgs args = c.args(out, scratch);
      args.deterministic = deterministic;
      args.kv.k = k.data();
      args.kv.v = v.data();
      REQUIRE(cuda::attention(emulator.stream(), args).ok());
      CHECK(same_bits(out, want));
    }
}

TEST_CASE("rope append: pages further than 4 GiB apart are written") {
  simt::Emulator emulator;
  test::PagedBatch batch({{.position = 0, .count = 60}}, kShape.page_tokens, 1);
  REQUIRE(batch.page_count == 4);
  test::PagedKv kv(KvType::f16, KvType::f16, kShape.page_tokens, kShape.kv_heads, kShape.head_dim,
                   batch.page_count);
  const size_t width = size_t{8} * 128 * 60;
  const auto q = test::random_floats(width, 1, 1), k = test::random_floats(width, 1, 2),
             v = test::random_floats(width, 1, 3), angles = test::random_floats(60 * 64, 1, 4);
  const std::vector<float> ones(128, 1.0f);
  const auto append = [&](const cuda::KvView& view) {
    std::vector<float> rotated = q;
    REQUIRE(cuda::qk_norm_rope_append(
                emulator.stream(),
                {.q = rotated.data(), .k = k.data(), .v = v.data(), .q_norm = ones.data(),
                 .k_norm = ones.data(), .cos = angles.data(), .sin = angles.data(), .eps = 1e-6f,
                 .heads = kShape.heads, .batch = batch.view(), .kv = view})
                .ok());
  };
  append(kv.view());
  const std::vector<int32_t> near = batch.pages;
  for (int32_t& page : batch.pages) page = kFarPages[page];
  const test::FarMemory far_k(kFarBytes), far_v(kFarBytes);
  cuda::KvView view = kv.view();
  view.k = far_k.data();
  view.v = far_v.data();
  append(view);
  // 60 positions: the last slots of the last page stay as they were.
  const size_t page_bytes = kv.k.size() / 4, row_bytes = 256, slots = 16;
  for (size_t i = 0; i < near.size(); ++i)
    for (size_t head = 0; head < 8; ++head) {
      const size_t used = (i == 3 ? 12 : slots) * row_bytes;
      const size_t from = static_cast<size_t>(near[i]) * page_bytes + head * slots * row_bytes;
      const size_t to =
          static_cast<size_t>(batch.pages[i]) * page_bytes + head * slots * row_bytes;
      CHECK(std::memcmp(far_k.data() + to, kv.k.data() + from, used) == 0);
      CHECK(std::memcmp(far_v.data() + to, kv.v.data() + from, used) == 0);
    }
}
