// engine/text/jinja/lexer.h — Template source to tokens, with Jinja's whitespace rules applied as
// chat templates expect them (trim_blocks and lstrip_blocks on, one final newline dropped).
// Throws Failure through SyntaxFailure with the offset of the trouble. Pure, thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/jinja/value.h"

namespace swarm::engine::text::jinja {

struct Token {
  enum class Kind : uint8_t {
    text,          // template data
    output_begin,  // {{
    output_end,    // }}
    block_begin,   // {%
    block_end,     // %}
    name,
    string,        // escapes resolved
    integer,
    number,
    punctuation,   // operators and brackets
    end,
  };
  Kind kind = Kind::end;
  size_t at = 0;
  std::string text = {};
  int64_t integer = 0;
  double number = 0;
};

// A Failure with its place in the (normalised) source.
struct SyntaxFailure {
  Failure failure;
  size_t at = 0;
};

// Line ends become \n; a single one at the end is dropped. All offsets refer to this form.
std::string normalise_source(std::string_view source);

// source: already normalised.
std::vector<Token> tokenize(std::string_view source);

}  // namespace swarm::engine::text::jinja
