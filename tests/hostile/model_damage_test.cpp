// Damaged model files through the whole way in: reader, tokenizer, template, weights, engine, one
// token. Each ends with an engine or an error that names the file, in one process.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "engine/base/clock.h"
#include "engine/chat.h"
#include "engine/engine.h"
#include "tests/engine/formats/damage.h"
#include "tests/support/support.h"

using namespace swarm;
using namespace swarm::engine;

namespace {

// What the engine made of the file.
enum class Fate { refused, no_text, answered };

Fate fate_of(const std::string& file, const Clock& clock) {
  EngineConfig config;
  config.model = file;
  config.context_max = 64;
  config.kv_bytes_max = 1 << 20;
  config.threads = 1;
  const auto engine = Engine::open(config, clock);
  if (!engine) {
    CHECK(engine.error().message.size() < 1000);
    CHECK(!engine.error().message.empty());
    return Fate::refused;
  }
  Request request{.prompt = {1, 2, 3}, .max_tokens = 2};
  const auto codec = (*engine)->chat();
  if (codec) request.prompt = (*codec)->tokenize("Order: 7", false);
  if (request.prompt.empty()) request.prompt = {0};
  if (const auto id = (*engine)->submit(std::move(request)); !id) return Fate::refused;
  Finish finish = Finish::none;
  for (int step = 0; !(*engine)->idle() && step < 1000; ++step)
    for (const Output& output : (*engine)->step())
      if (output.finish != Finish::none) finish = output.finish;
  CHECK(finish != Finish::none);   // numbers may be spoiled; an end there is
  return codec ? Fate::answered : Fate::no_text;
}

}  // namespace

TEST_CASE("hostile: 1,000 damaged model files open or are refused, and what opens answers") {
  const test::TempDir dir;
  const std::string file = (dir.path() / "m.gguf").string();
  const std::string whole = test::read_file("examples/demo-model/demo-model.gguf");
  const size_t structure = whole.size() / 20;   // keys, vocabulary, template, tensor table; weights
  const SteadyClock clock;
  test::write_file(file, whole);
  REQUIRE(fate_of(file, clock) == Fate::answered);
  int fates[3] = {};
  constexpr uint64_t kFiles = test::kInstrumented ? 250 : 1000;
  for (uint64_t seed = 0; seed < kFiles; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    // Seven of eight inside the structure; the rest anywhere, truncated too.
    const bool inside = seed % 8 != 0;
    const size_t size = inside ? structure : whole.size();
    test::Bytes bytes(size);
    std::transform(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size),
                   bytes.begin(), [](char c) { return static_cast<std::byte>(c); });
    for (uint64_t hits = 1 + rng.below(3); hits > 0; --hits) test::damage(bytes, rng);
    std::string damaged(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    // A structure that lost its end lost what followed, too; otherwise the weights stay.
    if (inside && bytes.size() == structure) damaged += whole.substr(structure);
    test::write_file(file, damaged);
    ++fates[static_cast<int>(fate_of(file, clock))];
  }
  MESSAGE("refused ", fates[0], ", without text ", fates[1], ", answered ", fates[2]);
  CHECK(fates[0] > static_cast<int>(kFiles / 10));
  CHECK(fates[2] > static_cast<int>(kFiles / 10));
}
