// What a command would have dropped, cut or not measured is refused, in words that say what to do.
#include <doctest/doctest.h>

#include <sstream>
#include <string>
#include <vector>

#include "engine/base/json.h"
#include "engine/base/text_file.h"
#include "tests/orchestrator/cli/run_program.h"
#include "tests/support/support.h"

using namespace swarm;

namespace {

using test::Ran;
using test::run;

const std::string kModel = "synth:qwen3-tiny:F32:1";

struct Folder {
  std::string file(const char* name, const std::string& text) const {
    test::write_file(dir.path() / name, text);
    return (dir.path() / name).string();
  }
  test::TempDir dir;
};

Ran bench(std::vector<std::string> more) {
  std::vector<std::string> arguments{"bench", "--model", kModel, "--repetitions", "1"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return run(arguments);
}

void refuses(const Ran& ran, const std::string& message, int code = 2) {
  CAPTURE(message);
  CAPTURE(ran.err);
  CHECK(ran.code == code);
  CHECK(ran.out.empty());
  CHECK(ran.err.find(message) != std::string::npos);
}

}  // namespace

TEST_CASE("cli: generate --raw has no way to write messages and drops none") {
  const Folder folder;
  const std::string messages = folder.file(
      "m.json", R"([{"role": "system", "content": "a"}, {"role": "user", "content": "b"}])");
  refuses(run({"generate", "--model", kModel, "--raw", "--messages", messages}),
          "--raw: expected --prompt or --prompts, found --messages");
}

TEST_CASE("cli: prompts and templates that are not UTF-8 are refused with the place") {
  const Folder folder;
  const std::string prompts = folder.file("p.txt", "fine\nna\xefve\n");
  refuses(run({"generate", "--model", kModel, "--prompts", prompts}),
          "p.txt:2:3: error: expected UTF-8 text, found the byte 0xef");
  refuses(run({"generate", "--model", kModel, "--prompts", "-"}, "\xff"), "stdin:1:1: error: ");
  const std::string source = folder.file("t.jinja", "x\n\xc3");
  const std::string messages = folder.file("m.json", R"([{"role": "user", "content": "b"}])");
  refuses(run({"template", "--template", source, "--messages", messages}),
          "t.jinja:2:1: error: expected UTF-8 text, found the byte 0xc3");
}

TEST_CASE("cli: lines of prompts end with LF or CRLF, the model sees neither") {
  const Folder folder;
  const auto prompt_tokens = [&](const std::string& text) {
    const Ran ran = run({"generate", "--model", kModel, "--raw", "--max-tokens", "1", "--json",
                         "--ctx", "64", "--prompts", folder.file("p.txt", text)});
    CAPTURE(ran.err);
    REQUIRE(ran.code == 0);
    std::vector<int> counts;
    std::istringstream lines(ran.out);
    for (std::string line; std::getline(lines, line);)
      counts.push_back(parse_json(line).value()["usage"]["prompt_tokens"].get<int>());
    return counts;
  };
  CHECK(prompt_tokens("ab\r\ncd\r\n") == prompt_tokens("ab\ncd\n"));
  CHECK(prompt_tokens("a\rb\n") != prompt_tokens("ab\n"));   // inside a line it is text
}

TEST_CASE("cli: bench refuses what it could not measure before it begins") {
  refuses(bench({"--ctx", "64", "-p", "8", "-n", "100"}),
          "(--shared-prefix, --depth and -n): expected at most 64 tokens (the context of the "
          "model, or --ctx), found 102");
  refuses(bench({"--ctx", "64", "-p", "65", "-n", "0"}), "-p: expected at most 64 tokens");
  refuses(bench({"-p", "8", "-n", "0", "-b", "4"}), "-b: expected new tokens to measure with -n");
  refuses(bench({"-p", "0", "-n", "0"}), "expected something to measure, found -p 0 and -n 0");
  CHECK(bench({"--ctx", "64", "-p", "64", "-n", "62"}).code == 0);   // all that fits
}

TEST_CASE("cli: bench without room for its sequences says what to raise") {
  const Ran ran = bench({"--ctx", "256", "-p", "0", "-n", "128", "-b", "8", "--kv-bytes", "64KiB"});
  CAPTURE(ran.err);
  CHECK(ran.code != 0);
  CHECK(ran.err.find("--kv-bytes") != std::string::npos);
  CHECK(ran.err.find("length") == std::string::npos);
}

TEST_CASE("cli: rows of bench have different names, and its table tells all weights") {
  const Ran ran = bench({"--ctx", "64", "-p", "0", "-n", "2,4", "-b", "2", "--json"});
  REQUIRE(ran.code == 0);
  std::vector<std::string> names;
  std::istringstream lines(ran.out);
  for (std::string line; std::getline(lines, line);)
    names.push_back(parse_json(line).value()["test"].get<std::string>());
  CHECK(names == std::vector<std::string>{"tg2", "batch2/tg2", "tg4", "batch2/tg4"});

  const Folder folder;
  const std::string file = (folder.dir.path() / "m.gguf").string();
  REQUIRE(run({"model", "synth", file, "--preset", "qwen3-tiny", "--layers", "1"}).code == 0);
  const Ran text = run({"bench", "--model", file, "--ctx", "64", "-p", "8", "-n", "0",
                        "--repetitions", "1"});
  CAPTURE(text.out + text.err);
  CHECK(text.code == 0);
  CHECK(text.out.find("weights not claimed above are mapped from the file: the model has ") !=
        std::string::npos);
}

TEST_CASE("cli: topology refuses unknown keys and agents of one name") {
  const Folder folder;
  const auto topology = [&](const std::string& text) {
    return run({"topology", folder.file("s.json", text), "--tau", "0", "--k-in", "1"});
  };
  refuses(topology(R"({"agnts": ["a"], "scores": [[1]]})"),
          "found \"agnts\"; did you mean \"agents\"?");
  refuses(topology(R"({"agents": ["a", "a"], "scores": [[1, 1], [1, 1]]})"),
          "expected different names in \"agents\", found \"a\" twice");
}

TEST_CASE("cli: an unknown instruction set is told in the words of the option") {
  refuses(run({"logits", "--model", kModel, "--tokens", "1", "--isa", "sse"}),
          "error: --isa: expected auto or one of ");
}

TEST_CASE("cli: texts without end are refused, and the bound itself is allowed") {
  const std::string longer = "expected a text of at most 64.00 MiB, found a longer one";
  refuses(run({"validate", "/dev/zero"}), longer);
  refuses(run({"template", "--template", "/dev/zero", "--messages", "-"}, "[]"),
          "/dev/zero: error: " + longer);
  const Folder folder;
  refuses(run({"validate", folder.file("s.yaml", "schema: swarm/v1\nname: !file /dev/zero\n")}),
          "/dev/zero: " + longer);
  std::istringstream four("abcd"), five("abcde");
  CHECK(read_text_stream(four, "four", 4).value() == "abcd");
  const Result<std::string> beyond = read_text_stream(five, "five", 4);
  REQUIRE(beyond.has_error());
  CHECK(beyond.error().kind == ErrorKind::invalid_input);
  CHECK(beyond.error().location.file == "five");
  const std::string large(200'000, 'x');   // more than one piece
  std::istringstream in(large);
  CHECK(read_text_stream(in, "large").value() == large);
}
