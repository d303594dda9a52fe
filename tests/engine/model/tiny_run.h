// tests/engine/model/tiny_run.h — Drives a Transformer over one or several sequences for tests:
// hands out pages, cuts prompts into chunks and collects the logits of every position.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/formats/gguf.h"
#include "engine/model/transformer.h"

namespace swarm::test {

struct GoldenModel {
  std::string name;
  std::shared_ptr<const engine::formats::GgufFile> file;
  std::vector<engine::TokenId> tokens;
  int32_t vocab = 0;
  std::vector<float> logits;             // [tokens, vocab]
};

// Names of the models that tests/golden/model/make_golden.py wrote.
std::span<const char* const> golden_model_names();
GoldenModel load_golden_model(const std::string& name);
// The same model stretched by YaRN, with the logits of tests/golden/model/make_yarn_golden.py: for
// "moe-hd128" and "dense-hd64".
GoldenModel load_yarn_model(const std::string& name);

std::unique_ptr<engine::model::Transformer> open_model(
    const std::shared_ptr<const engine::formats::GgufFile>& file,
    const engine::model::TransformerOptions& options);

// Logits of all positions of one sequence, fed in chunks of chunk_tokens. Pages are handed out in a
// scattered order so that contiguous pages cannot hide an addressing mistake.
std::vector<float> run_alone(engine::model::Transformer& model,
                             const engine::model::TransformerOptions& options,
                             std::span<const engine::TokenId> tokens, int32_t chunk_tokens);

// Tokens without a pattern: [0, vocab), the same in every test.
std::vector<engine::TokenId> mixed_tokens(int32_t count, int32_t vocab);

// Root mean square of got - want in units of that of want. NaN where one of them holds a NaN, which
// no bound passes.
double relative_rms(std::span<const float> got, std::span<const float> want);

// page i of sequence s in a pool of options.page_count pages shared by `sequences`.
std::vector<int32_t> scattered_pages(const engine::model::TransformerOptions& options,
                                     int32_t sequence, int32_t sequences);

}  // namespace swarm::test
