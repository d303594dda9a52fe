// Snapshots of what a user sees for each kind of mistake. Inputs are the YAML files beside them;
// SWARM_UPDATE_SNAPSHOTS=1 rewrites the texts, and the diff is reviewed.
#include <doctest/doctest.h>

#include <string>

#include "orchestrator/config/load.h"
#include "tests/support/support.h"

using namespace swarm;

TEST_CASE("config: each kind of mistake has a located message and nothing is loaded") {
  for (const char* name :
       {"unknown_key", "wrong_type", "out_of_range", "duplicate_key", "dangling_reference", "cycle",
        "not_an_ancestor", "bad_expression", "unsupported", "missing_required", "invalid_yaml",
        "topology_edges", "engine_limits", "written_schemas", "listed_twice", "mcp_servers"}) {
    CAPTURE(name);
    const std::string file = std::string("orchestrator/config/") + name;
    const std::string text = test::read_file(test::golden(file + ".yaml"));
    const config::Loaded loaded = config::load_text(text, std::string(name) + ".yaml", "", {});
    CHECK(!loaded.config.has_value());
    CHECK(loaded.kind() == ErrorKind::invalid_input);
    CHECK(test::snapshot_difference(file + ".txt", loaded.report()) == "");
  }
}
