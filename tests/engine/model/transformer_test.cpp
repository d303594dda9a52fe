// The whole forward pass against logits of an independent implementation (Hugging Face; see
// tests/golden/model/make_golden.py), and the invariance promised in transformer.h: the bits of a
// token's logits do not depend on chunks, pages, neighbours or threads.
#include "engine/model/transformer.h"

#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <vector>

#include "engine/kernels/kernels.h"
#include "tests/engine/model/tiny_run.h"
#include "tests/support/support.h"

using namespace swarm;
using namespace swarm::engine::model;
using engine::TokenId;
using test::GoldenModel;

namespace {

TransformerOptions tiny_options(KvType kv, std::string_view isa, int32_t page_tokens = 16) {
  return {.k_type = kv, .v_type = kv, .page_tokens = page_tokens,
          .page_count = 200 / page_tokens + 1, .batch_tokens_max = 256, .threads = 2,
          .isa = std::string(isa)};
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace

TEST_CASE("transformer: logits equal the independent implementation on every tiny model") {
  for (const char* name : test::golden_model_names()) {
    const GoldenModel golden = test::load_golden_model(name);
    for (const std::string_view isa : engine::kernels::available_isas()) {
      CAPTURE(name);
      CAPTURE(isa);
      // f32 KV: sums of a few hundred products of size O(1), 2^-24 each. f16 KV: 2^-11 relative per
      // K and V element; the bound of the issue.
      for (const auto& [kv, bound] : {std::pair{KvType::f32, 1e-5}, {KvType::f16, 2e-3}}) {
        const auto options = tiny_options(kv, isa);
        const auto model = test::open_model(golden.file, options);
        const auto logits = test::run_alone(*model, options, golden.tokens, 40);
        const auto bad = test::compare(logits, golden.logits, {.abs = bound});
        if (bad) FAIL_CHECK("kv " << int(kv) << ": " << *bad);
      }
    }
  }
}

TEST_CASE("transformer: YaRN equals the independent implementation, below and above the context") {
  for (const char* name : {"moe-hd128", "dense-hd64"}) {
    const GoldenModel golden = test::load_yarn_model(name), plain = test::load_golden_model(name);
    const auto count = static_cast<int32_t>(golden.tokens.size());
    for (const std::string_view isa : engine::kernels::available_isas()) {
      CAPTURE(name);
      CAPTURE(isa);
      for (const auto& [kv, bound] :
           {std::pair{KvType::f32, 1e-5}, {KvType::f16, 2e-3}}) {
        auto options = tiny_options(kv, isa);
        options.page_count = count / options.page_tokens + 1;
        options.batch_tokens_max = count;
        const auto model = test::open_model(golden.file, options);
        CHECK(model->config().yarn.original_context < count);
        CHECK(model->config().context >= count);
        const auto logits = test::run_alone(*model, options, golden.tokens, 100);
        const auto bad = test::compare(logits, golden.logits, {.abs = bound});
        if (bad) FAIL_CHECK("kv " << int(kv) << ": " << *bad);
        // The bound sees YaRN: the same weights without it do not pass.
        const auto other = test::open_model(plain.file, options);
        CHECK(test::compare(test::run_alone(*other, options, golden.tokens, 100), golden.logits,
                            {.abs = bound}));
      }
    }
  }
}

TEST_CASE("transformer: one wrong logit is noticed by the comparison") {
  const GoldenModel golden = test::load_golden_model("moe-hd32");
  const auto options = tiny_options(KvType::f32, "reference");
  const auto model = test::open_model(golden.file, options);
  auto logits = test::run_alone(*model, options, golden.tokens, 40);
  logits[logits.size() / 2] += 2e-5f;
  CHECK(test::compare(logits, golden.logits, {.abs = 1e-5}));
}

TEST_CASE("transformer: bits do not depend on chunk size or page size") {
  for (const char* name : {"moe-hd32", "dense-hd64"}) {
    const GoldenModel golden = test::load_golden_model(name);
    for (const std::string_view isa : engine::kernels::available_isas()) {
      const auto whole_options = tiny_options(KvType::f16, isa);
      const auto whole_model = test::open_model(golden.file, whole_options);
      const auto want = test::run_alone(*whole_model, whole_options, golden.tokens, 40);
      for (const int32_t page_tokens : {1, 3, 16}) {
        const auto options = tiny_options(KvType::f16, isa, page_tokens);
        const auto model = test::open_model(golden.file, options);
        for (int32_t chunk = 1; chunk <= 40; ++chunk) {
          CAPTURE(name);
          CAPTURE(isa);
          CAPTURE(page_tokens);
          CAPTURE(chunk);
          REQUIRE(same_bits(test::run_alone(*model, options, golden.tokens, chunk), want));
        }
      }
    }
  }
}

TEST_CASE("transformer: bits do not depend on batch neighbours or threads") {
  const GoldenModel golden = test::load_golden_model("moe-hd64-tied");
  const std::span<const TokenId> tokens = golden.tokens;
  const size_t vocab = static_cast<size_t>(golden.vocab);
  for (const std::string_view isa : engine::kernels::available_isas()) {
    for (const int32_t threads : {1, 2, 3}) {
      auto options = tiny_options(KvType::f32, isa, 3);
      options.threads = threads;
      const auto model = test::open_model(golden.file, options);
      const auto want = test::run_alone(*model, options, tokens, 40);
      for (int32_t neighbours = 1; neighbours <= 9; ++neighbours) {
        // Neighbours are prefixes of different lengths of the reversed prompt; ours comes at a
        // different place in the batch each time.
        std::vector<TokenId> other(tokens.rbegin(), tokens.rend());
        std::vector<std::vector<int32_t>> pages;
        for (int32_t s = 0; s <= neighbours; ++s) {
          pages.push_back(test::scattered_pages(options, s, neighbours + 1));
        }
        const auto chunk_of = [&](int32_t s, int32_t from, int32_t count, bool ours) {
          const std::span<const TokenId> text = ours ? tokens : std::span<const TokenId>(other);
          return SequenceChunk{.tokens = text.subspan(size_t(from), size_t(count)),
                               .position = from, .pages = pages[size_t(s)],
                               .logits = ours ? LogitsWanted::all : LogitsWanted::last};
        };
        const int32_t place = neighbours % 3;
        std::vector<float> got;
        for (const auto& [from, count] : {std::pair{0, 7}, {7, 1}, {8, 11}}) {
          std::vector<SequenceChunk> chunks;
          size_t first_row = 0;
          for (int32_t s = 0; s <= neighbours; ++s) {
            const bool ours = s == std::min(place, neighbours);
            if (ours) first_row = chunks.size();
            const int32_t length = ours ? count : 1 + (s + from) % 3;
            chunks.push_back(chunk_of(s, ours ? from : (from > 0 ? 1 : 0), length, ours));
          }
          model->forward(chunks);
          for (int32_t i = 0; i < count; ++i) {
            const auto row = model->logits(static_cast<int32_t>(first_row) + i);
            got.insert(got.end(), row.begin(), row.end());
          }
        }
        CAPTURE(isa);
        CAPTURE(threads);
        CAPTURE(neighbours);
        REQUIRE(same_bits(got, {want.begin(), want.begin() + ptrdiff_t(19 * vocab)}));
      }
    }
  }
}

TEST_CASE("transformer: a copied page continues like the original") {
  const GoldenModel golden = test::load_golden_model("moe-hd128");
  for (const std::string_view isa : engine::kernels::available_isas()) {
    const auto options = tiny_options(KvType::f16, isa, 8);
    const auto model = test::open_model(golden.file, options);
    const std::span<const TokenId> tokens = golden.tokens;
    const std::vector<int32_t> pages = {4, 9};
    const SequenceChunk first{.tokens = tokens.first(11), .position = 0, .pages = pages,
                              .logits = LogitsWanted::none};
    CHECK(model->forward({&first, 1}) == 0);
    model->copy_page(9, 2);
    const std::vector<int32_t> forked = {4, 2};
    std::vector<std::vector<float>> results;
    for (const auto* list : {&pages, &forked}) {
      const SequenceChunk next{.tokens = tokens.subspan(11, 2), .position = 11, .pages = *list};
      CHECK(model->forward({&next, 1}) == 1);
      const auto row = model->logits(0);
      results.emplace_back(row.begin(), row.end());
    }
    CHECK(same_bits(results[0], results[1]));
  }
}

TEST_CASE("transformer: sizes and names are told") {
  const GoldenModel golden = test::load_golden_model("moe-hd32");
  const auto options = tiny_options(KvType::f16, "reference", 16);
  const auto model = test::open_model(golden.file, options);
  // 2 layers x 2 KV heads x 32 x (2 + 2) bytes.
  CHECK(kv_bytes_per_token(model->config(), KvType::f16, KvType::f16) == 512);
  CHECK(kv_bytes_per_token(model->config(), KvType::f32, KvType::f16) == 768);
  CHECK(model->kv_bytes() == 512u * 16u * static_cast<uint64_t>(options.page_count));
  CHECK(model->device_name() == "cpu (reference, 1 thread)");
  // 10 experts, 3 used: everything but 7 of 10 experts and 49 of 50 embedding rows is read.
  const uint64_t expert = 3u * 32u * 16u * 4u;
  CHECK(model->weight_bytes() - model->bytes_per_token() == 2 * 7 * expert + 49 * 32 * 4);
}

TEST_CASE("transformer: a wrong option is refused by name") {
  const GoldenModel golden = test::load_golden_model("moe-hd32");
  auto options = tiny_options(KvType::f16, "reference");
  options.page_tokens = 0;
  auto opened = Transformer::open(golden.file, options);
  REQUIRE(opened.has_error());
  CHECK(opened.error().message == "page_tokens: expected 1 to 65536, found 0");
  options = tiny_options(KvType::f16, "mmx");
  opened = Transformer::open(golden.file, options);
  REQUIRE(opened.has_error());
  CHECK(opened.error().message.find("found \"mmx\"") != std::string::npos);
}
