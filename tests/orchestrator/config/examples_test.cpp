// Every swarm file that ships is valid.
#include <doctest/doctest.h>

#include <filesystem>
#include <string>

#include "orchestrator/config/load.h"
#include "tests/support/support.h"

using namespace swarm;
namespace fs = std::filesystem;

TEST_CASE("config: every file in configs/ and examples/ is valid") {
  int files = 0;
  for (const char* folder : {"configs", "examples"})
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      if (entry.path().extension() != ".yaml") continue;
      ++files;
      CAPTURE(entry.path().string());
      const config::Loaded loaded = config::load_file(
          entry.path().string(), {.need_inputs = false, .bin_dir = "build/release"});
      CHECK_MESSAGE(loaded.config.has_value(), loaded.report());
    }
  CHECK(files >= 3);
}

TEST_CASE("config: the price desk speaks the texts its model was trained with") {
  const Json desk = parse_json(test::read_file("examples/demo-model/desk.json")).value();
  const config::Loaded loaded =
      config::load_file("examples/price-desk/price-desk.yaml", {.bin_dir = "build/release"});
  REQUIRE_MESSAGE(loaded.config.has_value(), loaded.report());
  const config::TopologyEntry& topology = *loaded.config->topology("desk");
  const auto texts = [](const Json& json) {
    std::vector<std::string> out;
    for (const Json& item : json) out.push_back(item.get<std::string>());
    return out;
  };
  CHECK(topology.protocol == desk["protocol"].get<std::string>());
  CHECK(topology.members == texts(desk["members"]));
  CHECK(topology.first_goal == desk["first_goal"].get<std::string>());
  CHECK(topology.manager->config.name == desk["manager"].get<std::string>());
  CHECK(topology.manager->config.instructions ==
        desk["instructions"]["Manager"].get<std::string>());
  CHECK(topology.manager->goals == texts(desk["goals"]));
  CHECK(topology.manager->statuses == texts(desk["statuses"]));
  CHECK(topology.query_options == texts(desk["descriptors"]));
  CHECK(topology.key_options == texts(desk["descriptors"]));
  CHECK(topology.options.match.tau == desk["tau"].get<double>());
  CHECK(topology.options.match.k_in == desk["k_in"].get<int>());
  CHECK(topology.rounds_max == desk["rounds_max"].get<int>());
  CHECK(topology.answer == std::vector<std::string>{desk["answer_agent"].get<std::string>()});
  for (const config::AgentEntry& agent : loaded.config->agents) {
    CAPTURE(agent.config.name);
    CHECK(agent.config.instructions ==
          desk["instructions"][agent.config.name].get<std::string>());
    CHECK(agent.config.max_tool_calls == desk["tool_calls_max"].get<int>());
    std::vector<std::string> tools = agent.config.tools;
    for (std::string& tool : tools)
      if (const size_t slash = tool.find('/'); slash != std::string::npos)
        tool.replace(slash, 1, "__");
    CHECK(tools == texts(desk["tools"][agent.config.name]));
  }
}
