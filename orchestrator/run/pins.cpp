#include "orchestrator/run/pins.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <utility>

#include "engine/base/rng.h"

namespace swarm::run {
namespace fs = std::filesystem;

Json surface_of(std::span<const std::shared_ptr<tools::Tool>> tools) {
  std::map<std::string, Json> sorted;
  for (const auto& tool : tools) {
    const tools::ToolSpec& spec = tool->spec();
    sorted[spec.name] = Json{{"description", spec.description}, {"parameters", spec.parameters}};
  }
  Json out = Json::object();
  for (auto& [name, value] : sorted) out[name] = std::move(value);
  return out;
}

std::string surface_hash(const Json& surface) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out(16, '0');
  uint64_t value = hash_text(dump_json(surface));
  for (size_t i = 16; i-- > 0; value >>= 4) out[i] = kDigits[value & 15];
  return out;
}

std::vector<std::string> surface_drift(const Json& pinned, const Json& now, config::Pin pin) {
  std::vector<std::string> out;
  for (const auto& [name, was] : pinned.items()) {
    const auto is = now.find(name);
    if (is == now.end()) {
      out.push_back(name + ": gone");
    } else if (pin == config::Pin::surface) {
      for (const char* part : {"description", "parameters"})
        if (was.value(part, Json()) != is->value(part, Json()))
          out.push_back(name + ": " + part + " changed");
    }
  }
  for (const auto& [name, is] : now.items())
    if (!pinned.contains(name)) out.push_back(name + ": new");
  return out;
}

Result<Pins> Pins::open(std::string path) {
  Pins pins;
  pins.path_ = std::move(path);
  std::error_code failure;
  if (!fs::exists(pins.path_, failure)) return pins;
  std::ifstream in(pins.path_, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  if (!in) return environment_error("cannot read \"" + pins.path_ + "\"");
  SWARM_TRY(pins.servers_, parse_json(text, pins.path_));
  if (!pins.servers_.is_object())
    return Error{ErrorKind::invalid_input, "expected an object of servers", {.file = pins.path_}};
  return pins;
}

Result<void> Pins::check(const std::string& server, const Json& surface, config::Pin pin) {
  if (pin == config::Pin::off) return {};
  const auto known = servers_.find(server);
  if (known == servers_.end()) {
    servers_[server] = surface;
    changed_ = true;
    return {};
  }
  std::string drift;
  for (const std::string& one : surface_drift(*known, surface, pin))
    drift += (drift.empty() ? "" : ", ") + one;
  if (drift.empty()) return {};
  return failed("server \"" + server + "\" does not offer the tools it was pinned with: " + drift +
                "; look at them (swarm mcp list), then remove \"" + server + "\" from " + path_ +
                " to accept them");
}

Result<void> Pins::save() const {
  if (!changed_) return {};
  std::error_code failure;
  if (fs::path(path_).has_parent_path())
    fs::create_directories(fs::path(path_).parent_path(), failure);
  const std::string draft = path_ + ".new";
  std::ofstream out(draft, std::ios::binary);
  out << servers_.dump(1, ' ', false, Json::error_handler_t::replace) << "\n";
  out.close();
  if (out) fs::rename(draft, path_, failure);
  if (!out || failure) return environment_error("cannot write \"" + path_ + "\"");
  return {};
}

}  // namespace swarm::run
