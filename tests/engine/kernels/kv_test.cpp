// Stored K and V of every type against the `gguf` package and numpy (tests/golden/kernels/
// make_kv_attention.py): the bytes of quantised rows exactly, attention over them within f32
// rounding: sums of up to 128 products of size up to about 10 in the scores, then an exponential
// (its argument's error is its relative error) and 21 weighted values of size up to 10: 2e-5.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "engine/formats/gguf.h"
#include "engine/kernels/kernels.h"
#include "engine/kernels/kv_rows.h"
#include "tests/support/support.h"

using namespace swarm;
using namespace swarm::engine::kernels;
using engine::formats::GgufFile;
using engine::formats::TensorView;

namespace {

constexpr test::Bound kBound{.abs = 2e-5, .rel = 2e-5};

struct Golden {
  explicit Golden(int32_t size) : head_dim(size) {
    auto opened = GgufFile::open(test::golden("kernels/kv_attention.gguf"));
    REQUIRE(opened.has_value());
    file = *opened;
    const auto shape = file->array("shape");
    REQUIRE(shape.has_value());
    const auto number = [&](size_t i) { return std::get<int32_t>((*shape)[i]); };
    positions = number(0), tokens = number(1), heads = number(2), kv_heads = number(3);
  }

  const TensorView& tensor(const std::string& name) const {
    const TensorView* found = file->find_tensor("hd" + std::to_string(head_dim) + "." + name);
    REQUIRE_MESSAGE(found, name);
    return *found;
  }
  std::vector<float> floats(const std::string& name) const {
    const TensorView& view = tensor(name);
    std::vector<float> out(view.elements());
    REQUIRE(engine::formats::dequantize(view.type, view.data, out).has_value());
    return out;
  }

  std::shared_ptr<const GgufFile> file;
  int32_t head_dim = 0, positions = 0, tokens = 0, heads = 0, kv_heads = 0;
};

// Pages in falling order, filled row by row.
struct Pages {
  Pages(const Golden& golden, KvType k_type, KvType v_type, int32_t page_tokens) {
    const int32_t count = (golden.positions + page_tokens - 1) / page_tokens;
    for (int32_t p = 0; p < count; ++p) list.push_back(count - 1 - p);
    const auto rows = size_t(count) * size_t(page_tokens) * size_t(golden.kv_heads);
    k.assign(rows * kv_row_bytes(k_type, golden.head_dim), std::byte{0xA5});
    v.assign(rows * kv_row_bytes(v_type, golden.head_dim), std::byte{0xA5});
    layer = {.k_type = k_type, .v_type = v_type, .page_tokens = page_tokens,
             .kv_heads = golden.kv_heads, .head_dim = golden.head_dim, .k = k.data(),
             .v = v.data()};
    fill(golden, golden.floats("k"), golden.floats("v"));
  }

  void fill(const Golden& golden, const std::vector<float>& keys,
            const std::vector<float>& values) {
    const auto width = size_t(golden.head_dim);
    for (int32_t p = 0; p < golden.positions; ++p) {
      for (int32_t h = 0; h < golden.kv_heads; ++h) {
        const size_t at = size_t(p * golden.kv_heads + h) * width;
        const int32_t page = list[size_t(p / layer.page_tokens)], slot = p % layer.page_tokens;
        store_kv_row(layer.k_type, {keys.data() + at, width}, layer.k,
                     layer.k_place(page, h, slot));
        store_kv_row(layer.v_type, {values.data() + at, width}, layer.v,
                     layer.v_place(page, h, slot));
      }
    }
  }

  std::vector<int32_t> list;
  std::vector<std::byte> k, v;
  KvLayer layer;
};

}  // namespace

TEST_CASE("kv: quantised rows are the bytes of the gguf package, scales and codes apart") {
  for (const int32_t head_dim : {64, 128}) {
    const Golden golden(head_dim);
    for (const KvType type : {KvType::q8_0, KvType::q4_0}) {
      const Pages pages(golden, type, type, 3);
      const TensorView& want = golden.tensor("k." + std::string(kv_type_name(type)));
      const size_t code_bytes = kv_code_bytes(type, kKvGroup);
      const auto groups = size_t(head_dim / kKvGroup);
      for (int32_t p = 0; p < golden.positions; ++p) {
        for (int32_t h = 0; h < golden.kv_heads; ++h) {
          const KvPlace place = pages.layer.k_place(pages.list[size_t(p / 3)], h, p % 3);
          for (size_t g = 0; g < groups; ++g) {
            const std::byte* block =
                want.data.data() + (size_t(p * golden.kv_heads + h) * groups + g) *
                                       (2 + code_bytes);
            CAPTURE(head_dim);
            CAPTURE(p);
            CAPTURE(g);
            REQUIRE(std::memcmp(pages.k.data() + place.scales + 2 * g, block, 2) == 0);
            REQUIRE(std::memcmp(pages.k.data() + place.codes + g * code_bytes, block + 2,
                                code_bytes) == 0);
          }
        }
      }
    }
  }
}

TEST_CASE("kv: attention over every pair of types equals numpy over the gguf package's values") {
  for (const int32_t head_dim : {64, 128}) {
    const Golden golden(head_dim);
    const auto q = golden.floats("q");
    const auto names = golden.file->array("pairs");
    REQUIRE(names.has_value());
    REQUIRE(names->size() == 20);
    for (size_t i = 0; i < names->size(); i += 2) {
      const std::string k_name(std::get<std::string>((*names)[i]));
      const std::string v_name(std::get<std::string>((*names)[i + 1]));
      const auto want = golden.floats("out." + k_name + "." + v_name);
      for (const int32_t page_tokens : {1, 5, 16}) {
        const Pages pages(golden, kv_type_by_name(k_name).value(),
                          kv_type_by_name(v_name).value(), page_tokens);
        const BatchSpan span[] = {{0, golden.tokens, golden.positions - golden.tokens,
                                   pages.list}};
        for (const std::string_view isa : available_isas()) {
          auto kernels = open_kernels(isa, 2);
          REQUIRE(kernels.has_value());
          std::vector<float> out(q.size(), NAN);
          (*kernels)->begin({.tokens = {}, .positions = {}, .spans = span, .wanted = {}});
          (*kernels)->attention({.q = q.data(), .out = out.data(), .heads = golden.heads,
                                 .scale = 1.0f / std::sqrt(float(head_dim)),
                                 .kv = pages.layer});
          CAPTURE(isa);
          CAPTURE(k_name);
          CAPTURE(v_name);
          CAPTURE(page_tokens);
          if (const auto bad = test::compare(out, want, kBound)) FAIL(*bad);
        }
      }
    }
  }
}

TEST_CASE("kv: the bound notices one wrong code of four bits") {
  const Golden golden(64);
  const auto q = golden.floats("q");
  const auto want = golden.floats("out.q4_0.q4_0");
  Pages pages(golden, KvType::q4_0, KvType::q4_0, 16);
  pages.v[pages.layer.v_place(pages.list[0], 0, 2).codes] ^= std::byte{1};
  const BatchSpan span[] = {{0, golden.tokens, golden.positions - golden.tokens, pages.list}};
  auto kernels = open_kernels("auto", 1);
  REQUIRE(kernels.has_value());
  std::vector<float> out(q.size(), NAN);
  (*kernels)->begin({.tokens = {}, .positions = {}, .spans = span, .wanted = {}});
  (*kernels)->attention({.q = q.data(), .out = out.data(), .heads = golden.heads,
                         .scale = 0.125f, .kv = pages.layer});
  CHECK(test::compare(out, want, kBound));
}

TEST_CASE("kv: a group that is not finite reads back as NaN and leaves its neighbours alone") {
  for (const KvType type : {KvType::q8_0, KvType::q4_0}) {
    for (const float bad : {std::numeric_limits<float>::infinity(), NAN}) {
      std::vector<float> row(64, 0.5f), back(64);
      row[3] = bad;
      std::vector<std::byte> stored(kv_row_bytes(type, 64));
      const KvPlace place{.codes = 0, .scales = kv_code_bytes(type, 64)};
      store_kv_row(type, row, stored.data(), place);
      load_kv_row(type, stored.data(), place, back);
      for (size_t i = 0; i < 32; ++i) CHECK(std::isnan(back[i]));
      for (size_t i = 32; i < 64; ++i) CHECK(std::abs(back[i] - 0.5f) <= 0.005f);
    }
  }
}

TEST_CASE("kv: names and sizes") {
  CHECK(kv_type_by_name("q8_0") == KvType::q8_0);
  CHECK_FALSE(kv_type_by_name("q8").has_value());
  CHECK(kv_row_bytes(KvType::f32, 128) == 512);
  CHECK(kv_row_bytes(KvType::f16, 128) == 256);
  CHECK(kv_row_bytes(KvType::bf16, 128) == 256);
  CHECK(kv_row_bytes(KvType::q8_0, 128) == 136);
  CHECK(kv_row_bytes(KvType::q4_0, 128) == 72);
  CHECK(kv_row_bytes(KvType::q4_0, 64) == 36);
}
