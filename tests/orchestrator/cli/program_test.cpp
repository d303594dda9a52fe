#include <doctest/doctest.h>

#include <sstream>
#include <string>
#include <vector>

#include "orchestrator/cli/commands.h"
#include "tests/support/support.h"

using namespace swarm;

namespace {

struct Ran {
  int code = 0;
  std::string out, err;
};

Ran run(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "swarm");
  std::istringstream in;
  std::ostringstream out, err;
  const int code = cli::run_program(static_cast<int>(arguments.size()), arguments.data(), in, out, err);
  return {code, out.str(), err.str()};
}

}  // namespace

TEST_CASE("cli: every error kind has the exit code of the design") {
  CHECK(cli::exit_code(ErrorKind::failed) == 1);
  CHECK(cli::exit_code(ErrorKind::timeout) == 1);
  CHECK(cli::exit_code(ErrorKind::invalid_input) == 2);
  CHECK(cli::exit_code(ErrorKind::unsupported) == 2);
  CHECK(cli::exit_code(ErrorKind::environment) == 3);
  CHECK(cli::exit_code(ErrorKind::budget) == 4);
  CHECK(cli::exit_code(ErrorKind::cancelled) == 130);
}

TEST_CASE("cli: version and help go to stdout and succeed") {
  const Ran version = run({"--version"});
  CHECK(version.code == 0);
  CHECK(version.out.find("swarm ") == 0);
  const Ran help = run({"--help"});
  CHECK(help.code == 0);
  CHECK(help.out.find("Exit codes:") != std::string::npos);
}

TEST_CASE("cli: an unknown command is invalid input and says so on stderr only") {
  const Ran ran = run({"juggle"});
  CHECK(ran.code == 2);
  CHECK(ran.out.empty());
  CHECK(ran.err.find("juggle") != std::string::npos);
  CHECK(run({}).code == 2);
}

TEST_CASE("cli: read_text names the file it cannot read") {
  std::istringstream in("from stdin");
  CHECK(cli::read_text("-", in).value() == "from stdin");
  const Result<std::string> missing = cli::read_text("/nonexistent/x", in);
  REQUIRE(!missing);
  CHECK(missing.error().kind == ErrorKind::environment);
  CHECK(missing.error().message.find("/nonexistent/x") != std::string::npos);
  CHECK(!cli::read_text("/", in));
  const test::TempDir dir;
  test::write_file(dir.path() / "empty", "");
  CHECK(cli::read_text((dir.path() / "empty").string(), in).value().empty());
}
