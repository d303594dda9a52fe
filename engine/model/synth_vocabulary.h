// engine/model/synth_vocabulary.h — The tokenizer block of synthetic models: one token per byte, a
// few merges, the Qwen control tokens and a ChatML template, so that any text goes in and out.
// Pure functions, thread-safe.
#pragma once

#include <cstdint>

#include "engine/formats/gguf.h"

namespace swarm::engine::model {

// small: 256 byte tokens (id = byte), merges, control tokens, padded to 288.
// qwen3: the same in a vocabulary of 151936, control tokens at their published ids 151643..151668.
enum class Vocabulary : uint8_t { small, qwen3 };

// Writes the tokenizer.* keys; returns the number of tokens.
uint32_t set_vocabulary(Vocabulary kind, formats::GgufBuilder& builder);

}  // namespace swarm::engine::model
