// orchestrator/cli/device_report.h — What `swarm devices` found and how it is said: plain data, and
// text or JSON of it. Pure functions, so that machines with several cards can be played.
#pragma once

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "engine/base/json.h"
#include "engine/device/info.h"

namespace swarm::cli {

struct Cpu {
  std::string name = "CPU";
  unsigned threads = 0;
  uint64_t memory_bytes = 0;
  std::string isas = {};        // "avx512 avx2 reference", best first
};

// A card and whether this build has code that runs there.
struct Card {
  engine::device::DeviceInfo info;
  std::string unusable = {};    // why not; "" when it is usable
};

struct DeviceReport {
  Cpu cpu;
  engine::device::CudaDevices cuda;
  std::vector<Card> cards;
  std::string blas = {};        // what it is, or why there is none
};

void print(const DeviceReport& report, std::ostream& out);   // a line per device
Json to_json(const DeviceReport& report);

}  // namespace swarm::cli
