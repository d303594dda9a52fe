// swarm devices — what this machine can compute on: the CPU with its instruction sets, each CUDA
// card and whether this build can use it, or why there is none. Never fails: a machine without a
// card is a normal machine.
#include <CLI/CLI.hpp>
#include <fstream>
#include <thread>

#include "engine/base/json.h"
#include "engine/base/units.h"
#include "engine/device/blas.h"
#include "engine/device/device.h"
#include "engine/kernels/kernels.h"
#include "orchestrator/cli/commands.h"

namespace swarm::cli {
namespace {

namespace dev = engine::device;

struct DevicesOptions {
  bool json = false;
};

struct Cpu {
  std::string name = "CPU";
  unsigned threads = 0;
  uint64_t memory_bytes = 0;
  std::string isas;             // "avx512 avx2 reference", best first
};

// A card and whether this build has code that runs there.
struct Card {
  dev::DeviceInfo info;
  std::string unusable = {};    // why not; "" when it is usable
};

struct Found {
  Cpu cpu;
  dev::CudaDevices cuda;
  std::vector<Card> cards;
  std::string blas;             // what it is, or why there is none
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

Found find_devices() {
  Found found{.cpu = find_cpu(),
              .cuda = dev::list_cuda_devices(dev::FreeMemory::ask),
              .cards = {},
              .blas = {}};
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

std::string compute(const dev::DeviceInfo& info) {
  return std::to_string(info.compute_major) + "." + std::to_string(info.compute_minor);
}

std::string driver(const dev::CudaDevices& cuda) {
  return cuda.driver_version == 0 ? "none" : "CUDA " + dev::cuda_version_text(cuda.driver_version);
}

void print(const Found& found, std::ostream& out) {
  out << "cpu     " << found.cpu.name << ", " << found.cpu.threads << " threads, "
      << format_bytes(found.cpu.memory_bytes) << ", " << found.cpu.isas << "\n";
  for (const Card& card : found.cards) {
    const dev::DeviceInfo& info = card.info;
    out << info.id() << "  " << info.name << ", compute " << compute(info) << ", "
        << info.multiprocessors << " multiprocessors, "
        << format_bytes(info.memory_free_bytes.value_or(0)) << " free of "
        << format_bytes(info.memory_bytes) << ", L2 " << format_bytes(info.l2_bytes) << "\n";
    if (!card.unusable.empty()) out << "        not usable: " << card.unusable << "\n";
  }
  if (found.cards.empty()) out << "cuda    " << found.cuda.reason << "\n";
  if (found.cuda.built)
    out << "build   CUDA " << dev::cuda_version_text(found.cuda.runtime_version) << " for "
        << found.cuda.architectures << "; driver " << driver(found.cuda)
        << (found.blas.empty() ? "" : "; " + found.blas) << "\n";
}

Json to_json(const Found& found) {
  Json devices = Json::array();
  devices.push_back({{"device", "cpu"},
                     {"name", found.cpu.name},
                     {"threads", found.cpu.threads},
                     {"memory_bytes", found.cpu.memory_bytes},
                     {"isas", found.cpu.isas}});
  for (const Card& card : found.cards) {
    const dev::DeviceInfo& info = card.info;
    Json one{{"device", info.id()},
             {"name", info.name},
             {"compute", compute(info)},
             {"multiprocessors", info.multiprocessors},
             {"memory_bytes", info.memory_bytes},
             {"memory_free_bytes", info.memory_free_bytes.value_or(0)},
             {"l2_bytes", info.l2_bytes},
             {"usable", card.unusable.empty()}};
    if (!card.unusable.empty()) one["reason"] = card.unusable;
    devices.push_back(std::move(one));
  }
  Json cuda{{"built", found.cuda.built}};
  if (!found.cuda.reason.empty()) cuda["reason"] = found.cuda.reason;
  if (found.cuda.built) {
    cuda["runtime"] = dev::cuda_version_text(found.cuda.runtime_version);
    cuda["architectures"] = found.cuda.architectures;
    if (found.cuda.driver_version != 0)
      cuda["driver"] = dev::cuda_version_text(found.cuda.driver_version);
  }
  if (!found.blas.empty()) cuda["blas"] = found.blas;
  return {{"devices", std::move(devices)}, {"cuda", std::move(cuda)}};
}

Result<int> run_devices(const DevicesOptions& options, CommandContext& context) {
  const Found found = find_devices();
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
