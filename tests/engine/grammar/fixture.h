// tests/engine/grammar/fixture.h — Small vocabularies, an encoder, a random model and ways to drive
// a matcher by bytes. Values; one thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/rng.h"
#include "engine/grammar/grammar.h"

namespace swarm::test {

namespace grammar = engine::grammar;
using engine::TokenId;

// Ids below 256 are the bytes. The special tokens follow.
inline constexpr TokenId kToolBegin = 256;
inline constexpr TokenId kToolEnd = 257;
inline constexpr TokenId kThinkEnd = 258;
inline constexpr TokenId kStop = 259;
inline constexpr TokenId kUnused = 260;

grammar::Vocabulary byte_vocabulary();
// The bytes and some two hundred longer tokens that cross the borders of grammar rules.
grammar::Vocabulary wide_vocabulary();

// Longest token first; the canonical tokenisation of these tests.
class GreedyEncoder : public grammar::TextEncoder {
 public:
  explicit GreedyEncoder(grammar::Vocabulary vocabulary);
  std::vector<TokenId> encode(std::string_view text) const override;

 private:
  grammar::Vocabulary vocabulary_;
  size_t longest_ = 0;
};

// A compiler that owns its encoder.
struct Workbench {
  explicit Workbench(grammar::Vocabulary v, grammar::GrammarLimits limits = {})
      : vocabulary(v), encoder(v), compiler(std::move(v), encoder, limits) {}

  Result<std::shared_ptr<const grammar::Grammar>> schema(const Json& schema);
  Result<std::shared_ptr<const grammar::Grammar>> schema_text(std::string_view schema);
  grammar::Matcher matcher(const grammar::TurnSpec& spec);  // stops the test if it fails

  grammar::Vocabulary vocabulary;
  GreedyEncoder encoder;
  grammar::GrammarCompiler compiler;
};

std::vector<TokenId> allowed_tokens(const grammar::Matcher& matcher, size_t token_count);
// Feeds the text byte by byte; false where a byte is refused.
bool feed(grammar::Matcher& matcher, std::string_view text);
// The whole text is one complete turn.
bool matches(const grammar::Matcher& start, std::string_view text);

struct Generated {
  std::vector<TokenId> tokens;
  std::string text;        // without stop and special tokens
  bool completed = false;  // the token budget ran out and completion() was taken
};
// Samples with gaussian logits at temperature 1.5 until a stop token; after tokens_max tokens takes
// completion(). jump: takes forced() before each sample. Fails the test on a broken promise.
Generated generate(const grammar::Matcher& start, const grammar::Vocabulary& vocabulary, Rng& rng,
                   size_t tokens_max, bool jump);

}  // namespace swarm::test
