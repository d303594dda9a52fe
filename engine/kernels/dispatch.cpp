#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <algorithm>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "engine/kernels/cpu/cpu_kernels.h"
#include "engine/kernels/kernels.h"
#include "engine/kernels/reference/reference.h"

namespace swarm::engine::kernels {
namespace {

std::string join(std::span<const std::string_view> names) {
  std::string text;
  for (const std::string_view name : names) {
    if (!text.empty()) text += ", ";
    text += name;
  }
  return text;
}

#if defined(__x86_64__)
bool has_f16c() {  // Clang 16 does not know the name "f16c" in __builtin_cpu_supports
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}
#endif

// Null where this build or this machine does not have it.
const IsaTable* runnable_table(std::string_view isa) {
#if defined(__x86_64__)
  if (isa == "avx512" && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vnni")) {
    return avx512_table();
  }
  if (isa == "avx2" && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
      has_f16c()) {
    return avx2_table();
  }
#endif
  return nullptr;
}

class HostFootprint final : public Footprint {
 public:
  Result<void> check_weight(formats::TensorType type,
                            std::string_view tensor_name) const override {
    const formats::BlockType* found = formats::find_block_type(type);
    if (found && found->decodable) return {};
    return unsupported_weight(type, tensor_name, "the CPU",
                              [](const formats::BlockType& known) { return known.decodable; });
  }
  size_t placed_bytes(const Weight&) const override { return 0; }
  Result<void> check_limits(const KernelLimits&) const override { return {}; }
  void plan(const KernelLimits&, device::ArenaPlan&) const override {}
};

}  // namespace

Error unsupported_weight(formats::TensorType type, std::string_view tensor_name,
                         std::string_view backend,
                         const std::function<bool(const formats::BlockType&)>& has) {
  const formats::BlockType* found = formats::find_block_type(type);
  std::string have;
  for (const formats::BlockType& known : formats::block_types()) {
    if (has(known)) have += (have.empty() ? "" : ", ") + std::string(known.name);
  }
  return unsupported("tensor " + std::string(tensor_name) + ": weight type " +
                     (found ? std::string(found->name)
                            : std::to_string(static_cast<uint32_t>(type))) +
                     " is not supported on " + std::string(backend) + "; it has " + have);
}

std::span<const std::string_view> available_isas() {
  static const std::vector<std::string_view> isas = [] {
    std::vector<std::string_view> found;
    for (const std::string_view isa : {"avx512", "avx2"}) {
      if (runnable_table(isa)) found.push_back(isa);
    }
    found.push_back("reference");
    return found;
  }();
  return isas;
}

Result<std::unique_ptr<Kernels>> open_kernels(std::string_view isa, int32_t threads) {
  if (isa == "auto") isa = available_isas().front();
  if (isa == "reference") return make_reference_kernels();
  if (const IsaTable* table = runnable_table(isa)) {
    if (threads == 0) threads = static_cast<int32_t>(std::thread::hardware_concurrency());
    return make_cpu_kernels(*table, std::max(1, threads));
  }
  return invalid_input("isa: expected auto or one of " + join(available_isas()) +
                       " on this machine, found \"" + std::string(isa) + "\"");
}

const Footprint& host_footprint() {
  static const HostFootprint footprint;
  return footprint;
}

}  // namespace swarm::engine::kernels
