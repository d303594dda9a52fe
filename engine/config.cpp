#include "engine/config.h"

#include <array>
#include <charconv>
#include <string_view>

#include "engine/kernels/kv_type.h"

namespace swarm::engine {
namespace {

Result<void> check_between(const char* field, int64_t value, int64_t least, int64_t most) {
  if (value >= least && value <= most) return {};
  return invalid_input("engine." + std::string(field) + ": expected an integer in [" +
                       std::to_string(least) + ", " + std::to_string(most) + "], found " +
                       std::to_string(value));
}

template <size_t N>
Result<void> check_choice(const char* field, const std::string& value,
                          const std::array<std::string_view, N>& choices) {
  std::string list;
  for (const std::string_view choice : choices) {
    if (value == choice) return {};
    list += (list.empty() ? "" : ", ") + std::string(choice);
  }
  return invalid_input("engine." + std::string(field) + ": expected one of " + list +
                       ", found \"" + value + "\"");
}

}  // namespace

bool is_device(std::string_view text) {
  if (text == "auto" || text == "cpu") return true;
  if (!text.starts_with("cuda:")) return false;
  text.remove_prefix(5);
  int index = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), index);
  return error == std::errc() && end == text.data() + text.size() && index >= 0;
}

Result<void> EngineConfig::validate() const {
  constexpr std::array<std::string_view, 4> kIsas{"auto", "reference", "avx2", "avx512"};
  if (model.empty())
    return invalid_input("engine.model: expected a GGUF path or synth:PRESET, found \"\"");
  if (!is_device(device))
    return invalid_input("engine.device: expected auto, cpu or cuda:N, found \"" + device + "\"");
  SWARM_TRY_VOID(check_choice("isa", isa, kIsas));
  SWARM_TRY_VOID(check_choice("kernels", kernels,
                              std::array<std::string_view, 2>{"auto", "portable"}));
  SWARM_TRY_VOID(check_choice("k_type", k_type, kernels::kKvTypeNames));
  SWARM_TRY_VOID(check_choice("v_type", v_type, kernels::kKvTypeNames));
  SWARM_TRY_VOID(check_between("page_tokens", page_tokens, 1, 256));
  SWARM_TRY_VOID(check_between("max_running", max_running, 1, 4096));
  SWARM_TRY_VOID(check_between("max_resident", max_resident, max_running, 1 << 20));
  SWARM_TRY_VOID(check_between("prefill_batch_tokens", prefill_batch_tokens, 1, 1 << 16));
  SWARM_TRY_VOID(check_between("queue_depth_max", queue_depth_max, 1, 1 << 20));
  SWARM_TRY_VOID(check_between("context_max", context_max, 0, INT32_MAX));
  if (context_max == 1)
    return invalid_input("engine.context_max: expected 0 or at least 2, found 1");
  SWARM_TRY_VOID(check_between("threads", threads, 0, 1024));
  return {};
}

}  // namespace swarm::engine
