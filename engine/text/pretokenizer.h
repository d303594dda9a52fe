// engine/text/pretokenizer.h — The "qwen2" pre-tokenizer: cuts text into the pieces that byte-pair
// merges never cross. A hand-written matcher of the published pattern (reference/engine.md section
// 9); Unicode categories come from utf8proc. A byte that is not part of valid UTF-8 counts as one
// symbol, so any byte string is covered exactly. Pure functions, thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace swarm::engine::text {

enum class CharClass : uint8_t { letter, number, space, line_end, other };

// letter and number: general categories L and N; space: White_Space without CR and LF (line_end).
CharClass classify(uint32_t code_point);

// Length in bytes of the first piece; text must not be empty, the result is at least 1. The whole
// rest of the text must be given: whitespace before the end is cut differently. Linear in the
// length of the piece and the whitespace run it touches.
size_t first_piece_length(std::string_view text);

}  // namespace swarm::engine::text
