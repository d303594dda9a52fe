// `swarm logits` with KV types and weight types chosen on the command line. The logits themselves
// are judged by the golden ones of Hugging Face (tests/golden/model/make_kv_golden.py).
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "engine/base/json.h"
#include "engine/formats/gguf.h"
#include "tests/orchestrator/cli/run_program.h"
#include "tests/support/support.h"

using namespace swarm;

namespace {

using test::Ran;
using test::run;

std::vector<float> last_row(const Ran& ran) {
  const Json json = *parse_json(ran.out);
  return json["logits"].back().get<std::vector<float>>();
}

// The tokens of a file of make_golden.py: counts of tokens and vocabulary, then the tokens.
std::string golden_tokens(const std::string& name) {
  const std::string bytes = test::read_file(test::golden(name));
  uint32_t count = 0;
  std::memcpy(&count, bytes.data(), sizeof count);
  std::vector<int32_t> tokens(count);
  std::memcpy(tokens.data(), bytes.data() + 8, tokens.size() * sizeof(int32_t));
  std::string text;
  for (const int32_t token : tokens) text += (text.empty() ? "" : ",") + std::to_string(token);
  return text;
}

}  // namespace

TEST_CASE("cli logits: --kv takes one type, or K and V apart") {
  const auto file = engine::formats::GgufFile::open(test::golden("model/kv_logits.gguf"));
  REQUIRE(file.has_value());
  const std::string tokens = golden_tokens("model/dense-hd64.logits");
  for (const auto& [kv, name] : {std::pair{"q4_0", "q4_0.q4_0"}, {"q8_0/q4_0", "q8_0.q4_0"},
                                 {"q4_0,f16", "q4_0.f16"}}) {
    CAPTURE(std::string(kv));
    const Ran ran = run({"logits", "--model", test::golden("model/dense-hd64.gguf").string(),
                         "--tokens", tokens, "--kv", kv, "--json"});
    CHECK(ran.err.empty());
    REQUIRE(ran.code == 0);
    const auto* view = (*file)->find_tensor(std::string("dense-hd64.") + name);
    REQUIRE(view);
    std::vector<float> want(view->elements());
    REQUIRE(engine::formats::dequantize(view->type, view->data, want).has_value());
    const auto row = std::span(want).last(view->dims[0]);
    // The bound of tests/engine/model/kv_types_test.cpp.
    if (const auto bad = test::compare(last_row(ran), row, {.abs = 1e-3})) FAIL_CHECK(*bad);
  }
  const Ran bad =
      run({"logits", "--model", "synth:qwen3-tiny", "--tokens", "1", "--kv", "q8_0/q5"});
  CHECK(bad.code == 2);
  CHECK(bad.err.find("--kv: expected f32, f16, bf16, q8_0 or q4_0, found \"q5\"") !=
        std::string::npos);
}

TEST_CASE("cli logits: a written model of each mix runs like the one made in memory") {
  const test::TempDir dir;
  for (const char* type : {"IQ2_S_IQ3_S", "MXFP4_MOE", "FP8"}) {
    CAPTURE(std::string(type));
    const std::string path = (dir.path() / (std::string(type) + ".gguf")).string();
    REQUIRE(run({"model", "synth", path, "--preset", "qwen3moe-tiny", "--layers", "1", "--type",
                 type}).code == 0);
    const Ran info = run({"model", "info", path, "--json"});
    REQUIRE(info.code == 0);
    const Ran written = run({"logits", "--model", path, "--tokens", "1,2,3", "--json"});
    const Ran made = run({"logits", "--model", std::string("synth:qwen3moe-tiny:") + type + ":1",
                          "--tokens", "1,2,3", "--json"});
    REQUIRE(written.code == 0);
    REQUIRE(made.code == 0);
    const auto row = last_row(written);
    CHECK(row == last_row(made));
    CHECK(row.size() == 288);
    CHECK(std::ranges::all_of(row, [](float v) { return std::isfinite(v); }));
  }
}
