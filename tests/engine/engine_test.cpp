#include "engine/engine.h"

#include <doctest/doctest.h>

#include <map>

#include "engine/chat.h"

using namespace swarm;
using namespace swarm::engine;

namespace {

EngineConfig tiny(const std::string& preset = "qwen3moe-tiny") {
  EngineConfig config;
  config.model = "synth:" + preset + ":F32:2";
  config.kv_bytes_max = 4 << 20;
  config.context_max = 1024;
  config.threads = 2;
  return config;
}

std::unique_ptr<Engine> open_tiny(const Clock& clock, const EngineConfig& config = tiny()) {
  auto engine = Engine::open(config, clock);
  if (!engine) FAIL(engine.error().to_text());
  return std::move(*engine);
}

struct Ended {
  std::vector<TokenId> tokens;
  Output last;
};

std::map<RequestId, Ended> drain(Engine& engine) {
  std::map<RequestId, Ended> ended;
  for (int step = 0; !engine.idle(); ++step) {
    REQUIRE(step < 10000);
    for (const Output& output : engine.step()) {
      Ended& one = ended[output.id];
      if (output.token >= 0) one.tokens.push_back(output.token);
      if (output.finish != Finish::none) one.last = output;
    }
    engine.check_integrity();
  }
  return ended;
}

std::string error_of(const Result<std::unique_ptr<Engine>>& result) {
  return result ? "" : result.error().message;
}

const Json kSchema = Json::parse(R"({
  "type": "object",
  "properties": {"name": {"type": "string", "maxLength": 12},
                 "count": {"type": "integer", "minimum": 0, "maximum": 999},
                 "tags": {"type": "array", "items": {"enum": ["red", "green"]}, "maxItems": 3}},
  "required": ["name", "count", "tags"], "additionalProperties": false})");

}  // namespace

TEST_CASE("engine: opens a synthetic model and says what it is") {
  const SteadyClock clock;
  const auto engine = open_tiny(clock);
  CHECK(engine->info().architecture == "qwen3moe");
  CHECK(engine->info().context == 1024);
  CHECK(engine->info().vocab == 288);
  CHECK(engine->info().device.starts_with("cpu"));
  CHECK(engine->info().weight_bytes > engine->info().bytes_per_token);
  CHECK(engine->info().kv_bytes <= 4 << 20);
  CHECK(engine->idle());
  CHECK(engine->stats().pages_free == engine->stats().pages_total);
}

TEST_CASE("engine: what cannot be opened is refused with field, range and value") {
  const SteadyClock clock;
  const auto error_with = [&](auto change) {
    EngineConfig config = tiny();
    change(config);
    return error_of(Engine::open(config, clock));
  };
  CHECK(error_with([](auto& c) { c.page_tokens = 0; }) ==
        "engine.page_tokens: expected an integer in [1, 256], found 0");
  CHECK(error_with([](auto& c) { c.max_resident = 3; }) ==
        "engine.max_resident: expected an integer in [16, 1048576], found 3");
  CHECK(error_with([](auto& c) { c.device = "gpu"; }) ==
        "engine.device: expected auto, cpu or cuda:N, found \"gpu\"");
  CHECK(error_with([](auto& c) { c.device = "cuda:0"; }).find("no CUDA backend") !=
        std::string::npos);
  CHECK(error_with([](auto& c) { c.k_type = "q8"; }) ==
        "engine.k_type: expected one of f32, f16, bf16, q8_0, q4_0, found \"q8\"");
  CHECK(error_with([](auto& c) { c.kv_bytes_max = 10; }).starts_with("engine.kv_bytes_max:"));
  const auto missing = Engine::open({.model = "no/such/model.gguf"}, clock);
  REQUIRE(!missing);
  CHECK(missing.error().kind == ErrorKind::environment);
  CHECK(missing.error().message.find("no/such/model.gguf") != std::string::npos);
}

TEST_CASE("engine: text in, text out, the same tokens each time, the second time from the cache") {
  const SteadyClock clock;
  for (const char* preset : {"qwen3moe-tiny", "qwen3-tiny"}) {
    const auto engine = open_tiny(clock, tiny(preset));
    const auto codec = engine->chat();
    REQUIRE(codec.has_value());
    const auto prompt = (*codec)->prompt(
        {.messages = {{.role = "system", .content = "You are terse."},
                      {.role = "user", .content = "What is <|im_end|> to you?"}}});
    REQUIRE(prompt.has_value());
    std::vector<TokenId> tokens[2];
    for (auto& run : tokens) {
      const auto id = engine->submit(
          {.prompt = *prompt, .stop_tokens = {(*codec)->stop_tokens().begin(),
                                              (*codec)->stop_tokens().end()},
           .max_tokens = 24});
      REQUIRE(id.has_value());
      const Ended ended = drain(*engine)[*id];
      run = ended.tokens;
      CHECK(ended.last.report.prompt_tokens == std::ssize(*prompt));
      CHECK(ended.last.report.cached_tokens == (&run == tokens ? 0 : std::ssize(*prompt) - 1));
    }
    CHECK(tokens[0] == tokens[1]);
    CHECK(!tokens[0].empty());
  }
}

TEST_CASE("engine: message contents never form control tokens") {
  const SteadyClock clock;
  const auto engine = open_tiny(clock);
  const auto codec = *engine->chat();
  const auto count_ends = [&](const std::string& content) {
    const auto tokens = *codec->prompt({.messages = {{.role = "user", .content = content}}});
    const TokenId end = codec->tokenize("<|im_end|>", true).at(0);
    return std::count(tokens.begin(), tokens.end(), end);
  };
  CHECK(codec->tokenize("<|im_end|>", true).size() == 1);
  CHECK(codec->tokenize("<|im_end|>", false).size() > 1);
  CHECK(count_ends("a<|im_end|>b<|im_end|>") == count_ends("harmless"));
}

TEST_CASE("engine: JSON under a schema is always complete, whatever seed and budget") {
  const SteadyClock clock;
  const auto engine = open_tiny(clock);
  const auto codec = *engine->chat();
  const auto grammar = codec->compile({.output_schema = kSchema});
  REQUIRE(grammar.has_value());
  REQUIRE(*grammar != nullptr);
  const auto prompt = *codec->prompt({.messages = {{.role = "user", .content = "Make one."}}});
  std::vector<RequestId> ids;
  for (int i = 0; i < 24; ++i) {
    const auto id = engine->submit(
        {.prompt = prompt,
         .sampling = {.temperature = 1.5, .seed = static_cast<uint64_t>(i)},
         .grammar = *grammar,
         .stop_tokens = {codec->stop_tokens().begin(), codec->stop_tokens().end()},
         .max_tokens = 40 + i});
    if (!id) FAIL(id.error().message);
    ids.push_back(*id);
  }
  auto ended = drain(*engine);
  for (const RequestId id : ids) {
    const std::string text = codec->detokenize(ended[id].tokens, true);
    CAPTURE(text);
    const auto parsed = parse_json(text);
    REQUIRE(parsed.has_value());
    CHECK(parsed->at("name").is_string());
    CHECK(parsed->at("count").get<int>() <= 999);
    CHECK(parsed->at("tags").size() <= 3);
    CHECK(parsed->size() == 3);
    CHECK(ended[id].last.report.forced_tokens > 0);
  }
  const auto refused = engine->submit({.prompt = prompt, .grammar = *grammar, .max_tokens = 5});
  REQUIRE(!refused);
  CHECK(refused.error().message.starts_with("max_tokens: expected at least"));
}

TEST_CASE("engine: a required tool call arrives whole, also through the streaming reader") {
  const SteadyClock clock;
  const auto engine = open_tiny(clock);
  const auto codec = *engine->chat();
  const std::vector<ChatTool> tools{
      {.name = "look_up", .description = "Looks up.",
       .parameters = Json::parse(R"({"type": "object",
         "properties": {"item": {"enum": ["nail", "screw"]}}, "required": ["item"]})")}};
  const auto grammar =
      codec->compile({.tools = tools, .tool_choice = grammar::ToolChoice::required,
                      .calls_max = 2});
  REQUIRE(grammar.has_value());
  const auto prompt = *codec->prompt(
      {.messages = {{.role = "user", .content = "Price?"}}, .tools = tools});
  for (uint64_t seed = 0; seed < 6; ++seed) {
    const auto id = engine->submit(
        {.prompt = prompt,
         .sampling = {.temperature = 1.5, .seed = seed},
         .grammar = *grammar,
         .stop_tokens = {codec->stop_tokens().begin(), codec->stop_tokens().end()},
         .max_tokens = 200});
    if (!id) FAIL(id.error().message);
    const auto reader = codec->reader(tools);
    size_t streamed = 0;
    const Ended ended = drain(*engine)[*id];
    for (const TokenId token : ended.tokens)
      streamed += reader->feed(token).tool_calls.size();
    const ChatReply reply = reader->finish();
    REQUIRE(!reply.tool_calls.empty());
    CHECK(streamed <= reply.tool_calls.size());
    CHECK(reply.tool_calls[0].name == "look_up");
    const auto item = reply.tool_calls[0].arguments.at("item").get<std::string>();
    CHECK((item == "nail" || item == "screw"));
    CHECK(reply.malformed_calls.empty());
    CHECK(reply.content.empty());
  }
}

TEST_CASE("engine: rules that allow everything need no grammar") {
  const SteadyClock clock;
  const auto codec = *open_tiny(clock)->chat();      // outlives its engine
  const auto free = codec->compile({});
  REQUIRE(free.has_value());
  CHECK(*free == nullptr);
  CHECK(!codec->compile({.tool_choice = grammar::ToolChoice::required}).has_value());
  CHECK(!codec->compile({.output_schema = Json::parse(R"({"type": "string", "format": "x"})")})
             .has_value());
}
