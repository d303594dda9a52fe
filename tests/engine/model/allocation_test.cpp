// forward() promises not to allocate after the first call of a size: every operator new of this
// program is counted here. (Scratch uses aligned_alloc and grows under the same rule; it is
// reserved from sizes that the counted vectors grow with.) Sanitizers bring their own operator new,
// so this test is not part of their builds.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#include <doctest/doctest.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <vector>

#include "engine/kernels/kernels.h"
#include "tests/engine/model/tiny_run.h"

namespace {
std::atomic<int64_t> allocations{0};
}  // namespace

void* operator new(size_t bytes) {
  ++allocations;
  if (void* data = std::malloc(bytes)) return data;
  std::abort();
}
void operator delete(void* data) noexcept { std::free(data); }
void operator delete(void* data, size_t) noexcept { std::free(data); }

using namespace swarm;
using namespace swarm::engine::model;

TEST_CASE("transformer: forward allocates nothing after the first call of a size") {
  const test::GoldenModel golden = test::load_golden_model("moe-hd64-tied");
  for (const std::string_view isa : engine::kernels::available_isas()) {
    if (isa == "reference") continue;      // obvious, not fast
    const TransformerOptions options{.page_tokens = 4, .page_count = 20, .batch_tokens_max = 64,
                                     .threads = 2, .isa = std::string(isa)};
    const auto model = test::open_model(golden.file, options);
    const std::vector<int32_t> pages = test::scattered_pages(options, 0, 1);
    const std::span<const engine::TokenId> tokens = golden.tokens;
    const auto forward = [&](size_t first, size_t count) {
      const SequenceChunk chunk{.tokens = tokens.subspan(first, count),
                                .position = static_cast<int32_t>(first), .pages = pages,
                                .logits = LogitsWanted::all};
      model->forward({&chunk, 1});
    };
    forward(0, 30);
    const int64_t before = allocations;
    forward(0, 30);
    for (size_t at = 30; at < 40; ++at) forward(at, 1);
    forward(3, 17);
    const int64_t made = allocations - before;
    const auto proof = std::make_unique<int32_t>(1);
    const int64_t with_proof = allocations - before;
    CAPTURE(isa);
    CHECK(made == 0);
    CHECK(with_proof == made + *proof);    // the counter counts
  }
}
#endif
