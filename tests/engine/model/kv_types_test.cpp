// Whole tiny models with K and V kept in smaller types, against Hugging Face's forward pass whose K
// and V went through the quantisers of the `gguf` package (tests/golden/model/make_kv_golden.py).
// Bounds. Where every stored code is the same on both sides, that of f32 K and V: 1e-5. A value
// that lies within the two sides' rounding of the middle between two codes is stored differently:
// of about 10,000 values here, off by some 4e-7 each, 4e-7 / step of them: some ten with f16, one
// or so with bf16 and q8_0 (step 2^-7 of values up to 3), none with q4_0 (2^-3). One code of 0.02
// in one channel of V, under an attention weight of 1/20 to 1/2 and through two matrices of entries
// about 1/6, moves a logit by 3e-5 to 3e-4 and, in the first of two layers, what the second makes
// of it: 1e-3 is the bound there. That it sees the types at all is checked: f32 K and V do not pass
// it.
#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "engine/kernels/kernels.h"
#include "engine/model/transformer.h"
#include "tests/engine/model/tiny_run.h"
#include "tests/support/support.h"

using namespace swarm;
using namespace swarm::engine::model;
using engine::formats::GgufFile;
using engine::kernels::kv_type_by_name;

TEST_CASE("transformer: logits with every pair of KV types equal the independent implementation") {
  const auto file = GgufFile::open(test::golden("model/kv_logits.gguf"));
  REQUIRE(file.has_value());
  const auto names = (*file)->array("names"), pairs = (*file)->array("pairs");
  REQUIRE(names.has_value());
  REQUIRE(pairs.has_value());
  REQUIRE(names->size() * pairs->size() == 4 * 12);
  for (const auto& name : *names) {
    const test::GoldenModel golden = test::load_golden_model(std::get<std::string>(name));
    const TransformerOptions plain_options{.k_type = KvType::f32, .v_type = KvType::f32,
                                           .page_count = 4, .batch_tokens_max = 64, .threads = 1,
                                           .isa = "reference"};
    const auto plain_model = test::open_model(golden.file, plain_options);
    const auto plain = test::run_alone(*plain_model, plain_options, golden.tokens, 40);
    for (size_t i = 0; i < pairs->size(); i += 2) {
      const auto& k = std::get<std::string>((*pairs)[i]);
      const auto& v = std::get<std::string>((*pairs)[i + 1]);
      const auto* want_view = (*file)->find_tensor(golden.name + "." + k + "." + v);
      REQUIRE(want_view);
      std::vector<float> want(want_view->elements());
      REQUIRE(engine::formats::dequantize(want_view->type, want_view->data, want).has_value());
      CHECK(test::compare(std::span(plain).last(want.size()), want, {.abs = 1e-3}));
      for (const std::string_view isa : engine::kernels::available_isas()) {
        for (const auto& [page_tokens, chunk] : {std::pair{16, 40}, {3, 7}}) {
          const TransformerOptions options{
              .k_type = kv_type_by_name(k).value(), .v_type = kv_type_by_name(v).value(),
              .page_tokens = page_tokens, .page_count = 200 / page_tokens + 1,
              .batch_tokens_max = 256, .threads = 2, .isa = std::string(isa)};
          const auto model = test::open_model(golden.file, options);
          const auto logits = test::run_alone(*model, options, golden.tokens, chunk);
          REQUIRE(logits.size() >= want.size());
          const auto last = std::span(logits).last(want.size());
          CAPTURE(golden.name);
          CAPTURE(k);
          CAPTURE(v);
          CAPTURE(isa);
          CAPTURE(chunk);
          const bool coarse = k == "q4_0" && v == "q4_0";
          const auto bad = test::compare(last, want, {.abs = coarse ? 1e-5 : 1e-3});
          if (bad) FAIL_CHECK(*bad);
        }
      }
    }
  }
}

TEST_CASE("transformer: a quantised KV type is refused for a head size it does not divide") {
  const test::GoldenModel golden = test::load_golden_model("moe-top1");   // heads of 16
  TransformerOptions options{.k_type = KvType::f16, .v_type = KvType::q8_0, .page_count = 4,
                             .threads = 1};
  const auto opened = Transformer::open(golden.file, options);
  REQUIRE(opened.has_error());
  CHECK(opened.error().message ==
        "v_type: q8_0 needs a head size that is a multiple of 32, this model has 16");
}
