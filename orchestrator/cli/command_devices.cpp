// swarm devices — what this machine can compute on: the CPU with its instruction sets, each CUDA
// card and whether this build can use it, or why there is none. Never fails: a machine without a
// card is a normal machine.
#include <CLI/CLI.hpp>
#include <fstream>
#include <thread>

#include "engine/base/json.h"
#include "engine/device/blas.h"
#include "engine/device/device.h"
#include "engine/kernels/kernels.h"
#include "orchestrator/cli/commands.h"
#include "orchestrator/cli/device_report.h"

namespace swarm::cli {
namespace {

namespace dev = engine::device;

struct DevicesOptions {
  bool json = false;
};

// Text behind "KEY<blanks>:" in a file of /proc, "" when there is none.
std::string proc_value(const char* path, const std::string& key) {
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with(key)) continue;
    const size_t value = line.find_first_not_of(" \t", line.find(':') + 1);
    return value == std::string::npos ? "" : line.substr(value);
  }
  return "";
}

Cpu find_cpu() {
  Cpu cpu{.threads = std::thread::hardware_concurrency(), .isas = {}};
  if (const std::string name = proc_value("/proc/cpuinfo", "model name"); !name.empty())
    cpu.name = name;
  cpu.memory_bytes =
      std::strtoull(proc_value("/proc/meminfo", "MemTotal").c_str(), nullptr, 10) * 1024;
  for (const std::string_view isa : engine::kernels::available_isas())
    cpu.isas += (cpu.isas.empty() ? "" : " ") + std::string(isa);
  return cpu;
}

DeviceReport find_devices() {
  DeviceReport found{.cpu = find_cpu(),
                     .cuda = dev::list_cuda_devices(dev::FreeMemory::ask),
                     .cards = {}};
  for (const dev::DeviceInfo& info : found.cuda.devices) {
    const auto opened = dev::Device::open_cuda(info.index);
    found.cards.push_back(
        {.info = info, .unusable = opened.has_error() ? opened.error().message : ""});
  }
  if (!found.cards.empty()) {
    const Result<std::string> blas = dev::blas_library();
    found.blas = blas ? *blas : blas.error().message;
  }
  return found;
}

Result<int> run_devices(const DevicesOptions& options, CommandContext& context) {
  const DeviceReport found = find_devices();
  if (options.json) {
    context.out << dump_json(to_json(found)) << "\n";
  } else {
    print(found, context.out);
  }
  return kExitOk;
}

}  // namespace

void register_devices(CLI::App& app, CommandContext& context) {
  CLI::App* sub = app.add_subcommand("devices", "What this machine can compute on");
  auto options = std::make_shared<DevicesOptions>();
  sub->add_flag("--json", options->json, "print one JSON object");
  set_action(*sub, context, options, run_devices);
}

}  // namespace swarm::cli
