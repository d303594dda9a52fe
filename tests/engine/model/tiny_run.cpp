#include "tests/engine/model/tiny_run.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <utility>

#include "engine/base/check.h"
#include "tests/support/support.h"

namespace swarm::test {

using engine::TokenId;
using engine::formats::GgufFile;
using engine::model::LogitsWanted;
using engine::model::SequenceChunk;
using engine::model::Transformer;
using engine::model::TransformerOptions;

std::span<const char* const> golden_model_names() {
  static constexpr const char* kNames[] = {"moe-hd32",  "moe-hd64-tied",   "moe-hd128",
                                           "moe-top1", "dense-hd32-tied", "dense-hd64"};
  return kNames;
}

GoldenModel load_golden_model(const std::string& name) {
  GoldenModel model;
  model.name = name;
  auto file = GgufFile::open(golden("model/" + name + ".gguf"));
  SWARM_CHECK(file.has_value(), file.has_error() ? file.error().to_text() : "");
  model.file = *file;
  const std::string bytes = read_file(golden("model/" + name + ".logits"));
  uint32_t head[2] = {};
  SWARM_CHECK(bytes.size() >= sizeof(head), bytes.size());
  std::memcpy(head, bytes.data(), sizeof(head));
  model.vocab = static_cast<int32_t>(head[1]);
  model.tokens.resize(head[0]);
  model.logits.resize(size_t{head[0]} * head[1]);
  SWARM_CHECK(bytes.size() == 8 + model.tokens.size() * 4 + model.logits.size() * 4, bytes.size());
  std::memcpy(model.tokens.data(), bytes.data() + 8, model.tokens.size() * 4);
  std::memcpy(model.logits.data(), bytes.data() + 8 + model.tokens.size() * 4,
              model.logits.size() * 4);
  return model;
}

GoldenModel load_yarn_model(const std::string& name) {
  GoldenModel model = load_golden_model(name);
  const auto yarn = GgufFile::open(golden("model/yarn-" + name + ".gguf"));
  SWARM_CHECK(yarn.has_value(), yarn.has_error() ? yarn.error().to_text() : "");
  engine::formats::GgufBuilder builder;
  for (const auto& [key, value] : model.file->metadata()) builder.set(key, value);
  for (const auto& [key, value] : (*yarn)->metadata()) builder.set(key, value);
  for (const auto& tensor : model.file->tensors())
    builder.add_tensor(tensor.name, tensor.dims, tensor.type,
                       {tensor.data.begin(), tensor.data.end()});
  const auto floats = [&](const char* tensor) {
    const auto* view = (*yarn)->find_tensor(tensor);
    SWARM_CHECK(view != nullptr, tensor);
    std::vector<float> values(view->elements());
    SWARM_CHECK(engine::formats::dequantize(view->type, view->data, values).has_value(), tensor);
    return values;
  };
  model.logits = floats("logits");
  model.tokens.clear();
  for (const float token : floats("tokens")) model.tokens.push_back(static_cast<TokenId>(token));
  auto file = builder.finish("yarn-" + name);
  SWARM_CHECK(file.has_value(), file.has_error() ? file.error().to_text() : "");
  model.file = *file;
  return model;
}

std::unique_ptr<Transformer> open_model(const std::shared_ptr<const GgufFile>& file,
                                        const TransformerOptions& options) {
  auto model = Transformer::open(file, options);
  SWARM_CHECK(model.has_value(), model.has_error() ? model.error().to_text() : "");
  return std::move(*model);
}

std::vector<TokenId> mixed_tokens(int32_t count, int32_t vocab) {
  std::vector<TokenId> tokens;
  for (int32_t i = 0; i < count; ++i) tokens.push_back((i * 7919 + 13) % vocab);
  return tokens;
}

double relative_rms(std::span<const float> got, std::span<const float> want) {
  SWARM_CHECK(got.size() == want.size(), got.size(), want.size());
  double squares = 0, differences = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    const double difference = double{got[i]} - double{want[i]};
    squares += double{want[i]} * double{want[i]};
    differences += difference * difference;
  }
  return std::sqrt(differences / squares);
}

std::vector<int32_t> scattered_pages(const TransformerOptions& options, int32_t sequence,
                                     int32_t sequences) {
  std::vector<int32_t> pages;
  for (int32_t page = options.page_count - 1 - sequence; page >= 0; page -= sequences) {
    pages.push_back(page);
  }
  // A fixed shuffle: swap neighbours.
  for (size_t i = 0; i + 1 < pages.size(); i += 2) std::swap(pages[i], pages[i + 1]);
  return pages;
}

std::vector<float> run_alone(Transformer& model, const TransformerOptions& options,
                             std::span<const TokenId> tokens, int32_t chunk_tokens) {
  const std::vector<int32_t> pages = scattered_pages(options, 0, 1);
  std::vector<float> all;
  for (size_t at = 0; at < tokens.size();) {
    const size_t count = std::min(static_cast<size_t>(chunk_tokens), tokens.size() - at);
    const SequenceChunk chunk{.tokens = tokens.subspan(at, count),
                              .position = static_cast<int32_t>(at), .pages = pages,
                              .logits = LogitsWanted::all};
    const int32_t rows = model.forward({&chunk, 1});
    SWARM_CHECK(rows == static_cast<int32_t>(count), rows, count);
    for (int32_t r = 0; r < rows; ++r) {
      const auto row = model.logits(r);
      all.insert(all.end(), row.begin(), row.end());
    }
    at += count;
  }
  return all;
}

}  // namespace swarm::test
