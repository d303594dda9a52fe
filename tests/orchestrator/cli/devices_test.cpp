// swarm devices, in builds with and without CUDA and on machines with and without a card.
#include <doctest/doctest.h>

#include <sstream>
#include <string>
#include <vector>

#include "engine/base/json.h"
#include "engine/kernels/kernels.h"
#include "orchestrator/cli/device_report.h"
#include "tests/orchestrator/cli/run_program.h"

using namespace swarm;

namespace {

std::string devices(const std::vector<std::string>& flags = {}) {
  std::vector<std::string> arguments{"devices"};
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  const test::Ran ran = test::run(arguments);
  CHECK(ran.code == 0);
  CHECK(ran.err == "");
  return ran.out;
}

}  // namespace

TEST_CASE("devices: the CPU comes first, cards or the reason for none follow") {
  const Json json = parse_json(devices({"--json"}), "devices").value();
  const Json& list = json["devices"];
  REQUIRE(list.size() >= 1);
  CHECK(list[0]["device"] == "cpu");
  CHECK(list[0]["threads"] >= 1);
  CHECK(list[0]["memory_bytes"] > 0);
  const std::string isas = list[0]["isas"].get<std::string>();
  CHECK(isas.starts_with(engine::kernels::available_isas().front()));
  CHECK(isas.ends_with("reference"));
  const bool has_card = list.size() > 1;
  CHECK(json["cuda"].contains("reason") == !has_card);
  CHECK(json["cuda"].contains("blas") == has_card);
  CHECK(json["cuda"].contains("runtime") == json["cuda"]["built"]);
  for (size_t i = 1; i < list.size(); ++i) {
    CHECK(list[i]["device"] == "cuda:" + std::to_string(i - 1));
    CHECK(list[i]["memory_bytes"] > 0);
    CHECK(list[i].contains("reason") == !list[i]["usable"].get<bool>());
  }
}

TEST_CASE("devices: the text says the same") {
  const Json json = parse_json(devices({"--json"}), "devices").value();
  const std::string text = devices();
  for (const Json& device : json["devices"]) {
    CAPTURE(text);
    CHECK(text.find(device["name"].get<std::string>()) != std::string::npos);
  }
  if (json["cuda"].contains("reason"))
    CHECK(text.find("cuda    " + json["cuda"]["reason"].get<std::string>()) != std::string::npos);
}

TEST_CASE("devices: several cards are listed, with what this build cannot use") {
  using engine::device::DeviceInfo;
  using engine::device::DeviceKind;
  const DeviceInfo first{.kind = DeviceKind::cuda, .index = 0, .name = "Fast Card",
                         .compute_major = 9, .compute_minor = 0,
                         .memory_bytes = uint64_t{80} << 30,
                         .memory_free_bytes = uint64_t{79} << 30, .multiprocessors = 132,
                         .l2_bytes = uint64_t{50} << 20};
  DeviceInfo second = first;
  second.index = 1;
  second.name = "Old Card";
  second.compute_major = 7;
  second.memory_free_bytes.reset();
  cli::DeviceReport report{.cpu = {.name = "A CPU", .threads = 4, .memory_bytes = 1 << 30,
                                   .isas = "reference"},
                           .cuda = {.built = true, .architectures = "90a",
                                    .runtime_version = 13000, .driver_version = 13000,
                                    .devices = {first, second}},
                           .cards = {{.info = first},
                                     {.info = second, .unusable = "no kernels for cuda:1"}},
                           .blas = "cuBLAS 13.0.2"};
  std::ostringstream out;
  cli::print(report, out);
  CHECK(out.str() ==
        "cpu     A CPU, 4 threads, 1.00 GiB, reference\n"
        "cuda:0  Fast Card, compute 9.0, 132 multiprocessors, 79.00 GiB free of 80.00 GiB, "
        "L2 50.00 MiB\n"
        "cuda:1  Old Card, compute 7.0, 132 multiprocessors, 80.00 GiB, L2 50.00 MiB\n"
        "        not usable: no kernels for cuda:1\n"
        "build   CUDA 13.0 for 90a; driver CUDA 13.0; cuBLAS 13.0.2\n");
  const Json json = cli::to_json(report);
  REQUIRE(json["devices"].size() == 3);
  CHECK(json["devices"][1]["device"] == "cuda:0");
  CHECK(json["devices"][1]["usable"] == true);
  CHECK(json["devices"][1]["memory_free_bytes"] == uint64_t{79} << 30);
  CHECK(json["devices"][2]["device"] == "cuda:1");
  CHECK(json["devices"][2]["usable"] == false);
  CHECK(json["devices"][2]["reason"] == "no kernels for cuda:1");
  CHECK_FALSE(json["devices"][2].contains("memory_free_bytes"));
  CHECK(json["cuda"]["blas"] == "cuBLAS 13.0.2");
}
