// engine/config.h — What one Engine is opened with: model, device, KV cache, batch. Plain data,
// owned by whoever fills it and copied by Engine::open, which calls validate(); any thread may, the
// value is only read. Knows nothing of YAML or flags: messages name the field as engine.FIELD, and
// the boundary that the user wrote to says it in its own words. What needs the model to be judged
// (context_max against its context, kv_bytes_max against one page) fails in Engine::open.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "engine/base/error.h"

namespace swarm::engine {

bool is_device(std::string_view text);   // "auto", "cpu" or "cuda:N"

struct EngineConfig {
  std::string model;                 // GGUF path or "synth:PRESET[:TYPE[:LAYERS]]"
  std::string device = "auto";       // auto | cpu | cuda:N; auto = cuda:0 if there is one
  std::string isa = "auto";          // auto | reference | avx2 | avx512: forced for bisecting
  // On a device: auto | portable, our own kernels alone, without cuBLAS: forced for bisecting.
  std::string kernels = "auto";
  // On a device: one kernel per op whatever the batch, so that greedy tokens do not depend on
  // neighbours, chunks or cache hits. Slower. (The CPU is always so.)
  bool deterministic = false;
  // KV cache types, chosen separately: f32 | f16 | bf16 | q8_0 | q4_0 (the last two need a head
  // size that is a multiple of 32).
  std::string k_type = "f16";
  std::string v_type = "f16";
  int32_t page_tokens = 16;          // [1, 256]
  // 0 = enough for max_resident contexts, at most 1 GiB on the CPU and what is free
  // beside the weights on a device.
  uint64_t kv_bytes_max = 0;
  int32_t max_running = 16;          // sequences decoded together, [1, 4096]
  int32_t max_resident = 64;         // contexts kept in KV, >= max_running
  // Tokens in one step: every running sequence gets its next one, prompts fill up the rest (at
  // least one, so a step has at most max(prefill_batch_tokens, max_running + 1)).
  int32_t prefill_batch_tokens = 512;
  int32_t queue_depth_max = 1024;    // waiting requests; more are refused as overloaded
  int32_t context_max = 0;           // 0 = the model's own, the most there is
  int32_t threads = 0;               // 0 = one per core

  Result<void> validate() const;     // names the field, the range and the value found
  friend bool operator==(const EngineConfig&, const EngineConfig&) = default;
};

}  // namespace swarm::engine
