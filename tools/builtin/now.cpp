#include <chrono>
#include <ctime>

#include "engine/base/async/deadline.h"
#include "tools/builtin/builtin.h"

namespace swarm::tools::builtin {
namespace {

std::string iso_utc(std::chrono::system_clock::time_point when) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(when);
  const std::time_t time = std::chrono::system_clock::to_time_t(seconds);
  std::tm parts{};
  ::gmtime_r(&time, &parts);
  std::string text(sizeof "2026-01-01T00:00:00Z", '\0');
  text.resize(std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts));
  return text;
}

class Now final : public Tool {
 public:
  explicit Now(const Clock* clock) : clock_(clock ? *clock : steady_clock()) {
    spec_.name = "now";
    spec_.description = "The current date and time in UTC, ISO 8601.";
    spec_.parameters =
        Json{{"type", "object"},
             {"properties",
              {{"timezone", {{"type", "string"}, {"enum", Json::array({"UTC"})}}}}},
             {"additionalProperties", false}};
    spec_.effect = Effect::read;
    spec_.origin = "builtin";
  }
  const ToolSpec& spec() const override { return spec_; }
  Async<ToolResult> call(Json, ToolContext) override {
    co_return ToolResult{.text = iso_utc(clock_.wall())};
  }

 private:
  ToolSpec spec_;
  const Clock& clock_;
};

}  // namespace

std::shared_ptr<Tool> make_now(const Clock* clock) { return std::make_shared<Now>(clock); }

}  // namespace swarm::tools::builtin
