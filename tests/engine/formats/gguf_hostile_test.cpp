// Damaged files: every truncation, every flipped bit before the data, and 1,000 seeded heavier
// mutations. Each must open or give an Error; whatever opens is read to the last byte, so that the
// sanitizers see every access. Memory stays bounded by the file, not by what the file claims.
#include <doctest/doctest.h>
#include <sys/resource.h>

#include "engine/base/rng.h"
#include "tests/engine/formats/damage.h"
#include "tests/engine/formats/raw_gguf.h"
#include "tests/support/support.h"

using namespace swarm;
using namespace swarm::engine::formats;

namespace {

using test::Bytes;

// Growth of the process over a whole test, in KiB. Sanitizers keep freed blocks (256 MiB).
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr long kGrowthMaxKib = 512 * 1024;
#else
constexpr long kGrowthMaxKib = 64 * 1024;
#endif

Bytes varied_bytes() {
  const test::TempDir dir;
  REQUIRE(varied_builder().write(dir.path() / "v.gguf").has_value());
  const std::string text = test::read_file(dir.path() / "v.gguf");
  Bytes bytes(text.size());
  std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

// Where the tensor data begin: everything before it is structure.
size_t structure_bytes() {
  auto builder = varied_builder();
  const auto file = *builder.finish("v");
  size_t data = 0;
  for (const TensorView& tensor : file->tensors()) data += (tensor.data.size() + 63) / 64 * 64;
  return file->file_bytes() - data;
}

// Touches everything an accepted file offers.
void read_everything(const GgufFile& file) {
  for (const TensorView& tensor : file.tensors()) {
    REQUIRE(tensor.rows() * tensor.row_bytes() == tensor.data.size());
    REQUIRE(tensor.elements() < (uint64_t{1} << 16));  // 1 KB of data, a bit each at least
    std::vector<float> values(tensor.elements());
    REQUIRE(dequantize(tensor.type, tensor.data, values).has_value());
    REQUIRE(file.find_tensor(tensor.name) == &tensor);
  }
  for (const auto& [key, value] : file.metadata()) {
    if (file.integer(key)) REQUIRE(file.number(key).has_value());
    const int kinds = int{file.text(key).has_value()} + int{file.array(key).has_value()} +
                      int{file.boolean(key).has_value()} + int{file.number(key).has_value()};
    REQUIRE(kinds == 1);
  }
}

// True when the bytes were accepted.
bool survives(const Bytes& bytes) {
  const auto file = GgufFile::parse(bytes, "f");
  if (file) {
    read_everything(**file);
  } else {
    REQUIRE(file.error().message.starts_with("f: "));
    REQUIRE(file.error().message.size() < 400);
  }
  return file.has_value();
}

long peak_memory_kib() {
  rusage usage = {};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

}  // namespace

TEST_CASE("gguf hostile: every truncation gives an error until only padding is missing") {
  const Bytes whole = varied_bytes();
  const size_t padding = 64 - 50;  // after iq1_s.weight, the last tensor
  int accepted = 0;
  for (size_t length = 0; length <= whole.size(); ++length) {
    CAPTURE(length);
    const bool ok = survives({whole.begin(), whole.begin() + static_cast<ptrdiff_t>(length)});
    REQUIRE(ok == (length + padding >= whole.size()));
    accepted += ok;
  }
  CHECK(accepted == static_cast<int>(padding) + 1);
}

TEST_CASE("gguf hostile: every single flipped bit before the data opens or gives an error") {
  const Bytes whole = varied_bytes();
  const size_t structure = structure_bytes();
  const long before = peak_memory_kib();
  size_t accepted = 0;
  for (size_t bit = 0; bit < structure * 8; ++bit) {
    CAPTURE(bit);
    Bytes bytes = whole;
    bytes[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    accepted += survives(bytes);
  }
  CHECK(accepted > 0);              // text and numbers may change
  CHECK(accepted < structure * 8);  // sizes and types may not
  CHECK(peak_memory_kib() - before < kGrowthMaxKib);
}

TEST_CASE("gguf hostile: 1,000 seeded mutations open or give an error, mapped and in memory") {
  const Bytes whole = varied_bytes();
  const test::TempDir dir;
  const auto path = dir.path() / "m.gguf";
  const long before = peak_memory_kib();
  int accepted = 0;
  for (uint64_t seed = 0; seed < 1000; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    Bytes bytes = whole;
    for (uint64_t hits = 1 + rng.below(4); hits > 0; --hits) test::damage(bytes, rng);
    const bool ok = survives(bytes);
    accepted += ok;
    test::write_file(path, std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
    const auto mapped = GgufFile::open(path);
    REQUIRE(mapped.has_value() == ok);
    if (mapped) read_everything(**mapped);
  }
  CHECK(accepted > 100);
  CHECK(accepted < 900);
  CHECK(peak_memory_kib() - before < kGrowthMaxKib);
}
