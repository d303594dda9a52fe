// Random schemas under random models at temperature 1.5: whatever comes out, ended by the model or
// by completion(), parses and is valid. SWARM_GRAMMAR_DUMP=FILE writes the pairs as JSON lines for
// the second judge, tests/golden/grammar/judge_pairs.py.
#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>

#include "engine/base/utf8.h"
#include "tests/engine/grammar/fixture.h"
#include "tests/engine/grammar/schema_generator.h"
#include "tests/engine/grammar/validator.h"
#include "tests/support/support.h"

namespace swarm::test {
namespace {

constexpr int kRandomSchemas = 600;
constexpr size_t kTokensMax = 60;

struct Tally {
  int schemas = 0;
  int refused = 0;
  int texts = 0;
  int completed = 0;
};

void try_schema(uint64_t seed, Workbench& bench, Tally& tally, std::ofstream* dump) {
  const Json schema = SchemaGenerator(seed).document();
  const std::string schema_text = dump_json(schema);
  CAPTURE(seed);
  CAPTURE(schema_text);
  const auto compiled = bench.schema(schema);
  if (!compiled) {
    // The generator uses nothing unsupported, but it may ask for what nothing satisfies, and allOf
    // may hold two patterns or formats together.
    const std::string& message = compiled.error().message;
    CAPTURE(message);
    CHECK(message.find("unsupported keyword") == std::string::npos);
    ++tally.refused;
    return;
  }
  ++tally.schemas;
  Rng rng(seed);
  for (int run = 0; run < 3; ++run) {
    const Generated out =
        generate(grammar::Matcher(*compiled), bench.vocabulary, rng, kTokensMax, run == 1);
    CAPTURE(out.text);
    REQUIRE(utf8_is_valid(out.text));
    const auto parsed = parse_json(out.text);  // refuses duplicate keys
    REQUIRE_MESSAGE(parsed.has_value(), parsed.error().to_text());
    REQUIRE(judge(schema_text, out.text) == "");
    ++tally.texts;
    tally.completed += out.completed ? 1 : 0;
    if (dump != nullptr) *dump << dump_json(Json{{"schema", schema}, {"text", out.text}}) << "\n";
  }
}

}  // namespace

TEST_CASE("random: every text of 600 random schemas parses and is valid") {
  std::optional<std::ofstream> dump;
  if (const char* path = std::getenv("SWARM_GRAMMAR_DUMP")) dump.emplace(path);
  Tally tally;
  Workbench bytes(byte_vocabulary());
  Workbench wide(wide_vocabulary());
  for (uint64_t seed = 1; tally.schemas < kRandomSchemas; ++seed) {
    REQUIRE(seed < 3 * kRandomSchemas);
    try_schema(seed, seed % 2 == 0 ? bytes : wide, tally, dump ? &*dump : nullptr);
  }
  MESSAGE(tally.schemas << " schemas, " << tally.refused << " unsatisfiable, " << tally.texts
                        << " texts, " << tally.completed << " ended by completion");
  CHECK(tally.completed > 100);
  CHECK(tally.texts - tally.completed > 100);
}

TEST_CASE("random: masks agree with acceptance along random texts") {
  Workbench bench(wide_vocabulary());
  const size_t count = bench.vocabulary.bytes.size();
  for (uint64_t seed = 5000; seed < 5060; ++seed) {
    CAPTURE(seed);
    const auto compiled = bench.schema(SchemaGenerator(seed).document());
    if (!compiled) continue;
    Rng rng(seed);
    grammar::Matcher matcher(*compiled);
    for (int step = 0; step < 25 && !matcher.ended(); ++step) {
      const auto allowed = allowed_tokens(matcher, count);
      REQUIRE(!allowed.empty());
      std::vector<TokenId> accepted;
      for (size_t id = 0; id < count; ++id) {
        grammar::Matcher copy = matcher;
        if (copy.accept(static_cast<TokenId>(id))) accepted.push_back(static_cast<TokenId>(id));
      }
      REQUIRE(accepted == allowed);
      REQUIRE(matcher.accept(allowed[rng.below(allowed.size())]));
    }
  }
}

TEST_CASE("random: nothing that an independent validator refuses is accepted") {
  // Lines {"schema", "text", "valid"}: texts of the generator and mutations of them, judged by
  // Python's jsonschema (tests/golden/grammar/judge_pairs.py).
  Workbench bench(byte_vocabulary());
  std::istringstream lines(read_file(golden("grammar/judged_pairs.jsonl")));
  int valid = 0;
  int invalid = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("#")) continue;
    const auto pair = parse_json(line);
    REQUIRE(pair.has_value());
    const auto compiled = bench.schema((*pair)["schema"]);
    REQUIRE(compiled.has_value());
    const bool accepted = matches(grammar::Matcher(*compiled), (*pair)["text"].get<std::string>());
    CAPTURE(line);
    if ((*pair)["valid"].get<bool>()) {
      ++valid;
      // Texts as generated must be matched; mutations may be valid in a form that is not canonical.
      if ((*pair)["generated"].get<bool>()) CHECK(accepted);
    } else {
      ++invalid;
      CHECK_FALSE(accepted);
    }
  }
  CHECK(valid > 50);
  CHECK(invalid > 50);
}

}  // namespace swarm::test
