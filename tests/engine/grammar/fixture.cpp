#include "tests/engine/grammar/fixture.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace swarm::test {

grammar::Vocabulary byte_vocabulary() {
  grammar::Vocabulary vocabulary;
  for (int byte = 0; byte < 256; ++byte) {
    vocabulary.bytes.push_back(std::string(1, static_cast<char>(byte)));
  }
  for (const char* name : {"<tool_call>", "</tool_call>", "</think>", "<end>", "<unused>"}) {
    vocabulary.bytes.emplace_back(name);
  }
  vocabulary.special.assign(vocabulary.bytes.size(), false);
  for (size_t id = 256; id < vocabulary.bytes.size(); ++id) vocabulary.special[id] = true;
  vocabulary.stop = {kStop};
  return vocabulary;
}

namespace {

// Texts that cross the borders of grammar rules: quotes with commas, keys with colons, halves of
// characters.
// clang-format off
constexpr std::string_view kLonger[] = {
    "{\"", "{}", "[]", "[[", "[[[[", "]]", "]}", "}}", "}]", "\": ", "\":", ", ", ", \"",
    "\", \"", "\"}", "\"]", "\"}]", "\"}}", "\"\"", "\"\":", "\"\": ", "\"a\"", "\"a\":",
    "\"a\": ", "\"b\"", "\"b\": ", "{\"a\": ", ": ", ": {", ": {\"", ": [", ": [{", " \"", " {",
    " [", "true", "false", "null", "rue", "tr", "nul", "12", "00", "-1", "1.", ".5", "e1", "E+",
    "0.", "10", "99", "1, ", "0]", "0}", "1}", "1, 2", "\\\"", "\\n", "\\u00", "\\u001", "\\\\",
    "a\"", "ab", "abc", "name", "\"name\": \"", "arguments", "é", "ü\"", "中文", "中",
    "\xe4\xb8", "\xad\xe6", "\xf0\x9f", "\x98\x80", "😀", "😀\"", "\xc3", "\n", "\n\n", "\n{",
    "}\n", "\n{\"name\": \"", "}}\n", "</", "</parameter>", "\n</parameter>\n", "<parameter=",
    "\n</", "<function=", "tool_call", "<tool_call>", "hello", " world", "  ", "    ", ",,",
    "\"x\": 1", "\"x\": 1, \"", "1, \"", "], [", "}, {", "}, {\"", "\"k", "k\": ", "\"}, \"",
    "{\"\": ", "{\"a\": 1", "null}", "null, ", "true, \"", "true]", "\"a\", \"b\"", "2024-",
    "T00:",
};
// clang-format on

}  // namespace

grammar::Vocabulary wide_vocabulary() {
  grammar::Vocabulary vocabulary = byte_vocabulary();
  for (const std::string_view text : kLonger) {
    if (std::find(vocabulary.bytes.begin(), vocabulary.bytes.begin() + 256, text) !=
        vocabulary.bytes.begin() + 256) {
      continue;
    }
    vocabulary.bytes.emplace_back(text);
    vocabulary.special.push_back(false);
  }
  vocabulary.bytes.push_back("{\"");  // two tokens of the same bytes
  vocabulary.special.push_back(false);
  vocabulary.bytes.push_back("");  // a token that says nothing
  vocabulary.special.push_back(false);
  return vocabulary;
}

GreedyEncoder::GreedyEncoder(grammar::Vocabulary vocabulary) : vocabulary_(std::move(vocabulary)) {
  for (const std::string& text : vocabulary_.bytes) longest_ = std::max(longest_, text.size());
}

std::vector<TokenId> GreedyEncoder::encode(std::string_view text) const {
  std::vector<TokenId> tokens;
  while (!text.empty()) {
    size_t best = 0;
    for (size_t id = 0; id < vocabulary_.bytes.size(); ++id) {
      const std::string& candidate = vocabulary_.bytes[id];
      if (vocabulary_.special[id] || !text.starts_with(candidate)) continue;
      if (candidate.size() > vocabulary_.bytes[best].size() ||
          !text.starts_with(vocabulary_.bytes[best])) {
        best = id;
      }
    }
    tokens.push_back(static_cast<TokenId>(best));
    text.remove_prefix(vocabulary_.bytes[best].size());
  }
  return tokens;
}

Result<std::shared_ptr<const grammar::Grammar>> Workbench::schema(const Json& schema) {
  grammar::TurnSpec spec;
  spec.output_schema = schema;
  return compiler.compile(spec);
}

Result<std::shared_ptr<const grammar::Grammar>> Workbench::schema_text(std::string_view text) {
  auto parsed = parse_json(text);
  REQUIRE_MESSAGE(parsed.has_value(), text);
  return schema(*parsed);
}

grammar::Matcher Workbench::matcher(const grammar::TurnSpec& spec) {
  auto grammar = compiler.compile(spec);
  REQUIRE_MESSAGE(grammar.has_value(), (grammar ? "" : grammar.error().message));
  return grammar::Matcher(*grammar);
}

std::vector<TokenId> allowed_tokens(const grammar::Matcher& matcher, size_t token_count) {
  std::vector<uint32_t> bits((token_count + 31) / 32);
  matcher.fill_mask(bits);
  std::vector<TokenId> allowed;
  for (size_t id = 0; id < token_count; ++id) {
    if ((bits[id / 32] >> (id % 32) & 1u) != 0) allowed.push_back(static_cast<TokenId>(id));
  }
  return allowed;
}

bool feed(grammar::Matcher& matcher, std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [&](char c) { return matcher.accept(static_cast<uint8_t>(c)); });
}

bool matches(const grammar::Matcher& start, std::string_view text) {
  grammar::Matcher matcher = start;
  return feed(matcher, text) && matcher.may_end();
}

namespace {

double gaussian(Rng& rng) {
  return std::sqrt(-2.0 * std::log(1.0 - rng.uniform())) *
         std::cos(2.0 * std::numbers::pi * rng.uniform());
}

// One draw of softmax(logits / 1.5) over the allowed tokens, by the Gumbel trick.
TokenId sample(const std::vector<TokenId>& allowed, Rng& rng) {
  TokenId best = allowed.front();
  double best_score = -1e300;
  for (const TokenId id : allowed) {
    const double score = gaussian(rng) * 3.0 / 1.5 - std::log(-std::log(1.0 - rng.uniform()));
    if (score > best_score) {
      best_score = score;
      best = id;
    }
  }
  return best;
}

}  // namespace

Generated generate(const grammar::Matcher& start, const grammar::Vocabulary& vocabulary, Rng& rng,
                   size_t tokens_max, bool jump) {
  Generated out;
  grammar::Matcher matcher = start;
  const auto take = [&](TokenId token) {
    REQUIRE(matcher.accept(token));
    out.tokens.push_back(token);
    if (!vocabulary.special[static_cast<size_t>(token)]) {
      out.text += vocabulary.bytes[static_cast<size_t>(token)];
    }
  };
  while (!matcher.ended()) {
    if (out.tokens.size() >= tokens_max) {
      const auto completion = matcher.completion();
      REQUIRE(completion.has_value());
      for (const TokenId token : *completion) take(token);
      REQUIRE(matcher.may_end());
      take(kStop);
      out.completed = true;
      break;
    }
    if (jump) {
      for (const TokenId token : matcher.forced()) take(token);
    }
    const std::vector<TokenId> allowed = allowed_tokens(matcher, vocabulary.bytes.size());
    REQUIRE(!allowed.empty());
    take(sample(allowed, rng));
  }
  return out;
}

}  // namespace swarm::test
