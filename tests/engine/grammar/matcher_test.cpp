// Masks, forced spans, completions and the nesting limit.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <thread>

#include "tests/engine/grammar/fixture.h"

namespace swarm::test {
namespace {

using grammar::Matcher;

// Schemas whose states are unlike each other.
const std::vector<const char*> kSchemas{
    "true",
    R"({"type": "string"})",
    R"({"type": "string", "maxLength": 5, "pattern": "^[a-c中]*$"})",
    R"({"type": "array", "items": {"type": "integer", "minimum": -12, "maximum": 104}})",
    R"({"type": "object", "properties": {"a": {"type": "integer"}, "b":
        {"type": ["string", "null"]}, "k": {"type": "boolean"}},
        "additionalProperties": {"type": "integer"}})",
    R"({"type": "object", "additionalProperties": {"type": "object",
        "additionalProperties": true}})",
    R"({"anyOf": [{"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "null"}}},
        {"type": "array"}]})",
    R"({"$ref": "#/$defs/t", "$defs": {"t": {"type": "object", "properties":
        {"v": {"type": "number"}, "c": {"type": "array", "items": {"$ref": "#/$defs/t"}}},
        "required": ["c"]}}})",
};

// Bit set iff accept succeeds, for every token; returns the allowed ones.
std::vector<TokenId> check_mask(const Matcher& matcher, const grammar::Vocabulary& vocabulary) {
  const std::vector<TokenId> allowed = allowed_tokens(matcher, vocabulary.bytes.size());
  for (size_t id = 0; id < vocabulary.bytes.size(); ++id) {
    Matcher copy = matcher;
    const auto token = static_cast<TokenId>(id);
    const bool listed = std::binary_search(allowed.begin(), allowed.end(), token);
    if (copy.accept(token) != listed) {
      CAPTURE(vocabulary.bytes[id]);
      CHECK(copy.accept(token) == listed);
    }
  }
  return allowed;
}

}  // namespace

TEST_CASE("matcher: a token's bit is set exactly when it is accepted") {
  Rng rng(11);
  for (const grammar::Vocabulary& vocabulary : {byte_vocabulary(), wide_vocabulary()}) {
    Workbench bench(vocabulary);
    for (const char* schema : kSchemas) {
      CAPTURE(std::string(schema));
      const auto compiled = bench.schema_text(schema);
      REQUIRE(compiled.has_value());
      for (int run = 0; run < 6; ++run) {
        Matcher matcher(*compiled);
        for (int step = 0; step < 40 && !matcher.ended(); ++step) {
          const auto allowed = check_mask(matcher, vocabulary);
          REQUIRE(!allowed.empty());
          REQUIRE(matcher.accept(allowed[rng.below(allowed.size())]));
        }
      }
    }
  }
}

TEST_CASE("matcher: masks agree with acceptance at the nesting limit") {
  const grammar::Vocabulary vocabulary = wide_vocabulary();
  Workbench bench(vocabulary);
  Rng rng(5);
  for (const char* schema :
       {"true", R"({"type": "object", "properties": {"a": {"type": "integer"}, "n": {"anyOf":
           [{"$ref": "#"}, {"type": "object", "properties": {"x": {"type": "array", "minItems": 1}},
           "required": ["x"]}]}}, "required": ["a", "n"]})"}) {
    const auto compiled = bench.schema_text(schema);
    REQUIRE(compiled.has_value());
    for (int run = 0; run < 4; ++run) {
      // Always open what can be opened; then the limit is near.
      Matcher matcher(*compiled);
      std::string text;
      for (int step = 0; step < 700 && !matcher.ended(); ++step) {
        const bool deep =
            std::count(text.begin(), text.end(), '{') + std::count(text.begin(), text.end(), '[') >=
            58;
        const auto allowed = deep ? check_mask(matcher, vocabulary)
                                  : allowed_tokens(matcher, vocabulary.bytes.size());
        REQUIRE(!allowed.empty());
        TokenId token = allowed[rng.below(allowed.size())];
        for (const char* open : {"{\"", "[[", "[", ": {", "{", "n", ": ", "\""}) {
          const auto found = std::find_if(allowed.begin(), allowed.end(), [&](TokenId id) {
            return vocabulary.bytes[static_cast<size_t>(id)] == open;
          });
          if (found != allowed.end() && rng.below(8) != 0) {
            token = *found;
            break;
          }
        }
        REQUIRE(matcher.accept(token));
        if (token != kStop) text += vocabulary.bytes[static_cast<size_t>(token)];
        if (step % 50 == 49 && !matcher.ended()) {
          Matcher copy = matcher;
          const auto completion = copy.completion();
          REQUIRE(completion.has_value());
          for (const TokenId id : *completion) REQUIRE(copy.accept(id));
          REQUIRE(copy.may_end());
        }
      }
    }
  }
}

TEST_CASE("matcher: 64 levels of nesting and no more") {
  Workbench bench(byte_vocabulary());
  const auto compiled = bench.schema_text("true");
  REQUIRE(compiled.has_value());
  const Matcher start(*compiled);
  CHECK(matches(start, std::string(64, '[') + std::string(64, ']')));
  Matcher full = start;
  REQUIRE(feed(full, std::string(64, '[')));
  CHECK_FALSE(full.accept('['));
  CHECK_FALSE(full.accept('{'));
  CHECK(full.accept('1'));
  const auto refused =
      bench.schema_text(R"({"$ref": "#/$defs/a0", "$defs": {"a0": {"type": "null"}}})");
  CHECK(refused.has_value());
  Json deep = {{"type", "null"}};
  for (int level = 0; level < 65; ++level) {
    deep = Json{{"type", "array"}, {"items", deep}, {"minItems", 1}};
  }
  const auto too_deep = bench.schema(deep);
  REQUIRE_FALSE(too_deep.has_value());
  CHECK(too_deep.error().message.find("deeper than 64") != std::string::npos);
}

TEST_CASE("matcher: an ambiguous recursive schema stays bounded and alive") {
  Workbench bench(wide_vocabulary());
  const auto compiled = bench.schema_text(
      R"({"anyOf": [{"type": "array", "items": {"$ref": "#"}},
                    {"type": "array", "items": {"$ref": "#"}, "maxItems": 2},
                    {"type": "array", "items": {"$ref": "#"}, "maxItems": 1}]})");
  REQUIRE(compiled.has_value());
  Matcher matcher(*compiled);
  for (int level = 0; level < 60; ++level) REQUIRE(feed(matcher, "["));
  const auto allowed = check_mask(matcher, bench.vocabulary);
  CHECK(!allowed.empty());
  const auto completion = matcher.completion();
  REQUIRE(completion.has_value());
  for (const TokenId id : *completion) REQUIRE(matcher.accept(id));
  CHECK(matcher.may_end());
}

TEST_CASE("matcher: a vocabulary that cannot spell every byte still finishes") {
  grammar::Vocabulary vocabulary = wide_vocabulary();
  for (int byte = 0; byte < 256; ++byte) {
    const std::string_view kept_bytes = "{}[]\":, 0123456789aelnrtsuf";
    const bool kept = kept_bytes.find(static_cast<char>(byte)) != std::string_view::npos;
    if (!kept) vocabulary.bytes[static_cast<size_t>(byte)].clear();
  }
  Workbench bench(vocabulary);
  CHECK_FALSE(bench.schema_text(R"({"const": "xyz"})").has_value());
  const auto compiled = bench.schema_text(
      R"({"anyOf": [{"const": "xyz"}, {"type": "object", "additionalProperties": {"type": "string",
         "minLength": 3}}]})");
  REQUIRE(compiled.has_value());
  Rng rng(3);
  for (int run = 0; run < 20; ++run) {
    const Generated out = generate(Matcher(*compiled), vocabulary, rng, 40, run % 2 == 0);
    CHECK(parse_json(out.text).has_value());
  }
}

TEST_CASE("matcher: a refused token leaves the state as it was") {
  Workbench bench(wide_vocabulary());
  const auto compiled = bench.schema_text(R"({"properties": {"a": {"type": "integer"}}})");
  REQUIRE(compiled.has_value());
  Matcher matcher(*compiled);
  REQUIRE(feed(matcher, "{\"a"));
  const auto before = allowed_tokens(matcher, bench.vocabulary.bytes.size());
  for (const TokenId token : {TokenId{'x'}, kStop, kToolBegin, TokenId{-1}, TokenId{100000}}) {
    CHECK_FALSE(matcher.accept(token));
    CHECK(allowed_tokens(matcher, bench.vocabulary.bytes.size()) == before);
  }
  REQUIRE(feed(matcher, "\": 1}"));
  REQUIRE(matcher.accept(kStop));
  CHECK(matcher.ended());
  CHECK_FALSE(matcher.may_end());
  CHECK(allowed_tokens(matcher, bench.vocabulary.bytes.size()).empty());
  CHECK_FALSE(matcher.accept('x'));
  CHECK_FALSE(matcher.accept(kStop));
}

TEST_CASE("matcher: copies go their own way") {
  Workbench bench(byte_vocabulary());
  const auto compiled = bench.schema_text(R"({"additionalProperties": {"type": "null"}})");
  REQUIRE(compiled.has_value());
  Matcher left(*compiled);
  REQUIRE(feed(left, R"({"a": null, ")"));
  Matcher right = left;
  REQUIRE(feed(right, R"(b": null, ")"));
  CHECK_FALSE(feed(right, "b\""));
  CHECK(feed(left, R"(b": null})"));
  CHECK(left.may_end());
}

TEST_CASE("matcher: forced text is what every continuation shares") {
  Workbench bench(wide_vocabulary());
  const auto text_of = [&](const std::vector<TokenId>& tokens) {
    std::string text;
    for (const TokenId id : tokens) text += bench.vocabulary.bytes[static_cast<size_t>(id)];
    return text;
  };
  grammar::TurnSpec spec;
  spec.tools = {{"add", Json{{"type", "object"},
                             {"properties", {{"abc", {{"type", "integer"}}}}},
                             {"required", {"abc"}}}}};
  spec.tool_choice = grammar::ToolChoice::required;
  spec.tool_call_begin = kToolBegin;
  spec.tool_call_end = kToolEnd;
  Matcher matcher = bench.matcher(spec);
  // A number follows, and no token is ": " plus a digit, so the whole span stands.
  CHECK(text_of(matcher.forced()) == "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"abc\": ");
  for (const TokenId id : matcher.forced()) REQUIRE(matcher.accept(id));
  CHECK(matcher.forced().empty());
  REQUIRE(feed(matcher, "1}"));
  CHECK(text_of(matcher.forced()) == "}\n</tool_call>");

  // After {"a": comes a string: ' "' may be longer, so ': ' and '"' are not both committed.
  const auto compiled = bench.schema_text(
      R"({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]})");
  REQUIRE(compiled.has_value());
  const Matcher start(*compiled);
  const std::string forced = text_of(start.forced());
  CHECK(std::string("{\"a\": \"").starts_with(forced));
  CHECK(forced != "{\"a\": \"");
  CHECK(!forced.empty());
  CHECK(Matcher(*bench.schema_text(R"({"const": "abc"})")).forced().size() == 3);  // " abc "
  CHECK(Matcher(*bench.schema_text("true")).forced().empty());
}

TEST_CASE("matcher: jumping over forced text leaves every text possible") {
  // All texts of finite schemas, found through masks alone and through forced spans as well.
  for (const char* schema :
       {R"({"type": "object", "properties": {"a": {"enum": ["x", "xy", "xz"]},
           "ab": {"type": "boolean"}}, "required": ["a"]})",
        R"({"type": "array", "items": {"enum": [1, 12, null, "a", "ab"]}, "maxItems": 2})",
        R"({"type": "string", "pattern": "^a(bc|bd)?e$"})",
        R"({"type": "integer", "minimum": 98, "maximum": 121})"}) {
    CAPTURE(std::string(schema));
    Workbench bench(wide_vocabulary());
    const auto compiled = bench.schema_text(schema);
    REQUIRE(compiled.has_value());
    const auto explore = [&](bool jump) {
      std::set<std::string> texts;
      std::set<std::string> seen;
      const auto visit = [&](const auto& self, Matcher matcher, std::string text) -> void {
        if (jump) {
          for (const TokenId id : matcher.forced()) {
            REQUIRE(matcher.accept(id));
            text += bench.vocabulary.bytes[static_cast<size_t>(id)];
          }
        }
        if (!seen.insert(text).second) return;
        for (const TokenId id : allowed_tokens(matcher, bench.vocabulary.bytes.size())) {
          if (id == kStop) {
            texts.insert(text);
            continue;
          }
          Matcher next = matcher;
          REQUIRE(next.accept(id));
          self(self, next, text + bench.vocabulary.bytes[static_cast<size_t>(id)]);
        }
      };
      visit(visit, Matcher(*compiled), "");
      return texts;
    };
    const std::set<std::string> plain = explore(false);
    CHECK(plain.size() > 1);
    CHECK(explore(true) == plain);
  }
}

TEST_CASE("matcher: the completion is shortest and closes everything") {
  Workbench bench(byte_vocabulary());
  struct Case {
    const char* schema;
    const char* before;
    const char* completion;
  };
  for (const Case& c : std::vector<Case>{
           {R"({"type": "string"})", "\"ab\\", "\"\""},
           {R"({"type": "string", "minLength": 3})", "\"a", "00\""},
           {R"({"type": "array"})", "[[{\"a", "\": 0}]]"},
           {R"({"properties": {"a": {"type": "boolean"}}, "required": ["a"]})", "",
            "{\"a\": true}"},
           {R"({"type": "object", "additionalProperties": {"type": "null"}})",
            "{\"\": null, \"0\": null, \"", "00\": null}"},
           {R"({"type": "integer", "minimum": 300})", "", "300"},
           {R"({"type": "number"})", "1e", "0"},
           {R"({"anyOf": [{"enum": ["long text"]}, {"enum": ["short"]}]})", "", "\"short\""}}) {
    CAPTURE(std::string(c.schema));
    const auto compiled = bench.schema_text(c.schema);
    REQUIRE(compiled.has_value());
    Matcher matcher(*compiled);
    REQUIRE(feed(matcher, c.before));
    const auto completion = matcher.completion();
    REQUIRE(completion.has_value());
    std::string text;
    for (const TokenId id : *completion) text += bench.vocabulary.bytes[static_cast<size_t>(id)];
    CHECK(text.size() == std::string(c.completion).size());
    CHECK(matches(matcher, text));
    CHECK(matches(matcher, c.completion));
  }
  // In the middle of a character, which an encoder of whole text would not keep.
  Matcher matcher(*bench.schema_text(R"({"type": "string"})"));
  REQUIRE(feed(matcher, "\"\xf0\x9f"));
  const auto completion = matcher.completion();
  REQUIRE(completion.has_value());
  for (const TokenId id : *completion) REQUIRE(matcher.accept(id));
  CHECK(matcher.may_end());
}

TEST_CASE("matcher: two threads may share one grammar") {
  Workbench bench(wide_vocabulary());
  const auto compiled = bench.schema_text("true");
  REQUIRE(compiled.has_value());
  std::vector<std::string> texts(4);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < texts.size(); ++i) {
    threads.emplace_back([&, i] {
      Rng rng(77);
      Matcher matcher(*compiled);
      for (int step = 0; step < 60 && !matcher.ended(); ++step) {
        const auto allowed = allowed_tokens(matcher, bench.vocabulary.bytes.size());
        const TokenId token = allowed[rng.below(allowed.size())];
        if (!matcher.accept(token)) break;
        texts[i] += bench.vocabulary.bytes[static_cast<size_t>(token)];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& text : texts) CHECK(text == texts[0]);
  CHECK(!texts[0].empty());
}

}  // namespace swarm::test
