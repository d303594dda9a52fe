// engine/model/transformer.h — The forward pass over paged KV: tokens in, logits out.
// Owns the weight views and the KV storage (page_count pages of page_tokens tokens for all layers);
// who uses which page is decided above (kv, sched). One thread calls it at a time; inside it
// spreads work over its own threads. Nothing is allocated in forward() once a size was seen.
// On the CPU the logits of a token are bit-identical whatever else is in the batch, however a
// prompt is cut into chunks, and whatever the page size.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "engine/base/error.h"
#include "engine/formats/gguf.h"
#include "engine/kernels/kv_type.h"
#include "engine/model/model_config.h"

namespace swarm::engine {
using TokenId = int32_t;
}

namespace swarm::engine::model {

using kernels::KvType;   // K and V choose separately

struct TransformerOptions {
  KvType k_type = KvType::f16;
  KvType v_type = KvType::f16;
  int32_t page_tokens = 16;
  int32_t page_count = 0;
  int32_t batch_tokens_max = 512;    // largest sum of chunk lengths in one forward()
  int32_t threads = 0;               // 0 = one per core
  std::string isa = "auto";          // auto | reference | avx2 | avx512: forced for bisecting
};

enum class LogitsWanted : uint8_t { none, last, all };

// Consecutive tokens of one sequence. pages covers positions [0, position + tokens.size()):
// token t lives in pages[t / page_tokens], slot t % page_tokens. Pages below `position` hold K and
// V computed by earlier calls; forward() writes those of its own tokens.
struct SequenceChunk {
  std::span<const TokenId> tokens;
  int32_t position = 0;
  std::span<const int32_t> pages;
  LogitsWanted logits = LogitsWanted::last;
};

// [rows, vocab] f32, rows in chunk order; valid until the next forward().
struct Logits {
  std::span<const float> values;
  int32_t rows = 0;
  std::span<const float> row(int32_t r, int32_t vocab) const {
    return values.subspan(static_cast<size_t>(r) * static_cast<size_t>(vocab),
                          static_cast<size_t>(vocab));
  }
};

class Transformer {
 public:
  static Result<std::unique_ptr<Transformer>> open(std::shared_ptr<const formats::GgufFile> file,
                                                   const TransformerOptions& options);
  virtual ~Transformer() = default;

  virtual Logits forward(std::span<const SequenceChunk> chunks) = 0;
  // Copies the K and V of a whole page in every layer (copy-on-write of a partial page).
  virtual void copy_page(int32_t from, int32_t to) = 0;
  virtual const ModelConfig& config() const = 0;
  virtual uint64_t weight_bytes() const = 0;
  virtual uint64_t kv_bytes() const = 0;
  // Weight bytes read for one decoded token (MoE: the selected experts only).
  virtual uint64_t bytes_per_token() const = 0;
  virtual std::string device_name() const = 0;     // "cpu (avx512, 2 threads)"
};

// KV bytes of one token over all layers.
uint64_t kv_bytes_per_token(const ModelConfig& config, KvType k_type, KvType v_type);

}  // namespace swarm::engine::model
