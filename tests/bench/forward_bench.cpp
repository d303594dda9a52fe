// The question: how fast are prefill and decode of one model here, and next to another engine?
// Reads commands from stdin and answers each with one JSON line, so that a script can take turns
// between this program and another one (compare_llama.py) and report ratios of one run:
//   prefill N      N tokens from position 0, logits of the last           -> {"seconds": ..}
//   decode N AT    N tokens one by one from position AT                   -> {"seconds": ..}
//   batch N B      N steps of B sequences, one token each                 -> {"seconds": ..}
// Usage: bench_forward MODEL [THREADS [ISA]] | bench_forward --save PRESET PATH
#include <chrono>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "engine/model/model_source.h"
#include "engine/model/synth.h"
#include "engine/model/transformer.h"

namespace {

using namespace swarm;
using namespace swarm::engine::model;

constexpr int32_t kContext = 4096;
constexpr int32_t kPageTokens = 16;
constexpr int32_t kBatchTokens = 512;
constexpr int32_t kSequencesMax = 32;

// Sequence s owns kContext / kPageTokens pages of its own.
std::vector<int32_t> pages_of(int32_t sequence) {
  std::vector<int32_t> pages;
  for (int32_t i = 0; i < kContext / kPageTokens; ++i) {
    pages.push_back(sequence * (kContext / kPageTokens) + i);
  }
  return pages;
}

int32_t token_at(const Transformer& model, int32_t position) {
  return (position * 7919 + 13) % model.config().vocab;
}

void prefill(Transformer& model, int32_t count) {
  const std::vector<int32_t> pages = pages_of(0);
  std::vector<int32_t> tokens;
  for (int32_t i = 0; i < count; ++i) tokens.push_back(token_at(model, i));
  for (int32_t at = 0; at < count; at += kBatchTokens) {
    const int32_t size = std::min(kBatchTokens, count - at);
    const bool last = at + size == count;
    const SequenceChunk chunk{.tokens = std::span(tokens).subspan(size_t(at), size_t(size)),
                              .position = at, .pages = pages,
                              .logits = last ? LogitsWanted::last : LogitsWanted::none};
    model.forward({&chunk, 1});
  }
}

void decode(Transformer& model, int32_t steps, int32_t first, int32_t sequences) {
  std::vector<std::vector<int32_t>> pages;
  for (int32_t s = 0; s < sequences; ++s) pages.push_back(pages_of(s));
  for (int32_t i = 0; i < steps; ++i) {
    std::vector<int32_t> tokens;
    for (int32_t s = 0; s < sequences; ++s) tokens.push_back(token_at(model, first + i + 31 * s));
    std::vector<SequenceChunk> chunks;
    for (int32_t s = 0; s < sequences; ++s) {
      chunks.push_back({.tokens = std::span(tokens).subspan(size_t(s), 1), .position = first + i,
                        .pages = pages[size_t(s)]});
    }
    model.forward(chunks);
  }
}

void serve(Transformer& model) {
  std::string line;
  while (std::getline(std::cin, line)) {
    std::istringstream in(line);
    std::string what;
    int32_t a = 0, b = 0;
    in >> what >> a >> b;
    const auto begin = std::chrono::steady_clock::now();
    if (what == "prefill") prefill(model, a);
    if (what == "decode") decode(model, a, b, 1);
    if (what == "batch") decode(model, a, 0, std::min(b, kSequencesMax));
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    std::cout << "{\"test\": \"" << what << "\", \"seconds\": " << took.count() << "}" << std::endl;
  }
}

int fail(const Error& error) {
  std::cerr << error.to_text() << "\n";
  return 1;
}

int save(const std::string& source, const std::string& path) {
  const auto parsed = parse_model_source(source);
  if (!parsed) return fail(parsed.error());
  const auto* spec = std::get_if<SynthSpec>(&*parsed);
  if (!spec) return fail(invalid_input("expected synth:PRESET, found \"" + source + "\""));
  const auto builder = build_synthetic(*spec);
  if (!builder) return fail(builder.error());
  const auto written = builder->write(path);
  return written ? 0 : fail(written.error());
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (args.size() == 3 && args[0] == "--save") return save(args[1], args[2]);
  if (args.empty()) return fail(invalid_input("usage: bench_forward MODEL [THREADS [ISA]]"));
  auto file = open_model(args[0]);
  if (!file) return fail(file.error());
  TransformerOptions options;
  options.page_tokens = kPageTokens;
  options.page_count = kSequencesMax * kContext / kPageTokens;
  options.batch_tokens_max = kBatchTokens;
  if (args.size() > 1) options.threads = std::stoi(args[1]);
  if (args.size() > 2) options.isa = args[2];
  auto model = Transformer::open(*file, options);
  if (!model) return fail(model.error());
  std::cout << "{\"device\": \"" << (*model)->device_name() << "\", \"bytes_per_token\": "
            << (*model)->bytes_per_token() << "}" << std::endl;
  serve(**model);
  return 0;
}
