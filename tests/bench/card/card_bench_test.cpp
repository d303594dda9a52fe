// The card benchmarks run from end to end in the emulator, in small shapes: what they hand to the
// kernels fits, under address checkers too. Times mean nothing here.
#include <doctest/doctest.h>

#include <set>
#include <sstream>

#include "engine/base/json.h"
#include "tests/bench/card/card_bench.h"
#include "tests/engine/device/under_test.h"

using namespace swarm;

namespace {

std::vector<Json> lines(void (*cases)(bench::CardBench&), const std::string& filter = "") {
  auto device = test::open_device_under_test();
  std::ostringstream out;
  bench::CardBench bench(*device, out, bench::Size::smoke, filter);
  cases(bench);
  CHECK_FALSE(device->lost());
  std::vector<Json> parsed;
  std::istringstream in(out.str());
  for (std::string line; std::getline(in, line);)
    parsed.push_back(parse_json(line, "bench").value());
  return parsed;
}

void check(const std::vector<Json>& found, size_t count) {
  CHECK(found.size() == count);
  std::set<std::string> names;
  for (const Json& line : found) {
    CAPTURE(dump_json(line));
    CHECK(names.insert(line["test"].get<std::string>()).second);
    CHECK(line["us"].get<double>() > 0);
    CHECK(line["us_p10"].get<double>() <= line["us_p90"].get<double>());
  }
}

}  // namespace

TEST_CASE("card bench: copies, launches and library products") {
  const std::vector<Json> found = lines(bench::bench_device);
  check(found, 6);
  CHECK(found[0]["test"] == "copy/device");
  CHECK(found[0]["of_copy"] == 1.0);
}

TEST_CASE("card bench: products of every type, dense and by experts") {
  check(lines(bench::bench_matmul), 9 * 2 * 2);
}

TEST_CASE("card bench: attention, decode and prefill") { check(lines(bench::bench_attention), 4); }

TEST_CASE("card bench: the filter chooses") {
  check(lines(bench::bench_matmul, "experts/q8_0/1"), 1);
}
