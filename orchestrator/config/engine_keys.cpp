#include "orchestrator/config/engine_keys.h"

#include "engine/config.h"

namespace swarm::config {

void check_engine_keys(const Node& document, std::vector<Problem>& problems) {
  const Node& engine = child(document, "engine");
  const Node& device = child(engine, "device");
  if (device.is_text() && !device.pending && !engine::is_device(device.text()))
    problems.push_back({"engine.device: expected auto, cpu or cuda:N, found \"" + device.text() +
                            "\"",
                        device.place});
  const Node &running = child(engine, "max_running"), &resident = child(engine, "max_resident");
  if (running.scalar.is_number_integer() && resident.scalar.is_number_integer() &&
      resident.scalar < running.scalar)
    problems.push_back({"engine.max_resident: expected at least engine.max_running (" +
                            dump_json(running.scalar) + "), found " + dump_json(resident.scalar),
                        resident.place});
  for (const Node::Field& model : child(document, "models").fields) {
    const Node& context = child(model.value, "context");
    if (context.scalar == 1)
      problems.push_back({"models." + model.key + ".context: expected 0 or at least 2, found 1",
                          context.place});
  }
}

}  // namespace swarm::config
