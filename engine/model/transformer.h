// engine/model/transformer.h — The forward pass over paged KV: tokens in, logits out.
// Owns the backend, and in its memory the weights (on the CPU: views of the model file), the KV
// storage (page_count pages of page_tokens tokens for all layers) and the activations, all claimed
// in open(). Who uses which page is decided above (kv, sched). One thread calls it at a time;
// inside it spreads work over its own threads or a device. forward() allocates nothing on a device,
// and nothing on the CPU once a size was seen. The same code runs every backend.
// On the CPU the logits of a token are bit-identical whatever else is in the batch, however a
// prompt is cut into chunks, and whatever the page size.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "engine/base/error.h"
#include "engine/formats/gguf.h"
#include "engine/kernels/kernels.h"
#include "engine/model/model_config.h"
#include "engine/sample/sampler.h"

namespace swarm::engine::model {

using kernels::KvType;   // K and V choose separately

struct TransformerOptions {
  KvType k_type = KvType::f16;
  KvType v_type = KvType::f16;
  int32_t page_tokens = 16;
  int32_t page_count = 0;
  int32_t batch_tokens_max = 512;    // largest sum of chunk lengths in one forward()
  int32_t batch_chunks_max = 0;      // most chunks in one forward(); 0 = batch_tokens_max
  int32_t logit_rows_max = 0;        // most logit rows of one forward(); 0 = batch_tokens_max
  int32_t context = 0;               // longest sequence; 0 = the model's
  // Of the CPU backend, where open() is not given another one:
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

class Transformer {
 public:
  // backend: null = the CPU. Refused with the numbers when its memory cannot hold everything.
  static Result<std::unique_ptr<Transformer>> open(std::shared_ptr<const formats::GgufFile> file,
                                                   const TransformerOptions& options,
                                                   std::unique_ptr<kernels::Kernels> backend = {});
  virtual ~Transformer() = default;

  // Computes the chunks; returns how many logit rows they led to, in chunk order. The rows stay
  // where the backend has them, until the next forward().
  virtual int32_t forward(std::span<const SequenceChunk> chunks) = 0;
  // One row [vocab] as host memory; valid until the next call.
  virtual std::span<const float> logits(int32_t row) = 0;
  // sampled[i] = the token chosen from row i by jobs[i] (sample/sampler.h).
  virtual void sample(std::span<const SampleJob> jobs, std::span<Sampled> sampled) = 0;
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
