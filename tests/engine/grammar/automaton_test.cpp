// Small automata against every short text, judged without automata.
#include <doctest/doctest.h>

#include <regex>

#include "engine/base/utf8.h"
#include "engine/grammar/numbers.h"
#include "engine/grammar/pattern.h"
#include "tests/engine/grammar/fixture.h"
#include "tests/engine/grammar/validator.h"
#include "tests/support/support.h"

namespace swarm::test {
namespace {

using namespace engine::grammar;

// Every text over the alphabet up to this length, shortest first.
template <class Visit>
void for_each_text(std::string_view alphabet, size_t length_max, Visit visit) {
  std::vector<std::string> layer{""};
  for (size_t length = 0; length <= length_max; ++length) {
    std::vector<std::string> next;
    for (const std::string& text : layer) {
      visit(text);
      if (length == length_max) continue;
      for (const char c : alphabet) next.push_back(text + c);
    }
    layer = std::move(next);
  }
}

}  // namespace

TEST_CASE("automaton: patterns agree with std::regex on every short text") {
  for (const char* pattern : {"a",
                              "^a",
                              "a$",
                              "^a$",
                              "^$",
                              "",
                              "ab*c",
                              "^(a|b)*c$",
                              "a{2}",
                              "^a{1,2}b{0,1}$",
                              "^a{2,}$",
                              "(ab|ba)+",
                              "^[^a]*$",
                              "^[a-b]c?$",
                              "^a|b$",
                              "(^a|b$)c?",
                              "^(a|(b|c)a)*$",
                              "a.c",
                              "^.{2}$",
                              "^(a?b?)?c$",
                              "[bc]{2}$",
                              "^(?:a|b)c|cb$",
                              "^(ab?)*?c$",
                              "a|",
                              "^(|a)b",
                              "(^|b)a($|c)"}) {
    CAPTURE(std::string(pattern));
    const auto dfa = compile_pattern(pattern, TextCoding::raw);
    REQUIRE(dfa.has_value());
    const std::regex judge(pattern);
    for_each_text("abc", 6, [&](const std::string& text) {
      if (dfa->accepts(text) != std::regex_search(text, judge)) {
        CAPTURE(text);
        CHECK(dfa->accepts(text) == std::regex_search(text, judge));
      }
    });
  }
}

TEST_CASE("automaton: characters are exactly the valid UTF-8 sequences") {
  const auto raw = text_of_length(1, 1, TextCoding::raw);
  const auto json = text_of_length(1, 1, TextCoding::json);
  REQUIRE(raw.has_value());
  REQUIRE(json.has_value());
  for (uint32_t code = 0; code <= 0x10FFFF; ++code) {
    if (code >= 0xD800 && code <= 0xDFFF) continue;
    std::string text;
    utf8_append(text, code);
    if (raw->accepts(text) != (code != 0)) FAIL("raw " << code);
    if (!json->accepts(json_characters(text))) FAIL("json " << code);
    const bool bare = code >= 0x20 && code != '"' && code != '\\';
    if (json->accepts(text) != bare) FAIL("bare " << code);
  }
  // Every sequence of three bytes that could begin one, and four with the critical second bytes.
  int wrong = 0;
  for (uint32_t bits = 0xC00000; bits < 0x1000000; ++bits) {
    const std::string text{static_cast<char>(bits >> 16), static_cast<char>(bits >> 8),
                           static_cast<char>(bits)};
    wrong += raw->accepts(text) != (utf8_sequence_length(text) == 3);
  }
  for (int first = 0xF0; first < 0x100; ++first) {
    for (int second = 0; second < 0x100; ++second) {
      const std::string text{static_cast<char>(first), static_cast<char>(second), '\x80', '\xBF'};
      wrong += raw->accepts(text) != (utf8_sequence_length(text) == 4);
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("automaton: integer ranges are exact for every small pair of bounds") {
  for (int low = -13; low <= 112; low += 3) {
    for (int high = low; high <= 125; high += 4) {
      NumberRange range;
      range.minimum = low;
      range.maximum = high;
      const auto dfa = ranged_number(range, true);
      REQUIRE(dfa.has_value());
      for (int n = -130; n <= 1300; ++n) {
        if (dfa->accepts(std::to_string(n)) != (low <= n && n <= high)) {
          FAIL(low << " " << high << " " << n);
        }
      }
      for (const char* text : {"", "-", "-0", "00", "01", "007", "1.0", "+1", "1e1", " 1"}) {
        if (dfa->accepts(text)) FAIL(low << " " << high << " " << text);
      }
    }
  }
}

TEST_CASE("automaton: decimal ranges agree with comparing numbers on every short text") {
  struct Bounds {
    const char* schema;
    double low, high;
    bool open_low, open_high;
  };
  for (const Bounds& b : std::vector<Bounds>{
           {R"({"minimum": -1.5, "maximum": 2.05})", -1.5, 2.05, false, false},
           {R"({"exclusiveMinimum": 0, "maximum": 1})", 0, 1, true, false},
           {R"({"exclusiveMinimum": -0.5, "exclusiveMaximum": -0.25})", -0.5, -0.25, true, true},
           {R"({"minimum": 0.2, "maximum": 10.1})", 0.2, 10.1, false, false},
           {R"({"minimum": 0, "maximum": 0})", 0, 0, false, false}}) {
    CAPTURE(std::string(b.schema));
    const Json schema = Json::parse(b.schema);
    NumberRange range;
    if (schema.contains("minimum")) range.minimum = schema["minimum"];
    if (schema.contains("maximum")) range.maximum = schema["maximum"];
    if (schema.contains("exclusiveMinimum")) range.exclusive_minimum = schema["exclusiveMinimum"];
    if (schema.contains("exclusiveMaximum")) range.exclusive_maximum = schema["exclusiveMaximum"];
    const auto dfa = ranged_number(range, false);
    REQUIRE(dfa.has_value());
    const std::regex form("-?(0|[1-9][0-9]*)(\\.[0-9]+)?");
    for_each_text("-.0125", 5, [&](const std::string& text) {
      bool want = std::regex_match(text, form);
      if (want) {
        const double x = std::stod(text);
        want = (b.open_low ? x > b.low : x >= b.low) && (b.open_high ? x < b.high : x <= b.high);
        want = want && !(text[0] == '-' && x == 0);
      }
      if (dfa->accepts(text) != want) {
        CAPTURE(text);
        CHECK(dfa->accepts(text) == want);
      }
    });
  }
}

TEST_CASE("automaton: every short text is matched exactly if it is canonical and valid") {
  // The judge: parses, was written in canonical spacing, and valijson calls it valid.
  for (const char* schema :
       {R"({"type": "array", "items": {"type": "integer", "maximum": 2}, "maxItems": 2})",
        R"({"type": "array", "items": {"type": "array", "items": {"enum": [1]}}, "maxItems": 2})",
        R"({"anyOf": [{"type": "integer", "minimum": 1, "maximum": 12}, {"type": "array", "items":
           {"type": "integer", "minimum": 0}, "minItems": 1}]})"}) {
    CAPTURE(std::string(schema));
    Workbench bench(byte_vocabulary());
    const auto compiled = bench.schema_text(schema);
    REQUIRE(compiled.has_value());
    const Matcher start(*compiled);
    int matched = 0;
    for_each_text("[], 12", kInstrumented ? 6 : 7, [&](const std::string& text) {
      const auto parsed = parse_json(text);
      const bool want = parsed && dump_json_spaced(*parsed) == text && judge(schema, text).empty();
      matched += want;
      if (matches(start, text) != want) {
        CAPTURE(text);
        CHECK(matches(start, text) == want);
      }
    });
    CHECK(matched > 2);
  }
}

TEST_CASE("automaton: strings without a substring and strings but some") {
  const Dfa without = without_substring("aab");
  const Dfa but = everything_but({"", "ab", "abc", "b"});
  for_each_text("abc", 7, [&](const std::string& text) {
    if (without.accepts(text) != (text.find("aab") == std::string::npos)) FAIL(text);
    const bool listed = text.empty() || text == "ab" || text == "abc" || text == "b";
    if (but.accepts(text) == listed) FAIL(text);
  });
}

}  // namespace swarm::test
