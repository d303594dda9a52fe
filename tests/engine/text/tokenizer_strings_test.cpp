// 10,000 random Unicode strings against two independent tokenizers (digests of ids, made by
// tests/golden/text/make_tokenizer_strings.py). The strings are a recipe that both sides repeat.
#include <doctest/doctest.h>

#include "engine/base/json.h"
#include "engine/base/rng.h"
#include "engine/base/utf8.h"
#include "tests/engine/text/vocabularies.h"
#include "tests/support/support.h"

using namespace swarm;

namespace {

std::string make_string(Rng& rng, const Json& blocks, const Json& fragments) {
  std::string out;
  for (uint64_t items = 1 + rng.below(16); items > 0; --items) {
    if (rng.below(3) == 0) {
      out += fragments[rng.below(fragments.size())].get<std::string>();
      continue;
    }
    const Json& ranges = blocks[rng.below(blocks.size())];
    for (uint64_t letters = 1 + rng.below(6); letters > 0; --letters) {
      const Json& range = ranges[rng.below(ranges.size())];
      const auto first = range[0].get<uint32_t>(), last = range[1].get<uint32_t>();
      utf8_append(out, first + static_cast<uint32_t>(rng.below(last - first + 1)));
    }
  }
  return out;
}

std::string hex(uint64_t value) {
  std::string out(16, '0');
  for (size_t i = 16; i-- > 0; value >>= 4) out[i] = "0123456789abcdef"[value & 15];
  return out;
}

std::string ids_text(const std::vector<engine::TokenId>& ids) {
  std::string out;
  for (const engine::TokenId id : ids) out += (out.empty() ? "" : " ") + std::to_string(id);
  return out;
}

}  // namespace

TEST_CASE("tokenizer: 10,000 random strings get the ids of two independent implementations") {
  const auto tokenizer = test::qwen_tokenizer();
  if (!tokenizer) {
    MESSAGE("the Qwen vocabulary is absent: not checked");
    return;
  }
  const Json golden =
      parse_json(test::read_file(test::golden("text/tokenizer_strings.json"))).value();
  Rng rng(golden.at("seed").get<uint64_t>());
  const auto count = golden.at("count").get<size_t>(), step = golden.at("per digest").get<size_t>();
  REQUIRE(count == 10'000);
  REQUIRE(golden.at("digests").size() * step == count);
  uint64_t digest = hash_text("");
  for (size_t i = 0; i < count; ++i) {
    const std::string text = make_string(rng, golden.at("blocks"), golden.at("fragments"));
    const std::vector<engine::TokenId> ids = tokenizer->encode(text);
    CAPTURE(text);
    REQUIRE(tokenizer->decode(ids) == text);
    if (i < golden.at("samples").size()) {  // a wrong recipe shows here, not as a wrong digest
      const Json& sample = golden.at("samples")[i];
      REQUIRE(text == sample.at("text").get<std::string>());
      CHECK(ids == sample.at("ids").get<std::vector<engine::TokenId>>());
    }
    digest = hash_text(ids_text(ids) + "\n", digest);
    if ((i + 1) % step != 0) continue;
    CAPTURE(i);
    CHECK(hex(digest) == golden.at("digests")[i / step].get<std::string>());
    digest = hash_text("");
  }
}
