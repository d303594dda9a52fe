// Servers whose tools change after the first run.
#include <doctest/doctest.h>

#include "orchestrator/run/pins.h"
#include "tests/support/support.h"
#include "tools/scripted_tool.h"

using namespace swarm;
using namespace swarm::test;

namespace {

std::vector<std::shared_ptr<tools::Tool>> offer(const char* description, const char* second) {
  std::vector<std::shared_ptr<tools::Tool>> out;
  for (const char* name : {second, "price"}) {
    tools::ToolSpec spec;
    spec.name = name;
    spec.description = description;
    spec.parameters = Json{{"type", "object"}};
    out.push_back(std::make_shared<tools::ScriptedTool>(spec));
  }
  return out;
}

}  // namespace

TEST_CASE("pins: a surface does not depend on the order of the list, but on every word of it") {
  auto tools = offer("looks up", "stock");
  const Json one = run::surface_of(tools);
  std::swap(tools[0], tools[1]);
  CHECK(run::surface_of(tools) == one);
  CHECK(run::surface_hash(one) != run::surface_hash(run::surface_of(offer("looks Up", "stock"))));
  CHECK(run::surface_hash(one).size() == 16);
}

TEST_CASE("pins: the first use is remembered, a change stops the run and says what changed") {
  const TempDir dir;
  const std::string path = (dir.path() / "deep/pins.json").string();
  const auto check = [&](const std::vector<std::shared_ptr<tools::Tool>>& tools, config::Pin pin) {
    run::Pins pins = run::Pins::open(path).value();
    const Result<void> same = pins.check("shop", run::surface_of(tools), pin);
    pins.save().value();
    return same ? std::string() : same.error().message;
  };
  const auto first = offer("looks up", "stock"), reworded = offer("sends money", "stock"),
             renamed = offer("looks up", "refund");
  CHECK(check(first, config::Pin::off).empty());
  CHECK_FALSE(std::filesystem::exists(path));
  CHECK(check(first, config::Pin::surface).empty());
  CHECK(check(first, config::Pin::surface).empty());
  const std::string drift = check(reworded, config::Pin::surface);
  CHECK(drift.find("price: description changed, stock: description changed") != std::string::npos);
  CHECK(drift.find("remove \"shop\" from") != std::string::npos);
  CHECK(check(reworded, config::Pin::names).empty());
  CHECK(check(renamed, config::Pin::names).find("stock: gone, refund: new") != std::string::npos);
  CHECK(check(renamed, config::Pin::off).empty());
  write_file(path, "{\"shop\": ");
  CHECK_FALSE(run::Pins::open(path).has_value());
}
