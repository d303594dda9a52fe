// Thinking that is asked for of a model that cannot think: refused, with the words that asked.
#include <doctest/doctest.h>

#include <string>
#include <variant>
#include <vector>

#include "engine/formats/gguf.h"
#include "engine/model/synth.h"
#include "tests/orchestrator/cli/run_program.h"
#include "tests/support/support.h"

using namespace swarm;

namespace {

const std::string kTurns =
    "{%- for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{%- if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

enum class Markers : uint8_t { with, without };

// Random weights and a vocabulary with or without <think> and </think>.
void write_model(const std::string& path, Markers markers, const std::string& chat_template) {
  engine::formats::GgufBuilder builder =
      engine::model::build_synthetic({.preset = "qwen3-tiny", .type = "F32", .layers = 1}).value();
  builder.set("tokenizer.chat_template", chat_template);
  const auto shapes = engine::model::make_synthetic({.preset = "qwen3-tiny", .layers = 1}).value();
  std::vector<std::string> tokens;
  for (const auto& token : shapes->array("tokenizer.ggml.tokens").value())
    tokens.push_back(std::get<std::string>(token));
  if (markers == Markers::without)
    for (std::string& token : tokens)
      if (token.find("think>") != std::string::npos) token.replace(token.find("think"), 5, "other");
  builder.set_strings("tokenizer.ggml.tokens", tokens);
  REQUIRE(builder.write(path).has_value());
}

struct Models {
  Models() {
    write_model(none, Markers::without, kTurns);
    write_model(silent, Markers::with, kTurns);
    write_model(thinks, Markers::with, kTurns + "<think>\n");
  }
  std::string in(const char* name) const { return (dir.path() / name).string(); }
  test::TempDir dir;
  const std::string none = in("none.gguf"), silent = in("silent.gguf"), thinks = in("thinks.gguf");
};

test::Ran generate(const std::string& model, std::vector<std::string> more) {
  std::vector<std::string> arguments{"generate", "--model", model, "--prompt", "hi",
                                     "--max-tokens", "4", "--ctx", "512"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return test::run(arguments);
}

const std::string kNoTokens =
    "--think: this model cannot think: its vocabulary has no <think> and </think>";

}  // namespace

TEST_CASE("think: generate refuses what would have no effect, and nothing else") {
  const Models models;
  for (const char* think : {"on", "8", "0"}) {
    CAPTURE(think);
    const test::Ran none = generate(models.none, {"--think", think});
    CHECK(none.code == 2);
    CHECK(none.err.find(kNoTokens) != std::string::npos);
    const test::Ran silent = generate(models.silent, {"--think", think});
    CHECK(silent.code == 2);
    CHECK(silent.err.find("--think: this model cannot think: its chat template") !=
          std::string::npos);
    CHECK(generate(models.thinks, {"--think", think}).code == 0);
  }
  for (const std::string& model : {models.none, models.silent, models.thinks}) {
    CHECK(generate(model, {}).code == 0);                     // a default asks for nothing
    CHECK(generate(model, {"--think", "off"}).code == 0);     // and this is what happens
  }
}

TEST_CASE("think: a raw prompt has only a budget, and only where there are the tokens") {
  const Models models;
  const test::Ran none = generate(models.none, {"--raw", "--think", "8"});
  CHECK(none.code == 2);
  CHECK(none.err.find("--think: the vocabulary of this model has no <think>") !=
        std::string::npos);
  CHECK(generate(models.silent, {"--raw", "--think", "8"}).code == 0);
  for (const char* think : {"on", "off"}) {
    const test::Ran ran = generate(models.thinks, {"--raw", "--think", think});
    CHECK(ran.code == 2);
    CHECK(ran.err.find("which --raw leaves out") != std::string::npos);
  }
}

TEST_CASE("think: a run names the key that asked, and starts nothing") {
  const Models models;
  const auto says = [&](const std::string& model, const std::string& model_keys,
                        const std::string& agent, const std::string& manager) {
    test::write_file(
        models.dir.path() / "swarm.yaml",
        "schema: swarm/v1\njournal: {dir: " + models.in("runs") + "}\nmodels: {m: {provider: "
            "engine, context: 512, weights: " + model + model_keys + "}}\n"
            "agents: {A: {max_tokens: 4" + agent + "}, Idle: {thinking: true}}\n"
            "topologies: {t: {members: [A], manager: {max_tokens: 4" + manager + "}, "
            "rounds: {max: 1}}}\n"
            "graph: {g: {topology: t, in: x}}\n");
    return test::run({"run", models.in("swarm.yaml"), "--quiet"});
  };
  const auto refused = [](const test::Ran& ran, const std::string& key) {
    CAPTURE(ran.err);
    CHECK(ran.code == 2);
    CHECK(ran.err.find(key + ".thinking: this model cannot think: its vocabulary has no <think> "
                             "and </think>") != std::string::npos);
  };
  refused(says(models.none, "", ", thinking: true", ""), "agents.A");
  refused(says(models.none, "", "", ", thinking: true"), "topologies.t.manager");
  refused(says(models.none, ", thinking: true", "", ""), "models.m");
  for (const test::Ran& ran : {says(models.none, ", thinking: false", "", ""),
                               says(models.none, "", "", ""),
                               says(models.thinks, ", thinking: true", "", "")}) {
    CHECK(ran.code != 2);
    CHECK(ran.err.find("thinking") == std::string::npos);
  }
}
