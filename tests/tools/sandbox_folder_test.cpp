// What a program may take of the disk in the folder it was granted, and that the sandbox around it
// has nothing of ours either.
#include <doctest/doctest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "engine/base/async/deadline.h"
#include "engine/base/async/nursery.h"
#include "engine/base/async/run.h"
#include "tests/support/process.h"
#include "tests/support/support.h"
#include "tools/sandbox/sandbox.h"

namespace swarm::tools::sandbox {
namespace {
namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::seconds;

struct Place {
  test::TempDir outer;
  fs::path root = outer.path() / "granted";
  SandboxOptions options;
  Place() {
    fs::create_directories(root);
    options.root = root.string();
    options.child.wall = seconds(30);
  }
};

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("sandbox escape 22: many files do not fill the folder beyond its limit") {
  Place place;
  test::write_file(place.root / "old", std::string(3 << 20, 'o'));  // what was there counts not
  place.options.file_bytes_max = 2 << 20;        // each file stays within its own
  place.options.disk_bytes_max = 20 << 20;
  Sandbox box(place.options);
  const auto call = [&](const std::string& script) {
    return run_root(box.run({"/bin/sh", "-c", script}, ""));
  };
  const ChildResult few = call("for i in 1 2 3; do head -c 2000000 /dev/zero > a$i; done");
  CHECK(few.stopped == Stopped::no);
  const ChildResult many = call("i=0; while [ $i -lt 2000 ]; do i=$((i+1)); "
                                "head -c 2000000 /dev/zero > b$i; done");
  CHECK(many.stopped == Stopped::disk);
  // What is written between two looks passes the limit; it is a small part of what was tried.
  const uint64_t left = disk_use(place.root.string(), {}).bytes;
  CHECK(left > (20u << 20));
  CHECK(left < (400u << 20));
  CHECK_THROWS_WITH_AS(call("true"), doctest::Contains("somebody must make room"), ErrorException);
  for (const auto& entry : fs::directory_iterator(place.root))
    if (entry.path().filename() != "old") fs::remove(entry.path());
  CHECK(call("true").stopped == Stopped::no);
}

TEST_CASE("sandbox escape 23: deleted files that are kept open fill the disk no further either") {
  Place place;
  place.options.file_bytes_max = 2 << 20;
  place.options.disk_bytes_max = 20 << 20;
  const std::string hoard =
      "import os, time\nkept = []\n"
      "for i in range(100):\n"
      "  f = open('f%d' % i, 'wb'); os.unlink(f.name)\n"
      "  f.write(bytes(2000000)); f.flush(); kept.append(f); time.sleep(0.03)\n"
      "print('had it')\n";
  Sandbox box(place.options);
  const ChildResult got = run_root(box.run({"python3", "-c", hoard}, ""));
  CHECK(got.stopped == Stopped::disk);
  CHECK_FALSE(contains(got.out.text(), "had it"));
}

TEST_CASE("sandbox escape 24: empty files without number are stopped, too") {
  Place place;
  place.options.disk_entries_max = 500;
  Sandbox box(place.options);
  const std::string script = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); : > e$i; done; "
                             "echo ended";
  const ChildResult got = run_root(box.run({"/bin/sh", "-c", script}, ""));
  CHECK(got.stopped == Stopped::disk);
  CHECK_FALSE(contains(got.out.text(), "ended"));
}

// "" when it is gone meanwhile.
std::string text_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST_CASE("sandbox escape 25: bubblewrap itself has no environment of ours") {
  // Its init is process 1 inside. Whoever may read /proc/1/environ would find what bubblewrap was
  // given, which --clearenv takes from the program only.
  ::setenv("SWARM_TEST_SECRET", "s3cret-env", 1);
  ::setenv("TERM", "s3cret-term", 1);            // on the whitelist of other children
  Place place;
  std::string seen;
  Sandbox box(place.options);
  const auto call = [&]() -> Async<> {
    co_await with_nursery([&](Nursery& nursery) -> Async<> {
      nursery.start([&]() -> Async<> {
        const std::vector<std::string> command{"/bin/sh", "-c",
                                               "sleep 1 # " + place.root.string()};
        co_await box.run(command, "");
      });
      nursery.start([&]() -> Async<> {
        for (int i = 0; i < 100 && seen.empty(); ++i) {
          co_await wait_until(steady_clock(), steady_clock().now() + milliseconds(20));
          for (const pid_t pid : test::processes_mentioning(place.root.string())) {
            const std::string process = "/proc/" + std::to_string(pid);
            if (contains(text_of(process + "/comm"), "bwrap"))
              seen += "bwrap:" + text_of(process + "/environ");
          }
        }
      });
      co_return;
    });
  };
  run_root(call());
  ::unsetenv("SWARM_TEST_SECRET");
  ::unsetenv("TERM");
  CHECK(contains(seen, "bwrap:"));
  CHECK_FALSE(contains(seen, "s3cret"));
}

}  // namespace
}  // namespace swarm::tools::sandbox
