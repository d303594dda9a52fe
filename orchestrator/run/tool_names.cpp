#include "orchestrator/run/tool_names.h"

#include <algorithm>
#include <utility>

#include "engine/base/rng.h"

namespace swarm::run {
namespace {

constexpr size_t kNameMax = 64;

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-';
}

std::string with_hash(const tools::ToolSpec& spec) {
  constexpr char kDigits[] = "0123456789abcdef";
  uint64_t hash = hash_text(spec.remote_name, hash_text(spec.origin + '\n'));
  std::string tail = "_";
  for (int i = 0; i < 8; ++i, hash >>= 4) tail += kDigits[hash & 15];
  std::string name = spec.name.substr(0, kNameMax - tail.size());
  std::replace_if(name.begin(), name.end(), [](char c) { return !is_plain(c); }, '_');
  return name + tail;
}

// Another tool in front of the same calls.
class Renamed final : public tools::Tool {
 public:
  Renamed(std::shared_ptr<tools::Tool> tool, std::string name)
      : tool_(std::move(tool)), spec_(tool_->spec()) {
    spec_.name = std::move(name);
  }
  const tools::ToolSpec& spec() const override { return spec_; }
  Async<tools::ToolResult> call(Json arguments, tools::ToolContext context) override {
    return tool_->call(std::move(arguments), std::move(context));
  }
  Async<Result<void>> check() override { return tool_->check(); }

 private:
  const std::shared_ptr<tools::Tool> tool_;  // shared with its session
  tools::ToolSpec spec_;
};

}  // namespace

std::string public_name(const tools::ToolSpec& spec, const NameSpace& space) {
  if (!spec.is_remote()) return spec.name;
  const bool plain = spec.name.size() <= kNameMax &&
                     std::all_of(spec.name.begin(), spec.name.end(), is_plain);
  const auto taken = [&](const std::string& other) {
    return other.size() > spec.server.size() && spec.name.starts_with(other + "__");
  };
  const bool clear =
      plain && std::find(space.ours.begin(), space.ours.end(), spec.name) == space.ours.end() &&
      std::none_of(space.servers.begin(), space.servers.end(), taken);
  return clear ? spec.name : with_hash(spec);
}

std::shared_ptr<tools::Tool> under_public_name(std::shared_ptr<tools::Tool> tool,
                                               const NameSpace& space) {
  std::string name = public_name(tool->spec(), space);
  if (name == tool->spec().name) return tool;
  return std::make_shared<Renamed>(std::move(tool), std::move(name));
}

}  // namespace swarm::run
