// Attempts to get out of the sandbox, or to take more than was given. Each says what must not
// happen; a machine that cannot make a sandbox fails them all, with the reason.
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>

#include "engine/base/async/deadline.h"
#include "engine/base/async/nursery.h"
#include "engine/base/async/run.h"
#include "tests/support/process.h"
#include "tests/support/support.h"
#include "tools/sandbox/sandbox.h"
#include "tools/tool.h"

namespace swarm::tools::sandbox {
namespace {
namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::seconds;

struct Outcome {
  std::string text;
  int code = 0;
  bool by_signal = false;
  Stopped stopped = Stopped::no;
  milliseconds wall{0};
};

Outcome run(const SandboxOptions& options, const std::string& script, std::string input = {}) {
  Sandbox box(options);
  const auto begin = std::chrono::steady_clock::now();
  const ChildResult result =
      run_root(box.run({"/bin/sh", "-c", script}, std::move(input)));
  Outcome out;
  out.text = to_text(result, options.child);
  out.code = result.end.value;
  out.by_signal = result.end.by_signal;
  out.stopped = result.stopped;
  out.wall = std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - begin);
  return out;
}

// A granted folder beside a secret that is not granted.
struct Place {
  test::TempDir outer;
  fs::path root = outer.path() / "granted";
  fs::path secret = outer.path() / "secret";
  SandboxOptions options;
  Place() {
    fs::create_directories(root);
    test::write_file(secret, "s3cret");
    options.root = root.string();
    options.child.wall = seconds(20);
  }
};

BuiltinOptions below(const std::string& root) {
  BuiltinOptions options;
  options.program.root = root;
  return options;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// A loopback or abstract listener that nobody inside may reach.
struct Listener {
  int fd = -1;
  ~Listener() { ::close(fd); }
  bool was_called() const {
    timeval wait{0, 100000};
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    return ::select(fd + 1, &set, nullptr, nullptr, &wait) > 0;
  }
};

TEST_CASE("sandbox: this machine can make one") {
  Sandbox box{SandboxOptions{}};
  const Result<void> usable = run_root(box.check());
  INFO((usable ? std::string() : usable.error().message));
  CHECK(usable.has_value());
}

TEST_CASE("sandbox: the granted folder is there and work is done in it") {
  Place place;
  const Outcome got = run(place.options, "cat; pwd; echo hello > made; exit 3", "input\n");
  CHECK(got.text == "input\n/workspace\n[exit code 3]");
  CHECK(got.code == 3);
  CHECK(test::read_file(place.root / "made") == "hello\n");
}

TEST_CASE("sandbox escape 1: a file outside by its absolute path is not there") {
  Place place;
  const Outcome got =
      run(place.options, "cat " + place.secret.string() + " /etc/shadow /etc/passwd");
  CHECK(got.code != 0);
  CHECK_FALSE(contains(got.text, "s3cret"));
  CHECK_FALSE(contains(got.text, "root:"));
}

TEST_CASE("sandbox escape 2: .. ends at the top of the sandbox") {
  Place place;
  const Outcome got = run(place.options, "cat ../secret ../../../../../../secret; ls -a ../.. /");
  CHECK_FALSE(contains(got.text, "s3cret"));
  CHECK_FALSE(contains(got.text, "home"));
  CHECK_FALSE(contains(got.text, "root"));
}

TEST_CASE("sandbox escape 3: a symbolic link to the outside leads nowhere") {
  Place place;
  fs::create_symlink(place.secret, place.root / "link");
  fs::create_symlink("../secret", place.root / "relative");
  fs::create_symlink(place.outer.path(), place.root / "folder");
  const Outcome got = run(place.options, "cat link relative folder/secret; echo x > link");
  CHECK(got.code != 0);
  CHECK_FALSE(contains(got.text, "s3cret"));
  CHECK(test::read_file(place.secret) == "s3cret");
}

TEST_CASE("sandbox escape 4: no hard link to a file of the system, no rename out") {
  Place place;
  const Outcome got =
      run(place.options, "ln /usr/bin/env stolen && echo linked; touch a; mv a ../a && echo moved");
  CHECK_FALSE(contains(got.text, "linked"));
  CHECK_FALSE(contains(got.text, "moved"));
  CHECK_FALSE(fs::exists(place.outer.path() / "a"));
}

TEST_CASE("sandbox escape 5: the system and the root folder cannot be written") {
  Place place;
  const Outcome got = run(place.options,
                          "for d in /usr /usr/bin /bin /lib / /dev /etc /proc/sys/kernel; do "
                          "touch $d/swarm-was-here 2>/dev/null && echo wrote $d; done; "
                          "mkdir /new && echo wrote new; true");
  CHECK_FALSE(contains(got.text, "wrote"));
  CHECK_FALSE(fs::exists("/usr/swarm-was-here"));
}

TEST_CASE("sandbox escape 6: a folder granted for reading cannot be written") {
  Place place;
  place.options.writable = false;
  test::write_file(place.root / "a", "one");
  const Outcome got = run(place.options, "cat a; echo two > a; rm a; chmod 777 .; touch b");
  CHECK(contains(got.text, "one"));
  CHECK(test::read_file(place.root / "a") == "one");
  CHECK_FALSE(fs::exists(place.root / "b"));
}

TEST_CASE("sandbox escape 7: /tmp is private, bounded and gone afterwards") {
  Place place;
  place.options.tmp_bytes_max = 4 << 20;
  const fs::path mark = fs::path("/tmp") / ("swarm-mark-" + std::to_string(::getpid()));
  test::write_file(mark, "host");
  const Outcome got = run(place.options, "cat " + mark.string() +
                                             "; head -c 30000000 /dev/zero > /tmp/big; "
                                             "head -c 30000000 /dev/zero > /dev/shm/big; "
                                             "stat -c %s /tmp/big /dev/shm/big");
  fs::remove(mark);
  CHECK_FALSE(contains(got.text, "host\n"));
  CHECK(contains(got.text, "No space left"));
  CHECK(contains(got.text, "4194304\n4194304"));
  CHECK_FALSE(fs::exists("/tmp/big"));
}

TEST_CASE("sandbox escape 8: no connection to a server of this machine") {
  Listener listener{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  REQUIRE(::bind(listener.fd, reinterpret_cast<sockaddr*>(&address), size) == 0);
  REQUIRE(::listen(listener.fd, 4) == 0);
  ::getsockname(listener.fd, reinterpret_cast<sockaddr*>(&address), &size);
  const std::string port = std::to_string(ntohs(address.sin_port));
  const std::string call = "python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", " +
                           port + "), 3); print(\"connected\")'";
  Place place;
  CHECK_FALSE(contains(run(place.options, call).text, "connected"));
  CHECK_FALSE(listener.was_called());
  // The attempt itself works: with the network granted it arrives.
  place.options.network = true;
  CHECK(contains(run(place.options, call).text, "connected"));
  CHECK(listener.was_called());
}

TEST_CASE("sandbox escape 9: no abstract socket of this machine, no interface but loopback") {
  Listener listener{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = "swarm-escape-" + std::to_string(::getpid());
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  const auto size =
      static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  REQUIRE(::bind(listener.fd, reinterpret_cast<sockaddr*>(&address), size) == 0);
  REQUIRE(::listen(listener.fd, 4) == 0);
  Place place;
  const Outcome got = run(place.options,
                          "python3 -c 'import socket; s = socket.socket(socket.AF_UNIX); "
                          "s.connect(\"\\0" + name + "\"); print(\"connected\")'; "
                          "python3 -c 'import socket; print([n for _, n in "
                          "socket.if_nameindex() if n != \"lo\"])'");
  CHECK_FALSE(contains(got.text, "connected"));
  CHECK(contains(got.text, "ConnectionRefusedError"));
  CHECK(contains(got.text, "[]"));
  CHECK_FALSE(listener.was_called());
}

TEST_CASE("sandbox escape 10: a fork bomb is stopped, and nothing of it is left") {
  Place place;
  place.options.child.processes_max = 32;
  const std::string mark = "swarm-bomb-" + std::to_string(::getpid());
  // Every process waits, so that the bomb only grows.
  const Outcome got = run(place.options, "b() { b \"$1\" & b \"$1\" & wait; }; b " + mark +
                                             "; echo survived");
  INFO(got.text);
  CHECK(got.wall < seconds(15));
  // An ordinary user is refused by the kernel, the superuser is stopped by us.
  CHECK((got.stopped == Stopped::processes || contains(got.text, "fork")));
  for (int i = 0; i < 200 && !test::processes_mentioning(mark).empty(); ++i) ::poll(nullptr, 0, 10);
  CHECK(test::processes_mentioning(mark).empty());
}

TEST_CASE("sandbox escape 11: a process in a session of its own does not outlive the call") {
  Place place;
  const std::string mark = std::to_string(600000 + ::getpid() % 100000);
  const Outcome got = run(place.options, "setsid sleep " + mark +
                                             " >/dev/null 2>&1 </dev/null & "
                                             "(trap '' TERM HUP; sleep " + mark + ") & echo begun");
  CHECK(contains(got.text, "begun"));
  CHECK(got.stopped == Stopped::no);
  CHECK(got.wall < seconds(5));
  for (int i = 0; i < 200 && !test::processes_mentioning("sleep " + mark).empty(); ++i)
    ::poll(nullptr, 0, 10);
  CHECK(test::processes_mentioning("sleep " + mark).empty());
}

TEST_CASE("sandbox escape 12: endless output is stopped and kept small") {
  Place place;
  place.options.child.output_bytes_max = 1000;
  place.options.child.output_bytes_stop = 5 << 20;
  for (const char* script : {"yes", "yes >&2"}) {
    const Outcome got = run(place.options, script);
    CHECK(got.stopped == Stopped::output);
    CHECK(got.text.size() < 3000);
    CHECK(contains(got.text, "bytes left out"));
    CHECK(contains(got.text, "[stopped: it wrote more than 5242880 bytes]"));
  }
}

TEST_CASE("sandbox escape 13: our environment is not readable, neither directly nor in /proc") {
  ::setenv("SWARM_TEST_SECRET", "s3cret-env", 1);
  Place place;
  place.options.env["GIVEN"] = "yes";
  const Outcome got = run(place.options, "env; cat /proc/*/environ | tr '\\0' '\\n'; "
                                         "cat /proc/self/mountinfo >/dev/null");
  ::unsetenv("SWARM_TEST_SECRET");
  CHECK(contains(got.text, "GIVEN=yes"));
  CHECK(contains(got.text, "HOME=/tmp"));
  CHECK_FALSE(contains(got.text, "s3cret-env"));
  CHECK_FALSE(contains(got.text, "SWARM_TEST"));
}

TEST_CASE("sandbox escape 14: processes of this machine are neither seen nor signalled") {
  Place place;
  const Outcome got = run(place.options,
                          "ls /proc | grep -c '^[0-9]'; cat /proc/*/comm; for p in " +
                              std::to_string(::getpid()) + " " + std::to_string(::getppid()) +
                              "; do kill -0 $p 2>/dev/null && echo rea''ched; done; true");
  CHECK_FALSE(contains(got.text, "test_tools"));
  CHECK_FALSE(contains(got.text, "reached"));
  CHECK(std::stoi(got.text) <= 8);
}

TEST_CASE("sandbox escape 15: what a program leaves behind does not lead the file tools out") {
  Place place;
  run(place.options, "ln -s ../secret link; ln -s .. up; mkfifo pipe; mkdir d; ln -s ../../ d/up");
  const auto tool =
      make_builtin("read_file", below(place.root.string())).value();
  for (const char* path : {"link", "up/secret", "d/up/secret", "d/../../secret", "pipe"}) {
    CAPTURE(std::string(path));
    Json arguments = Json::object();
    arguments["path"] = path;
    const ToolResult got = run_root(tool->call(arguments, ToolContext{}));
    CHECK(got.is_error);
    CHECK_FALSE(contains(got.text, "s3cret"));
  }
}

TEST_CASE("sandbox escape 16: knobs of the kernel cannot be turned") {
  Place place;
  // The same value is written back: should this ever succeed, nothing has changed.
  const Outcome got = run(place.options,
                          "for f in /proc/sys/kernel/core_pattern /proc/sys/kernel/hostname "
                          "/proc/sys/vm/swappiness /proc/self/oom_score_adj; do "
                          "v=$(cat $f) && echo read; (echo \"$v\" > $f) 2>/dev/null && "
                          "echo turned $f; done; test -w /proc/sysrq-trigger && echo turned; "
                          "ls /sys 2>/dev/null; true");
  CHECK(contains(got.text, "read\nread\n"));
  CHECK_FALSE(contains(got.text, "turned"));
  CHECK_FALSE(contains(got.text, "kernel\n"));
}

TEST_CASE("sandbox escape 17: no further namespace, mount, device or privilege") {
  Place place;
  const Outcome got = run(place.options,
                          "unshare -U true && echo got-1; unshare -m true && echo got-2; "
                          "mount -t tmpfs none /tmp && echo got-3; "
                          "mknod d b 8 0 && echo got-4; chroot / true && echo got-5; "
                          "chown 0 . && echo got-6; ls /dev/sd* /dev/mem /dev/kmsg && echo got-7; "
                          "grep -E 'NoNewPrivs|CapEff|CapBnd' /proc/self/status");
  INFO(got.text);
  CHECK_FALSE(contains(got.text, "got-"));
  CHECK(contains(got.text, "NoNewPrivs:\t1"));
  CHECK(contains(got.text, "CapEff:\t0000000000000000"));
  CHECK(contains(got.text, "CapBnd:\t0000000000000000"));
}

TEST_CASE("sandbox escape 18: memory of one process and of all is bounded") {
  Place place;
  place.options.child.memory_bytes_max = 200 << 20;
  const std::string hog = "python3 -c 'x = bytearray(%)\n"
                          "for i in range(0, len(x), 4096): x[i] = 1\n"
                          "print(\"had it\")\nimport time; time.sleep(3)'";
  const auto of = [&](const std::string& bytes) {
    return std::string(hog).replace(hog.find('%'), 1, bytes);
  };
  const Outcome one = run(place.options, of("400 << 20"));
  CHECK_FALSE(contains(one.text, "had it"));
  CHECK(contains(one.text, "MemoryError"));
  const Outcome sum = run(place.options, of("60 << 20") + " & " + of("60 << 20") + " & " +
                                             of("60 << 20") + " & " + of("60 << 20") + " & wait");
  CHECK(sum.stopped == Stopped::memory);
  CHECK(sum.wall < seconds(10));
}

TEST_CASE("sandbox escape 19: a file does not grow beyond its limit") {
  Place place;
  place.options.file_bytes_max = 1 << 20;
  const Outcome got = run(place.options, "head -c 50000000 /dev/zero > big; echo ended");
  CHECK(contains(got.text, "ended"));
  CHECK(fs::file_size(place.root / "big") <= (1 << 20));
}

TEST_CASE("sandbox escape 20: time is up for whoever sleeps, spins, ignores or stops itself") {
  Place place;
  place.options.child.wall = milliseconds(700);
  for (const char* script : {"sleep 100", "while :; do :; done", "trap '' TERM INT HUP; sleep 100",
                             "kill -STOP $$", "exec sleep 100 >/dev/null 2>&1 </dev/null"}) {
    CAPTURE(std::string(script));
    const Outcome got = run(place.options, script);
    CHECK(got.stopped == Stopped::wall);
    CHECK(got.wall < seconds(8));
    CHECK(contains(got.text, "[stopped: it ran longer than 700 ms]"));
  }
}

TEST_CASE("sandbox escape 21: descriptors of ours are not inherited, there is no terminal") {
  const test::TempDir dir;
  test::write_file(dir.path() / "open", "s3cret");
  const int open = ::open((dir.path() / "open").c_str(), O_RDONLY);  // without close-on-exec
  Place place;
  const Outcome got = run(place.options,
                          "ls /proc/self/fd | wc -l; cat <&" + std::to_string(open) +
                              "; (: > /dev/tty) 2>/dev/null && echo terminal; true");
  ::close(open);
  CHECK(std::stoi(got.text) == 4);  // the three, and the folder that ls reads
  CHECK_FALSE(contains(got.text, "s3cret"));
  CHECK_FALSE(contains(got.text, "terminal"));
}

TEST_CASE("sandbox: cancelling the call kills the program at once") {
  Place place;
  Sandbox box(place.options);
  const std::string mark = std::to_string(700000 + ::getpid() % 100000);
  const auto begin = std::chrono::steady_clock::now();
  const auto body = [&]() -> Async<> {
    const Deadline deadline = Deadline::after(steady_clock(), milliseconds(400));
    const std::vector<std::string> command{"/bin/sleep", mark};
    co_await with_deadline(box.run(command, ""), deadline);
  };
  CHECK_THROWS_AS(run_root(body()), ErrorException);
  CHECK(std::chrono::steady_clock::now() - begin < seconds(5));
  for (int i = 0; i < 200 && !test::processes_mentioning("sleep " + mark).empty(); ++i)
    ::poll(nullptr, 0, 10);
  CHECK(test::processes_mentioning("sleep " + mark).empty());
}

TEST_CASE("sandbox: what cannot be confined is refused with the remedy, unless switched off") {
  Place place;
  place.options.root = (place.outer.path() / "missing").string();
  CHECK_THROWS_AS(run(place.options, "true"), ErrorException);
  Place other;
  other.options.confined = false;
  const Outcome got = run(other.options, "pwd; echo $HOME");
  CHECK(got.text == other.root.string() + "\n/tmp\n");
}

}  // namespace
}  // namespace swarm::tools::sandbox
