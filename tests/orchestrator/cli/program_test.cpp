#include <doctest/doctest.h>

#include <sstream>
#include <string>
#include <vector>

#include "engine/base/json.h"
#include "orchestrator/cli/commands.h"
#include "tests/orchestrator/cli/run_program.h"
#include "tests/support/support.h"

using namespace swarm;

namespace {

using test::Ran;
using test::run;

}  // namespace

TEST_CASE("cli: every error kind has the exit code of the design") {
  CHECK(cli::exit_code(ErrorKind::failed) == 1);
  CHECK(cli::exit_code(ErrorKind::timeout) == 1);
  CHECK(cli::exit_code(ErrorKind::invalid_input) == 2);
  CHECK(cli::exit_code(ErrorKind::unsupported) == 2);
  CHECK(cli::exit_code(ErrorKind::environment) == 3);
  CHECK(cli::exit_code(ErrorKind::budget) == 4);
  CHECK(cli::exit_code(ErrorKind::cancelled) == 130);
}

TEST_CASE("cli: version and help go to stdout and succeed") {
  const Ran version = run({"--version"});
  CHECK(version.code == 0);
  CHECK(version.out.find("swarm ") == 0);
  const Ran help = run({"--help"});
  CHECK(help.code == 0);
  CHECK(help.out.find("Exit codes:") != std::string::npos);
}

TEST_CASE("cli: an unknown command is invalid input and says so on stderr only") {
  const Ran ran = run({"juggle"});
  CHECK(ran.code == 2);
  CHECK(ran.out.empty());
  CHECK(ran.err.find("juggle") != std::string::npos);
  const Ran nothing = run({});
  CHECK(nothing.code == 2);
  CHECK(nothing.err.find("expected a command: bench, ") != std::string::npos);
  CHECK(nothing.err.find("validate") != std::string::npos);
  CHECK(run({"runs"}).err.find("expected a command: list, show") != std::string::npos);
  CHECK(run({"runs", "lst"}).err.find("did you mean \"list\"?") != std::string::npos);
  CHECK(run({"valdate", "x"}).err.find("did you mean \"validate\"?") != std::string::npos);
  CHECK(run({"validate"}).err.find("FILE") != std::string::npos);
}

TEST_CASE("cli: read_text names the file it cannot read") {
  std::istringstream in("from stdin");
  CHECK(cli::read_text("-", in).value() == "from stdin");
  const Result<std::string> missing = cli::read_text("/nonexistent/x", in);
  REQUIRE(missing.has_error());
  CHECK(missing.error().kind == ErrorKind::environment);
  CHECK(missing.error().message.find("/nonexistent/x") != std::string::npos);
  CHECK(cli::read_text("/", in).has_error());
  const test::TempDir dir;
  test::write_file(dir.path() / "empty", "");
  CHECK(cli::read_text((dir.path() / "empty").string(), in).value().empty());
}

TEST_CASE("cli: topology prints edges, order and incoming of a score file") {
  const test::TempDir dir;
  const std::string file = (dir.path() / "scores.json").string();
  test::write_file(file, R"({"agents":["Developer","Researcher","Tester","Designer"],"scores":
    [[null,0.52,0.10,0.60],[0.12,1,0.05,0.30],[0.77,0.22,1,0.18],[0.08,0.35,0.02,null]]})");
  const Ran json = run({"topology", file.c_str(), "--tau", "0.3", "--k-in", "3", "--json"});
  CHECK(json.code == 0);
  CHECK(json.out ==
        R"({"edges":[{"from":3,"to":0,"score":0.6},{"from":1,"to":0,"score":0.52},)"
        R"({"from":0,"to":2,"score":0.77},{"from":1,"to":3,"score":0.35}],"order":[1,3,0,2],)"
        R"("incoming":{"0":[3,1],"2":[0],"3":[1]}})"
        "\n");
  const Ran text = run({"topology", file.c_str(), "--tau", "0.3", "--k-in", "1"});
  CHECK(text.out.find("Researcher -> Developer  0.52  (cut by k-in)") != std::string::npos);
}

TEST_CASE("cli: topology refuses scores that are no square of numbers, with exit code 2") {
  const test::TempDir dir;
  const std::string file = (dir.path() / "scores.json").string();
  for (const char* bad :
       {"[]", "{", R"({"scores": []})", R"({"scores": [[1,2]]})", R"({"scores": [[1,"x"],[0,1]]})",
        R"({"scores": [[1]], "agents": []})", R"({"scores": [[1]], "agents": [1]})"}) {
    CAPTURE(bad);
    test::write_file(file, bad);
    const Ran ran = run({"topology", file.c_str(), "--tau", "0.3", "--k-in", "3"});
    CHECK(ran.code == 2);
    CHECK(ran.out.empty());
    CHECK(ran.err.find("scores.json") != std::string::npos);
  }
  CHECK(run({"topology", "/nonexistent.json", "--tau", "0.3", "--k-in", "3"}).code == 3);
  CHECK(run({"topology", file.c_str(), "--tau", "0.3", "--k-in", "0"}).code == 2);
}

TEST_CASE("cli: embed prints unit vectors and cosines; a text without words has no cosine") {
  const Ran ran = run({"embed", "--json", "b a", "A", ""});
  CHECK(ran.code == 0);
  CHECK(ran.out ==
        R"({"model":"lexical","dimension":2,"vectors":[[0.7071067811865475,0.7071067811865475],)"
        R"([1.0,0.0],[0.0,0.0]],"cosine":[[1.0,0.7071067811865475,null],)"
        R"([0.7071067811865475,1.0,null],[null,null,null]]})"
        "\n");
  CHECK(run({"embed", "--model", "minilm", "x"}).code == 2);
  const Ran wordless = run({"embed", "", "?"});
  CHECK(wordless.code == 2);
  CHECK(wordless.err == "error: expected a text with words, found \"\"\n");
}

TEST_CASE("cli: values out of range are refused in the words of the option") {
  const test::TempDir dir;
  const std::string scores = (dir.path() / "scores.json").string();
  test::write_file(scores, R"({"scores": [[null, 0.5], [0.5, null]]})");
  struct Case {
    std::vector<std::string> arguments;
    const char* message;
  };
  const char* model = "synth:qwen3moe-tiny:F32:1";
  const Case cases[] = {
      {{"topology", scores.c_str(), "--k-in", "1", "--tau", "nan"},
       "--tau: expected a finite number, found \"nan\""},
      {{"topology", scores.c_str(), "--k-in", "1", "--tau", "1e999"},
       "--tau: expected a finite number, found \"1e999\""},
      {{"logits", "--model", model, "--tokens", ""},
       "--tokens: expected token ids such as 1,2,3, found \"\""},
      {{"logits", "--model", model, "--tokens", "1,,2"}, "found \"1,,2\""},
      {{"logits", "--model", model, "--tokens", "1,-2"}, "found \"1,-2\""},
      {{"generate", "--model", model, "--prompt", "x", "--seed", "-1"},
       "--seed: expected an integer from 0 to 18446744073709551615, found \"-1\""},
      {{"run", "x.yaml", "--seed", "-1"}, "--seed: expected an integer from 0 to"},
      {{"generate", "--model", model, "--prompt", "x", "--ctx", "40000"},
       "--ctx: expected at most 32768 (the context of the model), found 40000"},
      {{"generate", "--model", model, "--prompt", "x", "--kv-bytes", "12foo"},
       "--kv-bytes: expected bytes such as \"8GiB\", found \"12foo\""},
      {{"generate", "--model", model, "--prompt", "x", "--kv-bytes", "1"},
       "--kv-bytes: one page of 16 tokens takes"},
      {{"generate", "--model", model, "--prompt", "x", "--kv", "f17"},
       "--kv: expected one of f32, f16, bf16, q8_0, q4_0, found \"f17\""},
      {{"generate", "--model", model, "--prompt", "x", "--top-p", "3"},
       "--top-p: expected a number in (0, 1], found 3"},
      {{"bench", "--model", model, "--repetitions", "0"},
       "--repetitions: expected an integer from 1 to 10000, found \"0\""},
      {{"bench", "--model", model, "--depth", "-4"}, "--depth: expected an integer from 0 to"},
      {{"bench", "--model", model, "--threads", "-3"}, "--threads: expected an integer from 0 to"},
      {{"--log-level", "dbug", "schema"},
       "--log-level: expected one of debug, info, warn, error, off, found \"dbug\"; did you mean "
       "\"debug\"?"}};
  for (const Case& c : cases) {
    CAPTURE(c.message);
    const Ran ran = run(c.arguments);
    CHECK(ran.code == 2);
    CHECK(ran.out.empty());
    CAPTURE(ran.err);
    CHECK(ran.err.find(c.message) != std::string::npos);
  }
  const char* in = scores.c_str();
  CHECK(run({"--log-level", "WARN", "topology", in, "--k-in", "1", "--tau", "0"}).code == 0);
}

TEST_CASE("cli: a schema that cannot be used is told with its file") {
  const test::TempDir dir;
  const std::string schema = (dir.path() / "schema.json").string();
  test::write_file(schema, R"({"type": "object", "unheard": 1})");
  const Ran ran = run({"generate", "--model", "synth:qwen3-tiny:F32:1", "--prompt", "x",
                       "--json-schema", schema.c_str(), "--json"});
  CHECK(ran.code == 2);
  const Json error = parse_json(ran.out).value()["errors"][0];
  CHECK(error["file"] == schema);
  CHECK(error["message"] == "#/unheard: unsupported keyword \"unheard\"");
}

TEST_CASE("cli: arguments are UTF-8, and what is shown of them never moves the cursor") {
  const Ran bytes = run({"validate", "a\xff.yaml"});
  CHECK(bytes.code == 2);
  CHECK(bytes.err ==
        "error: argument 2: expected UTF-8 text, found the byte 0xff at position 2\n");
  const Ran control = run({"validate", "a\x1b[31m\xc2\x9b.yaml"});
  CHECK(control.code == 3);
  CHECK(control.err.find('\x1b') == std::string::npos);
  CHECK(control.err.find("\"a\\x1b[31m\\x9b.yaml\"") != std::string::npos);
}

TEST_CASE("cli: a template that never ends is invalid input") {
  const test::TempDir dir;
  const std::string file = (dir.path() / "endless.jinja").string();
  const std::string messages = (dir.path() / "messages.json").string();
  test::write_file(file, "{% for i in range(99999) %}{% for j in range(9999) %}{% endfor %}"
                         "{% endfor %}");
  test::write_file(messages, R"([{"role": "user", "content": "x"}])");
  const Ran ran = run({"template", "--template", file.c_str(), "--messages", messages.c_str()});
  CHECK(ran.code == 2);
  CHECK(ran.err.find("steps") != std::string::npos);
}
