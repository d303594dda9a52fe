// Which products go to a library, and that they come back as good as ours: whole tiny models with
// f16 and bf16 matrices on the emulator, the library played by device/blas.h on the host (sums in
// double). Bound: our kernels and the halves lose at most 2^-15 of a factor; the scalar backend
// rounds nothing.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "engine/model/model_source.h"
#include "tests/engine/kernels/cuda/model/emulated_device.h"
#include "tests/engine/model/tiny_run.h"

using namespace swarm;
using namespace swarm::engine::model;
using engine::formats::GgufFile;
using engine::kernels::cuda::CudaOptions;

namespace {

constexpr int32_t kTokens = 6;

TransformerOptions options() {
  return {.k_type = KvType::f32, .v_type = KvType::f32, .page_tokens = 16, .page_count = 4,
          .batch_tokens_max = 64, .threads = 2, .isa = "reference"};
}

struct Ran {
  std::vector<float> logits;
  std::string device;
};

Ran run(const std::shared_ptr<const GgufFile>& file, const CudaOptions& cuda) {
  auto model = Transformer::open(file, options(), test::open_emulated({}, cuda));
  SWARM_CHECK(model.has_value(), model.has_error() ? model.error().to_text() : "");
  const auto tokens = test::mixed_tokens(kTokens, (*model)->config().vocab);
  return {test::run_alone(**model, options(), tokens, kTokens), (*model)->device_name()};
}

std::vector<float> reference(const std::shared_ptr<const GgufFile>& file) {
  const auto model = test::open_model(file, options());
  const auto tokens = test::mixed_tokens(kTokens, model->config().vocab);
  return test::run_alone(*model, options(), tokens, kTokens);
}

std::shared_ptr<const GgufFile> open(const std::string& source) {
  auto file = open_model(source);
  REQUIRE(file.has_value());
  return *file;
}

}  // namespace

TEST_CASE("cuda blas: products by the library are as good as ours") {
  for (const char* source : {"synth:qwen3-tiny:BF16:1", "synth:qwen3-tiny:F16:1",
                             "synth:qwen3moe-tiny:F16:1"}) {
    CAPTURE(std::string(source));
    const auto file = open(source);
    const auto want = reference(file);
    const double ours = test::relative_rms(run(file, {.blas_rows = 0}).logits, want);
    const double library = test::relative_rms(run(file, {.blas_rows = 1}).logits, want);
    CAPTURE(ours);
    CHECK(ours < 1e-4);
    CHECK(library < 1e-4);
  }
}

TEST_CASE("cuda blas: it takes large products of float matrices, and none when forced not to") {
  const auto file = open("synth:qwen3-tiny:BF16:1");
  const Ran ours = run(file, {.blas_rows = 0}), library = run(file, {.blas_rows = kTokens});
  CHECK(ours.logits != library.logits);                  // other bits: it was really taken
  CHECK(library.device == "host:0 (host memory, host)");
  CHECK(run(file, {.blas_rows = kTokens + 1}).logits == ours.logits);
  CHECK(run(file, {}).logits == ours.logits);            // not on the host unless asked
  const Ran portable = run(file, {.portable = true, .blas_rows = 1});
  CHECK(portable.logits == ours.logits);
  CHECK(portable.device == "host:0 (host memory, portable kernels)");
  CHECK(run(file, {.deterministic = true, .blas_rows = 1}).logits ==
        run(file, {.deterministic = true, .blas_rows = 0}).logits);
  const auto codes = open("synth:qwen3-tiny:Q8_0:1");    // no float matrix: not even opened
  const Ran quantised = run(codes, {.blas_rows = 1});
  CHECK(quantised.device == "host:0 (host memory)");
  CHECK(quantised.logits == run(codes, {.blas_rows = 0}).logits);
}
