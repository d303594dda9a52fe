// 500 prompts through `swarm generate --json-schema` at temperature 1.5 on a random-weight model.
// The judge is the valijson library; the script beside this file does the same with a third one.
#include <doctest/doctest.h>

#include <sstream>

#include "engine/base/json.h"
#include "orchestrator/cli/commands.h"
#include "tests/engine/grammar/validator.h"
#include "tests/support/support.h"

using namespace swarm;

namespace {

struct Ran {
  int code = 0;
  std::string out, err;
};

Ran run_swarm(const std::vector<std::string>& arguments) {
  std::vector<const char*> argv{"swarm"};
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  std::istringstream in;
  std::ostringstream out, err;
  const int code =
      cli::run_program(static_cast<int>(argv.size()), argv.data(), in, out, err);
  return {code, out.str(), err.str()};
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

const std::string kModel = "synth:qwen3moe-tiny:F32:2";

}  // namespace

TEST_CASE("generate: 500 of 500 answers are valid under their schema at temperature 1.5") {
  const Json schemas = *parse_json(test::read_file("tests/acceptance/schemas.json"));
  const test::TempDir folder;
  const std::string schema_file = (folder.path() / "schema.json").string();
  const std::string prompts_file = (folder.path() / "prompts.txt").string();
  int valid = 0, cut = 0;
  for (size_t number = 0; number < schemas.size(); ++number) {
    std::string prompts;
    for (int i = 0; i < 100; ++i)
      prompts += "Write object " + std::to_string(i) + ", please.\n";
    test::write_file(schema_file, dump_json(schemas[number]));
    test::write_file(prompts_file, prompts);
    const Ran ran = run_swarm({"generate", "--model", kModel, "--ctx", "2048", "--prompts",
                               prompts_file, "--json-schema", schema_file, "--temperature", "1.5",
                               "--seed", std::to_string(1000 * number), "--max-tokens", "120",
                               "--json"});
    CAPTURE(ran.err);
    REQUIRE(ran.code == 0);
    const auto lines = lines_of(ran.out);
    REQUIRE(lines.size() == 100);
    for (const std::string& line : lines) {
      CAPTURE(line);
      const Json answer = *parse_json(line);
      const std::string wrong =
          test::judge(dump_json(schemas[number]), answer.at("text").get<std::string>());
      CHECK(wrong == "");
      valid += wrong.empty() ? 1 : 0;
      CHECK(answer.at("usage").at("output_tokens").get<int>() <= 120);
      // Closed by the engine, and it says so.
      const bool closed = answer.at("usage").at("closing_tokens").get<int>() > 0;
      if (closed) CHECK(answer.at("finish") == "length");
      cut += closed ? 1 : 0;
    }
  }
  CHECK(valid == 500);
  CHECK(cut > 50);
  CHECK(cut < 450);
}

TEST_CASE("generate: a batch answers in input order and equals the answers one by one") {
  const test::TempDir folder;
  const std::string file = (folder.path() / "prompts.txt").string();
  test::write_file(file, "alpha\nbeta\nalpha\n");
  const auto text = [](const std::string& line) {
    return parse_json(line)->at("text").get<std::string>();
  };
  const auto batch = lines_of(run_swarm({"generate", "--model", kModel, "--prompts", file,
                                         "--max-tokens", "12", "--json"}).out);
  REQUIRE(batch.size() == 3);
  for (const auto& [index, prompt] : {std::pair{0, "alpha"}, {1, "beta"}, {2, "alpha"}}) {
    const Ran one = run_swarm({"generate", "--model", kModel, "--prompt", prompt, "--max-tokens",
                               "12", "--json"});
    CHECK(text(lines_of(one.out).at(0)) == text(batch[static_cast<size_t>(index)]));
  }
}

TEST_CASE("generate: text streams as it is, without --json") {
  const Ran json = run_swarm({"generate", "--model", kModel, "--prompt", "hello", "--json",
                              "--max-tokens", "16"});
  const Ran plain = run_swarm({"generate", "--model", kModel, "--prompt", "hello",
                               "--max-tokens", "16"});
  REQUIRE(json.code == 0);
  CHECK(plain.out == parse_json(json.out)->at("text").get<std::string>() + "\n");
}

TEST_CASE("generate: a required tool call comes out as data") {
  const test::TempDir folder;
  const std::string tools = (folder.path() / "tools.json").string();
  test::write_file(tools, R"([{"type": "function", "function": {"name": "add",
    "description": "Adds.", "parameters": {"type": "object",
    "properties": {"a": {"type": "integer"}}, "required": ["a"],
    "additionalProperties": false}}}])");
  const Ran ran = run_swarm({"generate", "--model", kModel, "--prompt", "1+1", "--tools", tools,
                             "--tool-choice", "add", "--temperature", "1", "--json"});
  CAPTURE(ran.err);
  REQUIRE(ran.code == 0);
  const Json answer = *parse_json(ran.out);
  REQUIRE(!answer.at("tool_calls").empty());
  CHECK(answer.at("tool_calls")[0].at("name") == "add");
  CHECK(answer.at("tool_calls")[0].at("arguments").at("a").is_number_integer());
}

TEST_CASE("generate: a tool call that the budget cuts is not one") {
  const test::TempDir folder;
  const std::string tools = (folder.path() / "tools.json").string();
  test::write_file(tools, R"([{"type": "function", "function": {"name": "write_file",
    "description": "Writes.", "parameters": {"type": "object", "properties": {
    "path": {"type": "string"}, "content": {"type": "string"}}, "required": ["path", "content"],
    "additionalProperties": false}}}])");
  const Ran ran = run_swarm({"generate", "--model", kModel, "--prompt", "x", "--tools", tools,
                             "--tool-choice", "write_file", "--temperature", "1", "--max-tokens",
                             "90", "--count", "6", "--json"});
  REQUIRE(ran.code == 0);
  int cut = 0;
  for (const std::string& line : lines_of(ran.out)) {
    CAPTURE(line);
    const Json answer = *parse_json(line);
    if (answer.at("finish") != "length") continue;
    ++cut;
    CHECK(answer.at("tool_calls").empty());
    CHECK(answer.at("malformed_calls").size() == 1);
    CHECK(answer.at("usage").at("closing_tokens").get<int>() > 0);
  }
  CHECK(cut >= 3);
}

TEST_CASE("generate: bad input is refused with the right exit code") {
  CHECK(run_swarm({"generate", "--model", "missing.gguf", "--prompt", "x"}).code == 3);
  CHECK(run_swarm({"generate", "--model", kModel}).code == 2);
  CHECK(run_swarm({"generate", "--model", kModel, "--prompt", "x", "--temperature", "-1"}).code ==
        2);
  const Ran think = run_swarm({"generate", "--model", kModel, "--prompt", "x", "--think", "much"});
  CHECK(think.code == 2);
  CHECK(think.err.find("expected on, off or a number of tokens, found \"much\"") !=
        std::string::npos);
  const Ran long_prompt = run_swarm({"generate", "--model", kModel, "--ctx", "16", "--prompt",
                                     std::string(200, 'x')});
  CHECK(long_prompt.code == 2);
  CHECK(long_prompt.err.find("for a context of 16, found") != std::string::npos);
  const test::TempDir folder;
  const std::string file = (folder.path() / "m.json").string();
  test::write_file(file, R"([{"role": "user", "content": "a"}, {"role": "boss"}])");
  const Ran role = run_swarm({"generate", "--model", kModel, "--messages", file});
  CHECK(role.code == 2);
  CHECK(role.err.find("messages[1].role: expected system, user, assistant or tool") !=
        std::string::npos);
}

TEST_CASE("bench: one line per case with the agreed keys") {
  const Ran ran = run_swarm({"bench", "--model", kModel, "--ctx", "512", "-p", "8", "-n", "4",
                             "-b", "1,3", "--depth", "5", "--shared-prefix", "20",
                             "--repetitions", "1", "--json"});
  CAPTURE(ran.err);
  REQUIRE(ran.code == 0);
  std::vector<std::string> names;
  for (const std::string& line : lines_of(ran.out)) {
    const Json row = *parse_json(line);
    names.push_back(row.at("test").get<std::string>());
    CHECK(row.at("tokens_per_second").get<double>() > 0);
    CHECK(row.at("bytes_per_token").get<uint64_t>() > 0);
    CHECK(row.at("device").get<std::string>().starts_with("cpu"));
    CHECK(row.contains("model"));
  }
  CHECK(names == std::vector<std::string>{"pp8", "tg4", "batch1", "batch3"});
}
