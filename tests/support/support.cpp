#include "tests/support/support.h"

#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>

namespace swarm::test {
namespace fs = std::filesystem;

// Tests run in the root of the source tree (WORKING_DIRECTORY in swarm_target).
fs::path golden(const std::string& name) { return fs::path("tests/golden") / name; }

std::optional<fs::path> shared_data(const std::string& name) {
  const fs::path path = fs::path("../shared/data") / name;
  if (!fs::exists(path)) return std::nullopt;
  return path;
}

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("cannot read " + path.string());
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_file(const fs::path& path, const std::string& content) {
  std::ofstream out(path, std::ios::binary);
  out << content;
  if (!out) throw std::runtime_error("cannot write " + path.string());
}

TempDir::TempDir() {
  static std::atomic<int> counter{0};
  path_ = fs::temp_directory_path() /
          ("swarm-test-" + std::to_string(::getpid()) + "-" + std::to_string(counter++));
  fs::create_directories(path_);
}

TempDir::~TempDir() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

std::ostream& operator<<(std::ostream& out, const Mismatch& m) {
  return out << "index " << m.index << ": got " << m.got << ", want " << m.want << " (abs "
             << m.bound.abs << ", rel " << m.bound.rel << ")";
}

std::optional<Mismatch> compare(std::span<const float> got, std::span<const float> want,
                                Bound bound) {
  if (got.size() != want.size()) throw std::runtime_error("compare: sizes differ");
  for (size_t i = 0; i < want.size(); ++i) {
    const double g = got[i], w = want[i];
    if (!(std::abs(g - w) <= bound.abs + bound.rel * std::abs(w)))
      return Mismatch{.index = i, .got = g, .want = w, .bound = bound};
  }
  return std::nullopt;
}

std::string snapshot_difference(const std::string& golden_name, const std::string& text) {
  const fs::path path = golden(golden_name);
  if (const char* update = std::getenv("SWARM_UPDATE_SNAPSHOTS"); update && *update == '1') {
    fs::create_directories(path.parent_path());
    write_file(path, text);
    return "";
  }
  if (!fs::exists(path)) return "no snapshot " + path.string() + " (SWARM_UPDATE_SNAPSHOTS=1)";
  const std::string want = read_file(path);
  if (want == text) return "";
  std::istringstream a(want), b(text);
  std::string want_line, got_line;
  for (int line = 1;; ++line) {
    const bool more_want = static_cast<bool>(std::getline(a, want_line));
    const bool more_got = static_cast<bool>(std::getline(b, got_line));
    if (!more_want && !more_got) return "they differ only in the last line end";
    if (more_want != more_got || want_line != got_line)
      return path.string() + ":" + std::to_string(line) + ": want \"" +
             (more_want ? want_line : "<end>") + "\", got \"" + (more_got ? got_line : "<end>") +
             "\"";
  }
}

}  // namespace swarm::test
