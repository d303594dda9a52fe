// tests/engine/text/vocabularies.h — Tokenizers for tests: a small one of our own that is always
// there, and the published Qwen vocabulary where its file is present.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/text/tokenizer.h"

namespace swarm::test {

// 256 bytes, some English and cross-character merges, the 26 added tokens of Qwen3, an unused slot.
engine::text::TokenizerParts small_parts();
std::shared_ptr<const engine::text::Tokenizer> small_tokenizer();

// From qwen.tiktoken plus the 26 added tokens; nullptr (and a message on stderr) if it is absent.
std::shared_ptr<const engine::text::Tokenizer> qwen_tokenizer();

// The names of the added tokens in id order; the first 14 are control tokens.
const std::vector<std::string>& added_tokens();

}  // namespace swarm::test
