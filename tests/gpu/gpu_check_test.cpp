// gpu-check on made-up bundles: one valid report, whatever the steps do. Programs of the bundle are
// small shell scripts; the tools of a card (nvidia-smi, compute-sanitizer) too.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "engine/base/json.h"
#include "engine/model/synth.h"
#include "tests/support/process.h"
#include "tests/support/support.h"

using namespace swarm;
namespace fs = std::filesystem;

namespace {

constexpr const char* kCard = R"({"devices":[{"device":"cuda:0","usable":true}],"cuda":{}})";
constexpr const char* kNoCard = R"({"devices":[],"cuda":{"reason":"no NVIDIA driver"}})";

class Bundle {
 public:
  explicit Bundle(const std::string& devices) {
    program("swarm", "case $1 in devices) echo '" + devices +
                         "' ;; bench) echo \"for $5\"; echo '{\"test\":\"pp512\",\"n\":1}'; "
                         "echo '{\"test\":\"tg128\",\"n\":2}' ;; esac");
    program("demo-check", "echo \"demo of $1\"");
    program("bench_card", "echo '{\"test\":\"copy/device\",\"us\":5}'");
    program("tools/nvidia-smi", "echo 'Test Card 9000, 580.1'");
    program("tools/compute-sanitizer",
            "echo \"orders $SWARM_CARD_ORDERS\"; [ \"$2\" = memcheck ] || exit 9");
    test::write_file(folder_.path() / "benches.txt", "# a comment\nmodel-a -p 1\nmodel-b\n");
    test::write_file(folder_.path() / "build.txt", "commit abc\n");
    test::write_file(folder_.path() / "gpu_tests.txt", "");
    fs::copy_file("tests/gpu/gpu-check", folder_.path() / "gpu-check");
  }
  void program(const std::string& name, const std::string& text) {
    fs::create_directories((folder_.path() / name).parent_path());
    test::write_file(folder_.path() / name, "#!/bin/sh\n" + text + "\n");
    fs::permissions(folder_.path() / name, fs::perms::owner_all);
  }
  void test_program(const std::string& name, const std::string& text) {
    program(name, text);
    names_ += name + "\n";
    test::write_file(folder_.path() / "gpu_tests.txt", names_);
  }
  test::Finished check(std::vector<std::string> flags = {}) {
    const std::string path = "PATH=" + (folder_.path() / "tools").string() + ":" + getenv("PATH");
    std::vector<std::string> command{"/usr/bin/env", path, "GPU_CHECK_TEST_SECONDS=1",
                                     (folder_.path() / "gpu-check").string(), "--out",
                                     (folder_.path() / "report.json").string()};
    command.insert(command.end(), flags.begin(), flags.end());
    return test::run_process(command);
  }
  std::string path(const std::string& name) const { return (folder_.path() / name).string(); }
  Json report() const {
    return parse_json(test::read_file(folder_.path() / "report.json"), "report.json").value();
  }

 private:
  test::TempDir folder_;
  std::string names_;
};

const Json& step(const Json& report, const std::string& kind, const std::string& name) {
  for (const Json& one : report["steps"])
    if (one["kind"] == kind && one["name"] == name) return one;
  FAIL("no step " << kind << " " << name);
  return report;
}

}  // namespace

TEST_CASE("gpu-check: without a card it says so, leaves a report and exits with 3") {
  Bundle bundle(kNoCard);
  bundle.test_program("test_a", "exit 0");
  const test::Finished ran = bundle.check();
  CHECK(ran.code == 3);
  CHECK(ran.err.find("no card that this build can use") != std::string::npos);
  const Json report = bundle.report();
  CHECK(report["complete"] == true);
  CHECK(report["passed"] == 0);
  CHECK(report["devices"]["cuda"]["reason"] == "no NVIDIA driver");
  CHECK(report["steps"].size() == 1);
}

TEST_CASE("gpu-check: every step is reported, whatever it does") {
  Bundle bundle(kCard);
  bundle.test_program("test_good", "echo fine");
  bundle.test_program("test_bad",
                      "printf 'say \"no\"\\\\ \\001\\377\\ttab\\nsecond line\\n'; exit 1");
  bundle.test_program("test_skips", "exit 77");
  bundle.test_program("test_hangs", "while :; do :; done");
  bundle.test_program("test_fault", "kill -SEGV $$");
  const test::Finished ran = bundle.check();
  CHECK(ran.code == 1);
  const Json report = bundle.report();
  CHECK(report["complete"] == true);
  CHECK(report["card"] == "Test Card 9000");
  CHECK(report["driver"] == "580.1");
  CHECK(report["build"] == "commit abc");
  CHECK(step(report, "test", "test_good")["result"] == "passed");
  CHECK(step(report, "test", "test_good")["log"] == "fine");
  const Json& bad = step(report, "test", "test_bad");
  CHECK(bad["result"] == "failed");
  CHECK(bad["exit_code"] == 1);
  CHECK(bad["log"] == "say \"no\"\\ \ttab\nsecond line");
  CHECK(step(report, "test", "test_skips")["result"] == "skipped");
  const Json& hangs = step(report, "test", "test_hangs");
  CHECK(hangs["result"] == "timeout");
  CHECK(hangs["seconds"] >= 1.0);
  CHECK(step(report, "test", "test_fault")["result"] == "failed");
  CHECK(step(report, "memcheck", "test_good")["result"] == "passed");
  CHECK(step(report, "memcheck", "test_good")["log"] == "orders 1");
  CHECK(step(report, "racecheck", "test_good")["exit_code"] == 9);
  const Json& bench = step(report, "bench", "model-a");
  CHECK(bench["result"] == "passed");
  REQUIRE(bench["lines"].size() == 2);
  CHECK(bench["lines"][1]["test"] == "tg128");
  CHECK(step(report, "bench", "model-b")["result"] == "passed");
  CHECK(step(report, "bench", "bench_card")["lines"][0]["test"] == "copy/device");
  CHECK(step(report, "demo", "price desk")["log"] == "demo of ./swarm");
  // 5 tests, the demo, 4 under each tool (one faults on purpose), 3 benches.
  CHECK(report["steps"].size() == 17);
  CHECK(report["passed"] == 1 + 1 + 4 + 3);
  CHECK(report["failed"] == 3 + 4);
  CHECK(report["skipped"] == 1);
}

TEST_CASE("gpu-check: all passed is 0; --only chooses the kinds") {
  Bundle bundle(kCard);
  bundle.test_program("test_good", "exit 0");
  CHECK(bundle.check({"--only", "test,bench"}).code == 0);
  const Json report = bundle.report();
  CHECK(report["steps"].size() == 4);
  CHECK(report["failed"] == 0);
}

TEST_CASE("gpu-check: --match chooses steps by name, --logs keeps what they printed, whole") {
  Bundle bundle(kCard);
  bundle.test_program("test_a", "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i + 1)); done");
  bundle.test_program("test_b", "exit 1");
  const std::string logs = bundle.path("logs");
  CHECK(bundle.check({"--match", "test_a", "--logs", logs}).code == 1);
  const Json report = bundle.report();
  CHECK(report["steps"].size() == 3);                      // itself and under each tool
  CHECK(step(report, "test", "test_a")["log"].get<std::string>().size() < 4500);
  const std::string log = test::read_file(logs + "/test.test_a.log");
  CHECK(log.starts_with("line 0\n"));
  CHECK(log.ends_with("line 2999\n"));
  CHECK(bundle.check({"--match", "model-", "--logs", logs}).code == 0);
  CHECK(bundle.report()["steps"].size() == 2);
  CHECK(test::read_file(logs + "/bench.model-a.log").starts_with("for "));
}

TEST_CASE("gpu-check: a choice that leaves nothing is no success") {
  Bundle bundle(kCard);
  bundle.test_program("test_good", "exit 0");
  const test::Finished ran = bundle.check({"--match", "test_goud"});
  CHECK(ran.code == 2);
  CHECK(ran.err.find("no step of") != std::string::npos);
  CHECK(bundle.check({"--only", "tests"}).code == 2);
}

TEST_CASE("gpu-check: benchmarks come before the sanitizers") {
  Bundle bundle(kCard);
  bundle.test_program("test_good", "exit 0");
  bundle.check();
  std::string order;
  const Json report = bundle.report();
  for (const Json& one : report["steps"]) order += one["kind"].get<std::string>().substr(0, 1);
  CHECK(order == "tdbbbmr");
}

TEST_CASE("gpu-check: what finds no time is reported as not run, and is not a success") {
  Bundle bundle(kCard);
  bundle.test_program("test_good", "exit 0");
  CHECK(bundle.check({"--limit", "0"}).code == 1);
  const Json report = bundle.report();
  CHECK(step(report, "test", "test_good")["result"] == "not run");
  CHECK(step(report, "bench", "model-b")["result"] == "not run");
  CHECK(report["passed"] == 0);
}

TEST_CASE("gpu-check: a check that is killed leaves what it had") {
  Bundle bundle(kCard);
  bundle.test_program("test_good", "exit 0");
  // Kills the parent of its parent, which is `timeout`.
  bundle.test_program("test_kills", "kill -KILL $(cut -d ' ' -f 4 /proc/$PPID/stat)");
  bundle.test_program("test_later", "exit 0");
  CHECK(bundle.check().code == 128 + 9);
  const Json report = bundle.report();
  CHECK(report["complete"] == false);
  CHECK(report["steps"].size() == 1);
  CHECK(step(report, "test", "test_good")["result"] == "passed");
}

TEST_CASE("gpu-check: the demo is right on the CPU, and what is not there fails it") {
  const test::Finished ran = test::run_process({"tests/gpu/demo-check", SWARM_PROGRAM, "cpu"});
  CHECK_MESSAGE(ran.code == 0, ran.out << ran.err);
  CHECK(std::count(ran.out.begin(), ran.out.end(), '\n') == 3);
  const test::Finished none = test::run_process({"tests/gpu/demo-check", SWARM_PROGRAM, "cuda:99"});
  CHECK(none.code == 1);
  CHECK(none.out.find("portable: expected ") != std::string::npos);
  CHECK(none.out.find("found exit code 3") != std::string::npos);
}

TEST_CASE("gpu-check: the program knows every model that is measured") {
  std::istringstream in(test::read_file("tests/gpu/benches.txt"));
  int models = 0;
  for (std::string line; std::getline(in, line);) {
    if (line.empty() || line[0] == '#') continue;
    CAPTURE(line);
    const std::string source = line.substr(0, line.find(' '));
    REQUIRE(source.starts_with("synth:"));
    const size_t colon = source.find(':', 6);
    const auto built = engine::model::build_synthetic(
        {.preset = source.substr(6, colon - 6), .type = source.substr(colon + 1)});
    CHECK_MESSAGE(built.has_value(), (built ? "" : built.error().message));
    ++models;
  }
  CHECK(models >= 4);
}

TEST_CASE("gpu-check: wrong arguments are refused with the usage") {
  Bundle bundle(kCard);
  for (const std::vector<std::string>& flags :
       {std::vector<std::string>{"--limit", "ten"}, {"--limit"}, {"--what"}}) {
    const test::Finished ran = bundle.check(flags);
    CHECK(ran.code == 2);
    CHECK(ran.err.find("--out FILE") != std::string::npos);
  }
}
