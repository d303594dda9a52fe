// engine/text/normalize.h — Unicode normalisation form C, as Hugging Face tokenizers of Qwen apply
// before encoding (reference/engine.md section 9). The engine's own prompts are not normalised, so
// that every byte string round-trips. Pure, thread-safe; bytes that are not UTF-8 stay as they are.
#pragma once

#include <string>
#include <string_view>

namespace swarm::engine::text {

std::string normalize_nfc(std::string_view text);

}  // namespace swarm::engine::text
