// engine/grammar/grammar.h — Constrained decoding: JSON Schema and turn formats to a byte
// automaton, the automaton to token masks, forced spans and shortest completions.
// A Grammar is compiled once per specification and cached by the GrammarCompiler (thread-safe);
// a Matcher is the state of one generation (cheap to copy; one thread at a time). Mask caches
// inside a Grammar are filled lazily; one mutex and one budget serve all grammars of a compiler.
// An unsupported JSON Schema keyword is an error that names it and its path; it is never ignored.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/error.h"
#include "engine/base/json.h"

namespace swarm::engine {
using TokenId = int32_t;
}

namespace swarm::engine::grammar {

// What the grammar must know of a tokenizer. bytes[id] is the exact byte string of a normal token;
// special[id] marks tokens that text can never form (control and user-defined added tokens, unused
// slots): they are allowed only where the grammar names them.
struct Vocabulary {
  std::vector<std::string> bytes;
  std::vector<bool> special;
  std::vector<TokenId> stop;  // end tokens, allowed exactly where the grammar may end
};

enum class ToolChoice : uint8_t { none, automatic, required, named };
enum class CallFormat : uint8_t { json, coder_xml };
// How an object under output_schema is written. tags: for each property, in order,
// <KEY>\nVALUE\n</KEY>, one after another on new lines; VALUE is raw text for strings and JSON for
// everything else. For long text with quotes and line ends, which JSON strings would escape.
enum class OutputFormat : uint8_t { json, tags };

struct ToolGrammar {
  std::string name;
  Json parameters;  // JSON Schema with an object root
};

// Everything one assistant turn may say.
struct TurnSpec {
  std::optional<Json> output_schema;  // the final text is JSON valid against this; else free text
  OutputFormat output_format = OutputFormat::json;
  std::vector<ToolGrammar> tools;
  ToolChoice tool_choice = ToolChoice::automatic;
  std::string named_tool;  // for ToolChoice::named
  CallFormat call_format = CallFormat::json;
  int32_t calls_max = 16;        // tool calls in one turn
  TokenId tool_call_begin = -1;  // <tool_call>; -1 when the vocabulary has none
  TokenId tool_call_end = -1;    // </tool_call>
  // Reasoning text up to and including this token is free (thinking models); -1 = none.
  TokenId think_end = -1;
  // With think_end: the prompt has not opened the reasoning; it is optional and begins with this
  // token. -1 = the output begins inside it.
  TokenId think_begin = -1;
};

class Grammar;

class Matcher {
 public:
  Matcher() = default;
  explicit Matcher(std::shared_ptr<const Grammar> grammar);

  // Sets one bit per allowed token id, at least (vocab + 31) / 32 words; the rest become 0. A stop
  // token is allowed exactly when may_end(). At least one bit is set unless the matcher has ended.
  void fill_mask(std::span<uint32_t> bits) const;
  // False (and state unchanged) if the token is not allowed.
  bool accept(TokenId token);
  bool may_end() const;
  bool ended() const;  // a stop token was accepted
  // The text that must come next whatever is sampled, as canonical tokens; the last token is left
  // out when it could merge with what follows. Empty when there is a choice or free text.
  std::vector<TokenId> forced() const;
  // The shortest way to a legal end from here (without the stop token); used when the token budget
  // runs out. nullopt only when no finite completion exists.
  std::optional<std::vector<TokenId>> completion() const;

 private:
  struct State;
  std::shared_ptr<const Grammar> grammar_;
  std::shared_ptr<const State> state_;
};

// Turns text into canonical tokens; supplied by the tokenizer (no added-token parsing).
class TextEncoder {
 public:
  virtual ~TextEncoder() = default;
  virtual std::vector<TokenId> encode(std::string_view text) const = 0;
};

// What a compiler and its grammars may remember, in bytes, besides the vocabulary itself; together
// they are bounded by the sum (engine/grammar/cache_budget.h says how).
struct GrammarLimits {
  size_t network_bytes = size_t{64} << 20;   // compiled networks kept for the next request
  size_t mask_bytes = size_t{64} << 20;      // token masks and automata of all grammars
  size_t grammars = 64;                      // networks kept, however small
};

class GrammarCompiler {
 public:
  // encoder outlives the compiler, every grammar compiled and their matchers.
  GrammarCompiler(Vocabulary vocabulary, const TextEncoder& encoder, GrammarLimits limits = {});
  ~GrammarCompiler();

  // Cached by specification (bounded; least recently used leaves first).
  Result<std::shared_ptr<const Grammar>> compile(const TurnSpec& spec);

  struct Stats {
    uint64_t compiled = 0;
    uint64_t cache_hits = 0;
    size_t network_bytes = 0;    // held now
    size_t mask_bytes = 0;
  };
  Stats stats() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace swarm::engine::grammar
