// Token budgets that are too small, through the real program and engine: what was cut off is never
// taken for what an agent meant.
#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/acceptance/journalled_run.h"

using namespace swarm;

namespace {

// A file without schema, name and inputs.
struct Yaml {
  std::string text;
};

struct Run : test::JournalledRun {
  Run(const std::string& file, const std::vector<std::string>& more) { start(file, more); }
  explicit Run(const Yaml& yaml, const std::vector<std::string>& more = {}) {
    const std::string file = (dir.path() / "swarm.yaml").string();
    test::write_file(file, "schema: swarm/v1\nname: cut\ninputs: {task: {default: T}}\n" +
                               yaml.text);
    start(file, more);
  }

  Json end() const { return of("run.end").at(0); }
  int cut_replies() const {
    int cut = 0;
    for (const Json& reply : of("model.reply")) cut += reply["finish"] == "length" ? 1 : 0;
    return cut;
  }
};

// The items of the shipped price list.
bool is_item(const std::string& item) {
  static const Json catalog =
      parse_json(test::read_file("examples/price-desk/catalog.json")).value();
  return catalog.contains(item);
}

}  // namespace

TEST_CASE("cut off: the price desk with a budget too small never gives a wrong answer as its own") {
  for (const auto& [agent, budget] :
       {std::pair{"Clerk", 40}, {"Clerk", 50}, {"Solver", 24}, {"Solver", 40}, {"Checker", 40},
        {"Manager", 32}}) {
    CAPTURE(agent);
    CAPTURE(budget);
    const std::string key = std::string(agent) == "Manager"
                                ? "topologies.desk.manager.max_tokens="
                                : "agents." + std::string(agent) + ".max_tokens=";
    const Run run("examples/price-desk/price-desk.yaml",
                  {"--set", key + std::to_string(budget)});
    CAPTURE(run.finished.out);
    CHECK(run.cut_replies() > 0);
    const bool right = run.finished.out == "121\n";
    CHECK((run.finished.code == 0) == right);
    if (run.finished.code == 0) CHECK(run.end()["degraded"] == true);
    for (const Json& call : run.of("tool.call")) {
      const Json& arguments = call["arguments"];
      if (call["tool"] == "shop__price") CHECK(is_item(arguments["item"].get<std::string>()));
      if (call["tool"] == "calculator") CHECK(arguments["expression"] != "");
    }
  }
}

TEST_CASE("cut off: a manager that ran out of tokens completed nothing") {
  int cut = 0;
  for (const std::string seed : {"1", "2", "3", "4", "5", "6"}) {
    const Run run(Yaml{R"(
models:
  random: {provider: engine, weights: "synth:qwen3moe-tiny:F32:2", context: 1024,
           sampling: {temperature: 1}}
agents: {A: {model: random, max_tokens: 300}}
topologies:
  t: {members: [A], manager: {model: random, max_tokens: 150}, rounds: {max: 1}}
)"},
                  {"--seed", seed});
    const Json decision = run.of("manager.decision").at(0);
    if (decision["finish"] != "length") continue;
    ++cut;
    CAPTURE(run.finished.err);
    CHECK(run.finished.code == 1);
    CHECK(run.end()["outcome"] == "rounds_exhausted");
    CHECK(decision["truncated"] == true);
    CHECK(decision["is_complete"] == false);
  }
  CHECK(cut >= 2);
}

TEST_CASE("cut off: an agent with a declared output fails when its budget cuts it") {
  const Run run(Yaml{R"(
models:
  random: {provider: engine, weights: "synth:qwen3moe-tiny:F32:2", sampling: {temperature: 1}}
agents:
  A: {max_tokens: 40, output: {type: object, properties: {text: {type: string}},
      required: [text], additionalProperties: false}}
)"});
  CAPTURE(run.finished.err);
  CHECK(run.finished.code == 1);
  CHECK(run.of("task.end").at(0)["error"] == "the answer was cut off: length");
}
