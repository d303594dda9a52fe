// tests/support/support.h — Shared helpers: golden files, temporary folders, NaN-proof comparison.
#pragma once

#include <cmath>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <ostream>
#include <span>
#include <string>

namespace swarm::test {

// Builds with a sanitizer look for what any run of the code shows. There a test may take fewer
// seeds; the whole count is the business of the other builds.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kInstrumented = true;
#else
inline constexpr bool kInstrumented = false;
#endif

// Path of a file under tests/golden of the source tree.
std::filesystem::path golden(const std::string& name);

// Path of published test data that lives beside the repository (../shared/data); nullopt if absent.
std::optional<std::filesystem::path> shared_data(const std::string& name);

std::string read_file(const std::filesystem::path& path);
void write_file(const std::filesystem::path& path, const std::string& content);

// A folder of its own, removed with everything in it.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

struct Bound {
  double abs = 0;
  double rel = 0;
};

struct Mismatch {
  size_t index = 0;
  double got = 0;
  double want = 0;
  Bound bound = {};
};
std::ostream& operator<<(std::ostream& out, const Mismatch& mismatch);

// The first element that is not provably within its bound; NaN never passes. Sizes must agree.
std::optional<Mismatch> compare(std::span<const float> got, std::span<const float> want,
                                Bound bound);

// SWARM_UPDATE_SNAPSHOTS=1 rewrites; otherwise compares text with the golden file and reports the
// first differing line ("" when equal).
std::string snapshot_difference(const std::string& golden_name, const std::string& text);

}  // namespace swarm::test
