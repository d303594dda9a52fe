// Bounds on memory and work: what grammars remember, long generations, ambiguous schemas.
#include <doctest/doctest.h>

#include <algorithm>
#include <ctime>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tests/engine/grammar/fixture.h"
#include "tests/engine/grammar/schema_generator.h"
#include "tests/support/support.h"

#if defined(__GLIBC__)   // known since the first standard header
#include <malloc.h>
#endif

namespace swarm::test {
namespace {

using grammar::GrammarLimits;
using grammar::Matcher;

std::vector<uint32_t> mask_of(const Matcher& matcher, size_t tokens) {
  std::vector<uint32_t> bits((tokens + 31) / 32);
  matcher.fill_mask(bits);
  return bits;
}

// Grammars that fill every kind of cache: calls, keys, nesting, long token lists.
std::vector<std::shared_ptr<const grammar::Grammar>> compile_many(Workbench& bench, int count) {
  std::vector<std::shared_ptr<const grammar::Grammar>> grammars;
  for (uint64_t seed = 1; static_cast<int>(grammars.size()) < count; ++seed) {
    if (auto compiled = bench.schema(SchemaGenerator(seed).document())) {
      grammars.push_back(*compiled);
    }
  }
  return grammars;
}

double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

}  // namespace

TEST_CASE("bounds: masks are the same however little may be remembered, and that much is kept to") {
  for (const size_t bytes : {size_t{0}, size_t{5'000}, size_t{100'000}}) {
    CAPTURE(bytes);
    Workbench starved(wide_vocabulary(), {.mask_bytes = bytes});
    Workbench free(wide_vocabulary());
    const auto few = compile_many(starved, 24);
    const auto all = compile_many(free, 24);
    std::vector<Matcher> left(few.begin(), few.end());
    std::vector<Matcher> right(all.begin(), all.end());
    Rng rng(4);
    for (int step = 0; step < 25; ++step) {
      for (size_t i = 0; i < left.size(); ++i) {
        if (left[i].ended()) continue;
        const auto bits = mask_of(left[i], starved.vocabulary.bytes.size());
        REQUIRE(bits == mask_of(right[i], free.vocabulary.bytes.size()));
        REQUIRE(starved.compiler.stats().mask_bytes <= bytes);
        const auto allowed = allowed_tokens(left[i], starved.vocabulary.bytes.size());
        REQUIRE(!allowed.empty());
        const TokenId token = allowed[rng.below(allowed.size())];
        REQUIRE(left[i].accept(token));
        REQUIRE(right[i].accept(token));
      }
    }
    if (bytes == 100'000) CHECK(free.compiler.stats().mask_bytes > bytes);   // it was a limit
  }
}

TEST_CASE("bounds: networks are kept up to their bytes, the latest ones") {
  Workbench bench(wide_vocabulary(), {.network_bytes = 60'000});
  for (int i = 0; i < 40; ++i) {
    REQUIRE(bench.schema(Json{{"const", "text " + std::to_string(i)}}).has_value());
    const auto stats = bench.compiler.stats();
    REQUIRE(stats.network_bytes <= 60'000);
    REQUIRE(stats.network_bytes > 0);
  }
  REQUIRE(bench.schema(Json{{"const", "text 39"}}).has_value());
  CHECK(bench.compiler.stats().cache_hits == 1);
  REQUIRE(bench.schema(Json{{"const", "text 0"}}).has_value());
  CHECK(bench.compiler.stats().compiled == 41);
  // One that is larger than the bound is given out all the same.
  Json large = Json::array();
  for (int i = 0; i < 400; ++i) large.push_back("choice number " + std::to_string(i * 7919));
  const auto compiled = bench.schema(Json{{"enum", large}});
  REQUIRE(compiled.has_value());
  CHECK(matches(Matcher(*compiled), "\"choice number 7919\""));
  CHECK(bench.compiler.stats().network_bytes == 0);
}

#if defined(__GLIBC__)
TEST_CASE("bounds: the heap holds no more than the limits say") {
  if (kInstrumented) return;   // the allocator of the sanitizer does not count here
  const auto heap = [] {
    const auto info = mallinfo2();
    return info.uordblks + info.hblkhd;
  };
  const GrammarLimits limits{.network_bytes = 2'000'000, .mask_bytes = 1'000'000};
  Workbench bench(wide_vocabulary(), limits);
  const size_t before = heap();
  Rng rng(9);
  size_t most = 0;
  for (int round = 0; round < 6; ++round) {
    const auto grammars = compile_many(bench, 60);
    for (const auto& compiled : grammars) {
      static_cast<void>(generate(Matcher(compiled), bench.vocabulary, rng, 30, false));
    }
  }
  malloc_trim(0);
  most = heap() - before;
  const auto stats = bench.compiler.stats();
  CAPTURE(stats.network_bytes);
  CAPTURE(stats.mask_bytes);
  CHECK(stats.mask_bytes > limits.mask_bytes / 2);   // the limit was reached
  // What the allocator adds to small blocks is not counted: a fifth at most.
  CHECK(most <= (limits.network_bytes + limits.mask_bytes) * 6 / 5);
  CHECK(most >= stats.mask_bytes / 4);               // it is that memory which is counted
}
#endif

// Tokens of one generation, every one with its mask; CPU seconds.
double generation_seconds(const Matcher& start, size_t vocabulary, const std::string& head,
                          const std::function<std::string(int)>& part, int parts) {
  Matcher matcher = start;
  std::vector<uint32_t> bits((vocabulary + 31) / 32);
  const double before = cpu_seconds();
  const auto read = [&](const std::string& text) {
    for (const char c : text) {
      matcher.fill_mask(bits);
      const auto id = static_cast<uint8_t>(c);
      REQUIRE(((bits[id / 32] >> (id % 32)) & 1u) != 0);
      REQUIRE(matcher.accept(id));
    }
  };
  read(head);
  for (int i = 0; i < parts; ++i) read(part(i));
  return cpu_seconds() - before;
}

TEST_CASE("bounds: work is linear in a generation of 100,000 tokens") {
  Workbench bench(wide_vocabulary());
  const auto compiled =
      bench.schema_text(R"({"type": "object", "additionalProperties": {"type": "integer"}})");
  REQUIRE(compiled.has_value());
  const Matcher start(*compiled);
  const size_t vocabulary = bench.vocabulary.bytes.size();
  const auto keys = [&](int count) {     // 13 tokens each, all keys different
    return generation_seconds(start, vocabulary, "{", [](int i) {
      return (i == 0 ? "\"k" : ", \"k") + std::to_string(100000 + i) + "\": 1";
    }, count);
  };
  const auto letters = [&](int count) {  // one key
    return generation_seconds(start, vocabulary, "{\"", [](int) { return "letters of "; }, count);
  };
  static_cast<void>(keys(200));          // caches are warm
  // Eight times the work: 8 if linear, 64 if quadratic.
  constexpr int kFew = kInstrumented ? 300 : 1'000;
  const double few = keys(kFew), many = keys(8 * kFew);
  CAPTURE(few);
  CAPTURE(many);
  CHECK(many < 24 * few + 0.05);
  const double shorter = letters(kFew), longer = letters(8 * kFew + (kInstrumented ? 0 : 2'000));
  CAPTURE(shorter);
  CAPTURE(longer);
  CHECK(longer < 30 * shorter + 0.05);
}

TEST_CASE("bounds: forced text of an ambiguous schema is found without doubling and accepted") {
  // Every level is an array that begins alike in two ways; only the depth decides what may follow.
  Json schema = {{"type", "integer"}};
  Json definitions = Json::object();
  constexpr int kLevels = 40;
  for (int level = kLevels; level-- > 0;) {
    const Json inner = level + 1 == kLevels
                           ? Json{{"const", 1}}
                           : Json{{"$ref", "#/$defs/d" + std::to_string(level + 1)}};
    const auto choice = [&](int most) {
      return Json{{"type", "array"}, {"items", inner}, {"minItems", 1}, {"maxItems", most}};
    };
    definitions["d" + std::to_string(level)] = {{"anyOf", {choice(2), choice(3)}}};
  }
  schema = {{"$ref", "#/$defs/d0"}, {"$defs", definitions}};
  Workbench bench(wide_vocabulary());
  const auto compiled = bench.schema(schema);
  REQUIRE(compiled.has_value());
  Matcher matcher(*compiled);
  std::string text;
  // forced() speaks for all threads, accept() keeps 64 of them: what it keeps must take the text.
  for (int round = 0; round < 3 * kLevels && text.size() < kLevels; ++round) {
    std::vector<TokenId> forced = matcher.forced();
    if (forced.empty()) {                // a longer token is possible: choose the bracket
      forced = {TokenId{'['}};
    }
    for (const TokenId id : forced) {
      const auto allowed = allowed_tokens(matcher, bench.vocabulary.bytes.size());
      REQUIRE(std::binary_search(allowed.begin(), allowed.end(), id));
      REQUIRE(matcher.accept(id));
      text += bench.vocabulary.bytes[static_cast<size_t>(id)];
    }
  }
  CHECK(text.substr(0, kLevels) == std::string(kLevels, '['));
  const auto completion = matcher.completion();
  REQUIRE(completion.has_value());
  for (const TokenId id : *completion) REQUIRE(matcher.accept(id));
  CHECK(matcher.may_end());
}

TEST_CASE("bounds: forced text agrees with acceptance wherever the threads were cut to 64") {
  // Seven ways per element: two levels pass the cap. Texts are driven at random; at each place the
  // forced tokens must be accepted one after the other, and the mask must name each of them.
  Workbench bench(wide_vocabulary());
  const auto compiled = bench.schema_text(
      R"({"anyOf": [{"type": "array", "items": {"$ref": "#"}, "minItems": 1},
          {"type": "array", "items": {"$ref": "#"}, "maxItems": 6},
          {"type": "array", "items": {"$ref": "#"}, "maxItems": 5},
          {"type": "array", "items": {"$ref": "#"}, "maxItems": 4},
          {"type": "array", "items": {"$ref": "#"}, "maxItems": 3},
          {"type": "object", "properties": {"name": {"$ref": "#"}}, "required": ["name"]},
          {"type": "object", "properties": {"name": {"$ref": "#"}, "names": {"type": "null"}},
           "required": ["name", "names"]},
          {"const": "hello"}]})");
  REQUIRE(compiled.has_value());
  Rng rng(12);
  int forced_tokens = 0;
  for (int run = 0; run < 30; ++run) {
    Matcher matcher(*compiled);
    for (int step = 0; step < 40 && !matcher.ended(); ++step) {
      for (const TokenId id : matcher.forced()) {
        const auto allowed = allowed_tokens(matcher, bench.vocabulary.bytes.size());
        REQUIRE(std::binary_search(allowed.begin(), allowed.end(), id));
        REQUIRE(matcher.accept(id));
        ++forced_tokens;
      }
      const auto allowed = allowed_tokens(matcher, bench.vocabulary.bytes.size());
      REQUIRE(!allowed.empty());
      REQUIRE(matcher.accept(allowed[rng.below(allowed.size())]));
    }
  }
  CHECK(forced_tokens > 100);
}

}  // namespace swarm::test
