// The whole program on the CUDA backend without a card: kernels run in the emulator, and the device
// falls over when the test says so. Every request is answered and the exit code is 3.
#include <doctest/doctest.h>

#include <sstream>
#include <string>
#include <vector>

#include "engine/base/json.h"
#include "orchestrator/cli/commands.h"
#include "tests/engine/kernels/cuda/model/emulated_accelerator.h"
#include "tests/support/support.h"

using namespace swarm;
using namespace swarm::engine;

namespace {

struct Ran {
  int code = 0;
  std::string out, err;
};

Ran run(const test::EmulatedAccelerator& accelerator, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "swarm");
  std::vector<const char*> pointers;
  for (const std::string& argument : arguments) pointers.push_back(argument.c_str());
  std::istringstream in;
  std::ostringstream out, err;
  const int code = cli::run_program(static_cast<int>(pointers.size()), pointers.data(), in, out,
                                    err, &accelerator);
  return {code, out.str(), err.str()};
}

const std::vector<std::string> kGenerate{
    "generate", "--model", "synth:qwen3moe-tiny:F32:1", "--raw", "--prompt", "hello", "--count",
    "3",        "--ctx",   "256",                       "--max-tokens", "8", "--json"};

std::vector<Json> lines(const std::string& text) {
  std::vector<Json> out;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) out.push_back(parse_json(line).value());
  return out;
}

constexpr const char* kSwarm = R"(
schema: swarm/v1
name: pair
inputs: {task: {default: hi}}
models:
  m: {provider: engine, weights: "synth:qwen3moe-tiny:F32:1", context: 512}
agents:
  A: {instructions: a, model: m, max_tokens: 8}
  B: {instructions: b, model: m, max_tokens: 8}
graph:
  first: {agent: A, in: "${inputs.task}"}
  second: {agent: B, in: "${inputs.task}"}
journal: {dir: )";

}  // namespace

TEST_CASE("cuda cli: generate runs on the device, and auto takes it") {
  const Ran ran = run({}, kGenerate);
  CHECK_MESSAGE(ran.code == 0, ran.err);
  const std::vector<Json> replies = lines(ran.out);
  REQUIRE(replies.size() == 3);
  for (const Json& reply : replies) CHECK(reply["finish"] == "length");
}

TEST_CASE("cuda cli: a device lost mid-run answers every request and exits with 3") {
  test::EmulatedAccelerator accelerator;
  accelerator.launches = 60;           // a step of this model is some 20: in the middle of a decode
  const Ran ran = run(accelerator, kGenerate);
  CHECK(ran.code == 3);
  const std::vector<Json> replies = lines(ran.out);
  REQUIRE(replies.size() == 3);
  for (const Json& reply : replies) {
    CHECK(reply["finish"] == "failed");
    const auto error = reply["error"].get<std::string>();
    CHECK(error.find("device host:0 (host memory) was lost: launching ") != std::string::npos);
    CHECK(error.find(": broken on purpose") != std::string::npos);
  }
  CHECK(replies[0]["usage"]["output_tokens"].get<int>() > 0);    // it had begun
}

TEST_CASE("cuda cli: a device lost while the model is loaded exits with 3 and names it") {
  test::EmulatedAccelerator accelerator;
  accelerator.verbs = 40;              // of some 130 that opening takes
  const Ran ran = run(accelerator, kGenerate);
  CHECK(ran.code == 3);
  CHECK((ran.out + ran.err).find("device host:0 (host memory) was lost: ") != std::string::npos);
  CHECK((ran.out + ran.err).find(": broken on purpose") != std::string::npos);
}

TEST_CASE("cuda cli: bench on a device that is lost exits with 3") {
  test::EmulatedAccelerator accelerator;
  accelerator.launches = 30;
  const Ran ran = run(accelerator, {"bench", "--model", "synth:qwen3moe-tiny:F32:1", "--ctx", "256",
                                    "-p", "32", "-n", "8", "-b", "1", "--json"});
  CHECK(ran.code == 3);
  CHECK((ran.out + ran.err).find("was lost: launching ") != std::string::npos);
}

TEST_CASE("cuda cli: a run whose device is lost fails in every task and exits with 3") {
  const test::TempDir dir;
  const std::string file = (dir.path() / "swarm.yaml").string();
  test::write_file(file, kSwarm + (dir.path() / "runs").string() + "}\n");
  // Random weights never end a reply: without the loss the run fails too, but for that reason.
  const Ran fine = run({}, {"run", file, "--quiet"});
  CHECK_MESSAGE(fine.code == 1, fine.err);
  CHECK(fine.err.find("the answer was cut off: length") != std::string::npos);
  test::EmulatedAccelerator accelerator;
  test::EmulatedAccelerator early;
  early.verbs = 40;                    // while the model is loaded: nobody waits for ever
  const Ran unloaded = run(early, {"run", file, "--json"});
  CHECK(unloaded.code == 3);
  CHECK((unloaded.out + unloaded.err).find("was lost: ") != std::string::npos);
  accelerator.launches = 60;
  const Ran ran = run(accelerator, {"run", file, "--json"});
  CHECK(ran.code == 3);
  int ended = 0;
  for (const Json& event : lines(ran.out)) {
    if (event.value("type", "") != "task.end") continue;
    ++ended;
    CHECK(event.dump().find("was lost") != std::string::npos);
  }
  CHECK(ended == 2);
}

TEST_CASE("cuda cli: what cannot be opened exits with 3 and says why") {
  test::EmulatedAccelerator accelerator;
  accelerator.refusal = "no kernels for cuda:0 (Old Card, compute capability 7.5)";
  const Ran wrong = run(accelerator, kGenerate);
  CHECK(wrong.code == 3);
  CHECK((wrong.out + wrong.err).find("no kernels for cuda:0 (Old Card") != std::string::npos);
  accelerator.refusal.clear();
  accelerator.free_bytes = uint64_t{200} << 20;
  const Ran full = run(accelerator, kGenerate);
  CHECK(full.code == 3);
  CHECK((full.out + full.err).find("out of device memory: needs ") != std::string::npos);
  CHECK((full.out + full.err).find("cuda:0 has 200.00 MiB free") != std::string::npos);
}
