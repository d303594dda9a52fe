// swarm devices, in builds with and without CUDA and on machines with and without a card.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "engine/base/json.h"
#include "engine/kernels/kernels.h"
#include "tests/orchestrator/cli/run_program.h"

using namespace swarm;

namespace {

std::string devices(const std::vector<std::string>& flags = {}) {
  std::vector<std::string> arguments{"devices"};
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  const test::Ran ran = test::run(arguments);
  CHECK(ran.code == 0);
  CHECK(ran.err == "");
  return ran.out;
}

}  // namespace

TEST_CASE("devices: the CPU comes first, cards or the reason for none follow") {
  const Json json = parse_json(devices({"--json"}), "devices").value();
  const Json& list = json["devices"];
  REQUIRE(list.size() >= 1);
  CHECK(list[0]["device"] == "cpu");
  CHECK(list[0]["threads"] >= 1);
  CHECK(list[0]["memory_bytes"] > 0);
  const std::string isas = list[0]["isas"].get<std::string>();
  CHECK(isas.starts_with(engine::kernels::available_isas().front()));
  CHECK(isas.ends_with("reference"));
  const bool has_card = list.size() > 1;
  CHECK(json["cuda"].contains("reason") == !has_card);
  CHECK(json["cuda"].contains("blas") == has_card);
  CHECK(json["cuda"].contains("runtime") == json["cuda"]["built"]);
  for (size_t i = 1; i < list.size(); ++i) {
    CHECK(list[i]["device"] == "cuda:" + std::to_string(i - 1));
    CHECK(list[i]["memory_bytes"] > 0);
    CHECK(list[i].contains("reason") == !list[i]["usable"].get<bool>());
  }
}

TEST_CASE("devices: the text says the same") {
  const Json json = parse_json(devices({"--json"}), "devices").value();
  const std::string text = devices();
  for (const Json& device : json["devices"]) {
    CAPTURE(text);
    CHECK(text.find(device["name"].get<std::string>()) != std::string::npos);
  }
  if (json["cuda"].contains("reason"))
    CHECK(text.find("cuda    " + json["cuda"]["reason"].get<std::string>()) != std::string::npos);
}
