// engine/chat_codec.h — Builds the text side of a model from its file: tokenizer, chat template,
// tool-call format and grammar compiler become a ChatCodec; the step loop gets the size of the
// vocabulary and the reasoning markers. Private to the facade.
#pragma once

#include <cstdint>
#include <memory>

#include "engine/base/error.h"
#include "engine/chat.h"
#include "engine/formats/gguf.h"
#include "engine/generation.h"

namespace swarm::engine {

struct TextSide {
  Result<std::shared_ptr<const ChatCodec>> codec;
  int32_t vocab = 0;                // tokens that mean something; 0 = unknown
  ThinkMarkers think = {};
};

// Never fails as a whole: a file without a usable tokenizer gets an error in codec.
TextSide open_text_side(const formats::GgufFile& file, int32_t model_vocab);

}  // namespace swarm::engine
