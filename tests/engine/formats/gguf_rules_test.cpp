// Every rule of the reader, one hand-written file each; messages name what was expected and found.
#include <doctest/doctest.h>

#include <functional>

#include "tests/engine/formats/raw_gguf.h"
#include "tests/support/support.h"

using namespace swarm;
using namespace swarm::engine::formats;

namespace {

constexpr uint64_t kHuge = UINT64_MAX;

// One tensor and its data.
std::string tensor_error(const std::vector<uint64_t>& dims, uint32_t type, uint64_t offset = 0,
                         size_t data = 4096) {
  return RawGguf().header(1, 0).tensor("w", dims, type, offset).data(data).error();
}

std::string alignment_error(uint32_t alignment) {
  return RawGguf().header(0, 1).key("general.alignment", kU32).put(alignment).error();
}

}  // namespace

TEST_CASE("gguf rules: header") {
  CHECK(RawGguf().error() == "f: not a GGUF file (expected the bytes \"GGUF\" at the start)");
  CHECK(RawGguf().put<uint32_t>(0x47475546).error().starts_with("f: not a GGUF file"));
  CHECK(RawGguf().header(0, 0).error().empty());
  CHECK(RawGguf().header(0, 0, 2).error().empty());
  CHECK(RawGguf().header(0, 0, 1).error() == "f: expected GGUF version 2 or 3, found 1");
  CHECK(RawGguf().header(0, 0, 3u << 24).error() ==
        "f: expected GGUF version 2 or 3, found 50331648 (a big-endian file?)");
  CHECK(RawGguf().put<uint32_t>(0x46554747).error() ==
        "f: expected 4 bytes at byte 4, found 0 before the end of the file");
  CHECK(RawGguf().header(0, 0, 1).bytes().size() == 24);
  CHECK(GgufFile::parse(RawGguf().header(0, 0, 1).bytes(), "f").error().kind ==
        ErrorKind::unsupported);
  CHECK(GgufFile::parse({}, "f").error().kind == ErrorKind::environment);
}

TEST_CASE("gguf rules: counts are bounded by the bytes that remain") {
  CHECK(RawGguf().header(kHuge, 0).error() ==
        "f: expected at most 0 tensors in the 0 bytes that follow, found a count of "
        "18446744073709551615");
  CHECK(RawGguf().header(0, 3).data(26).error().starts_with(
      "f: expected at most 2 metadata keys in the 34 bytes that follow"));
  for (const uint64_t count : {uint64_t{2}, uint64_t{1} << 61, kHuge})
    CHECK(RawGguf().header(0, 1).key("k", kArray).put(kU64).put(count).put<uint64_t>(7).error() ==
          "f: metadata key \"k\": expected at most 1 array elements in the 8 bytes that follow, "
          "found a count of " + std::to_string(count));
  CHECK(RawGguf().header(0, 1).key("k", kString).put(kHuge).error() ==
        "f: metadata key \"k\": expected 18446744073709551615 bytes at byte 45, found 0 before "
        "the end of the file");
}

TEST_CASE("gguf rules: metadata keys and values") {
  CHECK(RawGguf().header(0, 1).key("k", 13).put<uint64_t>(0).error() ==
        "f: metadata key \"k\": expected a value type from 0 to 12, found 13");
  CHECK(RawGguf().header(0, 1).key("k", kArray).put<uint32_t>(99).put<uint64_t>(0).error() ==
        "f: metadata key \"k\": expected a value type from 0 to 12, found 99");
  CHECK(RawGguf().header(0, 1).key("k", kBool).put<uint8_t>(2).error() ==
        "f: metadata key \"k\": expected a bool of 0 or 1, found 2");
  CHECK(RawGguf().header(0, 1).key("", kU8).put<uint8_t>(0).error() ==
        "f: expected metadata keys of 1 to 65535 bytes, found 0");
  CHECK(RawGguf().header(0, 1).key("a\nb", kU8).put<uint8_t>(0).error() ==
        "f: metadata key \"a?b\": expected printable text");
  CHECK(RawGguf().header(0, 1).key(std::string(65536, 'k'), kU8).put<uint8_t>(0).error() ==
        "f: metadata key 0: expected a string of at most 65535 bytes, found length 65536");
  CHECK(RawGguf().header(0, 2).key("k", kU8).put<uint8_t>(0).key("k", kU8).put<uint8_t>(0)
            .error() == "f: metadata key \"k\" appears twice");
}

TEST_CASE("gguf rules: arrays nest four deep and no deeper") {
  for (const int depth : {4, 5}) {
    RawGguf raw;
    raw.header(0, 1).key("k", kArray);
    for (int i = 1; i < depth; ++i) raw.put(kArray).put<uint64_t>(1);
    raw.put(kU8).put<uint64_t>(1).put<uint8_t>(1);
    CHECK(raw.error().ends_with(depth == 4 ? "" : "expected arrays nested at most 4 deep"));
    CHECK(raw.error().empty() == (depth == 4));
  }
}

TEST_CASE("gguf rules: the alignment is a power of two from 8 on") {
  for (const uint32_t good : {8u, 32u, 4096u}) CHECK(alignment_error(good).empty());
  for (const uint32_t bad : {0u, 1u, 4u, 24u, 48u, 1u << 31})
    CHECK(alignment_error(bad) ==
          "f: metadata key \"general.alignment\": expected a power of two from 8 to 1048576, "
          "found " + std::to_string(bad));
  CHECK(RawGguf().header(0, 1).key("general.alignment", kU64).put<uint64_t>(32).error() ==
        "f: metadata key \"general.alignment\": expected u32, found u64");
}

TEST_CASE("gguf rules: tensor shapes") {
  CHECK(tensor_error({32, 2}, 0).empty());
  CHECK(tensor_error({}, 0) == "f: tensor \"w\": expected 1 to 4 dimensions, found 0");
  CHECK(tensor_error({1, 1, 1, 1, 1}, 0) ==
        "f: tensor \"w\": expected 1 to 4 dimensions, found 5");
  CHECK(tensor_error({32, 0}, 0) ==
        "f: tensor \"w\": expected dimensions of at least 1, found 0");
  CHECK(tensor_error({uint64_t{1} << 32, uint64_t{1} << 32}, 0) ==
        "f: tensor \"w\": the product of the dimensions overflows");
  CHECK(tensor_error({uint64_t{1} << 62}, 0) ==
        "f: tensor \"w\": the size of the tensor overflows");
  CHECK(tensor_error({48}, 8) ==
        "f: tensor \"w\": expected a row length that is a multiple of 32 for Q8_0, found 48");
  CHECK(tensor_error({32, 8}, 12) ==
        "f: tensor \"w\": expected a row length that is a multiple of 256 for Q4_K, found 32");
  for (const uint32_t id : {4u, 5u, 31u, 36u, 43u, 1000u, UINT32_MAX})
    CHECK(tensor_error({32}, id) ==
          "f: tensor \"w\": unknown tensor type id " + std::to_string(id));
}

TEST_CASE("gguf rules: tensor data lie inside the file") {
  CHECK(tensor_error({32}, 0, 0, 128).empty());
  CHECK(tensor_error({32}, 0, 0, 127) ==
        "f: tensor \"w\": expected 128 bytes at offset 0 of the data, found only 127 bytes of data "
        "(is the file truncated?)");
  CHECK(tensor_error({32}, 0, 32, 128).find("offset 32") != std::string::npos);
  CHECK(tensor_error({32}, 0, kHuge - 31).find("found only 4096") != std::string::npos);
  CHECK(tensor_error({32}, 0, 16) ==
        "f: tensor \"w\": expected an offset that is a multiple of 32, found 16");
  // No data section at all, not even the padding before it.
  CHECK(RawGguf().header(1, 0).tensor("w", {1}, 0, 0).error().find("found only 0 bytes") !=
        std::string::npos);
  // The padding after the last tensor may be missing.
  CHECK(RawGguf().header(1, 0).tensor("w", {1}, 0, 0).data(4).error().empty());
}

TEST_CASE("gguf rules: tensor names") {
  const auto named = [](const std::string& name) {
    return RawGguf().header(1, 0).tensor(name, {1}, 0, 0).data(4).error();
  };
  CHECK(named(std::string(63, 'w')).empty());
  CHECK(named(std::string(64, 'w')) ==
        "f: tensor 0: expected a string of at most 63 bytes, found length 64");
  CHECK(named("") == "f: tensor \"\": expected a name of 1 to 63 bytes, found 0");
  CHECK(named("\xff") == "f: tensor \"\xef\xbf\xbd\": expected a printable name");
  CHECK(RawGguf().header(2, 0).tensor("w", {1}, 0, 0).tensor("w", {1}, 0, 32).data(64).error() ==
        "f: tensor \"w\" appears twice");
}

TEST_CASE("gguf rules: too many metadata elements are refused before they are read") {
  RawGguf raw;
  raw.header(0, 1).key("k", kArray).put(kU8).put<uint64_t>((1u << 23) + 1).data((1u << 23) + 64);
  CHECK(raw.error().starts_with("f: metadata key \"k\": expected at most 8388608 array elements"));
}

TEST_CASE("gguf rules: the builder refuses what the reader would refuse") {
  using Change = std::function<void(GgufBuilder&)>;
  const std::vector<std::byte> four(4);
  const auto array = [](GgufValue value, uint32_t type) {
    return std::make_shared<GgufArray>(GgufArray{{std::move(value)}, type});
  };
  const std::pair<const char*, Change> cases[] = {
      {"expected 4 bytes of data, found 0",
       [](auto& b) { b.add_tensor("w", {1}, TensorType::f32, {}); }},
      {"expected 4 bytes of data, found 8",
       [](auto& b) {
         b.add_lazy_tensor("w", {1}, TensorType::f32, [] { return std::vector<std::byte>(8); });
       }},
      {"tensor \"w\" was added twice",
       [&](auto& b) {
         b.add_tensor("w", {1}, TensorType::f32, four);
         b.add_tensor("w", {1}, TensorType::f32, four);
       }},
      {"expected 1 to 4 dimensions", [](auto& b) { b.add_tensor("w", {}, TensorType::f32, {}); }},
      {"unknown tensor type id 5",
       [&](auto& b) { b.add_tensor("w", {1}, static_cast<TensorType>(5), four); }},
      {"expected a name of 1 to 63 bytes",
       [&](auto& b) { b.add_tensor(std::string(64, 'w'), {1}, TensorType::f32, four); }},
      {"expected a power of two", [](auto& b) { b.set("general.alignment", uint32_t{7}); }},
      {"expected array elements of one type",
       [&](auto& b) { b.set("k", array(uint8_t{1}, kU32)); }},
      {"expected metadata keys of 1 to 65535 bytes", [](auto& b) { b.set("", uint8_t{1}); }},
  };
  const test::TempDir dir;
  for (const auto& [message, change] : cases) {
    CAPTURE(std::string(message));
    GgufBuilder builder;
    change(builder);
    const auto written = builder.write(dir.path() / "x.gguf");
    REQUIRE(written.has_error());
    CHECK(written.error().message.find(message) != std::string::npos);
    CHECK(builder.finish("x").error().message == written.error().message);
  }
  CHECK(std::filesystem::is_empty(dir.path()));  // nothing half-written is left
}

TEST_CASE("gguf rules: finish gives what write and open give") {
  const test::TempDir dir;
  const auto path = dir.path() / "v.gguf";
  REQUIRE(varied_builder().write(path).has_value());
  const auto opened = GgufFile::open(path);
  REQUIRE(opened.has_value());
  auto builder = varied_builder();
  const auto made = builder.finish("v");
  REQUIRE(made.has_value());
  CHECK((*made)->file_bytes() == (*opened)->file_bytes());
  CHECK((*made)->metadata().size() == (*opened)->metadata().size());
  REQUIRE((*made)->tensors().size() == (*opened)->tensors().size());
  for (const TensorView& tensor : (*opened)->tensors()) {
    const TensorView* other = (*made)->find_tensor(tensor.name);
    REQUIRE(other);
    CHECK(other->dims == tensor.dims);
    CHECK(other->type == tensor.type);
    CHECK(std::ranges::equal(other->data, tensor.data));
    CHECK(reinterpret_cast<uintptr_t>(tensor.data.data()) % 64 == 0);  // general.alignment
  }
  CHECK(builder.finish("again").has_value());  // empty now, and that is a valid file
}

TEST_CASE("gguf rules: writing replaces the old file only when the new one is complete") {
  const test::TempDir dir;
  const auto path = dir.path() / "v.gguf";
  test::write_file(path, "old");
  GgufBuilder bad;
  bad.add_tensor("w", {1}, TensorType::f32, {});
  CHECK(bad.write(path).has_error());
  CHECK(test::read_file(path) == "old");
  REQUIRE(varied_builder().write(path).has_value());
  CHECK(test::read_file(path).starts_with("GGUF"));
  CHECK(std::distance(std::filesystem::directory_iterator(dir.path()), {}) == 1);
  const auto nowhere = varied_builder().write(dir.path() / "no" / "x.gguf");
  CHECK(nowhere.error().kind == ErrorKind::environment);
  CHECK(nowhere.error().message.ends_with("cannot write: No such file or directory"));
}

TEST_CASE("gguf rules: what is not a readable file is an environment error") {
  const test::TempDir dir;
  CHECK(GgufFile::open(dir.path()).error().message ==
        dir.path().string() + ": expected a regular file");
  test::write_file(dir.path() / "empty", "");
  CHECK(GgufFile::open(dir.path() / "empty").error().message ==
        (dir.path() / "empty").string() + ": the file is empty");
  CHECK(GgufFile::open(dir.path() / "none").error().kind == ErrorKind::environment);
}
