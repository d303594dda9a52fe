#include "orchestrator/cli/device_report.h"

#include <utility>

#include "engine/base/units.h"

namespace swarm::cli {
namespace {

namespace dev = engine::device;

std::string compute(const dev::DeviceInfo& info) {
  return std::to_string(info.compute_major) + "." + std::to_string(info.compute_minor);
}

// A card that cannot be used may not tell what is free.
std::string memory(const dev::DeviceInfo& info) {
  const std::string all = format_bytes(info.memory_bytes);
  return info.memory_free_bytes ? format_bytes(*info.memory_free_bytes) + " free of " + all : all;
}

std::string driver(const dev::CudaDevices& cuda) {
  return cuda.driver_version == 0 ? "none" : "CUDA " + dev::cuda_version_text(cuda.driver_version);
}

}  // namespace

void print(const DeviceReport& found, std::ostream& out) {
  out << "cpu     " << found.cpu.name << ", " << found.cpu.threads << " threads, "
      << format_bytes(found.cpu.memory_bytes) << ", " << found.cpu.isas << "\n";
  for (const Card& card : found.cards) {
    const dev::DeviceInfo& info = card.info;
    out << info.id() << "  " << info.name << ", compute " << compute(info) << ", "
        << info.multiprocessors << " multiprocessors, " << memory(info) << ", L2 "
        << format_bytes(info.l2_bytes) << "\n";
    if (!card.unusable.empty()) out << "        not usable: " << card.unusable << "\n";
  }
  if (found.cards.empty()) out << "cuda    " << found.cuda.reason << "\n";
  if (found.cuda.built)
    out << "build   CUDA " << dev::cuda_version_text(found.cuda.runtime_version) << " for "
        << found.cuda.architectures << "; driver " << driver(found.cuda)
        << (found.blas.empty() ? "" : "; " + found.blas) << "\n";
}

Json to_json(const DeviceReport& found) {
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
             {"l2_bytes", info.l2_bytes},
             {"usable", card.unusable.empty()}};
    if (info.memory_free_bytes) one["memory_free_bytes"] = *info.memory_free_bytes;
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

}  // namespace swarm::cli
