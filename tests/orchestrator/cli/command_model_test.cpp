#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "engine/base/json.h"
#include "engine/model/synth.h"
#include "tests/orchestrator/cli/run_program.h"
#include "tests/support/support.h"

using namespace swarm;

namespace {

using test::Ran;

Ran run(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "model");
  return test::run(arguments);
}

}  // namespace

TEST_CASE("cli model: what synth writes, info reads") {
  const test::TempDir dir;
  const std::string path = (dir.path() / "tiny.gguf").string();
  const Ran made = run({"synth", path, "--preset", "qwen3moe-tiny", "--layers", "2", "--type",
                        "q4_k_m", "--seed", "3", "--json"});
  CHECK(made.err.empty());
  REQUIRE(made.code == 0);
  CHECK((*parse_json(made.out))["bytes"].get<uint64_t>() == std::filesystem::file_size(path));
  const Ran shown = run({"info", path, "--context", "1000", "--tensors", "--json"});
  CHECK(shown.err.empty());
  REQUIRE(shown.code == 0);
  const Json json = *parse_json(shown.out);
  CHECK(json["architecture"] == "qwen3moe");
  CHECK(json["shape"]["layers"] == 2);
  CHECK(json["shape"]["experts_used"] == 2);
  CHECK(json["tensors"].size() == json["tensor_count"].get<size_t>());
  CHECK(json["memory"]["kv_bytes"].get<uint64_t>() == 1000 * 2 * 2 * 2 * 2 * 64);
  CHECK(json["memory"]["total_bytes"].get<uint64_t>() ==
        json["memory"]["kv_bytes"].get<uint64_t>() + json["weight_bytes"].get<uint64_t>());
  uint64_t bytes = 0;
  for (const Json& tensor : json["tensors"]) bytes += tensor["bytes"].get<uint64_t>();
  CHECK(bytes == json["weight_bytes"].get<uint64_t>());
}

TEST_CASE("cli model: info speaks plainly") {
  const Ran ran = run({"info", "synth:qwen3-tiny:Q8_0:1", "--context", "4096"});
  REQUIRE(ran.code == 0);
  CHECK(ran.out.find("qwen3: 1 layers, hidden 256, 4/2 heads of 64, ffn 512") !=
        std::string::npos);
  CHECK(ran.out.find("head tied to the embedding") != std::string::npos);
  CHECK(ran.out.find("2.00 MiB (512 B per token)") != std::string::npos);
}

TEST_CASE("cli model: info and fit know the stretched context of a YaRN file") {
  const test::TempDir dir;
  const std::string path = (dir.path() / "yarn.gguf").string();
  auto builder = engine::model::build_synthetic({.preset = "qwen3-tiny", .type = "Q8_0",
                                                 .layers = 1});
  REQUIRE(builder.has_value());
  builder->set("qwen3.rope.scaling.type", std::string("yarn"));
  builder->set("qwen3.rope.scaling.factor", 4.0f);
  builder->set("qwen3.rope.scaling.original_context_length", uint32_t{32768});
  REQUIRE(builder->write(path).has_value());
  const Ran shown = run({"info", path});
  CHECK(shown.out.find("131072 tokens, rope theta 1e+06, YaRN 4 times 32768\n") !=
        std::string::npos);
  const Ran asked = run({"info", path, "--json"});
  REQUIRE(asked.code == 0);
  const Json shape = (*parse_json(asked.out))["shape"];
  CHECK(shape["context"] == 131072);
  CHECK(shape["yarn"] == Json{{"factor", 4.0}, {"original_context", 32768}});
  CHECK(run({"fit", path, "--memory", "24GiB", "--context", "131072"}).code == 0);
  CHECK(run({"fit", path, "--memory", "24GiB", "--context", "131073"}).code == 2);
}

TEST_CASE("cli model: fit says what is needed, whether it is there, and what would fit") {
  const std::vector<std::string> asked{"fit", "synth:qwen3-30b-a3b:Q4_K_M", "--context", "131072",
                                       "--kv", "q8_0/q4_0"};
  auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), asked.begin(), asked.end());
    return run(more);
  };
  const Ran yes = with({"--memory", "24GiB", "--json"});
  CHECK(yes.code == 0);
  CHECK(yes.err.empty());
  const Json json = *parse_json(yes.out);
  CHECK(json["fits"] == true);
  CHECK(json["context"] == 131072);
  CHECK(json["kv_bytes"].get<uint64_t>() == uint64_t{131072} * 39 * 1024);
  CHECK(json["total_bytes"].get<uint64_t>() >= json["weight_bytes"].get<uint64_t>() +
                                                   json["kv_bytes"].get<uint64_t>() +
                                                   json["activation_bytes"].get<uint64_t>());
  const Ran no = with({"--memory", "24GiB", "--max-resident", "3"});
  CHECK(no.code == 3);
  CHECK(no.out.find("does not fit") != std::string::npos);
  CHECK(no.out.find("kv            14.62 GiB  3 x 131072 tokens of q8_0/q4_0") !=
        std::string::npos);
  CHECK(no.out.find("or 1 x 131072") != std::string::npos);
  CHECK(with({"--device", "cuda:0"}).code == 3);           // this build has no CUDA
  CHECK(with({"--memory", "much"}).code == 2);
}

TEST_CASE("cli model: errors have the right exit code and keep stdout empty") {
  const test::TempDir dir;
  const std::string broken = (dir.path() / "broken.gguf").string();
  test::write_file(broken, "not a model");
  struct Case {
    std::vector<std::string> arguments;
    int code;
    std::string part;
  };
  const Case cases[] = {
      {{"info", "no/such.gguf"}, 3, "no/such.gguf: cannot open"},
      {{"info", broken}, 3, "not a GGUF file"},
      {{"info", "synth:qwen3-tinny"}, 2, "did you mean \"qwen3-tiny\"?"},
      {{"info", "synth:qwen3-tiny:Q9"}, 2, "unknown tensor type \"Q9\""},
      {{"synth", broken, "--preset", "qwen3-tiny", "--type", "Q8_K"}, 2, "cannot make weights"},
      {{"synth", (dir.path() / "no" / "x").string(), "--preset", "qwen3-tiny"}, 3, "cannot write"},
      {{"synth", broken, "--preset", "qwen3-tiny", "--layers", "0"}, 2, "--layers"},
      {{}, 2, ""},
  };
  for (const Case& c : cases) {
    CAPTURE(c.part);
    const Ran ran = run(c.arguments);
    CHECK(ran.code == c.code);
    CHECK(ran.out.empty());
    CHECK(ran.err.find(c.part) != std::string::npos);
  }
  CHECK(test::read_file(broken) == "not a model");
}

TEST_CASE("cli model: info of a synthetic model makes no weights") {
  const auto resident_bytes = [] {
    std::ifstream in("/proc/self/statm");
    uint64_t total = 0, resident = 0;
    in >> total >> resident;
    return resident * 4096;
  };
  const uint64_t before = resident_bytes();
  const Ran ran = run({"info", "synth:qwen3-30b-a3b:Q8_0", "--json"});
  REQUIRE(ran.code == 0);
  const Json json = *parse_json(ran.out);
  // 30,532,122,624 parameters, as published; Q8_0 takes 34 bytes for 32 of them.
  CHECK(json["parameters"] == 30532122624);
  CHECK(json["weight_bytes"].get<uint64_t>() > uint64_t{32'000'000'000});
  CHECK(resident_bytes() < before + (uint64_t{500} << 20));
}

TEST_CASE("cli model: the shapes of a synthetic model are those of its file") {
  const test::TempDir dir;
  const std::string path = (dir.path() / "tiny.gguf").string();
  REQUIRE(run({"synth", path, "--preset", "qwen3moe-tiny", "--layers", "3", "--type", "Q4_K_M"})
              .code == 0);
  Json written = *parse_json(run({"info", path, "--tensors", "--json"}).out);
  Json shapes = *parse_json(
      run({"info", "synth:qwen3moe-tiny:Q4_K_M:3", "--tensors", "--json"}).out);
  CHECK(written.erase("model") == 1);
  CHECK(shapes.erase("model") == 1);
  CHECK(written == shapes);
}
