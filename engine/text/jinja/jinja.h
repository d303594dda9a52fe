// engine/text/jinja/jinja.h — The part of the Jinja language that chat templates use.
// A Template is parsed once, immutable and thread-safe; rendering reads only its arguments. The
// settings are those of chat templates elsewhere: trim_blocks, lstrip_blocks, no HTML escaping, a
// plain-JSON tojson, Python's truth, text and slicing.
// Bytes of the result that were written in the template are trusted, all others are not.
// Errors: syntax errors and anything unknown at parse(); wrong types and exceeded limits at
// render(); both with line and column. raise_exception() gives kind invalid_input.
// Known differences: integers have 64 bits; upper() and lower() map one to one; macros see
// top-level variables and their parameters only; safe does nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "engine/base/error.h"
#include "engine/text/jinja/value.h"
#include "engine/text/marked_text.h"

namespace swarm::engine::text::jinja {

struct Limits {
  uint64_t steps_max = 10'000'000;      // statements, expressions, items and 64-byte copies
  size_t output_bytes_max = 64u << 20;  // of the result and of any string on the way
  int calls_max = 16;                   // macros inside macros: bounds the C++ stack too
};

struct Tree;

class Template {
  struct Key {};

 public:
  explicit Template(Key) {}
  // name: what error locations call this text.
  static Result<std::shared_ptr<const Template>> parse(std::string_view source, std::string name);
  Result<MarkedText> render(const Dict& variables, const Limits& limits = {}) const;

  const std::string& source() const { return source_; }  // line ends normalised

 private:
  Error locate(const Failure& failure, size_t at) const;

  std::string name_;
  std::string source_;
  std::shared_ptr<const Tree> tree_;
};

}  // namespace swarm::engine::text::jinja
