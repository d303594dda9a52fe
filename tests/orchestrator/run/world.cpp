#include "tests/orchestrator/run/world.h"

#include <doctest/doctest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <optional>
#include <sstream>

#include "engine/base/async/deadline.h"
#include "orchestrator/config/load.h"

namespace swarm::test {

std::string worker(const std::string& public_text, const std::string& private_text,
                   const std::string& query, const std::string& key) {
  return dump_json(
      {{"public", public_text}, {"private", private_text}, {"query", query}, {"key", key}});
}

std::string solver(const std::string& public_text, const std::string& answer,
                   const std::string& query, const std::string& key) {
  return dump_json({{"public", public_text}, {"private", ""}, {"answer", answer},
                    {"query", query}, {"key", key}});
}

std::string manager(const std::string& status, bool complete, const std::string& next_goal,
                    const std::string& answer_from) {
  return dump_json({{"status", status},
                    {"is_complete", complete},
                    {"next_goal", next_goal},
                    {"answer_from", answer_from}});
}

World::World(const std::string& yaml) {
  const std::string text =
      "schema: swarm/v1\nname: test\nmodels: {fake: {provider: scripted, script: none.json}}\n" +
      yaml + "\njournal: {dir: " + dir_.path().string() + "}\n";
  config::Loaded loaded = config::load_text(text, "test.yaml", "", {.inputs = {{"task", "T"}}});
  if (!loaded.config) loaded = config::load_text(text, "test.yaml", "", {});
  REQUIRE_MESSAGE(loaded.config.has_value(), loaded.report());
  config_ = std::move(*loaded.config);
  struct Doubles final : run::ModelSet {
    explicit Doubles(agents::Model& m) : model(m) {}
    std::map<std::string, agents::Model*> by_name() const override { return {{"fake", &model}}; }
    agents::Model& model;
  };
  settings.open_models = [this](const config::Config&, Executor, const Clock&, Log&,
                                const std::stop_token&) -> Result<std::unique_ptr<run::ModelSet>> {
    return std::make_unique<Doubles>(model);
  };
}

run::RunResult World::run() {
  return run_with([](const std::function<void()>&) {});
}

run::RunResult World::run_with(const std::function<void(std::function<void()>)>& act) {
  namespace net = boost::asio;
  net::io_context io(1);
  net::cancellation_signal cancel;
  std::ostringstream log_text;
  Log log(log_text, LogLevel::warn);
  std::optional<run::RunResult> result;
  std::exception_ptr failure;
  act([&cancel] { cancel.emit(net::cancellation_type::all); });
  net::co_spawn(io, run::run_swarm(config_, settings, steady_clock(), log),
                net::bind_cancellation_slot(
                    cancel.slot(), [&](const std::exception_ptr& error, run::RunResult value) {
                      failure = error;
                      if (!error) result = std::move(value);
                    }));
  io.run();
  if (failure) std::rethrow_exception(failure);
  journal_ = result->directory + "/journal.jsonl";
  return std::move(*result);
}

std::vector<run::Event> World::events() const {
  const run::JournalContent content = run::read_journal(journal_).value();
  CHECK(!content.torn);
  REQUIRE(!content.events.empty());
  CHECK(content.events.front().type == "run.start");
  CHECK(content.events.back().type == "run.end");
  return content.events;
}

std::vector<run::Event> World::events(const std::string& type) const {
  std::vector<run::Event> out;
  for (const run::Event& event : events())
    if (event.type == type) out.push_back(event);
  return out;
}

std::string World::story() const {
  std::string out;
  for (const run::Event& event : events()) {
    out += event.type;
    for (const char* key : {"agent", "from", "to", "goal", "outcome", "failure", "error"})
      if (event.data.contains(key)) out += " " + dump_json(event.data[key]);
    out += "\n";
  }
  return out;
}

std::string World::prompt(const std::string& agent, size_t n) const {
  for (const agents::ModelRequest& request : model.requests())
    if (request.label == agent && n-- == 0) return request.messages.back().content;
  return "<no such request>";
}

}  // namespace swarm::test
